//! What the ranks of one world share.

use super::CollectiveError;
use super::gate::{Gate, Outcome};
use super::round::Slot;
use super::sync::{Mutex, yield_now};
use super::wait::Patience;
use std::time::Duration;

/// The meeting place of one world.
///
/// Two gates count in step with the rounds: a round opens when all have arrived, and its memory is free again when all
/// have departed. The flag of `arrivals` says that the world failed; it goes up only under the lock of `cause`, so
/// whoever sees it finds a cause there. The flag of `departures` says that the round that departs was broken by a panic.
#[derive(Debug)]
pub(super) struct State {
    pub(super) arrivals: Gate,
    pub(super) departures: Gate,
    /// The first reason why the world failed, never replaced.
    cause: Mutex<Option<CollectiveError>>,
    /// One for each rank.
    pub(super) slots: Box<[Slot]>,
    pub(super) patience: Patience,
}

impl State {
    pub(super) fn new(size: usize) -> Self {
        Self {
            arrivals: Gate::new(),
            departures: Gate::new(),
            cause: Mutex::new(None),
            slots: (0..size).map(|_| Slot::new()).collect(),
            patience: Patience::for_ranks(size),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.slots.len()
    }

    /// Ends the world, unless it has ended already.
    pub(super) fn fail(&self, reason: CollectiveError) {
        let mut cause = self.cause.lock();
        if cause.is_none() {
            *cause = Some(reason);
            self.arrivals.flag();
        }
    }

    /// Returns why the world failed.
    ///
    /// # Panics
    /// If it did not.
    #[cold]
    pub(super) fn cause(&self) -> CollectiveError {
        self.failure().expect("the flag goes up only after a cause was stored")
    }

    /// Returns why the world failed, if it did.
    pub(super) fn failure(&self) -> Option<CollectiveError> {
        self.cause.lock().clone()
    }

    /// Waits until round `round` (from 0) opens.
    pub(super) fn wait_for_opening(
        &self,
        round: u64,
        timeout: Option<Duration>,
    ) -> Result<(), CollectiveError> {
        let target = (round + 1) * self.size() as u64;
        match self.arrivals.wait(target, self.patience, timeout) {
            Outcome::Reached => Ok(()),
            Outcome::Flagged => Err(self.cause()),
            Outcome::TimedOut(waited) => self.give_up(round, target, waited),
        }
    }

    /// Ends the world for lack of ranks, unless the round opened or the world failed meanwhile.
    ///
    /// A rank announces itself before it is counted, so those not announced are missing for certain. If all are
    /// announced but not all counted, the last one is between the two and about to open the round.
    #[cold]
    fn give_up(&self, round: u64, target: u64, waited: Duration) -> Result<(), CollectiveError> {
        loop {
            let mut cause = self.cause.lock();
            let seen = self.arrivals.look();
            if seen.has_reached(target) {
                return Ok(());
            }
            if let Some(cause) = &*cause {
                return Err(cause.clone());
            }
            let missing = self.missing(round);
            if !missing.is_empty() && self.arrivals.flag_unless_changed(seen) {
                return Err(cause.insert(CollectiveError::TimedOut { waited, missing }).clone());
            }
            drop(cause);
            yield_now();
        }
    }

    fn missing(&self, round: u64) -> Vec<usize> {
        (0..self.size()).filter(|&rank| !self.slots[rank].is_announced(round)).collect()
    }
}
