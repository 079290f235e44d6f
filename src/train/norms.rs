//! Norms over all ranks: of the whole gradient for clipping, of tensors for LARS and LAMB.
//!
//! Each rank adds the squares of its own blocks; all see those of all, and add blocks in the same order.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytemuck::Pod;

use super::ranks::Ranks;
use super::{Plan, TrainError};
use crate::collective::Peers;
use crate::optim::{Blocks, Optimizer, clip_factor, scale_grads};

/// Buffers of one rank for the norms of a step.
pub(super) struct Norms {
    clip_norm: Option<f64>,
    of_tensors: bool,
    /// The rank's run of blocks.
    run: Range<usize>,
    /// Boundaries of the ranks' runs of blocks.
    cuts: Vec<usize>,
    /// Squares of the reduced gradient, one sum a block.
    squares: Exchanged<f64>,
    /// What the rank says of its part of the gradient where no norms are needed.
    seen: Seen,
    /// What the optimizer wants to know of each block.
    pairs: Exchanged<[f64; 2]>,
    /// Time spent in exchanges.
    waited: Duration,
}

/// What all ranks together know of the reduced gradient.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Whether all of it is finite.
    pub(super) finite: bool,
    /// The sum of its squares, if they were asked for.
    pub(super) square: f64,
}

/// What a rank knows of its part of the reduced gradient.
pub(super) struct Seen {
    /// Whether all of it is.
    pub(super) finite: bool,
    /// Its squares, one sum a block; nothing unless they were asked for.
    pub(super) squares: Vec<f64>,
}

impl Norms {
    pub(super) fn new(plan: &Plan, rank: usize) -> Self {
        let (run, of_tensors) = (plan.block_run(rank), plan.hyper().needs_tensor_norms());
        let (own, all) = if of_tensors { (run.len(), plan.blocks().len()) } else { (0, 0) };
        Self {
            clip_norm: plan.clip_grad_norm(),
            of_tensors,
            squares: Exchanged::new(run.len(), plan.blocks().len()),
            seen: Seen { finite: true, squares: Vec::with_capacity(run.len()) },
            pairs: Exchanged::new(own, all),
            run,
            cuts: plan.block_cuts().to_vec(),
            waited: Duration::ZERO,
        }
    }

    /// Whether a step needs any.
    pub(super) fn needed(&self) -> bool {
        self.of_tensors || self.clip_norm.is_some()
    }

    /// Whether gradients are clipped.
    pub(super) fn clips(&self) -> bool {
        self.clip_norm.is_some()
    }

    /// Whether a value is true on every rank.
    pub(super) fn agree(&mut self, ranks: &mut Ranks<'_>, value: bool) -> Result<bool, TrainError> {
        let start = Instant::now();
        let agreed = ranks.all(value)?;
        self.waited += start.elapsed();
        Ok(agreed)
    }

    /// Says of the rank's part of the gradient whether it is finite, and of `measured` grads the squares.
    pub(super) fn see(&mut self, finite: bool, measured: Option<(&Blocks, &[f32])>) -> &Seen {
        self.seen.finite = finite;
        self.seen.squares.clear();
        if let Some((blocks, grads)) = measured {
            self.seen.squares.resize(self.run.len(), 0.0);
            blocks.sums_of_squares(self.run.clone(), grads, &mut self.seen.squares);
        }
        &self.seen
    }

    /// What ranks in several processes [see](Self::see) together.
    pub(super) fn see_all(
        &mut self,
        ranks: &mut Ranks<'_>,
        finite: bool,
        measured: Option<(&Blocks, &[f32])>,
    ) -> Result<Known, TrainError> {
        match measured {
            Some((blocks, grads)) => {
                let square = self.square(ranks, blocks, grads)?;
                Ok(Known { finite: square.is_finite(), square })
            }
            None => Ok(Known { finite: self.agree(ranks, finite)?, square: 0.0 }),
        }
    }

    /// The sum of the squares of the whole gradient, of which each rank has its part. It is finite if, and only if, all of the gradient is.
    pub(super) fn square(
        &mut self,
        ranks: &mut Ranks<'_>,
        blocks: &Blocks,
        grads: &[f32],
    ) -> Result<f64, TrainError> {
        blocks.sums_of_squares(self.run.clone(), grads, &mut self.squares.own);
        self.waited += self.squares.exchange(ranks, &self.cuts)?;
        Ok(self.squares.all.iter().sum())
    }

    /// Scales the rank's part of the gradient if clipping is on and the norm of the whole is too large.
    pub(super) fn clip(&self, norm: Option<f64>, grads: &mut [f32]) {
        if let Some(max_norm) = self.clip_norm {
            let norm = norm.expect("clipping asked for the norm");
            scale_grads(grads, clip_factor(norm, max_norm));
        }
    }

    /// The optimizer's first phase.
    pub(super) fn prepare(&mut self, optimizer: &mut Optimizer, params: &[f32], grads: &mut [f32]) {
        optimizer.prepare(params, grads, &mut self.pairs.own);
    }

    /// Lets all ranks see what the first phase found.
    pub(super) fn exchange(&mut self, ranks: &mut Ranks<'_>) -> Result<(), TrainError> {
        if self.of_tensors {
            self.waited += self.pairs.exchange(ranks, &self.cuts)?;
        }
        Ok(())
    }

    /// The time spent in exchanges since the last call.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// The optimizer's second phase.
    pub(super) fn finish(&self, optimizer: &mut Optimizer, rate: f64, params: &mut [f32], grads: &mut [f32]) {
        optimizer.finish(rate, params, grads, &self.pairs.all);
    }
}

/// Values of which each rank has some, and then all.
struct Exchanged<T> {
    own: Vec<T>,
    all: Vec<T>,
}

impl<T: Pod + Default + Send + Sync> Exchanged<T> {
    fn new(own: usize, all: usize) -> Self {
        Self { own: vec![T::default(); own], all: Vec::with_capacity(all) }
    }

    /// Each rank has the values between its cuts. Returns how long it took: next to nothing but waiting.
    fn exchange(&mut self, ranks: &mut Ranks<'_>, cuts: &[usize]) -> Result<Duration, TrainError> {
        let start = Instant::now();
        ranks.gather(&self.own, &mut self.all, |rank| cuts[rank]..cuts[rank + 1])?;
        Ok(start.elapsed())
    }
}

impl Known {
    /// What the ranks of one process see.
    pub(super) fn of(peers: &Peers<'_, Seen>) -> Self {
        let square = peers.iter().flat_map(|seen| &seen.squares).sum();
        Self { finite: peers.iter().all(|seen| seen.finite), square }
    }
}
