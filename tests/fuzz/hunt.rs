//! Many executions of a parser, and what must not happen in any: a panic, an end of the process, five seconds, 512 MB.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use phalanx::internals::peak_rss_bytes;

use super::mutant::Chance;
use super::tally::{Tally, count};

const LONGEST: Duration = Duration::from_secs(5);
/// Without a sign of life for so long, the process is ended. Far more than `LONGEST`: on a machine with more to do than cores a whole
/// batch was seen to wait for five seconds.
const HUNG: Duration = Duration::from_secs(60);
const MOST_BYTES: u64 = 512 << 20;
/// Executions between two signs of life: a few milliseconds, so that a machine that is busy otherwise is not taken for a hang.
const BATCH: u64 = 100;
const SHORT: u64 = 10_000;
const FULL: u64 = 10_000_000;

/// Where files cost least to write; what brings the process down stays there.
pub fn folder() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    let made = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Parses what `make` makes, in a file; `parse` is told the number of the execution, and says whether the file was taken.
pub struct Hunt {
    pub parser: &'static str,
    /// The file, for messages.
    pub file: PathBuf,
}

impl Hunt {
    pub fn run(&self, mut make: impl FnMut(&mut Chance) -> Vec<u8>, parse: impl Fn(u64) -> bool) {
        let executions = count(SHORT, FULL);
        let begun = Instant::now();
        let alive = watched(self.file.clone());
        let mut tally = Tally::new("E1", format!("executions of the parser of {} on mutants", self.parser));
        let mut taken = 0;
        for execution in 0..executions {
            // Each execution can be had again from its number alone.
            let bytes = make(&mut Chance::new(execution));
            fs::write(&self.file, &bytes).unwrap();
            let timed = || {
                let before = Instant::now();
                let ended = catch_unwind(AssertUnwindSafe(|| parse(execution)));
                (ended, before.elapsed())
            };
            let (ended, took) = timed();
            // What is slow by itself is slow again; a busy machine is not.
            let is_good = ended.is_ok() && (took < LONGEST || timed().1 < LONGEST);
            taken += u64::from(ended.unwrap_or_default());
            tally.case(is_good, || format!("execution {execution}: {}", bytes.escape_ascii()));
            if execution % BATCH == 0 {
                alive.send(()).unwrap();
            }
        }
        let per_sec = executions as f64 / begun.elapsed().as_secs_f64();
        println!("{}: {taken} of {executions} mutants taken, {per_sec:.0} executions a second", self.parser);
        // Mutants that are never taken, or always, would try little.
        assert!(taken > executions / 1000 && taken < executions, "{}: {taken} of {executions}", self.parser);
        tally.end();
        if let Some(peak) = peak_rss_bytes() {
            assert!(peak < MOST_BYTES, "{}: the process took {peak} bytes", self.parser);
        }
    }
}

/// Ends the process if no sign of life comes: what hangs cannot be ended otherwise.
fn watched(file: PathBuf) -> Sender<()> {
    let (alive, signs) = channel();
    thread::spawn(move || {
        loop {
            match signs.recv_timeout(HUNG) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("more than {HUNG:?} for {BATCH} executions, the last of {}", file.display());
                    process::exit(1);
                }
            }
        }
    });
    alive
}
