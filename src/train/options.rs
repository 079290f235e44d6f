//! The options of a training run, and the choices for its fields: unchecked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::optim::{OptimizerOptions, Reduction, ScaleRate, ScheduleOptions};

/// Options of a run, unchecked; [`Plan::new`](super::Plan::new) checks them.
///
/// All options except [`threads`](Self::threads), [`timeout`](Self::timeout),
/// [`keep_best`](Self::keep_best), [`noise_scale`](Self::noise_scale) and
/// [`grad_norm_every`](Self::grad_norm_every) are part of the mathematics: they determine the bits
/// of the params.
///
/// By default, a run has 10 epochs of plain sgd with the rate 0.1 on the mean gradient of 64
/// shuffled samples, including the short last batch, on one thread, with the seed 42. It stops if
/// it diverges. All other options are off.
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
    /// The number of ranks in this process, each with its own thread.
    pub threads: usize,
    /// The number of samples in one step over all ranks.
    pub batch_size: usize,
    /// The number of shards into which a batch is divided.
    pub shards: Shards,
    /// The computation of the gradient of a step from per-sample gradients.
    pub reduction: Reduction,
    /// The length of the run.
    pub length: Length,
    /// The optimizer and its constants.
    pub optimizer: OptimizerOptions,
    /// The learning rate before scaling and schedule; `None` for the
    /// [default](crate::optim::OptimizerKind::default_rate) of the optimizer.
    pub rate: Option<f64>,
    /// The schedule of the rate over the run.
    pub schedule: ScheduleOptions,
    /// The rule by which the rate is scaled to the batch size.
    pub scale_rate: ScaleRate,
    /// The batch size for which `rate` was tuned; required by `scale_rate`.
    pub base_batch_size: Option<usize>,
    /// The maximum global norm of the reduced gradient; a gradient with a larger norm is scaled
    /// down to it.
    pub clip_grad_norm: Option<f64>,
    /// True to drop a short last batch.
    pub drop_last: bool,
    /// True to shuffle the samples in each epoch; false to take them in their stored order.
    pub shuffle: bool,
    /// The metric for the params at the end of each whole epoch; `None` for the first of
    /// [`Metric::ALL`] that the data allow.
    pub metric: Option<Metric>,
    /// The minimum improvement over the best epoch so far, which an epoch must exceed to become the
    /// best; finite and at least 0.
    pub min_gain: f64,
    /// Ends the run after this number of epochs without improvement; `None` for never.
    pub early_stop: Option<u64>,
    /// True to keep a copy of the best params, for
    /// [`Outcome::best_params`](super::Outcome::best_params).
    pub keep_best: bool,
    /// Measures the gradient noise scale every `n` steps, for example every
    /// [`NOISE_INTERVAL`](Self::NOISE_INTERVAL); `None` for never. The params have the same bits
    /// either way.
    pub noise_scale: Option<u64>,
    /// Reports the global norm of the gradient every `n` steps, in addition to the steps that clip;
    /// 0 to disable. Such a step stores the reduced gradient and reads it once more. The params
    /// have the same bits either way.
    pub grad_norm_every: u64,
    /// The reaction to a step whose loss or gradient is NaN or infinite.
    pub on_divergence: OnDivergence,
    /// The seed of the initial params and the sample order.
    pub seed: u64,
    /// The maximum time that a rank waits for the others before the run fails; `None` to wait as
    /// long as they are alive. Rank 0, and with it the others, also waits while the subscribers are
    /// 4096 events behind, or two epochs if any subscriber wants the params.
    pub timeout: Option<Duration>,
}

impl Default for Options {
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

impl Options {
    /// The default number of steps between measurements of the gradient noise scale. At this
    /// interval, measuring costs a perceptron at most 2 % of its time. On one thread, the processor
    /// time of a step that measures, divided by that of a step that does not, is 1.14 for
    /// 784-128-10 with batches of 32, 1.07 with batches of 128, 1.06 for 784-512-512-10 with
    /// batches of 256, and 1.13 for softmax regression with batches of 128 (Zen 4).
    pub const NOISE_INTERVAL: u64 = 10;
}

/// The length of a complete run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This number of passes over the training samples.
    Epochs(u64),
    /// This number of updates; the run may end in the middle of an epoch.
    Steps(u64),
}

/// The number of shards into which a batch is divided: part of the mathematics, never derived from
/// the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// Derived from the batch size only, see [`Shards::count`].
    Auto,
    /// This number. A batch with fewer samples has one shard per sample.
    Count(usize),
}

