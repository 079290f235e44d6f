//! One step of one rank: the gradients of its shards, then the gradient of its segment of the
//! params, which it updates.

use std::ops::Range;
use std::sync::{Arc, MutexGuard};

use super::combiner::{Combiner, StepSums, StepTotals};
use super::contribution::{Batch, Contribution, Request};
use super::error::TrainError;
use super::exchange::{Exchange, Routes, swap};
use super::noise_scale::{BatchParts, NoiseScale};
use super::norms::{GlobalCheck, Norms, all_finite};
use super::outcome::DivergedAt;
use super::phase::{Phase, PhaseClock};
use super::plan::StepSpec;
use super::ranks::Ranks;
use super::run::{OldSegment, RunContext};
use super::shards::part;
use crate::optim::{Optimizer, Update, divide_grads};

/// The state of a rank that is kept between steps. In a run of one process, nothing is allocated
/// after the first steps.
pub(super) struct Step<'a> {
    run: &'a RunContext<'a>,
    contribution: Contribution,
    exchange: Exchange,
    combiner: Combiner,
    /// The reduced gradient of this rank's segment, then its direction, in steps that need it
    /// before the update.
    grads: Vec<f32>,
    norms: Norms,
    pub(super) optimizer: Optimizer,
    /// The gradient noise scale; the same on every rank.
    pub(super) noise_scale: NoiseScale,
    pub(super) clock: PhaseClock,
}

/// The result of a step, the same on every rank.
#[derive(Clone, Copy)]
pub(super) struct StepResult {
    pub(super) spec: StepSpec,
    pub(super) sums: StepSums,
    /// Global norm of the reduced gradient, if clipping needs it or it is reported.
    pub(super) grad_norm: Option<f64>,
    /// The noise scale, if the step measured it.
    pub(super) noise_scale: Option<NoiseScale>,
    pub(super) request: Request,
    /// The point at which the step diverged, if it did; the params are then those before the step.
    pub(super) divergence: Option<DivergedAt>,
}

/// The state of a rank's segment after the round of the reduction.
enum Reduced {
    /// The params are updated, or the step changes nothing.
    Done,
    /// The gradient is stored.
    Written { is_finite: bool, parts: BatchParts },
}

impl StepResult {
    fn new(spec: StepSpec, totals: &StepTotals) -> Self {
        let StepTotals { sums, request, .. } = *totals;
        let divergence = (!sums.loss.is_finite()).then_some(DivergedAt::Gradient);
        Self { spec, sums, grad_norm: None, noise_scale: None, request, divergence }
    }

    /// Returns false for a step of total weight 0, and for one whose loss or gradient is NaN or
    /// infinite.
    fn changes_params(&self) -> bool {
        self.sums.weight != 0.0 && self.divergence.is_none()
    }
}

impl<'a> Step<'a> {
    pub(super) fn new(run: &'a RunContext<'a>, ranks: &Ranks<'_>) -> Self {
        let (plan, rank) = (&run.plan, ranks.rank());
        Self {
            run,
            contribution: Contribution::new(run, rank),
            exchange: Exchange::default(),
            combiner: Combiner::new(plan, run.model),
            grads: Vec::new(),
            norms: Norms::new(plan, rank),
            optimizer: Optimizer::for_segment(plan.hyper(), plan.blocks(), plan.block_run(rank)),
            noise_scale: NoiseScale::default(),
            clock: PhaseClock::new(Arc::clone(&run.phases[ranks.thread()])),
        }
    }

    /// Runs a step on the samples at `batch` of the sample order. All arguments are the same on
    /// every rank, except for the request: that of rank 0 counts, and over several processes also a
    /// stop of any rank.
    pub(super) fn run(
        &mut self,
        ranks: &mut Ranks<'_>,
        spec: StepSpec,
        batch: Range<usize>,
        request: Request,
    ) -> Result<StepResult, TrainError> {
        let shards = self.run.plan.shards_of(batch.len());
        self.clock.begin_step(spec.number);
        self.contribute(ranks, spec, batch, request)?;
        let totals = self.exchange(ranks, spec, shards)?;
        let (mut result, reduced) = self.reduce(ranks, spec, shards, totals)?;
        if let Reduced::Written { is_finite, parts } = reduced {
            self.update(ranks, is_finite, parts, &mut result)?;
        }
        self.share(ranks, &mut result)?;
        result.noise_scale = (spec.noise && result.changes_params()).then_some(self.noise_scale);
        Ok(result)
    }

