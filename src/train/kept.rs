//! The params as they were before the step in hand, for when it fails in the middle of its update.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::run::Run;

/// Copies of the segments of all ranks, each written by its own rank while it updates.
#[derive(Debug)]
pub(super) struct Kept {
    segments: Vec<Mutex<Segment>>,
}

/// The part of a rank's segment that it has begun to update.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Counted from 0.
    step: Option<u64>,
    params: Vec<f32>,
}

impl Kept {
    pub(super) fn new(ranks: usize) -> Self {
        Self { segments: (0..ranks).map(|_| Mutex::default()).collect() }
    }

    /// Begins to keep a rank's segment as it is before a step.
    pub(super) fn begin(&self, rank: usize, step: u64) -> MutexGuard<'_, Segment> {
        let mut segment = self.segment(rank);
        segment.step = Some(step);
        segment.params.clear();
        segment
    }

    /// Puts back what a rank had begun to update of its segment in a step.
    pub(super) fn put_back(&self, rank: usize, step: u64, params: &mut [f32]) {
        let segment = self.segment(rank);
        if segment.step == Some(step) {
            params[..segment.params.len()].copy_from_slice(&segment.params);
        }
    }

    fn segment(&self, rank: usize) -> MutexGuard<'_, Segment> {
        self.segments[rank].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    /// Keeps the next piece, which is about to be updated. Allocates in the first step.
    pub(super) fn keep(&mut self, piece: &[f32]) {
        self.params.extend_from_slice(piece);
    }
}

/// The params of a run that failed in a step, as the last whole one left them.
pub(super) fn last_whole<M>(run: Run<'_, M>, step: u64) -> Vec<f32> {
    let Run { params, kept, .. } = run;
    let segments: Vec<_> = (0..kept.segments.len()).map(|rank| params.segment(rank)).collect();
    let is_torn = params.is_torn();
    let mut values = params.into_inner();
    if is_torn {
        for (rank, segment) in segments.into_iter().enumerate() {
            kept.put_back(rank, step, &mut values[segment]);
        }
    }
    values
}
