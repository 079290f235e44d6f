//! The result of a run, and the place where it diverged.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::noise_scale::NoiseScale;
use super::phase::PhaseTimes;
use super::position::Position;
use super::samples::{gathered_for, samples_of};
use super::snapshot::Snapshot;
use crate::data::Dataset;
use crate::model::AnyModel;
use crate::optim::Optimizer;

/// The result of a run.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{Samples, from_fn};
/// use phalanx::optim::{OptimizerKind, OptimizerOptions};
/// use phalanx::train::{Length, Options, Outcome, Position, Snapshot, StopReason, Trainer};
///
/// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// let optimizer = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
/// let run = |steps| Options { optimizer: optimizer.clone(), batch_size: 2, length: Length::Steps(steps), ..Options::default() };
///
/// let outcome: Outcome = Trainer::new(&mean, &data, run(3)).run()?;
/// assert_eq!(outcome.reason, StopReason::Completed);
/// let names: Vec<&str> = outcome.state.iter().map(|(name, _)| *name).collect();
/// assert_eq!(names, ["exp_avg", "exp_avg_sq"]);
/// // Its position is after the first of the two batches of its second epoch.
/// let Position { step, epoch, batch, sums, .. } = outcome.position;
/// assert_eq!((step, epoch, batch, sums.samples), (3, 1, 1, 2));
///
/// // A run resumed from there is bit-identical to an uninterrupted one.
/// let snapshot: Snapshot = outcome.snapshot().expect("the run did not diverge");
/// let longer = Trainer::new(&mean, &data, run(8)).resume(snapshot).run()?;
/// assert_eq!(longer.params, Trainer::new(&mean, &data, run(8)).run()?.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The params.
    pub params: Vec<f32>,
    /// The optimizer's state: the name of each state vector, as in PyTorch, with one value per
    /// param.
    pub state: Vec<(&'static str, Vec<f32>)>,
    /// The number of steps done, including skipped ones, but not a step that ended the run by
    /// diverging.
    pub steps: u64,
    /// The position of the run; meaningless if it diverged, because the params are then those
    /// before the last step.
    pub position: Position,
    /// The reason why the run ended.
    pub reason: StopReason,
    /// The step that diverged and so ended the run, if one did.
    pub divergence: Option<Divergence>,
    /// The times of each rank of this process, in rank order, since the run began or was resumed;
    /// scoring is not included in any phase.
    pub phases: Vec<PhaseTimes>,
    /// The params of the best epoch, [`Position::best`], if they were
    /// [kept](super::Options::keep_best) and an epoch was completed.
    pub best_params: Option<Vec<f32>>,
    /// The gradient noise scale, if it was measured.
    pub noise_scale: Option<NoiseScale>,
}

impl Outcome {
    /// Returns the params to use: the best, if they were [kept](super::Options::keep_best),
    /// otherwise the final ones.
    pub fn chosen_params(&self) -> &[f32] {
        self.best_params.as_ref().unwrap_or(&self.params)
    }

    /// Returns a snapshot from which a longer run can be resumed; `None` if this one diverged.
    ///
    /// # Cost
    ///
    /// Copies the params and the state.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state.iter().map(|(name, values)| ((*name).to_owned(), values.clone()));
        let best = self.best_params.clone().unwrap_or_default();
        (self.reason != StopReason::Diverged)
            .then(|| Snapshot::new(self.position, self.params.clone(), state.collect()).with_best(best))
    }
}

/// The reason why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All its steps were done.
    Completed,
    /// The run went [`Options::early_stop`](super::Options::early_stop) epochs without improvement
    /// over its best epoch. In files it is `completed`.
    #[serde(rename = "completed", skip_deserializing)]
    StoppedEarly,
    /// The stop flag was set, or a subscriber failed; the run ended after the next step at the
    /// latest.
    Interrupted,
    /// The loss, the gradient or the updated params were NaN or infinite; the params are those
    /// before that step.
    Diverged,
}

/// The end of a run on one rank.
pub(super) struct RankOutcome {
    pub(super) reason: StopReason,
    /// The point at which the last step diverged, if it did, and its batch as a range of the sample
    /// order.
    pub(super) diverged: Option<(DivergedAt, Range<usize>)>,
    pub(super) optimizer: Optimizer,
    pub(super) position: Position,
    /// The rank's segment of the best params.
    pub(super) best: Vec<f32>,
    pub(super) phases: PhaseTimes,
}

