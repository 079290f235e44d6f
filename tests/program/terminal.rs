//! The output of the program: colours where they are wanted, a curve, JSON for log collectors, and
//! only errors with `--quiet`.

use crate::test_dir::{ProgramOutput, TestDir};
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(line).collect()
}

#[test]
fn progress_and_results_are_printed_as_json_on_request() {
    let dir = TestDir::new();
    let ran = dir.run("train --epochs 3 --log-format json -o run --noise-scale");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let messages = lines(&ran.err);
    assert_eq!((&messages[0]["event"], &messages[0]["output"]), (&"start".into(), &"run".into()));
    let epochs: Vec<Value> =
        lines(&dir.read("run/metrics.jsonl")).into_iter().filter(|line| line["event"] == "epoch").collect();
    assert_eq!((epochs.len(), &messages[1..]), (3, &epochs[..]));

    let [mut results] = lines(&ran.out).try_into().unwrap();
    let whole = results.as_object_mut().unwrap();
    assert_eq!(whole.remove("output_dir"), Some("run".into()));
    assert_eq!(whole.remove("next"), Some("phalanx predict run".into()));
    assert_eq!(results, dir.json("run/results.json"));
    assert!(!dir.read("run/config.toml").contains("log-format"), "the flag is about a single run");
}

#[test]
fn messages_are_json_with_their_level() {
    let dir = TestDir::new();
    let refused = dir.run("train --log-format json --lr=-1");
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    let [message] = lines(&refused.err).try_into().unwrap();
    assert_eq!((&message["event"], &message["level"]), (&"message".into(), &"error".into()));
    assert!(message["text"].as_str().unwrap().starts_with("lr is -1"), "{message}");

    dir.good("train --epochs 1 --lr 0.5 -o run");
    let changed = "train --resume run --epochs 2 --lr 0.25 --allow-changed epochs,lr --log-format json";
    let ran = dir.run(changed);
    let levels: Vec<Value> = lines(&ran.err)
        .into_iter()
        .filter(|line| line["event"] == "message")
        .map(|line| line["level"].clone())
        .collect();
    assert_eq!(levels, ["info", "info", "warning"], "{}", ran.err);

    let ran = dir.run("train --lr 1e30 --log-format json -o diverged");
    assert_eq!(ran.code, Some(3));
    assert_eq!(lines(&ran.err).last().unwrap()["level"], "error");
    assert_eq!(lines(&ran.out)[0]["stopped"], "diverged");
}

#[test]
fn quiet_prints_only_errors_in_either_format() {
    let dir = TestDir::new();
    for format in ["text", "json"] {
        let ran = dir.run(&format!("train --epochs 1 --lr 0.5 --quiet --log-format {format} -o {format}"));
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
        let changed = format!(
            "train --resume {format} --epochs 2 --lr 0.25 --allow-changed epochs,lr --quiet --log-format {format}"
        );
        let ran = dir.run(&changed);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
        let ran = dir.run(&format!("train --lr=-1 --quiet --log-format {format}"));
        assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (Some(2), "", 1));
    }
}

#[test]
fn colours_follow_the_terminal_the_flag_and_the_variables() {
    let dir = TestDir::new();
    let ran = |arguments: &str, variables: &[(&str, &str)]| -> ProgramOutput {
        let mut command = dir.command(arguments);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied()).output().unwrap().into()
    };
    let red = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m ";
    for (arguments, variables, coloured) in [
        ("train -b 0", &[][..], false),
        ("train -b 0 --color always", &[], true),
        ("--color=always train -b 0", &[("NO_COLOR", "1")], true),
        ("train -b 0 --color never", &[("CLICOLOR_FORCE", "1")], false),
        ("train -b 0", &[("CLICOLOR_FORCE", "1")], true),
        ("train -b 0", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ("train -b 0", &[("TERM", "xterm-256color")], false),
    ] {
        let err = ran(arguments, variables).err;
        assert_eq!(err.starts_with(red), coloured, "{arguments} {variables:?}: {err:?}");
        assert_eq!(err.contains('\u{1b}'), coloured, "{arguments} {variables:?}: {err:?}");
    }
    // Messages of clap follow the same rules.
    for (arguments, coloured) in [("train --help", false), ("train --help --color always", true)] {
        assert_eq!(ran(arguments, &[]).out.contains('\u{1b}'), coloured, "{arguments}");
    }
    let out = ran("train --epochs 1 --color always", &[]).out;
    assert!(out.starts_with("test accuracy  \u{1b}[1m0.9"), "{out:?}");
    assert_eq!(ran("train --color blue", &[]).code, Some(2));
}

#[test]
fn the_curve_is_drawn_in_the_characters_of_the_locale() {
    let dir = TestDir::new();
    let out = |arguments: &str, locale: &str| {
        let ran: ProgramOutput = dir.command(arguments).env("LC_ALL", locale).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    };
    let ascii = out("train --epochs 4", "C");
    assert!(ascii.is_ascii() && ascii.starts_with("test accuracy by epoch; highest: 0.9"), "{ascii}");
    assert_eq!(ascii.lines().filter(|line| line.contains(" |")).count(), 5, "{ascii}");
    assert!(out("train --epochs 4", "C.UTF-8").contains('⣀'));
    assert!(out("train --epochs 1", "C").starts_with("test accuracy"));
}

#[test]
fn other_commands_refuse_flags_about_the_log_of_a_run() {
    let dir = TestDir::new();
    for command in ["sweep", "convert", "bench scaling"] {
        let ran = dir.run(&format!("{command} --log-format json"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command}: {ran:?}");
        assert!(ran.err.contains("--log-format"), "{command}: {}", ran.err);
    }
}
