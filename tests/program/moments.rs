//! Random moments, the same in every run of the tests, and runs that are ended at them.

use std::fs;
use std::time::{Duration, Instant};

use phalanx::checkpoint::{Checkpoint, CheckpointDir};
use serde_json::Value;

use crate::room::{Room, hash, table};

/// A run of small steps and of checkpoints as many as the disk can take. It is gone on with if it is there, which a script may
/// say again and again.
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

    /// A time from none at all up to `longest`.
    pub fn time(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(self.below(longest.as_nanos() as u64 + 1))
    }
}

/// A room with the data of [`SAVING`], and the hash of the params that this run comes to if nobody ends it.
pub fn furnished() -> (Room, Value) {
    let room = Room::new();
    room.write("small.csv", table(64, |a, b| usize::from(a > b).to_string()));
    room.good(&SAVING.replace("-o run", "-o whole --save-every never"));
    let whole = hash(&room, "whole");
    (room, whole)
}

/// The time in which moments lie: a third of it, the program needs to save its first checkpoint on this machine.
pub fn span(room: &Room) -> Duration {
    let begun = Instant::now();
    let mut child = room.spawn(&format!("{SAVING} --save-every 1").replace("-o run", "-o timed"));
    while CheckpointDir::of_run(&room.path("timed")).steps().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint came");
        std::thread::yield_now();
    }
    let first = begun.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(room.path("timed")).unwrap();
    (3 * first).min(Duration::from_millis(250))
}

/// The step of the newest checkpoint there is, by its name; 0 without any.
pub fn newest_name(room: &Room) -> u64 {
    CheckpointDir::of_run(&room.path("run")).steps().unwrap().last().copied().unwrap_or(0)
}

/// All checkpoints of the run, the newest last; what is wrong with the first that is not whole.
pub fn all_whole(room: &Room) -> Result<Vec<Checkpoint>, String> {
    let dir = CheckpointDir::of_run(&room.path("run"));
    let load = |step| Checkpoint::load(&dir.path_of(step)).map_err(|error| error.to_string());
    dir.steps().unwrap().into_iter().map(load).collect()
}
