//! Model and checkpoint files of every version of their formats, which are to be read for ever: tests/fixtures/versions.py says how they
//! were made.

use std::fs;
use std::path::{Path, PathBuf};

use crate::room::Room;
use crate::tally::Tally;
use phalanx::checkpoint::{CheckpointDir, ModelFile, params_sha256};

/// Each checkpoint is one after 12 steps of the same run, each model the one after 24.
const CHECKPOINTS: [&str; 2] = ["checkpoint-1-before-best", "checkpoint-1"];
const MODELS: [&str; 1] = ["model-1"];
const AFTER_12_STEPS: &str = "121914dd85b8082067ad622c52db109ccbb007d3fa98adb163fa4ba3ed907254";
const AFTER_24_STEPS: &str = "6a4eeb2609e0dfb09454fc7754eaabf692a23f3b7c702ea99c406e462985d93b";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/versions").join(name)
}

fn file(name: &str) -> PathBuf {
    fixture(&format!("{name}.safetensors"))
}

#[test]
fn files_of_every_version_hold_the_params_that_were_written() {
    let mut tally = Tally::new("D8", "files of every version whose params are those that were written");
    let checkpoints = CHECKPOINTS.map(|name| (name, AFTER_12_STEPS));
    for (name, written) in MODELS.map(|name| (name, AFTER_24_STEPS)).into_iter().chain(checkpoints) {
        let found = ModelFile::load(&file(name)).map(|model| params_sha256(&model.params));
        tally.case(found.as_ref().is_ok_and(|found| found == written), || format!("{name}: {found:?}"));
    }
    // A version that adds a file has it tried here.
    let files = fs::read_dir(fixture("")).unwrap().count();
    assert_eq!(files, CHECKPOINTS.len() + MODELS.len() + 1);
    tally.end();
}

/// Closer than params can be of a run that lost anything, its optimizer's state for example: a step moves each by 0.001. Another
/// processor's functions may round otherwise than those of the one that wrote the fixtures.
const SAME: f32 = 1e-6;

#[test]
fn checkpoints_of_every_version_go_on_to_the_params_of_the_whole_run() {
    let mut tally = Tally::new("D8", "checkpoints of every version that go on to the end of their run");
    let whole = ModelFile::load(&file(MODELS[0])).unwrap();
    for name in CHECKPOINTS {
        let room = Room::new();
        fs::copy(fixture("samples.csv"), room.path("samples.csv")).unwrap();
        fs::copy(file(name), room.path("old.safetensors")).unwrap();
        let more = "--max-steps 24 --allow-changed max-steps --quiet -o run";
        let ran = room.run(&format!("train --resume old.safetensors {more}"));
        let end = CheckpointDir::of_run(&room.path("run")).newest(|_| ()).unwrap();
        let params = end.map(|(_, checkpoint)| checkpoint.model().params).unwrap_or_default();
        let is_near = params.iter().zip(&whole.params).all(|(found, whole)| (found - whole).abs() < SAME);
        tally.case(ran.code == Some(0) && params.len() == whole.params.len() && is_near, || {
            format!("{name}: {params:?}, not {:?}: {ran:?}", whole.params)
        });
    }
    tally.end();
}
