//! One step of one rank: contribute, then combine.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::combiner::{Combiner, StepSums, step_sums};
use super::contribution::{Contribution, Piece, most_samples, most_shards, pieces};
use super::norms::Norms;
use super::shards::part;
use super::trainer::Run;
use super::{PhaseTimes, Plan, TrainError};
use crate::collective::{Communicator, Peers, Shared};
use crate::data::{self, Dataset, Gathered};
use crate::model::{Model, Samples, Targets};
use crate::optim::Optimizer;

/// What a rank keeps from step to step. Nothing in it is allocated after [`new`](Self::new).
pub(super) struct Step<'a, M: Model> {
    plan: &'a Plan,
    model: &'a M,
    data: &'a Dataset,
    params: &'a Shared<f32>,
    order: &'a Shared<u32>,
    gathered: Gathered,
    workspace: M::Workspace,
    /// Where the shards of the piece in hand start among its samples.
    bounds: Vec<usize>,
    contribution: Contribution,
    combiner: Combiner,
    /// The reduced gradient of this rank's segment, then its direction.
    grads: Vec<f32>,
    norms: Norms,
    pub(super) optimizer: Optimizer,
    pub(super) times: PhaseTimes,
}

/// What all ranks know after a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepResult {
    pub(super) sums: StepSums,
    /// Global norm of the reduced gradient, if it was needed.
    pub(super) grad_norm: Option<f64>,
    /// Whether rank 0 was asked to stop.
    pub(super) stop: bool,
    /// Whether the loss is no number any more; the params are then those before the step.
    pub(super) diverged: bool,
}

impl<'a, M: Model> Step<'a, M> {
    pub(super) fn new(run: &'a Run<'a, M>, rank: usize) -> Self {
        let Run { plan, model, train: data, params, order, .. } = run;
        let segment = params.segment(rank);
        let samples = most_samples(plan);
        let shards = plan.shards_of(plan.max_batch_samples());
        Self {
            plan,
            model,
            data,
            params,
            order,
            gathered: gathered_for(data, samples),
            workspace: model.workspace(samples),
            bounds: Vec::with_capacity(shards + 1),
            contribution: Contribution::new(plan, *model, rank),
            combiner: Combiner::new(shards),
            grads: vec![0.0; segment.len()],
            norms: Norms::new(plan, rank),
            optimizer: Optimizer::new(plan.hyper(), plan.blocks(), plan.block_run(rank)),
            times: PhaseTimes::default(),
        }
    }

    /// Does one step on the samples at `batch` of the sample order; all arguments but `stop`, which counts on rank 0,
    /// are the same on every rank.
    pub(super) fn run(
        &mut self,
        comm: &mut Communicator,
        batch: Range<usize>,
        rate: f64,
        stop: bool,
    ) -> Result<StepResult, TrainError> {
        self.contribute(comm, batch, stop)?;
        if self.norms.needed() { self.combine_with_norms(comm, rate) } else { self.combine(comm, rate) }
    }

    /// Computes the gradient sums of this rank's shards.
    fn contribute(&mut self, comm: &Communicator, batch: Range<usize>, stop: bool) -> Result<(), TrainError> {
        let start = Instant::now();
        let params = self.params.read(comm)?;
        let batch = &self.order.read(comm)?[batch];
        let shards = self.plan.shards_of(batch.len());
        self.contribution.clear();
        self.contribution.stop = stop;
        for node in pieces(part(shards, comm.world_size(), comm.rank()), most_shards(self.plan)) {
            let first = part(batch.len(), shards, node.leaves().start).start;
            self.bounds.clear();
            self.bounds.push(0);
            self.bounds.extend(node.leaves().map(|shard| part(batch.len(), shards, shard).end - first));
            let samples = self.bounds[self.bounds.len() - 1];
            self.data.gather(&batch[first..first + samples], &mut self.gathered);
            let piece = Piece { node, gathered: &self.gathered, bounds: &self.bounds };
            self.contribution.push(&piece, self.plan.reduction(), (self.model, params, &mut self.workspace));
        }
        self.times.compute += start.elapsed();
        Ok(())
    }

