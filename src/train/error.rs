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

/// The reason why a run could not start, or failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A penalty on the sum of a batch, with a gradient that is not a sum divided by the weight of
    /// the batch.
    #[error(
        "the l2 forms batch-sum and data-sum belong to objectives whose gradient is the mean of the batch, but the reduction is \
         {reduction}; use the reduction mean, or the l2 form gradient"
    )]
    L2Form {
        /// The reduction.
        reduction: crate::optim::Reduction,
    },
    /// The number of threads is 0.
    #[error("the number of threads is 0; it must be at least 1")]
    ZeroThreads,
    /// The batch size is 0.
    #[error("the batch size is 0; it must be at least 1")]
    ZeroBatch,
    /// The number of shards is 0.
    #[error("the number of shards is 0; it must be at least 1, or auto")]
    ZeroShards,
    /// The run has no steps.
    #[error("the number of epochs or steps is 0; it must be at least 1")]
    ZeroLength,
    /// There are no samples.
    #[error("there are no training samples; use data with at least one")]
    NoSamples,
    /// Without the short last batch there are no steps.
    #[error(
        "{samples} training samples do not fill a batch of {batch_size}, and the short last batch is dropped; \
         lower the batch size or keep the last batch"
    )]
    NoWholeBatch {
        /// The number of samples of the data.
        samples: usize,
        /// The number of samples of a batch.
        batch_size: usize,
    },
    /// The weights of all samples are 0.
    #[error("the weights of all {samples} training samples are 0; at least one must be positive")]
    ZeroWeight {
        /// The number of samples of the data.
        samples: usize,
    },
    /// Predictions of a model that does not predict.
    #[error(
        "the model does not predict: implement `Model::prediction_len` and `Model::predict_samples`, or predict from its params yourself"
    )]
    NoPredictions,
    /// The params do not fit the model.
    #[error(
        "{found} params were given, but the model has {expected}; pass the params that this model was trained to"
    )]
    ParamsLen {
        /// The number of params passed.
        found: usize,
        /// The number of params of the model.
        expected: usize,
    },
    /// There are no samples to score.
    #[error("there are no samples to score, so they have no mean loss; use data with at least one")]
    NoScoreSamples,
    /// The weights of all samples to score are 0.
    #[error(
        "the weights of all {samples} samples to score are 0, so they have no mean loss; give at least one a positive weight"
    )]
    ZeroScoreWeight {
        /// The number of samples of the data.
        samples: usize,
    },
    /// Weights by which sums of gradients cannot be divided.
    #[error(
        "the smallest positive sample weight is {least:e} and the sum is {total:e}, expected at least 1.2e-38 and at most 3.4e38; rescale them"
    )]
    ExtremeWeights {
        /// The smallest positive weight.
        least: f32,
        /// The sum of all weights.
        total: f64,
    },
    /// The maximum norm of a gradient is not positive and finite.
    #[error("a gradient cannot be clipped to a norm of {found:?}; use a number above 0")]
    ClipNorm {
        /// The norm passed.
        found: f64,
    },
    /// The interval of the gradient noise scale is 0.
    #[error("the gradient noise scale cannot be measured every 0 steps; use at least 1, or omit it")]
    ZeroNoiseInterval,
    /// A batch does not have several samples to compare.
    #[error(
        "the gradient noise scale compares the samples of a batch, but each batch has 1 sample; use at least 2 per batch, or omit the noise scale"
    )]
    NoiseOfOneSample,
    /// A batch does not have several shards to compare.
    #[error(
        "the gradient noise scale compares the shards of a batch, but a batch of {samples} samples has 1 shard; \
         use at least 2 shards, or omit the noise scale"
    )]
    NoiseOfOneShard {
        /// The number of samples of the largest batch.
        samples: usize,
    },
    /// The learning rate is scaled to the batch size, but the base batch size is missing.
    #[error(
        "scaling the learning rate needs the batch size that the rate was tuned for; set a base batch size of at least 1"
    )]
    NoBaseBatch,
    /// A base batch size is set, but the learning rate is not scaled to the batch size.
    #[error(
        "the base batch size {found} has no effect unless the learning rate is scaled; choose linear or sqrt, or omit it"
    )]
    UnusedBaseBatch {
        /// The value passed.
        found: usize,
    },
    /// The initial params do not fit the model.
    #[error("{found} initial params were given, but the model has {expected}")]
    InitialParams {
        /// The number of params passed.
        found: usize,
        /// The number of params of the model.
        expected: usize,
    },
    /// The interval of saves is 0 steps or epochs.
    #[error("a run cannot be saved every 0 steps or epochs; use at least 1, or never")]
    ZeroSaveEvery,
    /// The saved params do not fit the model.
    #[error(
        "{found} params were saved, but the model has {expected}; the model cannot change when a run is resumed"
    )]
    ResumedParams {
        /// The number of saved params.
        found: usize,
        /// The number of params of the model.
        expected: usize,
    },
    /// The saved state does not fit the optimizer.
    #[error(
        "the saved optimizer state is {found:?}, but {kind} with these options needs {expected:?}; resume with the optimizer of the run, or start a new run from its params"
    )]
    ResumedState {
        /// The optimizer.
        kind: OptimizerKind,
        /// The saved state vectors.
        found: Vec<String>,
        /// The state vectors that the optimizer needs.
        expected: &'static [&'static str],
    },
    /// The saved position does not fit the run.
    #[error(
        "the run was saved after step {step}, {samples} samples and {batch} steps into epoch {epoch}, which does not fit batches of \
         {batch_size} and {steps_per_epoch} steps an epoch; \
         the batch size, the number of training samples and whether the last batch is dropped cannot change when a run is resumed"
    )]
    ResumedPosition {
        /// Steps done.
        step: u64,
        /// 0-based epoch.
        epoch: u64,
        /// The number of completed batches of the epoch.
        batch: u64,
        /// The number of samples in these batches.
        samples: u64,
        /// The number of steps per epoch of this run.
        steps_per_epoch: u64,
        /// The batch size of this run.
        batch_size: usize,
    },
    /// A metric needs data that is missing.
    #[error("the metric {metric} needs {missing}; provide some, or choose another metric")]
    Metric {
        /// The metric.
        metric: Metric,
        /// The missing data.
        missing: &'static str,
    },
    /// The minimum gain is negative, infinite or NaN.
    #[error("the minimum gain is {found:?}; it must be 0 or more")]
    MinGain {
        /// The value passed.
        found: f64,
    },
    /// The run would stop before it has a best epoch.
    #[error("a run cannot stop after 0 epochs without improvement; use at least 1, or omit early stopping")]
    ZeroEarlyStop,
    /// The best params of the run so far were not saved.
    #[error(
        "the run to resume did not keep its best params, so they are lost; resume it without keep_best, as in the original run"
    )]
    ResumedBest,
    /// The run to resume stopped early.
    #[error(
        "the run stopped early after {epoch} epochs, of which epoch {best} was the best; allow more epochs without improvement (early_stop)"
    )]
    StoppedEarly {
        /// Epochs done.
        epoch: u64,
        /// The best of them, counted from 1.
        best: u64,
    },
    /// The run to resume is complete.
    #[error(
        "the run was saved after step {step}, so none of its {total} steps are left; to train longer, set more epochs or steps"
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
    /// The system cannot provide the memory that the model needs.
    #[error(
        "training a model of {params} params on {samples} samples of {features} features at a time needs at least {} MB of memory, which the \
         system cannot provide; choose smaller layers or batches, or raise its limit (ulimit -v)", bytes.div_ceil(1_000_000)
    )]
    Memory {
        /// The number of params of the model.
        params: usize,
        /// The number of samples that are gathered at a time.
        samples: usize,
        /// The number of their features.
        features: usize,
        /// The minimum number of bytes needed.
        bytes: usize,
    },
    /// The system cannot provide the memory to score or predict samples.
    #[error(
        "scoring {samples} samples of {features} features at a time needs {} MB of memory, which the system cannot provide; raise its \
         limit (ulimit -v)", bytes.div_ceil(1_000_000)
    )]
    ScoreMemory {
        /// The number of samples that are gathered at a time.
        samples: usize,
        /// The number of their features.
        features: usize,
        /// The number of bytes needed.
        bytes: usize,
    },
    /// A thread could not be started.
    #[error("the thread of rank {rank} could not be started: {source}; lower the number of threads")]
    Spawn {
        /// The rank without a thread.
        rank: usize,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The processes of a run were started with different options or data.
    #[error(
        "process {process} and process 0 differ in {what}: {found}, expected {expected} as in process 0; start all processes with the same options and data"
    )]
    Disagreement {
        /// The first process that differs from process 0.
        process: usize,
        /// The name of the value that differs.
        what: String,
        /// The value in this process.
        found: String,
        /// The value in process 0.
        expected: String,
    },
    /// The processes could not continue together. The ranks in the source are processes.
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
        /// The phase of the rank, such as "in the update".
        phase: &'static str,
        /// The message of the panic.
        message: String,
        /// The params as the last complete step left them, even if this one was in the middle of
        /// its update.
        params: Vec<f32>,
    },
    /// A subscriber panicked, so the events of the ranks have no receiver.
    #[error("the subscribers of the run have ended")]
    SubscribersGone,
    /// A subscriber failed.
    #[error("{source}")]
    Subscriber {
        /// The cause.
        source: SubscriberError,
        /// The outcome of the run up to that point.
        outcome: Box<Outcome>,
    },
    /// The ranks could not continue together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
}

impl TrainError {
    /// Returns whether the run was requested wrongly: an option is out of range (except an interval
    /// of 0), two options contradict each other, or the metric needs data that is missing.
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
    /// Returns the error of a rank whose last recorded step, counted from 0, and phase are given.
    pub(super) fn panicked(rank: usize, (step, phase): (u64, Phase), payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let message = message.unwrap_or_else(|| "no message".to_owned());
        Self::Panicked { rank, step: step + 1, phase: phase.text(), message, params: Vec::new() }
    }

    /// Returns how far an error is from the root cause: an error of the rank itself ranks before an
    /// error that other ranks caused.
    pub(super) fn distance_from_cause(&self) -> u8 {
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
                "process {rank} has ended, but other processes still need it; see its output, and resume from the last checkpoint, if there is one"
            )
        }
        CollectiveError::TimedOut { waited, missing } => format!(
            "waited {waited:?} for processes {missing:?}, which did not respond; find out what delays them or set a longer timeout, and resume \
             from the last checkpoint, if there is one"
        ),
        other => format!("the processes cannot continue together: {other}"),
    }
}
