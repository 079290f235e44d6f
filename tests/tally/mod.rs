//! Counts the cases of a row of the reliability score (`reliability/rows.toml`); the counts are
//! printed as `ROW good/all: what`.
#![allow(dead_code)] // Each test program uses a part of it.

/// The cases of a row that one test runs.
pub struct Tally {
    row: &'static str,
    what: String,
    good: u64,
    all: u64,
    first_bad: Option<String>,
}

impl Tally {
    pub fn new(row: &'static str, what: impl Into<String>) -> Self {
        Self { row, what: what.into(), good: 0, all: 0, first_bad: None }
    }

    /// Counts a case; `name` describes it if it is the first failure.
    pub fn case(&mut self, good: bool, name: impl FnOnce() -> String) {
        self.all += 1;
        self.good += u64::from(good);
        if !good {
            self.first_bad.get_or_insert_with(name);
        }
    }

    /// Prints the count.
    ///
    /// # Panics
    ///
    /// If there was no case, or a case failed.
    pub fn end(self) {
        let Self { row, what, good, all, first_bad } = self;
        println!("{row} {good}/{all}: {what}");
        assert!(all > 0, "{row}: there was no case");
        assert!(
            first_bad.is_none(),
            "{row}: {} of {all} failed, the first: {}",
            all - good,
            first_bad.unwrap()
        );
    }
}

/// Returns the number of cases: few in `cargo test`, and as many as the row requires if
/// RELIABILITY_FULL is set.
pub fn count(short: u64, full: u64) -> u64 {
    if is_full() { full } else { short }
}

/// Returns the time limit of a case: that of the row in a full run, ten times that in `cargo test`,
/// which must not fail because cores are busy.
pub fn within(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(if is_full() { millis } else { 10 * millis })
}

pub fn is_full() -> bool {
    std::env::var_os("RELIABILITY_FULL").is_some()
}
