//! Checkpoints and resume: a run that was killed or stopped resumes to the same bits as an
//! uninterrupted run, damage is reported and skipped, and changes that would alter the result are
//! refused.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::test_dir::{ProgramOutput, TestDir, hash, rows, signal, table, value};
use phalanx::checkpoint::{Checkpoint, CheckpointDir};
use serde_json::Value;

/// A run of several seconds, long enough to be stopped in the middle.
const LONG: &str =
    "train --hidden 64 --optimizer adam --lr-schedule cosine --epochs 500 --log-every 100 --quiet";
const LONG_STEPS: u64 = 23 * 500;

fn classes(a: f64, b: f64) -> String {
    usize::from(a > b).to_string()
}

fn steps(dir: &TestDir, run: &str) -> Vec<u64> {
    CheckpointDir::of_run(&dir.path(run)).steps().unwrap()
}

/// Polls until `look` returns something; panics if the program ends first.
fn wait_for<T>(child: &mut Child, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(child.try_wait().unwrap().is_none(), "the program ended first");
        assert!(begun.elapsed() < Duration::from_secs(60), "timed out");
        thread::yield_now();
    }
}

/// Returns the lines of a log without times and without resume marks.
fn log(dir: &TestDir, run: &str) -> Vec<Value> {
    let lines = dir.read(&format!("{run}/metrics.jsonl"));
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let without_times = lines.map(|mut line| {
        let fields = line.as_object_mut().unwrap();
        fields.retain(|name, _| name != "samples_per_sec" && !name.ends_with("_secs"));
        line
    });
    without_times.filter(|line| line["event"] != "resume").collect()
}

