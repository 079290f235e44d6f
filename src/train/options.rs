//! What a caller wants of a training run.

use std::time::Duration;

use super::{Metric, OnDivergence, Shards};
use crate::optim::{OptimizerOptions, Reduction, ScaleRate, ScheduleOptions};

/// Options of a run, unchecked; [`Plan::new`](super::Plan::new) checks them.
///
/// All but [`threads`](Self::threads) and [`timeout`](Self::timeout) are part of the mathematics: they decide the bits
/// of the result.
///
/// # Examples
///
/// ```
/// use phalanx::train::{Length, Options};
///
/// let options = Options { batch_size: 128, length: Length::Epochs(3), threads: 2, ..Options::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of ranks, each a thread of its own, in this process.
    pub threads: usize,
    /// Samples in one step over all ranks.
    pub batch_size: usize,
    /// How many shards a batch is cut into.
    pub shards: Shards,
    /// How per-sample gradients become the one gradient of a step.
    pub reduction: Reduction,
    /// When to stop.
    pub length: Length,
    /// The optimizer and its constants.
    pub optimizer: OptimizerOptions,
    /// Learning rate before scaling and schedule; `None` is the default of the optimizer.
    pub rate: Option<f64>,
    /// How the rate changes over the run.
    pub schedule: ScheduleOptions,
    /// How the rate follows the batch size.
    pub scale_rate: ScaleRate,
    /// The batch size that `rate` was found with, which `scale_rate` needs.
    pub base_batch_size: Option<usize>,
    /// Largest global norm of the reduced gradient; a longer one is scaled down to it.
    pub clip_grad_norm: Option<f64>,
    /// Whether a short last batch is left out.
    pub drop_last: bool,
    /// Whether each epoch takes the samples in an order of its own; otherwise as they are stored.
    pub shuffle: bool,
    /// What the params are judged by at the end of each whole epoch; `None` for the first of [`Metric::ALL`] that the data allow.
    pub metric: Option<Metric>,
    /// How much better than the best so far an epoch must be to be the best; more than 0 in any case.
    pub min_gain: f64,
    /// Ends the run once so many epochs have passed since the best; `None` for never.
    pub early_stop: Option<u64>,
    /// Whether a copy of the best params is kept, for [`Outcome::best_params`](super::Outcome::best_params).
    pub keep_best: bool,
    /// How often the gradient noise scale is measured; `None` for never. The params have the same bits either way.
    pub noise_scale: Option<NoiseInterval>,
    /// The last of every so many steps tells the global norm of its gradient, as every one does that clips; 0 for no more than those.
    /// It then writes the reduced gradient down, and reads it once more. The params have the same bits either way.
    pub grad_norm_every: u64,
    /// What to do with a step whose loss or gradient is no finite number.
    pub on_divergence: OnDivergence,
    /// Seed of initial params and sample order.
    pub seed: u64,
    /// How long a rank waits for the others before the run fails; `None` waits as long as they live. A subscriber
    /// that is a thousand steps behind holds up rank 0, and thereby the others.
    pub timeout: Option<Duration>,
}

impl Default for Options {
    /// 10 epochs of plain SGD on the mean gradient of 64 samples, on one thread.
    fn default() -> Self {
        Self {
            threads: 1,
            batch_size: 64,
            shards: Shards::Auto,
            reduction: Reduction::Mean,
            length: Length::Epochs(10),
            optimizer: OptimizerOptions::default(),
            rate: None,
            schedule: ScheduleOptions::default(),
            scale_rate: ScaleRate::None,
            base_batch_size: None,
            clip_grad_norm: None,
            drop_last: false,
            shuffle: true,
            metric: None,
            min_gain: 0.0,
            early_stop: None,
            keep_best: false,
            noise_scale: None,
            grad_norm_every: 0,
            on_divergence: OnDivergence::Stop,
            seed: 42,
            timeout: None,
        }
    }
}

/// How often the gradient noise scale is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseInterval {
    /// Every [`NoiseInterval::AUTO`] steps, which costs a perceptron at most 2 % of its time.
    Auto,
    /// Every so many steps.
    Steps(u64),
}

impl NoiseInterval {
    /// Steps from one measurement to the next with `Auto`. On one thread a measuring step takes 1.14 times the processor time of
    /// another with 784-128-10 and batches of 32, 1.07 times with 128, 1.06 times for 784-512-512-10 with 256, 1.13 times for
    /// softmax regression with 128 (Zen 4).
    pub const AUTO: u64 = 10;
}

/// When a run is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After so many passes over the training samples.
    Epochs(u64),
    /// After so many updates, in the middle of an epoch if need be.
    Steps(u64),
}