/// Joins the ranks' segments of the optimizer's state and of the best params, which are in rank
/// order.
pub(super) fn outcome(ranks: &[RankOutcome], params: Vec<f32>, keep_best: bool) -> Outcome {
    let RankOutcome { reason, position, .. } = ranks[0];
    let names = ranks[0].optimizer.state().map(|(name, _)| name).enumerate();
    let state = names.map(|(index, name)| {
        let parts = ranks.iter().filter_map(|rank| rank.optimizer.state().nth(index));
        (name, parts.flat_map(|(_, values)| values).copied().collect())
    });
    let best = || ranks.iter().flat_map(|rank| &rank.best).copied().collect();
    Outcome {
        params,
        state: state.collect(),
        steps: position.step - u64::from(reason == StopReason::Diverged),
        position,
        reason,
        divergence: None,
        phases: ranks.iter().map(|rank| rank.phases).collect(),
        best_params: (keep_best && position.best.is_some()).then(best),
        noise_scale: (position.noise_scale.measurements() > 0).then_some(position.noise_scale),
    }
}

/// The first value that was NaN or infinite: shards in order, their loss before their gradient,
/// tensors in the order of the params. Steps are counted from 1; shards are numbered within the
/// step, from 0, regardless of the rank that computed them.
///
/// # Examples
///
/// ```
/// use phalanx::train::Divergence;
///
/// let divergence = Divergence::Loss { step: 17, shard: 3 };
/// assert_eq!(divergence.to_string(), "step 17: the loss of shard 3 is NaN or infinite");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The loss of a shard.
    Loss {
        /// The step.
        step: u64,
        /// The shard.
        shard: usize,
    },
    /// The gradient of a tensor, in a shard.
    Gradient {
        /// The step.
        step: u64,
        /// The tensor.
        tensor: String,
        /// The shard.
        shard: usize,
    },
    /// The gradient of the whole step, although that of each shard is finite.
    Sum {
        /// The step.
        step: u64,
    },
    /// A tensor of the params after the update, although the gradient was finite. The params before
    /// the update are kept.
    Update {
        /// The step.
        step: u64,
        /// The tensor.
        tensor: String,
    },
}

impl Divergence {
    /// Returns the step that diverged, counted from 1.
    pub fn step(&self) -> u64 {
        match self {
            Self::Loss { step, .. } | Self::Gradient { step, .. } | Self::Update { step, .. } => *step,
            Self::Sum { step } => *step,
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: ", self.step())?;
        match self {
            Self::Loss { shard, .. } => write!(f, "the loss of shard {shard} is NaN or infinite"),
            Self::Gradient { tensor, shard, .. } => {
                write!(f, "the gradient of {tensor} is NaN or infinite in shard {shard}")
            }
            Self::Sum { .. } => {
                f.write_str("the gradient is NaN or infinite, although that of each shard is finite")
            }
            Self::Update { tensor, .. } => write!(f, "the update made {tensor} NaN or infinite"),
        }
    }
}

/// The point at which a step was found to diverge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DivergedAt {
    /// In its loss or its gradient: nothing was changed.
    Gradient,
    /// In this param, the first of several, after the update: the params are restored, the
    /// optimizer's state is not.
    Param(usize),
}

/// Finds the first shard of a step whose loss or gradient is NaN or infinite, by recomputing the
/// shards one by one.
pub(super) fn find_divergence<'s>(
    model: &AnyModel<'_>,
    data: &Dataset,
    params: &[f32],
    step: u64,
    shards: impl Iterator<Item = &'s [u32]> + Clone,
) -> Divergence {
    let most = shards.clone().map(<[u32]>::len).max().unwrap_or(0);
    let (mut gathered, mut workspace) = (gathered_for(data, most), model.workspace(most));
    let mut grads = vec![0.0; params.len()];
    for (shard, samples) in shards.enumerate() {
        data.gather(samples, &mut gathered);
        gathered.clear_weightless();
        let samples = samples_of(&gathered);
        if samples.total_weight() == 0.0 {
            continue;
        }
        grads.fill(0.0);
        let loss = model.gradient(params, &samples, &mut grads, &mut workspace);
        if !loss.is_finite() {
            return Divergence::Loss { step, shard };
        }
        if let Some(param) = grads.iter().position(|grad| !grad.is_finite()) {
            return Divergence::Gradient { step, tensor: tensor_of(model, param), shard };
        }
    }
    Divergence::Sum { step }
}

/// Returns the name of the tensor that a param belongs to.
pub(super) fn tensor_of(model: &AnyModel<'_>, param: usize) -> String {
    let mut end = 0;
    let tensor = model.tensors().into_iter().find(|tensor| {
        end += tensor.len();
        param < end
    });
    tensor.expect("a param belongs to a tensor").name
}