    /// Computes this rank's shards: gather, forward pass, loss, backward pass.
    fn contribute(
        &mut self,
        ranks: &Ranks<'_>,
        spec: StepSpec,
        batch: Range<usize>,
        request: Request,
    ) -> Result<(), TrainError> {
        let Self { run, contribution, clock, .. } = self;
        let params = run.params.read(&ranks.comm)?;
        let samples = &run.order.read(&ranks.comm)?[batch];
        let shards = run.plan.shards_of(samples.len());
        let mine = part(shards, run.plan.ranks(), ranks.rank());
        contribution.request = request;
        contribution.compute(run, params, Batch { samples, shards, noise: spec.noise }, mine, clock);
        clock.enter(Phase::BeforeReduce);
        Ok(())
    }

    /// Exchanges totals and subtrees with other processes, and returns the totals; `None` in a run
    /// of one process, whose ranks see each other's contributions when they reduce them.
    fn exchange(
        &mut self,
        ranks: &mut Ranks<'_>,
        spec: StepSpec,
        shards: usize,
    ) -> Result<Option<StepTotals>, TrainError> {
        let Self { run, contribution, combiner, exchange, clock, .. } = self;
        let Some(processes) = ranks.processes() else { return Ok(None) };
        clock.enter(Phase::Reduce);
        clock.wait();
        let mut totals = exchange.totals(ranks, &run.plan, contribution, shards)?;
        if StepResult::new(spec, &totals).changes_params() {
            if spec.noise {
                totals.parts = exchange.parts(ranks, &run.plan, contribution, shards)?;
            }
            swap(ranks, processes, run, shards, contribution, combiner, clock)?;
        }
        Ok(Some(totals))
    }

    /// Computes the gradient of this rank's segment. If the gradient of all ranks is guaranteed to
    /// be finite, each piece is used for the update while it is in the cache; otherwise it is
    /// stored, because nothing may be updated before all ranks have checked theirs.
    fn reduce(
        &mut self,
        ranks: &mut Ranks<'_>,
        spec: StepSpec,
        shards: usize,
        totals: Option<StepTotals>,
    ) -> Result<(StepResult, Reduced), TrainError> {
        let Self { run, contribution, combiner, grads, norms, optimizer, clock, .. } = self;
        let RunContext { plan, model, rollback, .. } = *run;
        let known = totals.as_ref().map(|totals| StepResult::new(spec, totals));
        if let Some(result) = known.filter(|result| !result.changes_params()) {
            return Ok((result, Reduced::Done));
        }
        let (rank, thread) = (ranks.rank(), ranks.thread());
        let segment = run.params.segment(thread);
        Ok(ranks.comm.update(&run.params, &*contribution, |peers, params| {
            clock.enter(Phase::Reduce);
            let totals = totals.unwrap_or_else(|| StepTotals::of(plan.reduction(), &peers));
            let (sums, result) = (totals.sums, StepResult::new(spec, &totals));
            if !result.changes_params() {
                return (result, Reduced::Done);
            }
            let divisor = plan.reduction().step_divisor(sums.shards, sums.weight);
            optimizer.divide_l2(plan.l2_divisor(sums.weight));
            let far = Routes { plan, shards }.remote_subtrees(rank, &peers);
            let mut combine = |sink: &mut dyn FnMut(Range<usize>, &mut [f32])| {
                combiner.combine(*model, &peers, segment.clone(), &far, sink);
            };
            let reduced = if sums.is_surely_finite(divisor) && !norms.needed() && !spec.measures() {
                let old = rollback.begin(thread, spec.number);
                let update = optimizer.begin(spec.rate);
                let mut pieces =
                    Pieces { first: segment.start, params, old, update, is_finite: true, clock: &mut *clock };
                combine(&mut |range, grads| pieces.update(range, grads, divisor));
                pieces.update.end();
                if !pieces.is_finite {
                    rollback.note_broken(spec.number, segment.start, pieces.params);
                }
                Reduced::Done
            } else {
                let mut is_finite = true;
                grads.resize(segment.len(), 0.0);
                combine(&mut |range, piece| {
                    divide(piece, divisor);
                    is_finite &= all_finite(piece);
                    grads[range.start - segment.start..range.end - segment.start].copy_from_slice(piece);
                });
                let parts = totals.parts.divided(divisor.unwrap_or(1.0));
                Reduced::Written { is_finite, parts }
            };
            clock.enter(Phase::AfterReduce);
            (result, reduced)
        })?)
    }

