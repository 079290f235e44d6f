//! Counts the cases of a row of the reliability score (`reliability/rows.toml`), which are printed as `ROW good/all: what`.
#![allow(dead_code)] // Each test program uses its part.

/// The cases of a row that one test tries.
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

    /// Counts a case; `name` says which, should it be the first that is not good.
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
    /// If there was no case, or one that is not good.
    pub fn end(self) {
        let Self { row, what, good, all, first_bad } = self;
        println!("{row} {good}/{all}: {what}");
        assert!(all > 0, "{row}: no case was tried");
        assert!(
            first_bad.is_none(),
            "{row}: {} of {all} are not good, the first: {}",
            all - good,
            first_bad.unwrap()
        );
    }
}

/// How many to try: few in `cargo test`, and as many as the row asks for with RELIABILITY_FULL set.
pub fn count(short: u64, full: u64) -> u64 {
    if is_full() { full } else { short }
}

/// So soon must something be over: the time of the row in a full run, ten times that in `cargo test`, which must not fail for want of cores.
pub fn within(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(if is_full() { millis } else { 10 * millis })
}

pub fn is_full() -> bool {
    std::env::var_os("RELIABILITY_FULL").is_some()
}
