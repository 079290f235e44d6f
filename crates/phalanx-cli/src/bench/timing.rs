//! Timing: threads for ranks, the intervals in which they work, and statistics over takes.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use phalanx::collective::{CollectiveError, Communicator, World};
use serde::Serialize;

use super::BenchError;

/// Runs `work` once per rank, each on its own thread, and returns the results in rank order.
pub fn on_ranks<R: Send>(
    threads: usize,
    work: impl Fn(Communicator) -> Result<R, CollectiveError> + Sync,
) -> Result<Vec<R>, BenchError> {
    let work = &work;
    let ranks = World::new(threads)?.communicators();
    thread::scope(|scope| {
        let mut running = Vec::with_capacity(threads);
        for comm in ranks {
            let rank = comm.rank();
            let thread = thread::Builder::new().spawn_scoped(scope, move || work(comm));
            running.push(thread.map_err(|source| BenchError::Spawn { rank, source })?);
        }
        let join =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|why| resume_unwind(why));
        Ok(running.into_iter().map(join).collect::<Result<_, _>>()?)
    })
}

/// The interval in which a rank worked.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    start: Instant,
    end: Instant,
}

impl Interval {
    /// Runs `work` and returns its interval and its result.
    pub fn of<R>(work: impl FnOnce() -> R) -> (Self, R) {
        let start = Instant::now();
        let result = work();
        (Self { start, end: Instant::now() }, result)
    }

    /// Returns the length of the interval.
    pub fn secs(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

/// Returns the time from the first start of a rank to the last end: the duration of independent
/// work.
///
/// # Panics
///
/// If there are no ranks.
pub fn from_first_start(ranks: impl Iterator<Item = Interval> + Clone) -> Duration {
    last_end(ranks.clone()) - ranks.map(|rank| rank.start).min().expect("a world has at least one rank")
}

/// Returns the time from the last start of a rank to the last end: the duration of a collective
/// call. Waiting for the last rank to arrive is not part of the cost of the call.
///
/// # Panics
///
/// If there are no ranks.
pub fn from_last_start(ranks: impl Iterator<Item = Interval> + Clone) -> Duration {
    last_end(ranks.clone()) - ranks.map(|rank| rank.start).max().expect("a world has at least one rank")
}

fn last_end(ranks: impl Iterator<Item = Interval>) -> Instant {
    ranks.map(|rank| rank.end).max().expect("a world has at least one rank")
}

/// Median, minimum and maximum of values, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The middle value; for an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Statistics {
    /// Computes the statistics of values.
    ///
    /// # Panics
    ///
    /// If there are no values.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "statistics need at least one value");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        let median = f64::midpoint(sorted[lower], sorted[upper]);
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }

    /// Returns (max − min) / median.
    pub fn relative(&self) -> f64 {
        (self.max - self.min) / self.median
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_lasts_from_the_last_start_and_independent_work_from_the_first() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let ranks = [(0, 7), (4, 9), (2, 8)].map(|(start, end)| Interval { start: at(start), end: at(end) });
        let (call, work) = (from_last_start(ranks.into_iter()), from_first_start(ranks.into_iter()));
        assert_eq!((call, work), (Duration::from_millis(5), Duration::from_millis(9)));
    }

    #[test]
    fn every_rank_works_once_and_results_are_in_rank_order() {
        let found = on_ranks(3, |mut comm| comm.barrier().map(|()| comm.rank()));
        assert_eq!(found.unwrap(), [0, 1, 2]);
    }

    #[test]
    fn an_even_number_of_values_has_its_median_between_the_two_in_the_middle() {
        assert_eq!(Statistics::of(&[10.0, 1.0, 4.0, 2.0]), Statistics { median: 3.0, min: 1.0, max: 10.0 });
    }

    #[test]
    fn one_value_is_its_own_median_and_has_no_spread() {
        let one = Statistics::of(&[7.5]);
        assert_eq!((one.median, one.relative()), (7.5, 0.0));
    }

    #[test]
    fn the_relative_spread_is_the_range_over_the_median() {
        let spread = Statistics::of(&[2.0, 8.0, 4.0]);
        assert_eq!((spread.median, spread.min, spread.max), (4.0, 2.0, 8.0));
        assert_eq!(spread.relative(), 1.5);
    }

    proptest! {
        #[test]
        fn at_least_half_of_the_values_lie_on_each_side_of_the_median(
            values in proptest::collection::vec(0.001_f64..1e9, 1..40),
        ) {
            let median = Statistics::of(&values).median;
            let below = values.iter().filter(|value| **value <= median).count();
            let above = values.iter().filter(|value| **value >= median).count();
            prop_assert!(2 * below >= values.len() && 2 * above >= values.len());
        }
    }
}
