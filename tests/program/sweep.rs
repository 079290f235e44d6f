//! Shows that `phalanx sweep` runs every cell once, resumes a stopped sweep with the same findings,
//! writes them to each of its files, and refuses invalid sweeps.

use std::fs;

use crate::test_dir::TestDir;
use serde_json::Value;

const SMALL: &str =
    "sweep digits --hidden 16 --epochs 4 -b 8,32,128 --lr 0.03,0.1,0.3,1 --seed 1,2 --no-progress";

/// Returns the records without their times, in order of cell and seed.
fn records(dir: &TestDir, name: &str) -> Vec<String> {
    let mut lines: Vec<String> = dir
        .read(name)
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("secs");
            record.to_string()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_cell_is_run_once_for_each_seed_and_is_in_every_file() {
    let dir = TestDir::new();
    let out = dir.good(&format!("{SMALL} -o s"));
    assert_eq!(records(&dir, "s/runs.jsonl").len(), 3 * 4 * 2);
    assert_eq!(dir.read("s/runs.csv").lines().count(), 1 + 3 * 4 * 2);
    let results = dir.json("s/results.json");
    let best = results["best"].as_array().unwrap();
    assert_eq!(
        best.iter().map(|best| best["cell"]["batch_size"].as_u64().unwrap()).collect::<Vec<_>>(),
        [8, 32, 128]
    );
    for best in best {
        let (mean, sum) =
            (best["rate_under_mean"].as_f64().unwrap(), best["rate_under_sum"].as_f64().unwrap());
        let batch = best["cell"]["batch_size"].as_f64().unwrap();
        assert!((mean / batch / sum - 1.0).abs() < 1e-12, "{best}");
    }
    assert!(dir.read("s/best-rate-mean.svg").starts_with("<svg "));
    let page = dir.read("s/report.html");
    for sentence in results["answer"].as_array().unwrap() {
        let sentence = sentence.as_str().unwrap();
        assert!(out.contains(sentence) && page.contains(&sentence.replace('"', "&quot;")), "{sentence}");
    }
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(!page.contains("NaN"));
    let (links, names) = (page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
    assert_eq!(links, names, "nothing is fetched");
}

#[test]
fn a_sweep_resumes_after_its_last_complete_line_with_the_same_findings() {
    let dir = TestDir::new();
    dir.good(&format!("{SMALL} -o whole -j 2"));
    dir.good(&format!("{SMALL} -o cut -j 1"));
    let log = dir.read("cut/runs.jsonl");
    fs::write(dir.path("cut/runs.jsonl"), &log[..log.len() * 2 / 3]).unwrap();
    fs::remove_file(dir.path("cut/report.html")).unwrap();
    dir.good("sweep --resume cut --no-progress");
    assert_eq!(records(&dir, "cut/runs.jsonl"), records(&dir, "whole/runs.jsonl"));
    assert_eq!(dir.json("cut/results.json"), dir.json("whole/results.json"));
    assert!(dir.path("cut/report.html").exists());
}

#[test]
fn a_sweep_under_sum_at_the_rates_of_mean_divided_by_the_batch_size_gives_the_same_runs() {
    let dir = TestDir::new();
    dir.good("sweep digits --hidden 16 --epochs 1 -b 32 --lr 0.25 --seed 1 --goal 2 -o mean --quiet");
    dir.good("sweep digits --hidden 16 --epochs 1 -b 32 --lr 0.0078125 --reduction sum --seed 1 --goal 2 -o sum --quiet");
    let curve = |name: &str| {
        let line: Value = serde_json::from_str(dir.read(name).trim()).unwrap();
        line["curve"].clone()
    };
    assert_eq!(curve("mean/runs.jsonl"), curve("sum/runs.jsonl"));
}

#[test]
fn a_rate_at_which_runs_diverge_is_marked_and_the_others_have_results() {
    let dir = TestDir::new();
    dir.good("sweep digits --hidden 16 --epochs 2 -b 16 --lr 0.1,1e6 --seed 1 -o s --quiet");
    let settings = dir.json("s/results.json")["settings"].clone();
    assert_eq!((&settings[0]["diverged"], &settings[1]["diverged"]), (&Value::from(0), &Value::from(1)));
    assert!(settings[0]["test_loss"].is_f64() && settings[1]["test_loss"].is_null());
    assert_eq!(dir.read("s/report.html").matches("class=\"lost\"").count(), 1);
}

#[test]
fn invalid_sweeps_are_refused_and_write_nothing() {
    let dir = TestDir::new();
    dir.write("x.csv", "a,b,label\n1,2,x\n2,1,y\n1,1,x\n2,2,y\n1,3,x\n3,1,y\n");
    for (arguments, code, fragment) in [
        ("sweep -b 0", 2, "batch sizes"),
        ("sweep -b 1000", 2, "lower the batch sizes"),
        ("sweep --lr 0,0.1", 2, "a rate is 0"),
        ("sweep --goal -1", 2, "the goal is -1"),
        ("sweep -t 2", 2, "--jobs"),
        ("sweep --reduction average", 2, "mean"),
        ("sweep -j 0", 2, "0"),
        ("sweep x.csv", 1, "--test-split"),
        ("sweep --resume none", 1, "none"),
        ("sweep --resume none -b 8", 2, "--batch-size"),
    ] {
        let ran = dir.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments}: {ran:?}");
        assert!(ran.err.contains(fragment), "{arguments}: {}", ran.err);
    }
    assert_eq!(fs::read_dir(dir.path("")).unwrap().count(), 1, "only the table");
}