/// With `auto`, a shard has about this many samples: fewer would make matrix products inefficient.
const SAMPLES_OF_A_SHARD: usize = 32;
/// With `auto`, small batches are divided into at least this many shards, to keep as many threads
/// busy, as long as each shard has [`FEWEST_SAMPLES`].
const FEWEST: usize = 4;
/// With `auto`, the minimum number of samples per shard when a small batch is divided.
const FEWEST_SAMPLES: usize = 8;
/// With `auto`, the maximum number of shards, as long as each has at most [`MOST_SAMPLES`]: more
/// shards benefit no machine, and each costs a combination.
const MOST: usize = 64;
/// With `auto`, the maximum number of samples per shard, which bounds the memory of a rank.
const MOST_SAMPLES: usize = 1024;

impl Shards {
    /// Returns the number of shards of a batch of `batch_size` samples. A given number is returned
    /// unchanged, even if it exceeds the batch.
    ///
    /// `auto` is batch_size/32, but at least batch_size/8 or 4, whichever is less; at least 1; and
    /// at most 64 unless a shard would exceed 1024 samples: 1 for 8 samples, 2 for 16, 4 for 32 to
    /// 128, 8 for 256, 32 for 1024, 64 from 2048 to 65536. Both quotients are rounded down.
    pub fn count(self, batch_size: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Auto => {
                let small = FEWEST.min(batch_size / FEWEST_SAMPLES);
                let count = (batch_size / SAMPLES_OF_A_SHARD).clamp(small.max(1), MOST);
                count.max(batch_size.div_ceil(MOST_SAMPLES))
            }
        }
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Count)
                .map_err(|_| format!("'{text}' is neither a number of shards nor 'auto'")),
        }
    }
}

/// A measure of the quality of params.
///
/// # Examples
///
/// Ends a run after two epochs without an improvement of more than 0.01 in the test loss, with the
/// params of the best epoch:
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Length, Metric, Options, StopReason, Trainer};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options {
///     metric: Some(Metric::TestLoss),
///     min_gain: 0.01,
///     early_stop: Some(2),
///     keep_best: true,
///     length: Length::Epochs(100),
///     ..Options::default()
/// };
/// let test = data.test.expect("the digits have test samples");
/// let outcome = Trainer::new(&model, &data.train, options).test(&test).run()?;
/// assert_eq!(outcome.reason, StopReason::StoppedEarly);
/// let best = outcome.position.best.expect("at least one epoch was completed");
/// assert_eq!(best.epoch + 1 + 2, outcome.position.epoch);
/// assert_ne!(outcome.chosen_params(), outcome.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The share of the test samples whose class is predicted correctly: higher is better. For data
    /// whose targets are classes.
    TestAccuracy,
    /// The mean loss over the test samples: lower is better.
    TestLoss,
    /// The mean loss over the training samples of the epoch, each before its update: lower is
    /// better.
    TrainLoss,
}

impl Metric {
    /// All metrics. By default, a run uses the first that its data allow.
    pub const ALL: [Self; 3] = [Self::TestAccuracy, Self::TestLoss, Self::TrainLoss];

    /// Returns the name, as in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::TestAccuracy => "test-accuracy",
            Self::TestLoss => "test-loss",
            Self::TrainLoss => "train-loss",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|metric| metric.name() == text);
        let names = || Self::ALL.map(Self::name).join(", ");
        named.ok_or_else(|| format!("unknown metric '{text}'; choose one of {}", names()))
    }
}

/// The reaction to a step whose loss or gradient is NaN or infinite.
///
/// # Examples
///
/// A model whose loss overflows on one of the samples:
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{Samples, from_fn};
/// use phalanx::train::{Divergence, OnDivergence, Options, StopReason, Trainer};
///
/// let data = Dataset::from_arrays(array![[1.0], [2.0], [1e30], [6.0]], Targets::None, None)?;
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// let options = Options { batch_size: 1, ..Options::default() };
/// let stopped = Trainer::new(&mean, &data, options.clone()).run()?;
/// assert_eq!(stopped.reason, StopReason::Diverged);
/// assert_eq!(stopped.divergence.unwrap(), Divergence::Loss { step: 1, shard: 0 });
///
/// let skipping = Options { on_divergence: OnDivergence::Skip, ..options };
/// let outcome = Trainer::new(&mean, &data, skipping).run()?;
/// assert_eq!((outcome.reason, outcome.position.skipped), (StopReason::Completed, 10));
/// assert!((1.0..6.0).contains(&outcome.params[0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDivergence {
    /// The run ends, with the params before the step.
    #[default]
    Stop,
    /// The step changes nothing, and the run continues with the next one; its loss does not count.
    /// The run still ends if all steps of an epoch are skipped, or if an update has made params NaN
    /// or infinite, because the optimizer's state has changed then.
    Skip,
}

