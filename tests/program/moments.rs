//! Random moments, the same whenever the tests run, and runs that are stopped at them.

use std::fs;
use std::time::{Duration, Instant};

use phalanx::checkpoint::{Checkpoint, CheckpointDir};
use serde_json::Value;

use crate::test_dir::{TestDir, hash, table};

/// A run with small steps that saves as many checkpoints as the disk can take. If the run exists,
/// the same command resumes it.
pub const SAVING: &str = "train small.csv --hidden 200 --optimizer adam --lr-schedule cosine --max-steps 20000 -b 16 \
     --log-every 100 --quiet --resume auto -o run";

/// Numbers that look random: SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Returns a time from zero to `longest`.
    pub fn time(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(self.below(longest.as_nanos() as u64 + 1))
    }
}

/// Returns a directory with the data of [`SAVING`], and the hash of the final params of an
/// uninterrupted run.
pub fn furnished() -> (TestDir, Value) {
    let dir = TestDir::new();
    dir.write("small.csv", table(64, |a, b| usize::from(a > b).to_string()));
    dir.good(&SAVING.replace("-o run", "-o whole --save-every never"));
    let whole = hash(&dir, "whole");
    (dir, whole)
}

/// Returns the span of the moments: three times the time that the program needs for its first
/// checkpoint on this machine, at most 250 ms.
pub fn span(dir: &TestDir) -> Duration {
    let begun = Instant::now();
    let mut child = dir.spawn(&format!("{SAVING} --save-every 1").replace("-o run", "-o timed"));
    while CheckpointDir::of_run(&dir.path("timed")).steps().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint was saved");
        std::thread::yield_now();
    }
    let first = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(dir.path("timed")).unwrap();
    (3 * first).min(Duration::from_millis(250))
}

/// Returns the step of the newest checkpoint, by its name; 0 without checkpoints.
pub fn newest_name(dir: &TestDir) -> u64 {
    CheckpointDir::of_run(&dir.path("run")).steps().unwrap().last().copied().unwrap_or(0)
}

/// Loads all checkpoints of the run, the newest last; the error is that of the first incomplete
/// one.
pub fn all_whole(dir: &TestDir) -> Result<Vec<Checkpoint>, String> {
    let checkpoints = CheckpointDir::of_run(&dir.path("run"));
    let load = |step| Checkpoint::load(&checkpoints.path_of(step)).map_err(|error| error.to_string());
    checkpoints.steps().unwrap().into_iter().map(load).collect()
}
