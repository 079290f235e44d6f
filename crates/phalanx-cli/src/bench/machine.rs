//! The machine: its speed for products of large matrices, which is the limit that training is
//! compared with, and reasons why measurements on it may be unreliable.

use std::hint::black_box;
use std::{fmt, fs};

use phalanx::internals::InstructionSet;
use phalanx::internals::kernel::{Epilogue, Linear, Scratch};
use serde::{Serialize, Serializer};

use super::BenchError;
use super::timing::{Interval, Statistics, from_first_start, on_ranks};
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

/// Number of takes, of which the best counts: a limit is the speed of an undisturbed machine.
const TAKES: usize = 5;

/// The measured speed of products of large f32 matrices, one on each thread at a time, with the
/// kernel of a layer's outputs and the instruction set in use. `benches/kernels.rs` compares the
/// kernel with other libraries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProductRate {
    /// Rows and columns of each matrix.
    pub side: usize,
    /// Threads, each computing its own products.
    pub threads: usize,
    /// 10⁹ floating-point operations per second over all threads, in the best take.
    pub gflop_per_sec: f64,
}

impl ProductRate {
    /// Returns the larger of two measurements of the same products.
    pub fn or_better(self, other: Self) -> Self {
        if other.gflop_per_sec > self.gflop_per_sec { other } else { self }
    }

    /// Multiplies (side, side) matrices on `threads` threads at once, and measures the time.
    ///
    /// # Errors
    ///
    /// [`BenchError::ZeroThreads`], [`BenchError::Spawn`].
    ///
    /// # Panics
    ///
    /// If `side` is 0.
    ///
    /// # Cost
    ///
    /// 6 products of 2·side³ operations per thread; (threads + 1)·side² values.
    pub fn measure(side: usize, threads: usize) -> Result<Self, BenchError> {
        assert!(side > 0, "a matrix must have at least one row");
        if threads == 0 {
            return Err(BenchError::ZeroThreads);
        }
        let matrix: Vec<f32> = (0..side * side).map(|index| (index * 7 % 13) as f32).collect();
        let zeros = vec![0.0; side];
        let ranks = on_ranks(threads, |mut comm| {
            let (mut result, mut scratch) = (vec![0.0; side * side], Scratch::default());
            let layer = Linear::new(&matrix, &zeros);
            // The first product brings code and matrices into the caches, and does not count.
            (0..=TAKES)
                .map(|_| {
                    comm.barrier()?;
                    let multiply = || {
                        layer.forward(black_box(&matrix), &mut result, Epilogue::Identity, &mut scratch);
                    };
                    Ok(Interval::of(multiply).0)
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        let flops = threads as f64 * 2.0 * (side as f64).powi(3);
        let rate = |take| flops / from_first_start(ranks.iter().map(|rank| rank[take])).as_secs_f64() / 1e9;
        let rates: Vec<f64> = (1..=TAKES).map(rate).collect();
        Ok(Self { side, threads, gflop_per_sec: Statistics::of(&rates).max })
    }
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
    fn products_run_on_any_number_of_threads() {
        for threads in [1, 3] {
            let rate = ProductRate::measure(64, threads).unwrap();
            assert_eq!((rate.side, rate.threads), (64, threads));
            assert!(rate.gflop_per_sec > 0.0 && rate.gflop_per_sec.is_finite(), "{rate:?}");
        }
    }

    #[test]
    fn zero_threads_are_rejected() {
        assert!(matches!(ProductRate::measure(8, 0), Err(BenchError::ZeroThreads)));
    }

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