impl OnDivergence {
    /// All choices.
    pub const ALL: [Self; 2] = [Self::Stop, Self::Skip];

    /// Returns the name, as in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for OnDivergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnDivergence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|choice| choice.name() == text);
        named.ok_or_else(|| format!("unknown choice '{text}'; choose stop or skip"))
    }
}

/// The interval at which a run emits a [`Snapshot`](super::Snapshot) of itself.
///
/// As text: `500` or `500steps`, `2epochs`, `90s`, `10min`, `1h`; or `never`. It does not affect
/// the result of the run.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::train::SaveEvery;
///
/// assert_eq!("500".parse(), Ok(SaveEvery::Steps(500)));
/// assert_eq!("1.5min".parse(), Ok(SaveEvery::Time(Duration::from_secs(90))));
/// assert_eq!(SaveEvery::Epochs(1).to_string(), "1epoch");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "SaveEveryText")]
pub enum SaveEvery {
    /// Every `n` steps.
    Steps(u64),
    /// Every `n` epochs, at the end of an epoch.
    Epochs(u64),
    /// Whenever this much time has passed, even in the middle of an epoch.
    Time(Duration),
    /// Never during the run.
    Never,
}

/// The representations in a file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of steps, or text such as \"10min\"")]
enum SaveEveryText {
    Number(i64),
    Text(String),
}

impl TryFrom<SaveEveryText> for SaveEvery {
    type Error = String;

    fn try_from(written: SaveEveryText) -> Result<Self, String> {
        match written {
            SaveEveryText::Number(number) => number.to_string().parse(),
            SaveEveryText::Text(text) => text.parse(),
        }
    }
}

impl From<SaveEvery> for String {
    fn from(every: SaveEvery) -> Self {
        every.to_string()
    }
}

impl FromStr for SaveEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "'{text}' is not a save interval; use steps (500), epochs (2epochs), time (90s, 10min, 1h) or never"
            )
        };
        let (number, unit) =
            text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
        let number = number.trim();
        let count = || number.parse::<u64>().ok().filter(|count| *count > 0).ok_or_else(expected);
        let time = |secs: f64| {
            let time =
                number.parse().ok().and_then(|count: f64| Duration::try_from_secs_f64(count * secs).ok());
            time.filter(|time| !time.is_zero()).map(Self::Time).ok_or_else(expected)
        };
        match unit {
            "never" if number.is_empty() => Ok(Self::Never),
            "" | "step" | "steps" => count().map(Self::Steps),
            "epoch" | "epochs" => count().map(Self::Epochs),
            "s" => time(1.0),
            "min" => time(60.0),
            "h" => time(3600.0),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for SaveEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        match self {
            Self::Steps(count) => write!(f, "{count}step{}", plural(*count)),
            Self::Epochs(count) => write!(f, "{count}epoch{}", plural(*count)),
            Self::Time(time) => {
                let secs = time.as_secs();
                match (time.subsec_nanos(), secs % 3600, secs % 60) {
                    (0, 0, _) => write!(f, "{}h", secs / 3600),
                    (0, _, 0) => write!(f, "{}min", secs / 60),
                    _ => write!(f, "{}s", time.as_secs_f64()),
                }
            }
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_has_the_documented_number_of_shards() {
        for (batch_size, shards) in [
            (1, 1),
            (7, 1),
            (8, 1),
            (16, 2),
            (32, 4),
            (64, 4),
            (128, 4),
            (256, 8),
            (1024, 32),
            (60_000, 64),
            (100_000, 98),
        ] {
            assert_eq!(Shards::Auto.count(batch_size), shards, "batch of {batch_size}");
        }
    }

    #[test]
    fn save_intervals_are_parsed_from_their_own_display() {
        for text in ["1step", "500steps", "1epoch", "2epochs", "0.25s", "30s", "90s", "10min", "1h", "never"]
        {
            assert_eq!(text.parse::<SaveEvery>().unwrap().to_string(), text);
        }
        for (text, same) in [("500", "500steps"), ("60s", "1min"), ("60 min", "1h"), ("1.5h", "90min")] {
            assert_eq!(text.parse::<SaveEvery>(), same.parse());
        }
    }

    #[test]
    fn invalid_save_intervals_are_rejected() {
        for text in ["", "0", "-1", "1.5", "0s", "-1min", "nan s", "1e30h", "s", "5 minutes", "1never", "inf"]
        {
            assert!(text.parse::<SaveEvery>().is_err(), "{text}");
        }
    }

    #[test]
    fn metrics_are_parsed_from_their_own_display() {
        assert_eq!(Metric::ALL.map(|metric| metric.to_string().parse()), Metric::ALL.map(Ok));
        assert!("accuracy".parse::<Metric>().is_err());
    }
}
