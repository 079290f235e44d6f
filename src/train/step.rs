//! One step of one rank: compute its shards, then the gradient of its segment, which it updates.

mod across;
mod piecewise;
mod watch;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use self::across::Across;
use self::piecewise::{Piecewise, write_down};
use self::watch::Watch;
use super::combiner::{Combiner, StepSums, batch_parts, step_sums};
use super::contribution::{Batch, Contribution};
use super::divergence::all_finite;
use super::kept::Kept;
use super::norms::{Known, Norms};
use super::ranks::Ranks;
use super::run::{Broken, Run};
use super::shards::part;
use super::whereabouts::Whereabouts;
use super::{BatchParts, NoiseScale, Phase, PhaseTimes, Plan, TrainError};
use crate::collective::Shared;
use crate::data::{self, Dataset, GatherBuffer};
use crate::model::{BatchTargets, Model, Samples};
use crate::optim::Optimizer;

/// What a rank keeps from step to step. Nothing in it is allocated after the first steps.
pub(super) struct Step<'a, M: Model> {
    plan: &'a Plan,
    model: &'a M,
    data: &'a Dataset,
    params: &'a Shared<f32>,
    order: &'a Shared<u32>,
    kept: &'a Kept,
    broken: &'a Broken,
    whereabouts: Arc<Whereabouts>,
    contribution: Contribution<M::Workspace>,
    combiner: Combiner<M::Workspace>,
    /// The reduced gradient of this rank's segment, then its direction: where a step needs it before it updates.
    grads: Vec<f32>,
    norms: Norms,
    across: Across,
    pub(super) optimizer: Optimizer,
    /// The same on every rank.
    pub(super) noise_scale: NoiseScale,
    pub(super) times: PhaseTimes,
}

/// What rank 0 asks all ranks to do after a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) stop: bool,
    /// To save the run, in this slot.
    pub(super) save: Option<usize>,
}

impl Asked {
    /// As numbers, for other processes.
    fn words(self) -> [f64; 2] {
        [f64::from(u8::from(self.stop)), self.save.map_or(0.0, |slot| (slot + 1) as f64)]
    }

    fn of_words([stop, save]: [f64; 2]) -> Self {
        Self { stop: stop != 0.0, save: (save as usize).checked_sub(1) }
    }
}

/// What all ranks know after a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepResult {
    pub(super) sums: StepSums,
    /// Global norm of the reduced gradient, if clipping needs it or it is asked for.
    pub(super) grad_norm: Option<f64>,
    /// The noise scale, if the step measured it.
    pub(super) noise_scale: Option<NoiseScale>,
    /// The learning rate.
    pub(super) rate: f64,
    /// What rank 0 asks all to do after it.
    pub(super) asked: Asked,
    /// Whether the loss, the gradient or the params are no finite number any more; the params are then those before the step.
    pub(super) divergence: Option<Found>,
}

/// Where a step was found to diverge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In its loss or in its gradient: nothing was changed.
    Gradient,
    /// In this param, the first of them, after the update: params are as before, the optimizer's state is not.
    Param(usize),
}

impl<'a, M: Model> Step<'a, M> {
    pub(super) fn new(run: &'a Run<'a, M>, ranks: &Ranks<'_>) -> Self {
        let Run { plan, model, train: data, params, order, kept, broken, .. } = run;
        let rank = ranks.rank();
        let whereabouts = Arc::clone(&run.whereabouts[ranks.thread()]);
        Self {
            plan,
            model,
            data,
            params,
            order,
            kept,
            broken,
            contribution: Contribution::new(plan, *model, data, (rank, Arc::clone(&whereabouts))),
            whereabouts,
            combiner: Combiner::new(plan, *model),
            grads: Vec::new(),
            norms: Norms::new(plan, rank),
            across: Across::default(),
            optimizer: Optimizer::new(plan.hyper(), plan.blocks(), plan.block_run(rank)),
            noise_scale: NoiseScale::default(),
            times: PhaseTimes::default(),
        }
    }

    /// Does step number `step`, counted from 0, on the samples at `batch` of the sample order; all arguments but `asked`, which
    /// counts on rank 0, are the same on every rank.
    pub(super) fn run(
        &mut self,
        ranks: &mut Ranks<'_>,
        step: u64,
        batch: Range<usize>,
        asked: Asked,
    ) -> Result<StepResult, TrainError> {
        let (rate, measured) = (self.plan.rate_at(step), self.plan.measures_noise(step));
        let wanted = Wanted { noise: measured, norm: self.plan.tells_grad_norm(step) };
        self.whereabouts.begin(step);
        self.contribution.asked = asked;
        let samples = batch.len();
        self.contribute(ranks, batch, measured)?;
        let of_step = OfStep { step, rate };
        let (mut result, reduced) = match ranks.processes() {
            None => self.reduce(ranks, of_step, wanted)?,
            Some(processes) => self.reduce_across(ranks, processes, of_step, (samples, wanted))?,
        };
        if let Reduced::Gradient { finite, parts } = reduced {
            let (finite, grad_norm) = if self.norms.needed() {
                self.update_with_norms(ranks, of_step, finite, (parts, wanted.norm))?
            } else {
                self.update(ranks, of_step, finite, (parts, wanted.norm))?
            };
            result.divergence = (!finite).then_some(Found::Gradient);
            result.grad_norm = grad_norm;
        }
        if result.changes_params() {
            self.share(ranks, step)?;
        }
        if let Some(param) = self.broken.at(step) {
            self.put_back(ranks, step)?;
            self.share(ranks, step)?;
            result.divergence = Some(Found::Param(param));
        }
        result.noise_scale = (measured && result.changes_params()).then_some(self.noise_scale);
        Ok(result)
    }

