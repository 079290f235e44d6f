//! Tests of `--noise-scale`.

use crate::test_dir::TestDir;
use serde_json::Value;

#[test]
fn the_noise_scale_is_in_the_log_the_results_and_the_summary_and_changes_no_param() {
    let dir = TestDir::new();
    let ran = dir.run("train -t 2 -b 128 --epochs 4 --noise-scale=1 -o run");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("measured every step"), "{ran:?}");
    assert!(ran.out.contains("over the whole run"), "{ran:?}");
    let results = dir.json("run/results.json");
    let lines: Vec<Value> =
        dir.read("run/metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // An unknown value is null, but its key exists.
    for key in ["noise_scale", "noise_scale_error"] {
        assert!(lines.iter().all(|line| line.get(key).is_some()), "{lines:?}");
        assert_eq!(lines.last().unwrap()[key], results[key]);
    }
    assert!(
        results["noise_scale_of_run"].as_f64().unwrap()
            > results["noise_scale_of_run_error"].as_f64().unwrap()
    );

    dir.good("train -t 1 --config run/config.toml --noise-scale=0 -o off");
    let off = dir.json("off/results.json");
    assert_eq!((&off["params_sha256"], &off["noise_scale"]), (&results["params_sha256"], &Value::Null));
    dir.good("train --config run/config.toml --noise-scale -o auto");
    assert!(dir.read("auto/config.toml").contains("noise-scale = \"auto\""));
    let short = dir.run("train --max-steps 3 --noise-scale -o short");
    assert!(short.out.contains("too few measurements"), "{short:?}");
}

#[test]
fn a_noise_scale_that_cannot_be_measured_is_refused_with_a_remedy() {
    let dir = TestDir::new();
    let one = dir.run("train -b 1 --max-steps 2 --noise-scale -o run");
    assert!(one.code == Some(1) && one.err.contains("use at least 2 per batch"), "{one:?}");
    let word = dir.run("train --noise-scale=often -o run");
    assert!(word.code == Some(2) && word.err.contains("or auto"), "{word:?}");
    assert!(!dir.path("run").exists());
}
