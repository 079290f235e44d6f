//! The partial epoch with which a run may end: it is labelled wherever it is shown, its times and
//! its quality do not count as those of an epoch, and the whole epoch replaces it when the run is
//! resumed. An epoch of the digits has 23 steps.

use phalanx::checkpoint::{Checkpoint, CheckpointDir};
use phalanx::log::Results;
use serde_json::Value;

use crate::test_dir::{TestDir, rows};

fn lines(dir: &TestDir, run: &str) -> Vec<Value> {
    let log = dir.read(&format!("{run}/metrics.jsonl"));
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the steps of the lines and of the rows of an event.
fn steps(dir: &TestDir, run: &str, event: &str) -> [Vec<u64>; 2] {
    let of_lines = lines(dir, run).into_iter().filter(|line| line["event"] == event);
    let of_rows = rows(&dir.read(&format!("{run}/metrics.csv"))).into_iter().filter(|row| row[0] == event);
    [
        of_lines.map(|line| line["step"].as_u64().unwrap()).collect(),
        of_rows.map(|row| row[1].parse().unwrap()).collect(),
    ]
}

const NONE: Vec<u64> = Vec::new();

/// Checks that the phases of the results are the sums over the epochs and the partial epoch, each
/// counted once.
fn check_phases(dir: &TestDir, run: &str) {
    let of_results = dir.json(&format!("{run}/results.json"))["phase_secs"].clone();
    for phase in ["compute", "wait", "reduce_update"] {
        let logged = lines(dir, run).into_iter().filter_map(|line| line[format!("{phase}_secs")].as_f64());
        let (logged, found) = (logged.sum::<f64>(), of_results[phase].as_f64().unwrap());
        assert!((logged - found).abs() < 1e-8, "{phase}: {logged} logged, {found} in the results");
    }
}

fn kept(dir: &TestDir, run: &str) -> Vec<u64> {
    CheckpointDir::of_run(&dir.path(run)).steps().unwrap()
}

#[test]
fn a_partial_epoch_is_labelled_in_the_log_the_results_the_summary_and_the_page() {
    let dir = TestDir::new();
    let ran = dir.run("train --max-steps 30 -o run");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let epochs: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("epoch ")).collect();
    assert!(epochs.len() == 2 && !epochs[0].contains("part of"), "{epochs:?}");
    assert!(epochs[1].starts_with("epoch 2/2  ") && epochs[1].contains("  part of an epoch  "), "{epochs:?}");
    assert!(ran.out.contains("over the completed part of epoch 2"), "{}", ran.out);
    for (event, step) in [("epoch", 23), ("partial_epoch", 30)] {
        assert_eq!(steps(&dir, "run", event), [vec![step], vec![step]], "{event}");
    }
    let (log, results) = (lines(&dir, "run"), dir.json("run/results.json"));
    let of = |event: &str| log.iter().find(|line| line["event"] == event).unwrap().clone();
    assert_eq!((&results["epochs"], &results["best_epoch"]), (&1.into(), &1.into()));
    assert_eq!(results["epoch_secs"], serde_json::json!([of("epoch")["epoch_secs"]]));
    assert_eq!(results["partial_epoch_secs"], of("partial_epoch")["epoch_secs"]);
    assert_eq!(results["samples_per_sec"], of("epoch")["samples_per_sec"]);
    assert_eq!(results["test_loss"], of("partial_epoch")["test_loss"]);
    let seconds = |event| of(event)["epoch_secs"].as_f64().unwrap();
    let of_results = serde_json::from_value::<Results>(results.clone()).unwrap();
    assert_eq!(of_results.training_secs(), seconds("epoch") + seconds("partial_epoch"));
    for (event, samples) in [("epoch", 1437.0), ("partial_epoch", 7.0 * 64.0)] {
        let speed = of(event)["samples_per_sec"].as_f64().unwrap();
        assert!((speed * seconds(event) / samples - 1.0).abs() < 1e-9, "{event}: {speed}");
    }
    check_phases(&dir, "run");
    dir.good("report run");
    assert!(dir.read("run/report.html").contains("The last column covers a partial epoch."));

    let ran = dir.run("train --max-steps 30 --log-format json -o json");
    let last: Value = serde_json::from_str(ran.err.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["step"]), (&"partial_epoch".into(), &30.into()));
}

