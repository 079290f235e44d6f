//! The machine, and reasons why measurements on it may be unreliable.

use std::{fmt, fs};

use phalanx::internals::InstructionSet;
use serde::{Serialize, Serializer};

use super::Statistics;
use crate::numbers::counted;
use crate::terminal::cpus::Cpus;

/// The machine before a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Cores that this process may use; a core with several hardware threads counts once.
    pub cores: usize,
    /// Instruction set of the kernels.
    pub instructions: &'static str,
    /// Number of runnable threads, averaged over the last minute; null if the system does not
    /// report it.
    pub load_average: Option<f64>,
}

impl Machine {
    /// Returns the current state. The load comes from `/proc/loadavg`, which Linux has.
    pub fn now() -> Self {
        let load_average = fs::read_to_string("/proc/loadavg").ok().and_then(|text| first_number(&text));
        Self { cores: Cpus::available().cores, instructions: InstructionSet::in_use().name(), load_average }
    }

    /// Returns whether other programs use more than half of the cores, which slows down
    /// measurements.
    pub fn is_busy(&self) -> bool {
        self.load_average.is_some_and(|load| load > self.cores as f64 / 2.0)
    }
}

/// Such as "2 cores, avx2, load average 0.10 before".
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", counted(self.cores as u64, "core"), self.instructions)?;
        match self.load_average {
            Some(load) => write!(f, ", load average {load:.2} before"),
            None => Ok(()),
        }
    }
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Takes of one thread count that differ by more than this share of their median were disturbed.
const DISTURBED: f64 = 0.2;

/// A reason why measurements may be unreliable.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Other programs were using the machine before the first take.
    Busy {
        /// Number of runnable threads over the last minute.
        load_average: f64,
        /// Cores.
        cores: usize,
    },
    /// A thread count exceeds the number of cores.
    MoreThreadsThanCores {
        /// The largest count.
        threads: usize,
        /// Cores.
        cores: usize,
    },
    /// Some threads have nothing to compute.
    IdleThreads {
        /// The thread count.
        threads: usize,
        /// Shards of its batch.
        shards: usize,
    },
    /// The takes of a thread count differ considerably.
    Spread {
        /// The thread count.
        threads: usize,
        /// (max − min) / median.
        relative: f64,
    },
}

impl Warning {
    /// Returns the warnings about a machine before any take, for measurements on up to `threads`
    /// threads.
    pub fn of_machine(machine: &Machine, threads: usize) -> Vec<Self> {
        let cores = machine.cores;
        let busy = machine.load_average.filter(|_| machine.is_busy());
        let busy = busy.map(|load_average| Self::Busy { load_average, cores });
        let crowded = (threads > cores).then_some(Self::MoreThreadsThanCores { threads, cores });
        busy.into_iter().chain(crowded).collect()
    }

    /// Returns the warning about the takes of a thread count.
    pub fn of_takes(threads: usize, takes: &Statistics) -> Option<Self> {
        let relative = takes.relative();
        (relative > DISTURBED).then_some(Self::Spread { threads, relative })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { load_average, cores } => write!(
                f,
                "the machine was busy: load average {load_average:.2} on {} before the first take; measure \
                 again when it is idle",
                counted(*cores as u64, "core")
            ),
            Self::MoreThreadsThanCores { threads, cores } => write!(
                f,
                "{threads} threads on {}: threads in excess of the cores share cores and give no speed-up",
                counted(*cores as u64, "core")
            ),
            Self::IdleThreads { threads, shards } => write!(
                f,
                "{} for {}: {} to compute; raise --shards or the batch size",
                counted(*threads as u64, "thread"),
                counted(*shards as u64, "shard"),
                idle(threads - shards)
            ),
            Self::Spread { threads, relative } => write!(
                f,
                "the takes of {} differ by {:.0} % of their median; measure longer (--takes, --epochs or --max-steps) or on an idle \
                 machine",
                counted(*threads as u64, "thread"),
                100.0 * relative
            ),
        }
    }
}

fn idle(threads: usize) -> String {
    format!(
        "{} nothing",
        if threads == 1 { "1 thread has".to_owned() } else { format!("{threads} threads have") }
    )
}

impl Serialize for Warning {
    /// As text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
        let with = |load_average| Machine { cores: 4, instructions: "avx2", load_average };
        let found = [None, Some(2.0), Some(2.01)].map(|load| with(load).is_busy());
        assert_eq!(found, [false, false, true]);
    }

    #[test]
    fn an_idle_machine_with_enough_cores_needs_no_warning() {
        let machine = Machine { cores: 4, instructions: "avx2", load_average: Some(0.5) };
        assert_eq!(Warning::of_machine(&machine, 4), []);
    }

    #[test]
    fn a_busy_machine_and_too_many_threads_are_different_warnings() {
        let machine = Machine { cores: 2, instructions: "avx2", load_average: Some(1.5) };
        let found = Warning::of_machine(&machine, 3);
        let crowded = Warning::MoreThreadsThanCores { threads: 3, cores: 2 };
        assert_eq!(found, [Warning::Busy { load_average: 1.5, cores: 2 }, crowded]);
    }

    #[test]
    fn takes_are_disturbed_beyond_a_fifth_of_their_median() {
        let calm = Statistics { median: 100.0, min: 90.0, max: 110.0 };
        assert_eq!(Warning::of_takes(2, &calm), None);
        let wild = Statistics { max: 115.0, ..calm };
        assert_eq!(Warning::of_takes(2, &wild), Some(Warning::Spread { threads: 2, relative: 0.25 }));
    }
}
