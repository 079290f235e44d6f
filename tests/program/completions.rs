//! Shell completions and manual pages cover all flags, and are valid for shells and man.

use std::fs;
use std::process::{Command, Stdio};

use crate::test_dir::TestDir;

/// Returns the long flags in a text.
fn flags(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let names = text.split("--").skip(1).map(|rest| rest.split(|c| !is_name(c)).next().unwrap());
    names.filter(|name| name.starts_with(char::is_alphabetic)).map(|name| format!("--{name}")).collect()
}

/// Returns the flags that `--help` lists, each at the beginning of its line.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    lines.filter_map(|line| flags(line).into_iter().next()).collect()
}

#[test]
fn every_flag_is_completed_and_on_its_manual_page() {
    let dir = TestDir::new();
    dir.good("man -o pages");
    let bash = dir.good("completions bash");
    for command in
        ["train", "convert", "eval", "predict", "inspect", "bench scaling", "bench all-reduce", "sweep"]
    {
        let page = dir.read(&format!("pages/phalanx-{}.1", command.replace(' ', "-"))).replace("\\-", "-");
        let shown = listed(&dir.good(&format!("{command} --help")));
        assert!(!shown.is_empty(), "{command}");
        let lines = page.lines().zip(page.lines().skip(1));
        let without_text = lines.filter(|(flag, text)| flag.starts_with("\\fB") && text.is_empty());
        assert_eq!(without_text.count(), 0, "flags without text on the page of {command}");
        for flag in shown {
            assert!(flags(&page).contains(&flag), "{flag} is not on the page of {command}");
            assert!(flags(&bash).contains(&flag), "{flag} of {command} is not completed");
        }
    }
    assert_eq!(dir.good("man bench scaling"), dir.read("pages/phalanx-bench-scaling.1"));
    assert_eq!(dir.good("man"), dir.read("pages/phalanx.1"));
    // Again, over the existing pages, as after an update.
    dir.good("man -o pages");
}

#[test]
fn named_values_are_completed() {
    let dir = TestDir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = dir.good(&format!("completions {shell}"));
        assert!(script.contains("phalanx") && script.contains("batch-size"), "{shell}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = dir.good(&format!("completions {shell}"));
        for value in
            ["rmsprop", "mean-of-shard-means", "tensorflow1-estimator", "cosine", "gelu", "cross-entropy"]
        {
            assert!(script.contains(value), "{shell}: no {value}");
        }
    }
}

#[test]
fn installed_shells_can_read_their_script() {
    let dir = TestDir::new();
    for shell in ["bash", "zsh", "fish"] {
        dir.write(shell, dir.good(&format!("completions {shell}")));
        let path = dir.path(shell);
        if let Ok(read) = Command::new(shell).arg("-n").arg(path).stdin(Stdio::null()).output() {
            assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
        }
    }
}

/// Calls the completion function as bash does.
#[test]
fn bash_completes_the_optimizers() {
    let dir = TestDir::new();
    let script = dir.good("completions bash")
        + "\nCOMP_WORDS=(phalanx train --optimizer ada) COMP_CWORD=3\n_phalanx phalanx ada --optimizer\necho \"${COMPREPLY[@]}\"\n";
    dir.write("complete.sh", script);
    if let Ok(ran) = Command::new("bash").arg(dir.path("complete.sh")).output() {
        assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "adagrad adam adamw", "{ran:?}");
    }
}

#[test]
fn unknown_shells_and_commands_are_rejected() {
    let dir = TestDir::new();
    for (arguments, expected) in [
        ("completions tcsh", "possible values: bash"),
        ("completions", "<SHELL>"),
        ("man tarin", "give one of train"),
        ("man train on", "train has no command 'on'"),
        ("man train -o x", "cannot be used with"),
    ] {
        let ran = dir.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments}: {ran:?}");
        assert!(ran.err.contains(expected), "{arguments}: {}", ran.err);
    }
    dir.write("file", "");
    let ran = dir.run("man -o file");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("cannot create the folder file"), "{}", ran.err);
    assert!(fs::read(dir.path("file")).unwrap().is_empty());
}
