//! What all ranks of a run see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::kept::Kept;
use super::slot::Slot;
use super::start::Start;
use super::whereabouts::Whereabouts;
use super::{Plan, SaveEvery};
use crate::collective::Shared;
use crate::data::Dataset;

/// What all ranks of a run see.
pub(super) struct Run<'a, M> {
    pub(super) plan: Plan,
    pub(super) model: &'a M,
    pub(super) train: &'a Dataset,
    pub(super) test: Option<&'a Dataset>,
    /// Steps after which the test samples are scored besides, ascending.
    pub(super) score_at: Vec<u64>,
    /// The one copy of the params; a rank writes its segment.
    pub(super) params: Shared<f32>,
    /// The sample order of the epoch; rank 0 writes it.
    pub(super) order: Shared<u32>,
    pub(super) start: Start,
    pub(super) save_every: SaveEvery,
    /// What snapshots are copied into.
    pub(super) slots: [Arc<Slot>; 2],
    /// The params before the step in hand.
    pub(super) kept: Kept,
    pub(super) broken: Broken,
    /// What each rank is doing.
    pub(super) whereabouts: Vec<Arc<Whereabouts>>,
    pub(super) stop: &'a AtomicBool,
    /// Set once a subscriber cannot go on: the ranks stop after the step in hand.
    pub(super) quit: AtomicBool,
}

/// Which step has made params that are no finite numbers, and the first of them. Ranks write it before they depart from the update,
/// and read it after all have, so that they find the same.
#[derive(Debug)]
pub(super) struct Broken {
    /// Counted from 1; 0 for none.
    step: AtomicU64,
    param: AtomicUsize,
}

impl Default for Broken {
    fn default() -> Self {
        Self { step: AtomicU64::new(0), param: AtomicUsize::new(usize::MAX) }
    }
}

impl Broken {
    /// Notes that a rank's segment, which begins with param `first`, is not finite any more after its update.
    pub(super) fn note(&self, step: u64, first: usize, segment: &[f32]) {
        let at = segment.iter().position(|param| !param.is_finite());
        self.note_at(step, first + at.expect("one of them is not finite"));
    }

    /// Notes that a param is none any more.
    pub(super) fn note_at(&self, step: u64, param: usize) {
        self.param.fetch_min(param, Ordering::Relaxed);
        self.step.store(step + 1, Ordering::Relaxed);
    }

    /// The first of the params that a step, counted from 0, has made no finite number.
    pub(super) fn at(&self, step: u64) -> Option<usize> {
        (self.step.load(Ordering::Relaxed) == step + 1).then(|| self.param.load(Ordering::Relaxed))
    }
}
