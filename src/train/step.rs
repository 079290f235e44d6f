//! One step of one rank: contribute, then combine.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::combiner::{Combiner, StepSums, step_sums};
use super::contribution::{Contribution, Piece, most_samples, most_shards, pieces};
use super::norms::Norms;
use super::shards::part;
use super::trainer::Run;
use super::{PhaseTimes, Plan, TrainError};
use crate::collective::{Communicator, Shared};
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
    /// Whether the loss or the gradient is no number any more; the params are then those before the step.
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
        let (mut result, finite) = self.reduce(comm)?;
        if result.changes_params() {
            let finite = if self.norms.needed() {
                let (finite, grad_norm) = self.update_with_norms(comm, rate, finite)?;
                result.grad_norm = grad_norm;
                finite
            } else {
                self.update(comm, rate, finite)?
            };
            result.diverged = !finite;
        }
        Ok(result)
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
            self.gathered.clear_weightless();
            let piece = Piece { node, gathered: &self.gathered, bounds: &self.bounds };
            self.contribution.push(&piece, self.plan.reduction(), (self.model, params, &mut self.workspace));
        }
        self.times.compute += start.elapsed();
        Ok(())
    }

    /// Combines and divides the gradient of this rank's segment; returns whether that is finite.
    fn reduce(&mut self, comm: &mut Communicator) -> Result<(StepResult, bool), TrainError> {
        let Self { plan, params, contribution, combiner, grads, times, .. } = self;
        let segment = params.segment(comm.rank());
        let watch = Watch::start();
        let (result, finite, watch) = comm.lend(contribution, |peers| {
            let watch = watch.opened();
            let sums = step_sums(&peers);
            let diverged = !sums.loss.is_finite();
            let result = StepResult { sums, grad_norm: None, stop: peers.get(0).stop, diverged };
            let finite = !result.changes_params() || {
                let divisor = plan.reduction().step_divisor(sums.shards, sums.weight);
                combiner.combine(&peers, segment, divisor, grads)
            };
            (result, finite, watch.worked())
        })?;
        watch.closed(times);
        Ok((result, finite))
    }

    /// Updates this rank's segment, if the whole gradient is finite; returns whether it is.
    fn update(&mut self, comm: &mut Communicator, rate: f64, finite: bool) -> Result<bool, TrainError> {
        let Self { params, grads, optimizer, times, .. } = self;
        let watch = Watch::start();
        let (finite, watch) = comm.update(params, &finite, |peers, params| {
            let watch = watch.opened();
            let finite = peers.iter().all(|finite| *finite);
            if finite {
                optimizer.update(rate, params, grads);
            }
            (finite, watch.worked())
        })?;
        watch.closed(times);
        Ok(finite)
    }

    /// The same in several rounds, where norms over the whole gradient or over tensors are needed in between. Returns
    /// the norm that clipping needs, too.
    fn update_with_norms(
        &mut self,
        comm: &mut Communicator,
        rate: f64,
        finite: bool,
    ) -> Result<(bool, Option<f64>), TrainError> {
        let Self { plan, params, grads, norms, optimizer, times, .. } = self;
        let segment = params.segment(comm.rank());
        let watch = Watch::start();
        if !comm.lend(&finite, |peers| peers.iter().all(|finite| *finite))? {
            return Ok((false, None));
        }
        let mut watch = watch.opened();
        let grad_norm = norms.clip(comm, plan.blocks(), grads)?;
        norms.prepare(optimizer, &params.read(comm)?[segment], grads);
        norms.exchange(comm)?;
        watch = watch.worked().less(norms.take_waited());
        let watch = comm.update(params, &(), |_, params| {
            let watch = watch.opened();
            norms.finish(optimizer, rate, params, grads);
            watch.worked()
        })?;
        watch.closed(times);
        Ok((true, grad_norm))
    }
}

impl StepResult {
    /// A step of total weight 0 changes nothing, nor does one whose loss or gradient is no number.
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
