//! The errors of training.

use std::any::Any;
use std::error::Error;
use std::io;

use super::options::Metric;
use super::outcome::Outcome;
use super::phase::Phase;
use crate::collective::CollectiveError;
use crate::model::DataMismatch;
use crate::optim::{OptimError, OptimizerKind};

/// The reason why a run could not begin, or failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A penalty on the sum of a batch, and a gradient that is no sum divided by the weight of the batch.
    #[error(
        "l2-form batch-sum adds the penalty to the sum that the mean divides, but the reduction is {reduction}; choose the \
         reduction mean, or l2-form gradient"
    )]
    L2Form {
        /// The reduction.
        reduction: crate::optim::Reduction,
    },
    /// There is no thread to train on.
    #[error("0 threads cannot train; give at least 1")]
    ZeroThreads,
    /// A batch has no samples.
    #[error("a batch of 0 samples teaches nothing; give a batch size of at least 1")]
    ZeroBatch,
    /// A batch is cut into no shards.
    #[error("a batch cannot be cut into 0 shards; give at least 1, or auto")]
    ZeroShards,
    /// The run has no step.
    #[error("0 epochs or steps train nothing; give at least 1")]
    ZeroLength,
    /// There are no samples.
    #[error("there are no training samples; give data with at least one")]
    NoSamples,
    /// Leaving out the short last batch leaves nothing.
    #[error(
        "{samples} training samples make no whole batch of {batch_size}, and the short last batch is to be dropped; \
         lower the batch size or keep the last batch"
    )]
    NoWholeBatch {
        /// Samples of the data.
        samples: usize,
        /// Samples of a batch.
        batch_size: usize,
    },
    /// The weights of all samples are 0.
    #[error("the weights of all {samples} training samples are 0; at least one must be above")]
    ZeroWeight {
        /// Samples of the data.
        samples: usize,
    },
    /// The weights of all samples that are to be scored are 0.
    #[error(
        "the weights of all {samples} samples to score are 0, so that they have no mean loss; give samples of which at least one weighs more, or leave the weights out"
    )]
    ZeroScoreWeight {
        /// Samples of the data.
        samples: usize,
    },
    /// Weights that sums of gradients cannot be divided by.
    #[error(
        "the sample weights go down to {least:e} and add up to {total:e}, expected 1.2e-38 or more and at most 3.4e38; rescale them"
    )]
    ExtremeWeights {
        /// The least above 0.
        least: f32,
        /// The sum of all.
        total: f64,
    },
    /// The largest norm of a gradient is not above 0.
    #[error("a gradient cannot be clipped to a norm of {found:?}; give a number above 0")]
    ClipNorm {
        /// The norm given.
        found: f64,
    },
    /// The gradient noise scale is to be measured in no step.
    #[error("the gradient noise scale cannot be measured every 0 steps; give at least 1, or leave it out")]
    ZeroNoiseInterval,
    /// A batch has no samples to compare.
    #[error(
        "the gradient noise scale compares the samples of a batch, but a batch has 1; raise the batch size, or leave it out"
    )]
    NoiseOfOneSample,
    /// A batch has no shards to compare.
    #[error(
        "the gradient noise scale compares the shards of a batch, but a batch of {samples} samples is 1 shard; \
         give 2 shards or more, or leave it out"
    )]
    NoiseOfOneShard {
        /// Samples of the largest batch.
        samples: usize,
    },
    /// The rate is to follow the batch size, from an unknown one.
    #[error("scaling the rate needs the batch size it was found with; give a base batch size of at least 1")]
    NoBaseBatch,
    /// A base batch size is given, but the rate is not to follow the batch size.
    #[error(
        "the base batch size {found} has no effect without scaling of the rate; choose linear or sqrt, or drop it"
    )]
    UnusedBaseBatch {
        /// The value given.
        found: usize,
    },
    /// The params to start from are not those of the model.
    #[error("{found} initial params were given, but the model has {expected}")]
    InitialParams {
        /// Params given.
        found: usize,
        /// Params of the model.
        expected: usize,
    },
    /// The run is to be saved every 0 steps or epochs.
    #[error("a run cannot be saved every 0 steps or epochs; give at least 1, or never")]
    ZeroSaveEvery,
    /// The params to resume from are not those of the model.
    #[error(
        "{found} params were saved, but the model has {expected}; the model cannot change when a run is resumed"
    )]
    ResumedParams {
        /// Params saved.
        found: usize,
        /// Params of the model.
        expected: usize,
    },
    /// The state to resume from is not that of the optimizer.
    #[error(
        "the saved state of the optimizer is {found:?}, but {kind} with these options keeps {expected:?}; the optimizer cannot change when a run is resumed"
    )]
    ResumedState {
        /// The optimizer.
        kind: OptimizerKind,
        /// State vectors saved.
        found: Vec<String>,
        /// State vectors that the optimizer keeps.
        expected: &'static [&'static str],
    },
    /// The run cannot stand where it was saved.
    #[error(
        "the run was saved after step {step}, {samples} samples and {batch} steps into epoch {epoch}, which does not fit batches of \
         {batch_size} and {steps_per_epoch} steps an epoch; \
         neither the batch size nor the number of training samples can change when a run is resumed"
    )]
    ResumedPosition {
        /// Steps done.
        step: u64,
        /// 0-based epoch.
        epoch: u64,
        /// Batches of it that are done.
        batch: u64,
        /// Samples of it that are done.
        samples: u64,
        /// Steps of an epoch now.
        steps_per_epoch: u64,
        /// Samples of a batch now.
        batch_size: usize,
    },
    /// A metric needs data that is missing.
    #[error("the params cannot be judged by {metric} without {missing}; give some, or choose another metric")]
    Metric {
        /// The metric.
        metric: Metric,
        /// The missing data.
        missing: &'static str,
    },
    /// The least gain is negative or NaN.
    #[error("an epoch cannot be the best with a gain of more than {found:?}; give a number of 0 or more")]
    MinGain {
        /// The value given.
        found: f64,
    },
    /// The run would stop before it could have a best epoch.
    #[error("a run cannot stop after 0 epochs without gain; give at least 1, or leave it out")]
    ZeroEarlyStop,
    /// The best params of the run so far were not saved.
    #[error(
        "the run to be resumed did not keep its best params, which are lost; resume it as it was, without keeping them"
    )]
    ResumedBest,
    /// The run to be resumed has stopped early.
    #[error(
        "the run stopped early after {epoch} epochs, of which epoch {best} was the best; let it go on for more epochs without gain (early_stop)"
    )]
    StoppedEarly {
        /// Epochs done.
        epoch: u64,
        /// The best of them, counted from 1.
        best: u64,
    },
    /// The run to be resumed is complete.
    #[error(
        "the run was saved after step {step}, and all its {total} steps are done; give it more epochs or steps"
    )]
    NothingLeft {
        /// Steps done.
        step: u64,
        /// Steps of the run.
        total: u64,
    },
    /// The model and the data do not fit each other.
    #[error(transparent)]
    Misfit(#[from] DataMismatch),
    /// The optimizer, the rate or the schedule is invalid.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// The system does not give the memory that the model needs.
    #[error(
        "to train a model of {params} params on {samples} samples of {features} features at a time takes {} MB of memory or more, which the \
         system does not give; choose smaller layers or batches, or raise its limit (ulimit -v)", bytes.div_ceil(1_000_000)
    )]
    Memory {
        /// Params of the model.
        params: usize,
        /// Samples that are gathered at a time.
        samples: usize,
        /// Their features.
        features: usize,
        /// The least that is needed.
        bytes: usize,
    },
    /// The system does not give the memory to score or predict samples.
    #[error(
        "to score {samples} samples of {features} features at a time takes {} MB of memory, which the system does not give; raise its \
         limit (ulimit -v)", bytes.div_ceil(1_000_000)
    )]
    ScoreMemory {
        /// Samples that are gathered at a time.
        samples: usize,
        /// Their features.
        features: usize,
        /// The memory needed.
        bytes: usize,
    },
    /// A thread could not be started.
    #[error("the thread of rank {rank} could not be started: {source}; lower the number of threads")]
    Spawn {
        /// Rank without a thread.
        rank: usize,
        /// The error of the system.
        source: io::Error,
    },
    /// The processes of a run were not started alike.
    #[error(
        "process {process} and process 0 differ in {what}: {found} there, {expected} in process 0; start all with the same options and data"
    )]
    Disagreement {
        /// The first process that differs from process 0.
        process: usize,
        /// The value that differs.
        what: String,
        /// The value there.
        found: String,
        /// The value in process 0.
        expected: String,
    },
    /// The processes could not continue together. The ranks that the source names are processes.
    #[error("{}", of_processes(source))]
    Processes {
        /// The cause.
        source: CollectiveError,
    },
    /// A rank panicked.
    #[error("rank {rank} panicked in step {step}, {phase}: {message}")]
    Panicked {
        /// The rank.
        rank: usize,
        /// The step, counted from 1.
        step: u64,
        /// The phase it was in, such as "in the update".
        phase: &'static str,
        /// The message of the panic.
        message: String,
        /// The params as the last whole step left them, also if this one was in the middle of its update.
        params: Vec<f32>,
    },
    /// A subscriber panicked, and nothing receives the events of the ranks.
    #[error("the subscribers of the run are gone")]
    SubscribersGone,
    /// A subscriber failed.
    #[error("{source}")]
    Subscriber {
        /// The cause.
        source: SubscriberError,
        /// The outcome of the run until then.
        outcome: Box<Outcome>,
    },
    /// The ranks could not continue together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
}