    /// Computes this rank's shards.
    fn contribute(
        &mut self,
        ranks: &Ranks<'_>,
        batch: Range<usize>,
        measured: bool,
    ) -> Result<(), TrainError> {
        let start = Instant::now();
        let params = self.params.read(&ranks.comm)?;
        let samples = &self.order.read(&ranks.comm)?[batch];
        let shards = self.plan.shards_of(samples.len());
        let mine = part(shards, self.plan.ranks(), ranks.rank());
        self.contribution.compute(
            self.plan,
            (self.model, params, self.data),
            Batch { samples, shards, measured },
            mine,
        );
        self.whereabouts.enter(Phase::BeforeReduce);
        self.times.compute += start.elapsed();
        Ok(())
    }

    /// Computes the gradient of this rank's segment. If no rank's can be other than finite, each piece is used for the update
    /// while it is in the cache; otherwise it is written down, as nothing may be updated before all ranks have seen theirs.
    fn reduce(
        &mut self,
        ranks: &mut Ranks<'_>,
        OfStep { step, rate }: OfStep,
        wanted: Wanted,
    ) -> Result<(StepResult, Reduced), TrainError> {
        let Self { plan, model, params, contribution, combiner, grads, norms, optimizer, times, .. } = self;
        let (kept, broken, whereabouts, thread) =
            (self.kept, self.broken, &*self.whereabouts, ranks.thread());
        let segment = params.segment(thread);
        let watch = Watch::start();
        let (result, reduced, watch) = ranks.comm.update(params, contribution, |peers, params| {
            let watch = watch.opened();
            whereabouts.enter(Phase::Reduce);
            let sums = step_sums(plan.reduction(), &peers);
            let divergence = (!sums.loss.is_finite()).then_some(Found::Gradient);
            let asked = peers.get(0).asked;
            let result = StepResult { sums, grad_norm: None, noise_scale: None, rate, asked, divergence };
            if !result.changes_params() {
                return (result, Reduced::Nothing, watch.worked());
            }
            let divisor = plan.reduction().step_divisor(sums.shards, sums.weight);
            optimizer.divide_l2(plan.l2_divisor(sums.weight));
            let reduced = if sums.is_surely_finite(divisor) && !norms.needed() && !wanted.any() {
                let kept = kept.begin(thread, step);
                let mut pieces =
                    Piecewise::begin(segment.start, divisor, (optimizer, rate), (params, kept), whereabouts);
                combiner
                    .combine(*model, &peers, segment.clone(), &mut |range, grads| pieces.take(range, grads));
                if !pieces.end() {
                    broken.note(step, segment.start, params);
                }
                Reduced::Updated
            } else {
                let mut finite = true;
                let mut sink = write_down(grads, &segment, divisor, &mut finite);
                combiner.combine(*model, &peers, segment.clone(), &mut sink);
                drop(sink);
                let parts = wanted.noise.then(|| batch_parts(&peers).divided(divisor.unwrap_or(1.0)));
                Reduced::Gradient { finite, parts }
            };
            whereabouts.enter(Phase::AfterReduce);
            (result, reduced, watch.worked())
        })?;
        watch.closed(times);
        Ok((result, reduced))
    }

    /// Updates this rank's segment, if the whole gradient is finite; returns whether it is, and its norm if that is wanted. Given the
    /// parts of the batch, measures the noise scale, too.
    fn update(
        &mut self,
        ranks: &mut Ranks<'_>,
        OfStep { step, rate }: OfStep,
        finite: bool,
        (parts, norm_wanted): (Option<BatchParts>, bool),
    ) -> Result<(bool, Option<f64>), TrainError> {
        let Self { plan, params, grads, norms, optimizer, noise_scale, times, .. } = self;
        let (kept, broken, whereabouts, thread) =
            (self.kept, self.broken, &*self.whereabouts, ranks.thread());
        let first = params.segment(thread).start;
        let mut watch = Watch::start();
        let measured = (parts.is_some() || norm_wanted).then_some((plan.blocks(), grads.as_slice()));
        // In one process a round of its own is saved.
        let known = match ranks.processes() {
            Some(_) => Some(norms.see_all(ranks, finite, measured)?),
            None => None,
        };
        let waited = norms.take_waited();
        let seen = norms.see(finite, measured.filter(|_| known.is_none()));
        watch = watch.worked().less(waited);
        let (finite, grad_norm, watch) = ranks.comm.update(params, seen, |peers, params| {
            let watch = watch.opened();
            let Known { finite, square } = known.unwrap_or_else(|| Known::of(&peers));
            if !finite {
                return (false, None, watch.worked());
            }
            noise_scale.extend(parts.and_then(|parts| parts.measure(square)));
            kept.begin(thread, step).keep(params);
            whereabouts.enter(Phase::Update);
            optimizer.update(rate, params, grads);
            if !all_finite(params) {
                broken.note(step, first, params);
            }
            whereabouts.enter(Phase::AfterReduce);
            (true, norm_wanted.then(|| square.sqrt()), watch.worked())
        })?;
        watch.closed(times);
        Ok((finite, grad_norm))
    }

