//! Runs a parser many times. No execution may panic, end the process, or take five seconds or 512
//! MB.

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

const MAX_DURATION: Duration = Duration::from_secs(5);
/// The process is ended if there is no heartbeat for this long. This is far more than
/// `MAX_DURATION`: on an overloaded machine, a whole batch once waited for five seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
const MAX_BYTES: u64 = 512 << 20;
/// The number of executions between two heartbeats. They take a few milliseconds, so that a busy
/// machine is not mistaken for a hang.
const BATCH: u64 = 100;
const SHORT: u64 = 10_000;
const FULL: u64 = 10_000_000;

/// Creates a folder in memory if possible, where writing is fastest; a file that crashes the
/// process remains there.
pub fn folder() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    let made = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Parses the bytes that `make` returns, written to a file; `parse` receives the number of the
/// execution, and returns whether the file was accepted.
pub struct Hunt {
    pub parser: &'static str,
    /// The file, for messages.
    pub file: PathBuf,
}

impl Hunt {
    pub fn run(&self, mut make: impl FnMut(&mut Chance) -> Vec<u8>, parse: impl Fn(u64) -> bool) {
        let executions = count(SHORT, FULL);
        let begun = Instant::now();
        let heartbeat = watched(self.file.clone());
        let mut tally = Tally::new("E1", format!("executions of the parser of {} on mutants", self.parser));
        let mut accepted = 0;
        for execution in 0..executions {
            // Each execution can be repeated from its number alone.
            let bytes = make(&mut Chance::new(execution));
            fs::write(&self.file, &bytes).unwrap();
            let timed = || {
                let before = Instant::now();
                let result = catch_unwind(AssertUnwindSafe(|| parse(execution)));
                (result, before.elapsed())
            };
            let (result, took) = timed();
            // A slow parser is slow again in a second run; a busy machine usually is not.
            let is_good = result.is_ok() && (took < MAX_DURATION || timed().1 < MAX_DURATION);
            accepted += u64::from(result.unwrap_or_default());
            tally.case(is_good, || format!("execution {execution}: {}", bytes.escape_ascii()));
            if execution % BATCH == 0 {
                heartbeat.send(()).unwrap();
            }
        }
        let per_sec = executions as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{}: {accepted} of {executions} mutants accepted, {per_sec:.0} executions per second",
            self.parser
        );
        // Mutants that are never accepted, or always, would test very little.
        assert!(
            accepted > executions / 1000 && accepted < executions,
            "{}: {accepted} of {executions}",
            self.parser
        );
        tally.end();
        if let Some(peak) = peak_rss_bytes() {
            assert!(peak < MAX_BYTES, "{}: the process took {peak} bytes", self.parser);
        }
    }
}

/// Ends the process if there is no heartbeat: a hang cannot be ended otherwise.
fn watched(file: PathBuf) -> Sender<()> {
    let (heartbeat, heartbeats) = channel();
    thread::spawn(move || {
        loop {
            match heartbeats.recv_timeout(TIMEOUT) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!(
                        "more than {TIMEOUT:?} for {BATCH} executions of {}; see its last content",
                        file.display()
                    );
                    process::exit(1);
                }
            }
        }
    });
    heartbeat
}