impl TrainError {
    /// Returns whether the options are at fault, which no data could make good.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        use TrainError::{
            ClipNorm, L2Form, Metric, MinGain, NoBaseBatch, Optim, UnusedBaseBatch, ZeroBatch, ZeroEarlyStop,
            ZeroLength, ZeroShards, ZeroThreads,
        };
        matches!(
            self,
            ZeroThreads
                | ZeroBatch
                | ZeroShards
                | ZeroLength
                | ClipNorm { .. }
                | Metric { .. }
                | MinGain { .. }
                | ZeroEarlyStop
                | L2Form { .. }
                | NoBaseBatch
                | UnusedBaseBatch { .. }
                | Optim(_)
        )
    }
}

/// The reason why a subscriber cannot continue.
pub type SubscriberError = Box<dyn Error + Send + Sync>;

impl TrainError {
    /// Returns the error of a rank that was last in a step, counted from 0, and a phase of it.
    pub(super) fn panicked(rank: usize, (step, phase): (u64, Phase), payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let message = message.unwrap_or_else(|| "without a message".to_owned());
        Self::Panicked { rank, step: step + 1, phase: phase.text(), message, params: Vec::new() }
    }

    /// Returns the distance of an error from the cause: an error of the rank itself comes before one that others caused.
    pub(super) fn remoteness(&self) -> u8 {
        match self {
            Self::Spawn { .. } | Self::Panicked { .. } => 0,
            Self::Collective(_) => 2,
            _ => 1,
        }
    }
}

/// Returns the text of an error between processes.
fn of_processes(source: &CollectiveError) -> String {
    match source {
        CollectiveError::Left { rank } => {
            format!(
                "process {rank} is gone, but others still need it; see what it says, and resume from the last checkpoint"
            )
        }
        CollectiveError::TimedOut { waited, missing } => format!(
            "waited {waited:?} for processes {missing:?}, which did not come; find what holds them up or set a longer timeout, and resume \
             from the last checkpoint"
        ),
        other => format!("the processes do not go together: {other}"),
    }
}
