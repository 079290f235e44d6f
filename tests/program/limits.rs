//! The program when the system provides no more threads or memory: an error reports this, nothing
//! hangs, and no file is incomplete.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::Instant;

use crate::faulty::FaultyOs;
use crate::moments::all_whole;
use crate::tally::{Tally, count, within};
use crate::test_dir::{ProgramOutput, TestDir, table, within_shell};
use serde_json::Value;

#[test]
fn a_thread_that_cannot_be_started_is_reported_and_nothing_hangs() {
    let Some(os) = FaultyOs::new() else { return };
    let dir = TestDir::new();
    dir.write("small.csv", table(64, |a, b| usize::from(a > b).to_string()));
    let mut tally =
        Tally::new("C8", "threads that cannot be started, reported within 2 s and with no files left behind");
    for threads in 1..=count(4, 16) {
        // The first thread writes checkpoints.
        for started in 0..=threads {
            let before = dir.listing();
            let begun = Instant::now();
            let train = format!("train small.csv -b 64 --shards 16 -t {threads} --quiet -o run");
            let ran: ProgramOutput =
                os.command(&dir, &train).env("FAULTY_THREADS", started.to_string()).output().unwrap().into();
            let missing = match started {
                0 => "error: the thread that writes checkpoints could not be started: ".to_owned(),
                _ => format!("error: the thread of rank {} could not be started: ", started - 1),
            };
            let good = ran.code == Some(1)
                && ran.err.starts_with(&missing)
                && ran.err.lines().count() == 1
                && dir.listing() == before
                && begun.elapsed() < within(2000);
            tally.case(good, || format!("{started} of {threads} threads: {ran:?}"));
        }
    }
    tally.end();
}

/// Runs the program under a limit set by the shell.
fn limited(dir: &TestDir, limit: &str, arguments: &str) -> Output {
    within_shell(dir, &format!("ulimit {limit}"), &dir.command(arguments)).output().unwrap()
}

/// The memory for the params of the model below, 4 bytes each, for their copy, and for a gradient.
const LEAST_KILOBYTES: u64 = 12 * (64 * 3000 + 3000 + 3000 * 3000 + 3000 + 3000 * 10 + 10) / 1024;

/// Returns the memory of the program before its threads are started, with 4 MB to spare: the larger
/// part is the program file itself.
fn program_kilobytes(dir: &TestDir) -> u64 {
    let is_enough = |kilobytes: &u64| {
        let output = limited(dir, &format!("-v {kilobytes}"), "inspect digits");
        output.status.success()
    };
    (8..64).map(|megabytes| 1024 * megabytes).find(is_enough).expect("the program starts in 64 MB") + 4096
}

/// Checks that the run ended with a clear message, and that all files are complete.
fn judge(dir: &TestDir, kilobytes: u64, output: Output) -> Result<(), String> {
    let signal = output.status.signal();
    let ran = ProgramOutput::from(output);
    let is_there = dir.path("run").exists();
    all_whole(dir)?;
    let results = fs::read(dir.path("run/results.json")).unwrap_or("null".into());
    let results: Value = serde_json::from_slice(&results).map_err(|error| error.to_string())?;
    let message = ran.err.lines().next().unwrap_or_default();
    let is_error = ran.code == Some(1) && ran.err.lines().count() == 1 && !is_there;
    let is_of_model = message.contains("training a model of 9228010 params on ");
    let is_of_threads = message.starts_with("error: the thread") && message.contains("could not be started");
    let good = match (ran.code, signal) {
        (Some(0), _) => results["stopped"] == "completed",
        (Some(1), _) => is_error && (is_of_model || is_of_threads),
        // If the model fits but other memory does not, the runtime reports it: for an allocation,
        // or for a thread's stack.
        (None, Some(6)) => {
            let is_of_runtime = message.starts_with("memory allocation of ")
                || ran.err.contains("failed to allocate an alternative stack");
            kilobytes > LEAST_KILOBYTES && is_of_runtime
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("{ran:?}, {signal:?}")) }
}

#[test]
fn too_little_memory_is_reported_with_its_purpose_and_no_file_is_incomplete() {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: memory is limited on Linux only");
        return;
    }
    let dir = TestDir::new();
    let mut tally =
        Tally::new("C8", "memory limits at which the program ends with an error and all files are complete");
    let (first, last) = (program_kilobytes(&dir), 4 * LEAST_KILOBYTES);
    let limits = count(12, 100);
    let mut of_model = 0;
    for index in 0..limits {
        let kilobytes = first + (last - first) * index / limits;
        let train = "train --hidden 3000,3000 --max-steps 1 -t 2 --quiet -o run";
        let output = limited(&dir, &format!("-v {kilobytes}"), train);
        of_model += u64::from(String::from_utf8_lossy(&output.stderr).contains("9228010 params"));
        let good = judge(&dir, kilobytes, output);
        tally.case(good.is_ok(), || format!("{kilobytes} kB: {good:?}"));
        _ = fs::remove_dir_all(dir.path("run"));
    }
    tally.end();
    assert!(of_model > 0, "no limit was below the needs of the model");
}

