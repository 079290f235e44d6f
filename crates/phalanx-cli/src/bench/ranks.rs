//! Threads for ranks, and when they did something.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use super::BenchError;
use phalanx::collective::{CollectiveError, Communicator, World};

/// Runs `work` once a rank, each on a thread of its own, and returns what they did in rank order.
pub(super) fn on_ranks<R: Send>(
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

/// From when to when a rank did something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    start: Instant,
    end: Instant,
}

impl Interval {
    /// Does it.
    pub(super) fn of<R>(work: impl FnOnce() -> R) -> (Self, R) {
        let start = Instant::now();
        let result = work();
        (Self { start, end: Instant::now() }, result)
    }

    /// How long this one took.
    pub(super) fn secs(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

/// From the first rank's start to the last one's end: what independent work of the ranks takes together.
///
/// # Panics
///
/// If there are no ranks.
pub(super) fn from_first_start(ranks: impl Iterator<Item = Interval> + Clone) -> Duration {
    last_end(ranks.clone()) - ranks.map(|rank| rank.start).min().expect("a world has a rank")
}

/// From the last rank's start to the last one's end: what a call takes in which all ranks meet. Waiting for the last
/// to come is not part of the call's cost.
///
/// # Panics
///
/// If there are no ranks.
pub(super) fn from_last_start(ranks: impl Iterator<Item = Interval> + Clone) -> Duration {
    last_end(ranks.clone()) - ranks.map(|rank| rank.start).max().expect("a world has a rank")
}

fn last_end(ranks: impl Iterator<Item = Interval>) -> Instant {
    ranks.map(|rank| rank.end).max().expect("a world has a rank")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_lasts_from_the_last_start_and_separate_work_from_the_first() {
        let zero = Instant::now();
        let at = |millis| zero + Duration::from_millis(millis);
        let ranks = [(0, 7), (4, 9), (2, 8)].map(|(start, end)| Interval { start: at(start), end: at(end) });
        let (call, work) = (from_last_start(ranks.into_iter()), from_first_start(ranks.into_iter()));
        assert_eq!((call, work), (Duration::from_millis(5), Duration::from_millis(9)));
    }

    #[test]
    fn every_rank_works_once_and_answers_in_rank_order() {
        let found = on_ranks(3, |mut comm| comm.barrier().map(|()| comm.rank()));
        assert_eq!(found.unwrap(), [0, 1, 2]);
    }
}
