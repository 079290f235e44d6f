//! The log of a run: `metrics.csv` has the values of the JSON lines, in every run and after every
//! resume.

use std::fs;

use crate::test_dir::{TestDir, rows};
use serde_json::Value;

const HEADER: &str = "event,step,epoch,train_loss,lr,grad_norm,noise_scale,noise_scale_error,test_loss,test_accuracy,\
                      samples_per_sec,epoch_secs,compute_secs,wait_secs,reduce_update_secs";

fn lines(dir: &TestDir, run: &str) -> Vec<Value> {
    let text = dir.read(&format!("{run}/metrics.jsonl"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads both files, and compares each field with the value of its key.
fn check(dir: &TestDir, run: &str) {
    let (lines, table) = (lines(dir, run), dir.read(&format!("{run}/metrics.csv")));
    assert_eq!(table.lines().next().unwrap(), HEADER);
    let rows = rows(&table);
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        let mut left = line.as_object().unwrap().clone();
        for (column, field) in HEADER.split(',').zip(row) {
            match left.remove(column) {
                None | Some(Value::Null) => assert_eq!(field, "", "{column} of {line}"),
                Some(Value::String(text)) => assert_eq!(*field, text),
                Some(value) => {
                    assert_eq!(field.parse::<f64>().unwrap(), value.as_f64().unwrap(), "{column} of {line}");
                }
            }
        }
        assert!(left.is_empty(), "{left:?} is in no column");
    }
}

#[test]
fn metrics_csv_has_the_values_of_metrics_jsonl() {
    let dir = TestDir::new();
    for (run, flags) in [
        ("plain", "--epochs 2"),
        ("all", "--epochs 2 --clip-grad-norm 1 --noise-scale=2 --log-every 1"),
        ("epochs", "--epochs 2 --log-every 0"),
    ] {
        dir.good(&format!("train {flags} -o {run}"));
        check(&dir, run);
    }
    assert_eq!(dir.run("train --lr 1e30 --max-steps 9 --log-every 1 -o diverged").code, Some(3));
    check(&dir, "diverged");
    let last = lines(&dir, "diverged").pop().unwrap();
    assert_eq!((&last["event"], &last["train_loss"]), (&"partial_epoch".into(), &Value::Null), "{last}");
}

#[test]
fn a_resumed_log_equals_that_of_the_whole_run_and_both_files_mark_the_resume() {
    let dir = TestDir::new();
    // Measured in steps 3, 6 ... and logged in every step: after a resume, the lines repeat the
    // last measurement.
    let flags = "--optimizer adam --noise-scale=3 --log-every 1 --clip-grad-norm 1";
    let more = "--epochs 3 --allow-changed epochs --quiet";
    dir.good(&format!("train {flags} --epochs 3 -o whole"));
    dir.good(&format!("train {flags} --max-steps 31 -t 2 -o run"));
    let rest = lines(&dir, "run").pop().unwrap();
    assert_eq!(
        (&rest["event"], &rest["step"], &rest["epoch"]),
        (&"partial_epoch".into(), &31.into(), &2.into())
    );

    dir.good(&format!("train --resume run -o elsewhere {more}"));
    // As if an older version had written the run, and it had been killed in the middle of a line.
    fs::remove_file(dir.path("run/metrics.csv")).unwrap();
    let half = dir.read("run/metrics.jsonl") + "{\"event\":\"st";
    dir.write("run/metrics.jsonl", half);
    dir.good(&format!("train --resume run -t 3 {more}"));

    let without_times = |run: &str| {
        let mut lines = lines(&dir, run);
        for line in &mut lines {
            let keys = line.as_object_mut().unwrap();
            keys.retain(|key, _| key != "samples_per_sec" && !key.ends_with("_secs"));
        }
        lines
    };
    let whole = without_times("whole");
    for run in ["run", "elsewhere"] {
        check(&dir, run);
        let (marks, lines): (Vec<_>, _) =
            without_times(run).into_iter().partition(|line| line["event"] == "resume");
        assert_eq!(marks, [serde_json::json!({ "event": "resume", "step": 31, "epoch": 2 })]);
        assert!(lines == whole, "{run}");
    }
}
