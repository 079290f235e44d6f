//! Early stopping as users of the program meet it: the model that is saved, what the run says of it, and how it goes on.

use crate::room::{Room, table};

/// At this rate the accuracy goes up and down.
const RUN: &str = "train --lr 1.5 --metric test-accuracy --quiet";

/// Test accuracies of a run, by epoch.
fn accuracies(room: &Room, run: &str) -> Vec<f64> {
    let lines = room.read(&format!("{run}/metrics.jsonl"));
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter_map(|line| line["test_accuracy"].as_f64()).collect()
}

#[test]
fn the_model_that_is_saved_is_that_of_the_best_epoch_also_after_a_resume() {
    let room = Room::new();
    room.good(&format!("{RUN} --epochs 20 --early-stop 4 --restore-best -o whole"));
    let whole = room.json("whole/results.json");
    assert_eq!((&whole["stopped"], &whole["stopped_early"]), (&"completed".into(), &true.into()));
    let curve = accuracies(&room, "whole");
    let best = whole["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(curve.len(), best + 4);
    assert!(curve.iter().all(|accuracy| *accuracy <= curve[best - 1]), "{curve:?}, best {best}");
    assert_eq!(whole["test_accuracy"].as_f64(), Some(curve[best - 1]));
    assert_eq!(whole["of_best_epoch"], true);

    // The same params as of a run that ends there.
    room.good(&format!("{RUN} --max-steps {} -o short", 23 * best));
    assert_eq!(room.json("short/results.json")["params_sha256"], whole["params_sha256"]);
    let told = room.good("eval whole");
    assert!(told.contains(&format!("{:.4}", curve[best - 1])), "{told}");

    // The best epoch is before the resume, and its params come out of the checkpoint.
    let middle = 23 * (best + 1) + 5;
    room.good(&format!("{RUN} --early-stop 4 --restore-best --max-steps {middle} -o run"));
    room.good("train --resume run --max-steps 460 --allow-changed max-steps --quiet -t 3");
    let resumed = room.json("run/results.json");
    for key in ["params_sha256", "test_accuracy", "best_epoch", "steps", "stopped_early"] {
        assert_eq!(resumed[key], whole[key], "{key}");
    }
}

#[test]
fn a_run_that_stopped_early_says_so_and_how_it_goes_on() {
    let room = Room::new();
    let told = room.good(&format!("{} --early-stop 3 -o run", RUN.replace("--quiet", "--no-progress")));
    assert!(told.contains("early, after") && told.contains("the params of the last are saved"), "{told}");
    let page = room.good("report run");
    assert!(page.contains("stopped early"), "{page}");
    let next = page.lines().find(|line| line.contains("--early-stop")).unwrap().trim();
    assert_eq!(next, "phalanx train --resume run --early-stop 6 --allow-changed early-stop");
    let again = room.run("train --resume run");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("stopped early after"), "{again:?}");
    room.good(next.strip_prefix("phalanx ").unwrap());
    assert!(
        accuracies(&room, "run").len()
            >= room.json("run/results.json")["best_epoch"].as_u64().unwrap() as usize + 6
    );
}

#[test]
fn what_cannot_be_judged_is_refused_and_leaves_nothing() {
    let room = Room::new();
    room.write("table.csv", table(20, |a, b| format!("{}", a + b)));
    for (flags, reason) in [
        ("table.csv --test-split 0.2 --metric test-accuracy", "needs test samples with classes"),
        ("--early-stop 0", "0"),
        ("--min-gain -1", "-1"),
        ("--min-gain nan", "NaN"),
        ("--metric accuracy", "choose one of test-accuracy, test-loss, train-loss"),
        ("table.csv --test-split 0 --metric test-loss", "needs test samples"),
    ] {
        let ran = room.run(&format!("train {flags} -o run"));
        assert_eq!(ran.code, Some(2), "{flags}: {ran:?}");
        assert!(ran.err.contains(reason), "{flags}: {ran:?}");
    }
    let sweep = room.run("sweep --early-stop 2 -o swept");
    assert_eq!(room.listing().len(), 1, "{:?}", room.listing());
    assert!(sweep.code == Some(2) && sweep.err.contains("--early-stop"), "{sweep:?}");
}

#[test]
fn an_epoch_that_is_cut_short_is_not_the_best_and_this_is_said() {
    let room = Room::new();
    let told = room.good("train --max-steps 30 --restore-best -o run");
    assert!(told.contains("1, whose params are saved; the last was cut short and does not count"), "{told}");
}