    /// Combines, divides and updates this rank's segment in one round.
    fn combine(&mut self, comm: &mut Communicator, rate: f64) -> Result<StepResult, TrainError> {
        let Self { plan, params, contribution, combiner, grads, optimizer, times, .. } = self;
        let segment = params.segment(comm.rank());
        let watch = Watch::start();
        let (result, watch) = comm.update(params, contribution, |peers, params| {
            let watch = watch.opened();
            let result = reduce(plan, &peers, combiner, segment, grads);
            if result.changes_params() {
                optimizer.update(rate, params, grads);
            }
            (result, watch.worked())
        })?;
        watch.closed(times);
        Ok(result)
    }

    /// The same in several rounds, where norms over the whole gradient or over tensors are needed in between.
    fn combine_with_norms(&mut self, comm: &mut Communicator, rate: f64) -> Result<StepResult, TrainError> {
        let Self { plan, params, contribution, combiner, grads, norms, optimizer, times, .. } = self;
        let segment = params.segment(comm.rank());
        let watch = Watch::start();
        let (mut result, watch) = comm.lend(contribution, |peers| {
            let watch = watch.opened();
            let result = reduce(plan, &peers, combiner, segment.clone(), grads);
            (result, watch.worked())
        })?;
        watch.closed(times);
        if result.changes_params() {
            let watch = Watch::start();
            result.grad_norm = norms.clip(comm, plan.blocks(), grads)?;
            norms.prepare(optimizer, &params.read(comm)?[segment], grads);
            norms.exchange(comm)?;
            let watch = watch.worked().less(norms.take_waited());
            let watch = comm.update(params, &(), |_, params| {
                let watch = watch.opened();
                norms.finish(optimizer, rate, params, grads);
                watch.worked()
            })?;
            watch.closed(times);
        }
        Ok(result)
    }
}

/// Writes the gradient of the step for the params in `segment`, if it is to change them.
fn reduce(
    plan: &Plan,
    peers: &Peers<'_, Contribution>,
    combiner: &mut Combiner,
    segment: Range<usize>,
    grads: &mut [f32],
) -> StepResult {
    let sums = step_sums(peers);
    let result =
        StepResult { sums, grad_norm: None, stop: peers.get(0).stop, diverged: !sums.loss.is_finite() };
    if result.changes_params() {
        combiner.combine(peers, segment, plan.reduction().step_divisor(sums.shards, sums.weight), grads);
    }
    result
}

impl StepResult {
    /// A step of total weight 0 changes nothing, nor does one whose loss is no number.
    fn changes_params(&self) -> bool {
        self.sums.weight != 0.0 && !self.diverged
    }
}

/// A buffer for so many samples of a data set.
pub(super) fn gathered_for(data: &Dataset, samples: usize) -> Gathered {
    let outputs = match data.targets() {
        data::Targets::Values { outputs, .. } => *outputs,
        _ => 0,
    };
    Gathered::new(samples, data.features(), outputs)
}

/// The gathered samples as a model takes them: the seam between the rooms of data and of models.
pub(super) fn samples_of(gathered: &Gathered) -> Samples<'_> {
    let targets = match (gathered.labels(), gathered.values()) {
        ([], values) if values.ncols() == 0 => Targets::None,
        ([], values) => Targets::Values(values),
        (labels, _) => Targets::Classes(labels),
    };
    Samples { inputs: gathered.inputs(), targets, weights: gathered.weights() }
}

/// Tells the waiting before and after a round from the work within.
struct Watch {
    mark: Instant,
    wait: Duration,
    work: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { mark: Instant::now(), wait: Duration::ZERO, work: Duration::ZERO }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.mark, now)
    }

    fn opened(mut self) -> Self {
        let lap = self.lap();
        self.wait += lap;
        self
    }

    fn worked(mut self) -> Self {
        let lap = self.lap();
        self.work += lap;
        self
    }

    /// Counts as waiting what was taken for work.
    fn less(mut self, waited: Duration) -> Self {
        self.work = self.work.saturating_sub(waited);
        self.wait += waited;
        self
    }

    fn closed(mut self, times: &mut PhaseTimes) {
        let lap = self.lap();
        self.wait += lap;
        times.wait += self.wait;
        times.reduce_update += self.work;
    }
}