#[test]
fn a_run_shorter_than_an_epoch_has_a_speed_but_no_epoch() {
    let dir = TestDir::new();
    let ran = dir.good("train --max-steps 5 --restore-best -o run");
    assert!(!ran.contains("best epoch"), "{ran}");
    let results = dir.json("run/results.json");
    assert_eq!((&results["epochs"], &results["best_epoch"]), (&0.into(), &Value::Null));
    assert_eq!((&results["epoch_secs"], &results["of_best_epoch"]), (&Value::Array(vec![]), &false.into()));
    let part = lines(&dir, "run").pop().unwrap();
    assert_eq!(results["samples_per_sec"], part["samples_per_sec"]);
}

#[test]
fn a_step_that_diverges_leaves_a_partial_epoch_even_if_it_is_the_last_step() {
    let dir = TestDir::new();
    // Sample 40, in the last of the five steps.
    let row =
        |row: usize| format!("{},{}\n", if row == 40 { "1e38".into() } else { row.to_string() }, row % 2);
    dir.write("wild.csv", (0..41).map(row).collect::<String>());
    let train = "train wild.csv --loss mse --hidden none --lr 1e-9 -b 10 --no-shuffle --epochs 2 -o run";
    let ran = dir.run(train);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.out.contains("after 4 of 10 steps, within epoch 1"), "{}", ran.out);
    let results = dir.json("run/results.json");
    assert_eq!((&results["steps"], &results["epochs"]), (&4.into(), &0.into()));
    assert_eq!(results["epoch_secs"], Value::Array(vec![]));
    assert_eq!(steps(&dir, "run", "partial_epoch"), [vec![5], vec![5]]);
    assert_eq!(steps(&dir, "run", "epoch"), [NONE; 2]);
}

#[test]
fn the_whole_epoch_replaces_its_part_when_the_run_is_resumed() {
    let dir = TestDir::new();
    dir.good("train --max-steps 30 -o run --quiet");
    dir.good("train --resume run --epochs 2 --allow-changed epochs --quiet");
    assert_eq!(steps(&dir, "run", "epoch"), [vec![23, 46], vec![23, 46]]);
    assert_eq!(steps(&dir, "run", "partial_epoch"), [NONE; 2]);
    let results = dir.json("run/results.json");
    assert_eq!((&results["epochs"], &results["partial_epoch_secs"]), (&2.into(), &Value::Null));
    assert_eq!(results["epoch_secs"].as_array().unwrap().len(), 2);
    check_phases(&dir, "run");
}

#[test]
fn the_best_checkpoint_and_the_best_of_the_curve_are_those_of_a_whole_epoch() {
    let dir = TestDir::new();
    // The test loss falls from step to step, so that the partial third epoch is better than the
    // epochs before it.
    let ran = dir.good("train --max-steps 60 --keep 1 --save-every 1epoch -o run");
    assert!(ran.contains("test accuracy by epoch; highest:") && ran.contains(" in epoch 2\n"), "{ran}");
    let losses = lines(&dir, "run").into_iter().filter_map(|line| line["test_loss"].as_f64());
    let losses: Vec<f64> = losses.collect();
    assert!(losses.len() == 3 && losses[2] < losses[1], "{losses:?}");
    assert_eq!(kept(&dir, "run"), [46, 60]);
    let last = Checkpoint::load(&CheckpointDir::of_run(&dir.path("run")).path_of(60)).unwrap();
    assert_eq!(last.quality, None);
}

#[test]
fn a_partial_epoch_that_an_older_version_logged_as_an_epoch_is_recognised() {
    let dir = TestDir::new();
    dir.good("train --max-steps 30 -o run --quiet");
    let mut results = dir.json("run/results.json");
    let part = results.as_object_mut().unwrap().remove("partial_epoch_secs").unwrap();
    results["epoch_secs"].as_array_mut().unwrap().push(part);
    dir.write("run/results.json", results.to_string());
    dir.write("run/metrics.jsonl", dir.read("run/metrics.jsonl").replace("partial_epoch", "epoch"));
    dir.good("report run");
    assert!(dir.read("run/report.html").contains("The last column covers a partial epoch."));
    dir.good("train --resume run --epochs 2 --allow-changed epochs --quiet");
    assert_eq!(steps(&dir, "run", "epoch"), [vec![23, 46], vec![23, 46]]);
}

#[test]
fn the_first_of_equally_good_checkpoints_is_kept() {
    let dir = TestDir::new();
    dir.good("train --lr 1e-30 --epochs 4 --keep 1 --save-every 1epoch --quiet -o run");
    assert_eq!(kept(&dir, "run"), [23, 92]);
}
