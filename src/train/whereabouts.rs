//! What each rank is doing, so that the error can say it, should it panic.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

#[cfg(test)]
use super::fault::Fault;

/// What a rank does, in a step and around it.
///
/// # Examples
///
/// ```
/// use phalanx::train::Phase;
///
/// assert_eq!(Phase::BeforeReduce.to_string(), "before the reduction");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
    /// Reserving memory.
    Prepare,
    /// Ordering the samples of an epoch.
    Order,
    /// Gathering the samples of its shards.
    Load,
    /// Forward, loss and backward of the model.
    Gradient,
    /// Done with its shards, about to meet the others.
    BeforeReduce,
    /// Combining the shards of all ranks for its segment, or exchanging norms.
    Reduce,
    /// Updating its segment of the params.
    Update,
    /// Done with its segment, waiting for the others.
    AfterReduce,
    /// Scoring test samples, and telling what came of a step or an epoch.
    Score,
    /// Copying what is to be saved.
    Save,
    /// Done with its steps, waiting for the others.
    End,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Prepare,
        Self::Order,
        Self::Load,
        Self::Gradient,
        Self::BeforeReduce,
        Self::Reduce,
        Self::Update,
        Self::AfterReduce,
        Self::Score,
        Self::Save,
        Self::End,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "preparing",
            Self::Order => "ordering the samples",
            Self::Load => "gathering samples",
            Self::Gradient => "computing gradients",
            Self::BeforeReduce => "before the reduction",
            Self::Reduce => "in the reduction",
            Self::Update => "in the update",
            Self::AfterReduce => "after the reduction",
            Self::Score => "scoring and telling",
            Self::Save => "copying what is to be saved",
            Self::End => "at the end",
        })
    }
}

/// Where one rank is, written by it alone.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    /// The step, counted from 0, and below it, in 8 bits, the phase.
    word: CachePadded<AtomicU64>,
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

impl Whereabouts {
    /// Notes that the rank goes on to a phase of the step in hand: one store, which nobody waits for.
    pub(super) fn enter(&self, phase: Phase) {
        let step = self.word.load(Ordering::Relaxed) >> 8;
        self.word.store(step << 8 | phase as u64, Ordering::Relaxed);
        #[cfg(test)]
        self.fault.iter().for_each(|fault| fault.strike(step, phase));
    }

    /// Notes that the rank goes on to a step, counted from 0.
    pub(super) fn begin(&self, step: u64) {
        self.word.store(step << 8 | Phase::Load as u64, Ordering::Relaxed);
    }

    /// Where the rank was last: the step, counted from 0, and the phase.
    pub(super) fn last(&self) -> (u64, Phase) {
        let word = self.word.load(Ordering::Relaxed);
        (word >> 8, Phase::ALL[(word & 0xff) as usize])
    }
}
