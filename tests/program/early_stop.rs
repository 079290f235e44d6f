//! Early stopping in the program: the saved model, the messages of the run, and its resumption.

use crate::test_dir::{TestDir, table};

/// At this rate the accuracy fluctuates.
const RUN: &str = "train --lr 1.5 --metric test-accuracy --quiet";

/// Returns the test accuracies of a run, by epoch.
fn accuracies(dir: &TestDir, run: &str) -> Vec<f64> {
    let lines = dir.read(&format!("{run}/metrics.jsonl"));
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter_map(|line| line["test_accuracy"].as_f64()).collect()
}

#[test]
fn the_model_of_the_best_epoch_is_saved_even_after_a_resume() {
    let dir = TestDir::new();
    dir.good(&format!("{RUN} --epochs 20 --early-stop 4 --restore-best -o whole"));
    let whole = dir.json("whole/results.json");
    assert_eq!((&whole["stopped"], &whole["stopped_early"]), (&"completed".into(), &true.into()));
    let curve = accuracies(&dir, "whole");
    let best = whole["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(curve.len(), best + 4);
    assert!(curve.iter().all(|accuracy| *accuracy <= curve[best - 1]), "{curve:?}, best {best}");
    assert_eq!(whole["test_accuracy"].as_f64(), Some(curve[best - 1]));
    assert_eq!(whole["of_best_epoch"], true);

    // The params are those of a run that ends with the best epoch.
    dir.good(&format!("{RUN} --max-steps {} -o short", 23 * best));
    assert_eq!(dir.json("short/results.json")["params_sha256"], whole["params_sha256"]);
    let printed = dir.good("eval whole");
    assert!(printed.contains(&format!("{:.4}", curve[best - 1])), "{printed}");

    // The best epoch is before the resume, and its params come from the checkpoint.
    let middle = 23 * (best + 1) + 5;
    dir.good(&format!("{RUN} --early-stop 4 --restore-best --max-steps {middle} -o run"));
    dir.good("train --resume run --max-steps 460 --allow-changed max-steps --quiet -t 3");
    let resumed = dir.json("run/results.json");
    for key in ["params_sha256", "test_accuracy", "best_epoch", "steps", "stopped_early"] {
        assert_eq!(resumed[key], whole[key], "{key}");
    }
}

#[test]
fn a_run_that_stopped_early_reports_this_and_how_to_resume() {
    let dir = TestDir::new();
    let printed = dir.good(&format!("{} --early-stop 3 -o run", RUN.replace("--quiet", "--no-progress")));
    let expected = ["early, after", "no improvement", "the params of the last epoch are saved"];
    assert!(expected.iter().all(|text| printed.contains(text)), "{printed}");
    let page = dir.good("report run");
    assert!(page.contains("stopped early"), "{page}");
    let next = page.lines().find(|line| line.contains("--early-stop")).unwrap().trim();
    assert_eq!(next, "phalanx train --resume run --early-stop 6 --allow-changed early-stop");
    let again = dir.run("train --resume run");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("stopped early after"), "{again:?}");
    dir.good(next.strip_prefix("phalanx ").unwrap());
    assert!(
        accuracies(&dir, "run").len()
            >= dir.json("run/results.json")["best_epoch"].as_u64().unwrap() as usize + 6
    );
}

#[test]
fn invalid_options_are_rejected_and_leave_no_files() {
    let dir = TestDir::new();
    dir.write("table.csv", table(20, |a, b| format!("{}", a + b)));
    for (flags, reason) in [
        ("table.csv --test-split 0.2 --metric test-accuracy", "needs test samples with classes"),
        ("--early-stop 0", "0"),
        ("--min-gain -1", "-1"),
        ("--min-gain nan", "NaN"),
        ("--metric accuracy", "choose one of test-accuracy, test-loss, train-loss"),
        ("table.csv --test-split 0 --metric test-loss", "needs test samples"),
    ] {
        let ran = dir.run(&format!("train {flags} -o run"));
        assert_eq!(ran.code, Some(2), "{flags}: {ran:?}");
        assert!(ran.err.contains(reason), "{flags}: {ran:?}");
    }
    let sweep = dir.run("sweep --early-stop 2 -o swept");
    assert_eq!(dir.listing().len(), 1, "{:?}", dir.listing());
    assert!(sweep.code == Some(2) && sweep.err.contains("--early-stop"), "{sweep:?}");
}

#[test]
fn an_incomplete_epoch_is_never_the_best_and_the_run_reports_this() {
    let dir = TestDir::new();
    let printed = dir.good("train --max-steps 30 --restore-best -o run");
    let expected = "1, whose params are saved; the last epoch is incomplete and does not count";
    assert!(printed.contains(expected), "{printed}");
}
