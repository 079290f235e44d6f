//! What the machine is, and whether others use it too.

use std::fs;
use std::thread;

use serde::Serialize;

/// The machine before a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Threads that wanted to run, averaged over the last minute; null where the system does not tell.
    pub load_average: Option<f64>,
}

impl Machine {
    /// Looks. The load is that of `/proc/loadavg`, which Linux has; a system that does not tell its cores counts as 1.
    pub fn now() -> Self {
        let load_average = fs::read_to_string("/proc/loadavg").ok().and_then(|text| first_number(&text));
        Self { cores: thread::available_parallelism().map_or(1, usize::from), load_average }
    }

    /// Whether others take more than half of the cores: figures measured now are theirs too.
    pub fn is_busy(&self) -> bool {
        self.load_average.is_some_and(|load| load > self.cores as f64 / 2.0)
    }
}

/// Bytes that can be allocated without swapping (`MemAvailable`, which Linux has); `None` where the system does not tell.
pub(super) fn available_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_first_number() {
        assert_eq!(first_number("1.25 0.80 0.41 2/150 4711\n"), Some(1.25));
        assert_eq!(first_number(""), None);
    }

    #[test]
    fn a_machine_is_busy_above_half_of_its_cores() {
        let with = |load_average| Machine { cores: 4, load_average };
        let found = [None, Some(2.0), Some(2.01)].map(|load| with(load).is_busy());
        assert_eq!(found, [false, false, true]);
    }
}
