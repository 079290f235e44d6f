//! Model and checkpoint files of every version of their formats, all of which must stay readable;
//! `tests/fixtures/versions.py` created them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tally::Tally;
use crate::test_dir::TestDir;
use phalanx::checkpoint::{CheckpointDir, ModelFile, params_sha256};

/// A run whose checkpoints after 12 steps and model after 24 steps are stored.
struct StoredRun {
    samples: &'static str,
    checkpoints: &'static [&'static str],
    model: &'static str,
    after_12_steps: &'static str,
    after_24_steps: &'static str,
    standardizes_targets: bool,
}

const RUNS: [StoredRun; 3] = [
    StoredRun {
        samples: "samples.csv",
        checkpoints: &["checkpoint-1-before-best", "checkpoint-1"],
        model: "model-1",
        after_12_steps: "121914dd85b8082067ad622c52db109ccbb007d3fa98adb163fa4ba3ed907254",
        after_24_steps: "6a4eeb2609e0dfb09454fc7754eaabf692a23f3b7c702ea99c406e462985d93b",
        standardizes_targets: false,
    },
    StoredRun {
        samples: "values.csv",
        checkpoints: &["checkpoint-1-values"],
        model: "model-1-values",
        after_12_steps: "ae28dc4f1ed178fc734cac8935bf49c349930025996d38bcce7e4f8db7f9ec1f",
        after_24_steps: "eac0eeb921664ffb5e78877732cfd257c70c38ebc9105168ea0929fa922ec0a6",
        standardizes_targets: false,
    },
    StoredRun {
        samples: "values.csv",
        checkpoints: &["checkpoint-2"],
        model: "model-2",
        after_12_steps: "7f7323da654348aacdc4440038eeb4966c3207fd0daf52fa5eab6026730c9096",
        after_24_steps: "6385859669e62b0eccb2c68baeae3803ebb3b2b701b84cf02aebcf5623793386",
        standardizes_targets: true,
    },
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/versions").join(name)
}

fn file(name: &str) -> PathBuf {
    fixture(&format!("{name}.safetensors"))
}

#[test]
fn files_of_every_version_hold_the_params_that_were_written() {
    let mut tally = Tally::new("D8", "files of every version that hold the params that were written");
    for run in &RUNS {
        let checkpoints = run.checkpoints.iter().map(|name| (*name, run.after_12_steps));
        for (name, written) in checkpoints.chain([(run.model, run.after_24_steps)]) {
            let found = ModelFile::load(&file(name));
            let found =
                found.map(|model| (params_sha256(&model.params), model.standardize_targets.is_some()));
            let is_written = |(params, standardizes): &(String, bool)| {
                params == written && *standardizes == run.standardizes_targets
            };
            tally.case(found.as_ref().is_ok_and(is_written), || format!("{name}: {found:?}"));
        }
    }
    // A new version must add its files to the list.
    let files = fs::read_dir(fixture("")).unwrap().count();
    assert_eq!(files, RUNS.iter().map(|run| run.checkpoints.len() + 1).sum::<usize>() + 2);
    tally.end();
}

/// Largest difference between equal params; a run that lost anything, such as the optimizer state,
/// differs by more, as a step moves each param by 0.001. The functions of another processor may
/// round differently from those of the one that wrote the fixtures.
const SAME: f32 = 1e-6;

#[test]
fn checkpoints_of_every_version_resume_to_the_params_of_the_whole_run() {
    let mut tally = Tally::new("D8", "checkpoints of every version that resume to the end of their run");
    for (name, run) in RUNS.iter().flat_map(|run| run.checkpoints.iter().map(move |name| (name, run))) {
        let whole = ModelFile::load(&file(run.model)).unwrap();
        let dir = TestDir::new();
        fs::copy(fixture(run.samples), dir.path(run.samples)).unwrap();
        fs::copy(file(name), dir.path("old.safetensors")).unwrap();
        let more = "--max-steps 24 --allow-changed max-steps --quiet -o run";
        let ran = dir.run(&format!("train --resume old.safetensors {more}"));
        let end = CheckpointDir::of_run(&dir.path("run")).newest(|_| ()).unwrap();
        let end = end.map(|(_, checkpoint)| checkpoint.model());
        assert_eq!(end.as_ref().unwrap().standardize_targets, whole.standardize_targets, "{name}");
        let params = end.map(|model| model.params).unwrap_or_default();
        let is_near = params.iter().zip(&whole.params).all(|(found, whole)| (found - whole).abs() < SAME);
        tally.case(ran.code == Some(0) && params.len() == whole.params.len() && is_near, || {
            format!("{name}: {params:?}, not {:?}: {ran:?}", whole.params)
        });
    }
    tally.end();
}
