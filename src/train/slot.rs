//! The buffers that ranks copy params and state into when the run is to be saved.
//!
//! There are two, so that one can be filled while the other is being written. Ranks fill a slot each in its own part, meet, and
//! rank 0 takes the parts away as a [`Snapshot`]; they come back when that is dropped. A slot that is away is not waited for: the
//! save stays due, and the steps go on.

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::snapshot::Part;
use super::{Position, Snapshot};
use crate::optim::Optimizer;

/// Buffers for one snapshot, empty until first used.
#[derive(Debug)]
pub(super) struct Slot {
    /// One a rank, which alone writes it.
    parts: Vec<Mutex<Part>>,
    /// Set by rank 0 when it takes the parts, cleared when they are back.
    away: AtomicBool,
}

impl Slot {
    /// Two of them for so many ranks.
    pub(super) fn two(ranks: usize) -> [Arc<Self>; 2] {
        [(); 2].map(|()| {
            let parts = (0..ranks).map(|_| Mutex::default()).collect();
            Arc::new(Self { parts, away: AtomicBool::new(false) })
        })
    }

    /// Whether its parts are here. Only rank 0 takes them, so to it this stays true once it is.
    pub(super) fn is_here(&self) -> bool {
        !self.away.load(Ordering::Acquire)
    }

    /// Copies what a rank owns into its part: the only thing that a save costs it. Allocates at the first time.
    pub(super) fn fill(&self, rank: usize, params: &[f32], best: &[f32], optimizer: &Optimizer) {
        let mut part = own(&self.parts[rank]);
        part.state.resize_with(optimizer.state().count(), Vec::new);
        copy(params, &mut part.params);
        copy(best, &mut part.best);
        optimizer.state().zip(&mut part.state).for_each(|((_, values), to)| copy(values, to));
    }

    /// Takes the parts away, filled by all ranks before.
    pub(super) fn take(self: &Arc<Self>, position: Position, optimizer: &Optimizer) -> Snapshot {
        self.away.store(true, Ordering::Relaxed);
        let parts = self.parts.iter().map(|part| take(&mut *own(part))).collect();
        let names = optimizer.state().map(|(name, _)| name.to_owned()).collect();
        Snapshot::lent(position, names, parts, Arc::clone(self))
    }

    pub(super) fn take_back(&self, parts: Vec<Part>) {
        self.parts.iter().zip(parts).for_each(|(place, part)| *own(place) = part);
        self.away.store(false, Ordering::Release);
    }
}

/// A rank that panicked in the middle of a copy ends the run; what it left is overwritten or dropped.
fn own(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

fn copy(from: &[f32], to: &mut Vec<f32>) {
    to.clear();
    to.extend_from_slice(from);
}
