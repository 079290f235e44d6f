//! `phalanx reproduce`: its list, its results, what it resumes, and wrong input.

use std::fs;

use crate::test_dir::{ProgramOutput, TestDir, signal};

const DIGITS: &str = "reproduce goyal-remarks --seeds 1 -j 2";

#[test]
fn without_a_name_every_claim_is_listed_with_its_source() {
    let list = TestDir::new().good("reproduce");
    for listed in ["theano-logistic", "7.489583", "cntk-one-hidden", "arXiv:1706.02677", "zhang-quadratic"] {
        assert!(list.contains(listed), "{listed} is missing in {list}");
    }
}

#[test]
fn a_claim_is_reproduced_its_wrong_reading_fails_and_a_repetition_trains_nothing() {
    let dir = TestDir::new();
    let first = dir.run(DIGITS);
    assert!(first.code == Some(0) && first.out.contains("Reproduced; the wrong reading fails."), "{first:?}");
    let folder = "reproductions/goyal-remarks";
    let results = dir.json(&format!("{folder}/results.json"));
    assert_eq!((&results["is_reproduced"], results["settings"].as_array().unwrap().len()), (&true.into(), 3));
    for setting in results["settings"].as_array().unwrap() {
        let [right, wrong] = ["right", "wrong"].map(|reading| setting[reading]["mean"].as_f64().unwrap());
        assert!(right < 0.01 && wrong > 1.0, "{setting}");
    }
    let page = dir.read(&format!("{folder}/report.html"));
    for part in [
        "<svg",
        "Test error by epoch",
        "phalanx train digits",
        "wrong reading: ",
        "--reduction mean-of-shard-means",
        "arXiv:1706.02677",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let log = dir.read(&format!("{folder}/runs.jsonl"));
    let again = dir.run(DIGITS);
    assert!(again.err.contains("6 of them done before"), "{again:?}");
    assert_eq!((again.out, dir.read(&format!("{folder}/runs.jsonl"))), (first.out, log));
}

#[test]
fn a_reproduction_that_is_stopped_resumes_with_the_missing_runs() {
    let dir = TestDir::new();
    let log = dir.path("reproductions/goyal-remarks/runs.jsonl");
    let many = "reproduce goyal-remarks --seeds 300 -j 1";
    let child = dir.spawn(many);
    while !fs::read_to_string(&log).is_ok_and(|log| log.contains('\n')) {
        std::thread::yield_now();
    }
    signal(&child, "INT");
    let ran = ProgramOutput::from(child.wait_with_output().unwrap());
    assert!(ran.code == Some(130) && ran.err.contains("the same command resumes it"), "{ran:?}");
    let before = fs::read_to_string(&log).unwrap();
    dir.good(DIGITS);
    assert!(fs::read_to_string(&log).unwrap().starts_with(&before), "no run is repeated");
}

#[test]
fn wrong_input_is_refused_with_the_remedy() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("empty")).unwrap();
    for (arguments, code, expected) in [
        ("theano", 2, "did you mean"),
        ("everything", 2, "phalanx reproduce lists all claims"),
        ("theano-logistic", 2, "phalanx reproduce theano-logistic data/mnist"),
        ("all", 2, "phalanx reproduce all data/mnist"),
        ("theano-logistic empty", 1, "empty"),
        ("theano-logistic nowhere", 1, "nowhere is not a folder"),
        ("goyal-remarks --seeds 0", 2, "give --seeds 1"),
        ("goyal-remarks -j 0", 2, "give --jobs 1"),
        ("goyal-remarks wilson-martinez-digits", 2, "drop wilson-martinez-digits"),
    ] {
        let ran = dir.run(&format!("reproduce {arguments}"));
        assert!(ran.code == Some(code) && ran.err.contains(expected), "{arguments}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{arguments}: {ran:?}");
    }
    fs::create_dir_all(dir.path("r/goyal-remarks")).unwrap();
    dir.write("r/goyal-remarks/runs.jsonl", "{}\n");
    let ran = dir.run("reproduce goyal-remarks -o r");
    assert!(ran.code == Some(1) && ran.err.contains("line 1 is not a record"), "{ran:?}");
}