    /// The same in several rounds, where norms over the whole gradient or over tensors are needed in between: for the update,
    /// or to measure the noise scale. Returns the norm, too, if clipping needs it or it is wanted.
    fn update_with_norms(
        &mut self,
        ranks: &mut Ranks<'_>,
        OfStep { step, rate }: OfStep,
        finite: bool,
        (parts, norm_wanted): (Option<BatchParts>, bool),
    ) -> Result<(bool, Option<f64>), TrainError> {
        let Self { plan, params, grads, norms, optimizer, noise_scale, times, .. } = self;
        let (kept, broken, whereabouts, thread) =
            (self.kept, self.broken, &*self.whereabouts, ranks.thread());
        let segment = params.segment(thread);
        let first = segment.start;
        whereabouts.enter(Phase::Reduce);
        let mut watch = Watch::start();
        let norm_needed = norms.clips() || parts.is_some() || norm_wanted;
        let square = norm_needed.then(|| norms.square(ranks, plan.blocks(), grads)).transpose()?;
        let finite = square.map_or_else(|| norms.agree(ranks, finite), |square| Ok(square.is_finite()))?;
        if !finite {
            return Ok((false, None));
        }
        noise_scale.extend(parts.zip(square).and_then(|(parts, square)| parts.measure(square)));
        let norm = square.map(f64::sqrt);
        norms.clip(norm, grads);
        let grad_norm = norm.filter(|_| norms.clips() || norm_wanted);
        norms.prepare(optimizer, &params.read(&ranks.comm)?[segment], grads);
        norms.exchange(ranks)?;
        watch = watch.worked().less(norms.take_waited());
        let watch = ranks.comm.update(params, &(), |_, params| {
            let watch = watch.opened();
            kept.begin(thread, step).keep(params);
            whereabouts.enter(Phase::Update);
            norms.finish(optimizer, rate, params, grads);
            if !all_finite(params) {
                broken.note(step, first, params);
            }
            whereabouts.enter(Phase::AfterReduce);
            watch.worked()
        })?;
        watch.closed(times);
        Ok((true, grad_norm))
    }

    /// Puts the params back as they were before a step whose update made some of them no finite numbers.
    fn put_back(&self, ranks: &mut Ranks<'_>, step: u64) -> Result<(), TrainError> {
        let thread = ranks.thread();
        Ok(ranks.comm.update(self.params, &(), |_, params| self.kept.put_back(thread, step, params))?)
    }
}

/// Which step it is, counted from 0, and its rate.
#[derive(Clone, Copy)]
struct OfStep {
    step: u64,
    rate: f64,
}

/// What is to be found out in a step beside the update, which has the same bits then.
#[derive(Clone, Copy)]
struct Wanted {
    /// The noise scale.
    noise: bool,
    /// The norm of the gradient.
    norm: bool,
}

impl Wanted {
    fn any(self) -> bool {
        self.noise || self.norm
    }
}

/// How far a rank came with its segment in the first round of a step.
enum Reduced {
    /// The step changes nothing.
    Nothing,
    /// The params are updated.
    Updated,
    /// The gradient is written down.
    Gradient { finite: bool, parts: Option<BatchParts> },
}

impl StepResult {
    /// A step of total weight 0 changes nothing, nor does one whose loss or gradient is no number.
    fn changes_params(&self) -> bool {
        self.sums.weight != 0.0 && self.divergence.is_none()
    }
}

/// A buffer for so many samples of a data set.
pub(super) fn gathered_for(data: &Dataset, samples: usize) -> GatherBuffer {
    let outputs = match data.targets() {
        data::Targets::Values { outputs, .. } => *outputs,
        _ => 0,
    };
    GatherBuffer::new(samples, data.features(), outputs)
}

/// The gathered samples as a model takes them: the seam between the rooms of data and of models.
pub(super) fn samples_of(gathered: &GatherBuffer) -> Samples<'_> {
    let targets = match (gathered.labels(), gathered.values()) {
        ([], values) if values.ncols() == 0 => BatchTargets::None,
        ([], values) => BatchTargets::Values(values),
        (labels, _) => BatchTargets::Classes(labels),
    };
    Samples { inputs: gathered.inputs(), targets, weights: gathered.weights() }
}