#[test]
fn a_run_killed_while_saving_resumes_to_the_same_bits_with_other_threads() {
    let dir = TestDir::new();
    dir.good(&format!("{LONG} -t 1 --save-every never -o whole"));
    let mut child = dir.spawn(&format!("{LONG} -t 2 --save-every 0.01s -o run"));
    wait_for(&mut child, || (steps(&dir, "run").len() >= 2).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    let there = steps(&dir, "run");
    assert!(there.iter().all(|step| *step < LONG_STEPS), "{there:?}");
    assert!(!dir.path("run/results.json").exists());
    // A file that a program left when it was killed while writing.
    dir.write("run/checkpoints/.writing-x", "half");

    dir.good("train --resume run -t 3 --save-every 1h --quiet");
    assert_eq!(hash(&dir, "run"), hash(&dir, "whole"));
    assert!(log(&dir, "run") == log(&dir, "whole"));
    assert!(!dir.path("run/checkpoints/.writing-x").exists());
    let results = dir.json("run/results.json");
    assert_eq!((&results["stopped"], &results["steps"]), (&"completed".into(), &LONG_STEPS.into()));
    assert_eq!(results["epoch_secs"].as_array().unwrap().len(), 500);
    assert!(dir.read("run/metrics.jsonl").contains(r#""event":"resume""#));
}

#[test]
fn a_run_that_was_asked_to_stop_resumes_with_a_complete_log() {
    let dir = TestDir::new();
    dir.good(&format!("{LONG} -t 2 --save-every never -o whole"));
    let mut child = dir.spawn(&format!("{LONG} -t 1 --save-every never"));
    for code in [130, 143] {
        let log = dir.path("runs/1/metrics.jsonl");
        let size = || fs::metadata(&log).map_or(0, |meta| meta.len());
        let before = size();
        wait_for(&mut child, || (size() > before + 500).then_some(()));
        signal(&child, if code == 130 { "INT" } else { "TERM" });
        let ran = ProgramOutput::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(dir.json("runs/1/results.json")["stopped"], "interrupted");
        child = dir.spawn("train --resume auto -t 2 --quiet");
    }
    assert_eq!(ProgramOutput::from(child.wait_with_output().unwrap()).code, Some(0));
    assert_eq!(hash(&dir, "runs/1"), hash(&dir, "whole"));
    assert!(log(&dir, "runs/1") == log(&dir, "whole"));
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_previous_one_is_used() {
    let dir = TestDir::new();
    dir.good("train --epochs 6 -o whole");
    dir.good("train --max-steps 46 -o part");
    for (index, damage) in ["cut", "flipped", "empty", "gone"].into_iter().enumerate() {
        let run = format!("run{index}");
        let checkpoint = |step: u64| dir.path(&format!("{run}/checkpoints/step-{step:08}.safetensors"));
        for steps in [20, 30, 46] {
            let length = if steps == 20 {
                "--max-steps 20".to_owned()
            } else {
                format!("--resume {run} --max-steps {steps} --allow-changed max-steps")
            };
            let place = if steps == 20 { format!("-o {run}") } else { String::new() };
            dir.good(&format!("train {length} {place} --quiet"));
        }
        assert_eq!(hash(&dir, &run), hash(&dir, "part"));
        let newest = fs::read(checkpoint(46)).unwrap();
        let (middle, mut flipped) = (newest.len() / 2, newest.clone());
        flipped[middle] ^= 4;
        match damage {
            "cut" => fs::write(checkpoint(46), &newest[..middle]).unwrap(),
            "flipped" => fs::write(checkpoint(46), flipped).unwrap(),
            "empty" => fs::write(checkpoint(46), "").unwrap(),
            _ => fs::remove_file(checkpoint(46)).unwrap(),
        }
        let ran = dir.run(&format!("train --resume {run} --epochs 6 --allow-changed epochs"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let warned = ran.err.contains("step-00000046.safetensors")
            && ran.err.contains("looking for an earlier checkpoint");
        assert_eq!(warned, damage != "gone", "{damage}: {}", ran.err);
        assert!(ran.err.contains("after step 30 (1 epochs and 7 steps)"), "{}", ran.err);
        assert_eq!(hash(&dir, &run), hash(&dir, "whole"), "{damage}");
        assert!(log(&dir, &run) == log(&dir, "whole"), "{damage}");
        assert_eq!(steps(&dir, &run), [20, 30, 138], "checkpoints of the abandoned course are removed");
        for step in [20, 30, 138] {
            fs::write(checkpoint(step), "").unwrap();
        }
        let ran = dir.run(&format!("train --resume {run} --epochs 7 --allow-changed epochs"));
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.lines().last().unwrap().contains("none of the 3 checkpoints in"), "{}", ran.err);
        let ran = dir.run(&format!("train --resume {run}/checkpoints/step-00000030.safetensors"));
        assert_eq!((ran.code, ran.err.starts_with("error: ")), (Some(1), true), "{ran:?}");
    }
}

#[test]
fn options_that_change_the_result_are_refused_unless_named() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 --momentum 0.9 --lr-schedule cosine --threads 1 -o run");
    for (arguments, fragments) in [
        ("--lr 0.5", &["--lr is 0.5, was 0.1", "--allow-changed lr"][..]),
        ("--lr 0.5 --l2 0.1 --epochs 3 --allow-changed epochs", &["--l2 is 0.1, was 0.0; --lr is", "l2,lr"]),
        ("--max-steps 60", &["--max-steps is 60, was not given"]),
        ("--seed 43", &["--seed is 43, was 42"]),
        ("--epochs 3 --allow-changed epoch", &["contains 'epoch', which is not a flag"]),
    ] {
        let ran = dir.run(&format!("train --resume run {arguments}"));
        assert_eq!(ran.code, Some(2), "{arguments}: {ran:?}");
        assert_eq!(ran.err.matches('\n').count(), 1, "{}", ran.err);
        assert!(fragments.iter().all(|fragment| ran.err.contains(fragment)), "{arguments}: {}", ran.err);
    }
    for (arguments, code, fragment) in [
        ("--resume run", 1, "none of its 46 steps are left"),
        (
            "--resume run --batch-size 32 --epochs 9 --allow-changed batch_size,epochs",
            2,
            "batch-size cannot change",
        ),
        ("--resume run --optimizer adam --epochs 9 --allow-changed optimizer,momentum,epochs", 2, "momentum"),
        ("--resume run --hidden 5 --epochs 9 --allow-changed hidden,epochs", 2, "hidden cannot change"),
        ("--allow-changed lr", 2, "give --resume too"),
        ("--resume absent", 1, "cannot resume from absent, which does not exist"),
        ("--resume run/model.safetensors", 1, "is not a checkpoint"),
        ("--save-every 0", 2, "2epochs"),
        ("--keep 0", 2, "give --keep 1"),
    ] {
        let before = dir.listing();
        let ran = dir.run(&format!("train {arguments}"));
        assert_eq!(ran.code, Some(code), "{arguments}: {ran:?}");
        let last = ran.err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(last.contains(fragment), "{arguments}: {}", ran.err);
        assert_eq!(dir.listing(), before, "{arguments} left something behind");
    }
    let ran = dir.run("train --resume run -t 2 --keep 1 --epochs 3 --lr 0.05 --allow-changed epochs,lr");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in ["changed: --epochs is 3, was 2", "changed: --lr is 0.05, was 0.1", "resumes with the rate"] {
        assert!(ran.err.contains(line), "{}", ran.err);
    }
    assert_eq!(steps(&dir, "run"), [69]);
    assert!(dir.read("run/config.toml").contains("epochs = 3"));
}

#[test]
fn other_data_is_refused_and_the_same_data_elsewhere_is_not() {
    let dir = TestDir::new();
    dir.write("one.csv", table(60, classes));
    dir.write("same.csv", table(60, classes));
    dir.write("other.csv", table(60, classes).replacen("0.0000", "0.0001", 1));
    dir.good("train one.csv --max-steps 2 -b 16 -o run");
    let more = "--max-steps 4 --allow-changed max-steps";
    for (arguments, part) in [("other.csv", "training"), ("--test same.csv", "test")] {
        let ran = dir.run(&format!("train {arguments} --resume run {more}"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("the {part} samples differ from those of the run")), "{}", ran.err);
    }
    fs::remove_file(dir.path("one.csv")).unwrap();
    dir.good(&format!("train same.csv --resume run {more}"));
    dir.good("train same.csv --max-steps 4 -b 16 -o whole");
    assert_eq!(hash(&dir, "run"), hash(&dir, "whole"));
}

#[test]
fn auto_finds_the_newest_run_that_is_not_complete() {
    let dir = TestDir::new();
    assert!(dir.run("train --resume auto").err.contains("no run to resume in runs"));
    // As a script says it that may be run again and again.
    let again = "train --epochs 2 --resume auto -o mine";
    assert!(dir.run(again).err.starts_with("mine does not exist yet: starting a new run\n"));
    let whole = hash(&dir, "mine");
    assert_eq!(dir.run(again).err, "the run in mine is complete: nothing to do\n");
    // Killed before its first checkpoint.
    fs::remove_dir_all(dir.path("mine/checkpoints")).unwrap();
    fs::remove_file(dir.path("mine/results.json")).unwrap();
    let ran = dir.run(again);
    assert!(ran.code == Some(0) && ran.err.contains("before its first checkpoint"), "{ran:?}");
    assert_eq!((hash(&dir, "mine"), log(&dir, "mine").len()), (whole.clone(), 6));
    // Killed between its last checkpoint and its results.
    fs::remove_file(dir.path("mine/results.json")).unwrap();
    let ran = dir.run(again);
    assert!(ran.code == Some(0) && ran.err.contains("before its results were written"), "{ran:?}");
    assert_eq!((hash(&dir, "mine"), log(&dir, "mine").len()), (whole.clone(), 6));
    // Killed before it had written its options, once and twice.
    for log in ["", "{\"event\":\"resume\",\"step\":0,\"epoch\":1}\n"] {
        fs::remove_dir_all(dir.path("mine")).unwrap();
        dir.write("mine/metrics.jsonl", log);
        dir.write("mine/.writing-x", "half");
        let ran = dir.run(again);
        assert!(ran.code == Some(0) && ran.err.contains("mine was stopped before it started"), "{ran:?}");
        assert_eq!(hash(&dir, "mine"), whole);
    }
    // But a directory that is not left by a run is not written to.
    dir.write("other/notes.txt", "");
    assert_eq!(dir.run(&again.replace("mine", "other")).code, Some(1));

    dir.good("train --max-steps 30");
    dir.good("train --max-steps 31");
    dir.good("train --max-steps 2");
    for run in [1, 2] {
        let path = format!("runs/{run}/results.json");
        dir.write(&path, dir.read(&path).replace("completed", "interrupted"));
    }
    dir.good("train --resume auto --max-steps 46 --allow-changed max-steps");
    assert_eq!(steps(&dir, "runs/2"), [31, 46]);
    assert_eq!(hash(&dir, "runs/2"), whole);
}

#[test]
fn a_new_directory_gets_a_copy_of_the_log_and_the_old_one_is_unchanged() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 -o whole");
    dir.good("train --max-steps 30 -o old");
    let before = dir.listing();
    let more = "--epochs 2 --allow-changed epochs";
    dir.good(&format!("train --resume old -o new {more}"));
    dir.good(&format!("train --resume old/checkpoints/step-00000030.safetensors -o from_file {more}"));
    fs::copy(dir.path("old/checkpoints/step-00000030.safetensors"), dir.path("lone.safetensors")).unwrap();
    let ran = dir.run(&format!("train --resume lone.safetensors {more}"));
    assert!(ran.code == Some(2) && ran.err.contains("pass a new one with -o"), "{ran:?}");
    dir.good(&format!("train --resume lone.safetensors -o from_lone {more}"));
    for run in ["new", "from_file", "from_lone"] {
        assert_eq!(hash(&dir, run), hash(&dir, "whole"), "{run}");
        assert_eq!(dir.json(&format!("{run}/results.json"))["epoch_secs"].as_array().unwrap().len(), 2);
    }
    assert!(log(&dir, "new") == log(&dir, "whole") && log(&dir, "from_file") == log(&dir, "whole"));
    assert!(before.iter().all(|entry| dir.listing().contains(entry)));
    let ran = dir.run(&format!("train --resume old -o whole {more}"));
    assert!(ran.code == Some(1) && ran.err.contains("whole exists"), "{ran:?}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run_and_leaves_the_others() {
    let dir = TestDir::new();
    dir.good("train --max-steps 30 -o run");
    // A directory in its place, so that no file can have the name.
    dir.write("run/checkpoints/step-00000046.safetensors/x", "");
    let ran = dir.run("train --resume run --epochs 2 --allow-changed epochs --save-every never");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let last = ran.err.lines().last().unwrap();
    assert!(last.contains("cannot write run/checkpoints/step-00000046.safetensors"), "{last}");
    let whole = Checkpoint::load(&dir.path("run/checkpoints/step-00000030.safetensors")).unwrap();
    assert_eq!(whole.snapshot.position().step, 30);
    let names = fs::read_dir(dir.path("run/checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        names.into_iter().all(|name| name.to_str().unwrap().starts_with("step-")),
        "an incomplete file is left"
    );
}

#[test]
fn a_run_in_progress_cannot_be_resumed_a_second_time() {
    let dir = TestDir::new();
    let mut child = dir.spawn("train --epochs 1000000 --save-every 0.01s -o run");
    wait_for(&mut child, || steps(&dir, "run").first().copied());
    let ran = dir.run("train --resume run");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("another run is in progress in run"), "{}", ran.err);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_checkpoint_is_also_a_model() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 --optimizer lamb -o run");
    let file = "run/checkpoints/step-00000046.safetensors";
    let scored = dir.good(&format!("eval {file}"));
    assert_eq!(scored, dir.good("eval run"));
    assert_eq!(rows(&dir.good(&format!("predict {file}"))), rows(&dir.good("predict run")));
    let about = dir.good(&format!("inspect {file}"));
    assert!(about.contains("after step 46: 2 epochs and 0 steps"), "{about}");
    assert!(about.contains(hash(&dir, "run").as_str().unwrap()), "{about}");
    dir.good(&format!("train --init {file} --lr 0 --max-steps 1 -o again"));
    assert_eq!(hash(&dir, "again"), hash(&dir, "run"));
    let ran = dir.run(&format!("train --init {file} --hidden none --max-steps 1"));
    assert!(ran.code == Some(1) && ran.err.contains("layers.1"), "{ran:?}");
    assert_eq!(value(&scored, "samples"), "360");
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let dir = TestDir::new();
    // A rate large enough that every epoch is worse than the one that precedes it, found by trial.
    dir.good("train --epochs 1 --lr 0.1 -o run");
    for epochs in 2..=6 {
        dir.good(&format!("train --resume run --lr 3 --epochs {epochs} --keep 2 --allow-changed lr,epochs"));
    }
    let accuracies: Vec<f64> =
        log(&dir, "run").iter().filter_map(|line| line["test_accuracy"].as_f64()).collect();
    let mut best = 0;
    (0..accuracies.len()).for_each(|at| {
        if accuracies[at] > accuracies[best] {
            best = at
        }
    });
    assert!(best < 4, "{accuracies:?}");
    assert_eq!(steps(&dir, "run"), [23 * (best as u64 + 1), 115, 138]);
    assert!(Path::new(&dir.path("run/checkpoints")).is_dir());
}

#[test]
fn a_damaged_line_of_the_log_is_reported_and_the_other_lines_are_kept() {
    let dir = TestDir::new();
    dir.good("train --log-every 5 --max-steps 30 -o run");
    let (before, damaged) =
        (log(&dir, "run"), dir.read("run/metrics.jsonl").replacen("\"step\":10,", "st\"ep", 1));
    dir.write("run/metrics.jsonl", damaged);
    let ran = dir.run("train --resume run --max-steps 46 --allow-changed max-steps --no-progress");
    assert!(ran.err.contains("metrics.jsonl, line 2: not a valid log line"), "{}", ran.err);
    let lines = dir.read("run/metrics.jsonl");
    assert!(lines.contains("st\"ep") && lines.contains("\"step\":30,") && lines.contains("\"step\":45,"));
    // The end of the partial epoch is logged again when the epoch is complete.
    let kept = rows(&dir.read("run/metrics.csv")).iter().filter(|row| row[0] == "step").count();
    assert_eq!(kept, before.iter().filter(|line| line["event"] == "step").count() - 1 + 3);
}

#[test]
fn the_columns_of_a_resumed_table_are_found_by_name() {
    let dir = TestDir::new();
    let rows = table(40, |a, b| usize::from(a > b).to_string());
    dir.write("rows.csv", format!("a,b,kind\n{rows}"));
    let swapped = |row: &str| {
        let mut fields = row.split(',');
        let [a, b, kind] = [(); 3].map(|()| fields.next().unwrap());
        format!("{kind},{b},{a}\n")
    };
    dir.write("swapped.csv", format!("kind,b,a\n{}", rows.lines().map(swapped).collect::<String>()));
    dir.good("train rows.csv --epochs 4 -o whole --quiet");
    dir.good("train rows.csv --epochs 2 -o parts --quiet");
    let ran = dir.run("train swapped.csv --resume parts --epochs 4 --allow-changed epochs");
    assert!(ran.code == Some(0) && !ran.err.contains("warning"), "{ran:?}");
    assert_eq!(hash(&dir, "parts"), hash(&dir, "whole"));
    let options = dir.read("parts/config.toml");
    assert!(!options.contains("standardize-targets"), "nobody set it: {options}");
}
