//! What becomes of the pieces of a segment's gradient as they come: they are used for the update, or written down.

use std::ops::Range;
use std::sync::MutexGuard;

use super::super::Phase;
use super::super::divergence::all_finite;
use super::super::kept::Segment;
use super::super::whereabouts::Whereabouts;
use crate::optim::{Optimizer, Update, divide_grads};

/// Params that are kept, updated and looked at in one go: they and what belongs to them stay in the first cache meanwhile.
const CHUNK: usize = 1024;

/// A segment that is updated while pieces of its gradient, which cannot but be finite, come.
pub(super) struct Piecewise<'s> {
    /// The first param of the segment.
    first: usize,
    divisor: Option<f64>,
    update: Update<'s>,
    params: &'s mut [f32],
    kept: MutexGuard<'s, Segment>,
    finite: bool,
    whereabouts: &'s Whereabouts,
}

impl<'s> Piecewise<'s> {
    pub(super) fn begin(
        first: usize,
        divisor: Option<f64>,
        (optimizer, rate): (&'s mut Optimizer, f64),
        (params, kept): (&'s mut [f32], MutexGuard<'s, Segment>),
        whereabouts: &'s Whereabouts,
    ) -> Self {
        Self { first, divisor, update: optimizer.begin(rate), params, kept, finite: true, whereabouts }
    }

    /// Updates the params in `range`, whose gradient is not yet divided.
    pub(super) fn take(&mut self, range: Range<usize>, grads: &mut [f32]) {
        self.whereabouts.enter(Phase::Update);
        let mut own = range.start - self.first..range.end - self.first;
        for grads in grads.chunks_mut(CHUNK) {
            let indices = own.start..own.start + grads.len();
            own.start = indices.end;
            let piece = &mut self.params[indices.clone()];
            self.kept.keep(piece);
            divide(grads, self.divisor);
            self.update.piece(indices, piece, grads);
            self.finite &= all_finite(piece);
        }
        self.whereabouts.enter(Phase::Reduce);
    }

    /// Returns whether all params of the segment are finite.
    pub(super) fn end(self) -> bool {
        self.update.end();
        self.finite
    }
}

/// Divides the pieces of a segment's gradient and writes them down; notes whether all are finite.
pub(super) fn write_down<'g>(
    grads: &'g mut Vec<f32>,
    segment: &Range<usize>,
    divisor: Option<f64>,
    finite: &'g mut bool,
) -> impl FnMut(Range<usize>, &mut [f32]) + use<'g> {
    grads.resize(segment.len(), 0.0);
    let first = segment.start;
    move |range, piece| {
        divide(piece, divisor);
        *finite &= all_finite(piece);
        grads[range.start - first..range.end - first].copy_from_slice(piece);
    }
}

fn divide(grads: &mut [f32], divisor: Option<f64>) {
    if let Some(divisor) = divisor {
        divide_grads(grads, divisor);
    }
}