#[test]
fn a_file_that_would_exceed_the_size_limit_is_named_and_no_part_of_it_is_left() {
    let dir = TestDir::new();
    dir.good("train --hidden 512 --epochs 1 -o run");
    for name in ["out.csv", "out.onnx"] {
        dir.write(name, "old");
    }
    // Limits are in blocks of 512 or 1024 bytes; the model has 154 kB, the log 40 kB, and the
    // predictions 5 kB.
    for (blocks, arguments, file) in [
        (64, "train --hidden 512 --epochs 1 --quiet -o large", "large/checkpoints/step-00000023.safetensors"),
        (16, "train --hidden none --log-every 1 --max-steps 400 --quiet -o logged", "logged/metrics.jsonl"),
        (
            64,
            "train --resume run --epochs 2 --allow-changed epochs --quiet",
            "run/checkpoints/step-00000046.safetensors",
        ),
        (64, "export run out.onnx", "out.onnx"),
        (1, "predict run -o out.csv", "out.csv"),
    ] {
        let ran = ProgramOutput::from(limited(&dir, &format!("-f {blocks}"), arguments));
        assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 1), "{arguments}: {ran:?}");
        for expected in [file, "File too large", "raise the limit on file sizes (ulimit -f)"] {
            assert!(ran.err.contains(expected), "{arguments}: {ran:?}");
        }
    }
    let left: Vec<_> = dir.listing().into_iter().map(|(path, _)| path.display().to_string()).collect();
    assert!(!left.iter().any(|path| path.contains(".writing")), "{left:?}");
    assert_eq!((dir.read("out.csv"), dir.read("out.onnx")), ("old".to_owned(), "old".to_owned()));
    dir.good("eval run/checkpoints/step-00000023.safetensors");
    assert_eq!(dir.good("train --resume run --epochs 2 --allow-changed epochs --quiet"), "");
}

/// The memory in which the program must reject absurd values: several times its memory at the
/// start, and far less than the requested memory.
const REFUSAL_KILOBYTES: u64 = 64 * 1024;

#[test]
fn absurd_counts_are_rejected_in_little_memory_with_the_limit() {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: memory is limited on Linux only");
        return;
    }
    let dir = TestDir::new();
    let ones = |count: usize| vec!["1"; count].join(",");
    dir.write("list.toml", format!("hidden = [{}]\n", ones(5_000_000)));
    dir.write("text.toml", format!("hidden = \"{}\"\n", ones(5_000_000)));
    dir.write("long.toml", format!("# {}\n", "a".repeat(1 << 20)));
    dir.write("many.toml", format!("hidden = [{}]\n", ones(125_000)));
    dir.write("deep.toml", format!("hidden = [{}]\n", ones(1001)));
    let numbers = |count: usize| (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let sweep = format!("sweep --seeds {0} --lr {0} -b {0}", numbers(9_000));
    for (arguments, expected) in [
        ("train --config list.toml", "list.toml has more than 262144 bytes"),
        ("train --config text.toml", "text.toml has more than 262144 bytes"),
        ("train --config long.toml", "long.toml has more than 262144 bytes"),
        ("train --config /dev/zero", "/dev/zero has more than 262144 bytes"),
        (
            "train --config many.toml",
            "many.toml line 1, hidden: 125000 hidden layers, expected at most 10000",
        ),
        ("train --config deep.toml", "--hidden has 1001 layers"),
        (&format!("train --hidden {}", ones(60_000)), "60000 hidden layers, expected at most 10000"),
        ("train --hidden 16777217", "width 16777217, expected at most 16777216"),
        (&sweep, "9000 rates and 9000 seeds are more than 100000 runs"),
    ] {
        let ran = ProgramOutput::from(limited(&dir, &format!("-v {REFUSAL_KILOBYTES}"), arguments));
        let shown: String = arguments.chars().take(60).collect();
        assert_eq!(ran.code, Some(2), "{shown}: {}", ran.err.chars().take(500).collect::<String>());
        assert!(ran.err.contains(expected) && ran.err.len() < 1000, "{shown}: {}", ran.err);
        assert!(!dir.path("runs").exists(), "{shown}");
    }
}

#[test]
fn a_model_with_the_maximum_number_of_layers_is_trained_saved_resumed_and_exported() {
    let dir = TestDir::new();
    let hidden = vec!["1"; 1000].join(",");
    dir.good(&format!(
        "train --hidden {hidden} --optimizer lamb --restore-best --max-steps 2 --quiet -o run"
    ));
    dir.good("train --resume run --max-steps 3 --allow-changed max-steps --quiet");
    dir.good("eval run");
    dir.good("export run model.onnx");
}