    /// Updates this rank's segment with the stored gradient, if the whole gradient is finite;
    /// measures its norm and the noise scale, if requested.
    fn update(
        &mut self,
        ranks: &mut Ranks<'_>,
        is_finite: bool,
        parts: BatchParts,
        result: &mut StepResult,
    ) -> Result<(), TrainError> {
        let Self { run, grads, norms, optimizer, noise_scale, clock, .. } = self;
        let RunContext { plan, params, rollback, .. } = *run;
        let (thread, spec) = (ranks.thread(), result.spec);
        clock.enter(Phase::Reduce);
        let measures = spec.measures() || norms.clips();
        let measured = measures.then_some((plan.blocks(), grads.as_slice()));
        let known = if norms.needed() || ranks.processes().is_some() {
            Some(norms.check_all(ranks, is_finite, measured, clock)?)
        } else {
            // The ranks of one process exchange their checks in the round of the update, which
            // saves a round.
            norms.check(is_finite, measured);
            None
        };
        if let Some(check) = known.filter(|_| norms.needed()) {
            if !check.is_finite {
                result.divergence = Some(DivergedAt::Gradient);
                return Ok(());
            }
            norms.prepare(ranks, check.square, optimizer, params, grads, clock)?;
        }
        clock.wait();
        let check = ranks.comm.update(params, norms.local(), |peers, segment| {
            let check = known.unwrap_or_else(|| GlobalCheck::of(&peers));
            if check.is_finite {
                clock.enter(Phase::Update);
                rollback.begin(thread, spec.number).keep(segment);
                norms.update(optimizer, spec.rate, segment, grads);
                if !all_finite(segment) {
                    rollback.note_broken(spec.number, params.segment(thread).start, segment);
                }
            }
            clock.enter(Phase::AfterReduce);
            check
        })?;
        if check.is_finite {
            if spec.noise {
                noise_scale.extend(parts.measure(check.square));
            }
            result.grad_norm = (spec.norm || norms.clips()).then(|| check.square.sqrt());
        } else {
            result.divergence = Some(DivergedAt::Gradient);
        }
        Ok(())
    }

    /// Sends the updated params to all processes, if there are several. If the update has made some
    /// of them NaN or infinite, all ranks restore the params before the step.
    fn share(&mut self, ranks: &mut Ranks<'_>, result: &mut StepResult) -> Result<(), TrainError> {
        let (thread, step, rollback) = (ranks.thread(), result.spec.number, &self.run.rollback);
        if result.changes_params() {
            self.share_params(ranks, step)?;
        }
        if let Some(param) = rollback.broken_at(step) {
            ranks.comm.update(&self.run.params, &(), |_, params| rollback.put_back(thread, step, params))?;
            self.share_params(ranks, step)?;
            result.divergence = Some(DivergedAt::Param(param));
        }
        Ok(())
    }

    fn share_params(&self, ranks: &mut Ranks<'_>, step: u64) -> Result<(), TrainError> {
        let RunContext { plan, params, rollback, .. } = self.run;
        let Some(processes) = ranks.processes() else { return Ok(()) };
        let shared = ranks.comm.rewrite(params, |params| {
            let broken = processes.least(rollback.broken_at(step).map_or(u64::MAX, |param| param as u64))?;
            processes.gather(params, |process| plan.params_in(process))?;
            if broken != u64::MAX {
                rollback.note_broken_param(step, broken as usize);
            }
            Ok(())
        })?;
        shared.unwrap_or(Ok(()))
    }
}

/// A segment of the params that is updated piece by piece, as its gradient arrives. The gradient is
/// guaranteed to be finite.
struct Pieces<'s> {
    /// The first param of the segment.
    first: usize,
    params: &'s mut [f32],
    old: MutexGuard<'s, OldSegment>,
    update: Update<'s>,
    /// True if all params updated so far are finite.
    is_finite: bool,
    clock: &'s mut PhaseClock,
}

/// The number of params that are backed up, updated and checked at a time: few enough for all their
/// data to stay in the L1 cache.
const CHUNK: usize = 1024;

impl Pieces<'_> {
    /// Updates the params in `range`, whose gradient is not yet divided.
    fn update(&mut self, range: Range<usize>, grads: &mut [f32], divisor: Option<f64>) {
        self.clock.enter(Phase::Update);
        let mut own = range.start - self.first..range.end - self.first;
        for grads in grads.chunks_mut(CHUNK) {
            let indices = own.start..own.start + grads.len();
            own.start = indices.end;
            let piece = &mut self.params[indices.clone()];
            self.old.keep(piece);
            divide(grads, divisor);
            self.update.piece(indices, piece, grads);
            self.is_finite &= all_finite(piece);
        }
        self.clock.enter(Phase::Reduce);
    }
}

fn divide(grads: &mut [f32], divisor: Option<f64>) {
    if let Some(divisor) = divisor {
        divide_grads(grads, divisor);
    }
}
