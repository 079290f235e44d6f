//! The content of `results.json`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::conventions::Conventions;
use crate::checkpoint::{Checkpoint, params_sha256};
use crate::train::{EpochEnd, NoiseEstimate, Outcome, PhaseTimes, Plan, Quality, StopReason};

/// The result of a run. The names and their meaning are stable, because other tools rely on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The [`params_sha256`] of the trained params.
    pub params_sha256: String,
    /// Number of params.
    pub params: usize,
    /// Threads of each process.
    pub threads: usize,
    /// Processes.
    pub processes: usize,
    /// Shards of a full batch.
    pub shards: usize,
    /// Samples of a full batch.
    pub batch_size: usize,
    /// The reduction of gradients.
    pub reduction: String,
    /// The conventions that a paper must state; null in files of older versions.
    #[serde(default)]
    pub conventions: Option<Conventions>,
    /// Seed of params and sample order.
    pub seed: u64,
    /// Completed steps.
    pub steps: u64,
    /// Complete epochs.
    pub epochs: u64,
    /// Training samples.
    pub train_samples: usize,
    /// Test samples; 0 without a test set.
    pub test_samples: usize,
    /// Mean loss of the training samples over the last complete or partial epoch, each before its
    /// update; null if NaN or infinite.
    pub train_loss: Option<f64>,
    /// Mean loss of the test samples at the end; null without test samples, or if training
    /// diverged.
    pub test_loss: Option<f64>,
    /// Fraction of the test samples whose class is predicted correctly; null for regression or
    /// without test samples.
    pub test_accuracy: Option<f64>,
    /// The gradient noise scale at the end, in samples; null if it was not measured, or is unknown.
    pub noise_scale: Option<f64>,
    /// Its standard error.
    pub noise_scale_error: Option<f64>,
    /// The gradient noise scale over the whole run.
    pub noise_scale_of_run: Option<f64>,
    /// Its standard error.
    pub noise_scale_of_run_error: Option<f64>,
    /// Seconds of each of the [`epochs`](Self::epochs) complete epochs, including those before the
    /// run was resumed, without evaluation and saving.
    pub epoch_secs: Vec<f64>,
    /// Seconds of the partial epoch at the end of the run; null if it ended with a complete epoch.
    #[serde(default)]
    pub partial_epoch_secs: Option<f64>,
    /// Samples per second of the fastest complete epoch, or of the partial epoch if none is
    /// complete.
    pub samples_per_sec: f64,
    /// The time of rank 0 in all epochs, by phase; `phase_secs` in the file, in seconds.
    #[serde(rename = "phase_secs", with = "PhaseSecs")]
    pub phases: PhaseTimes,
    /// Peak resident memory; null if the system does not report it.
    pub peak_rss_bytes: Option<u64>,
    /// Seconds from the start of the program to the end of training, including those before the run
    /// was resumed.
    pub wall_secs: f64,
    /// The best complete epoch, counted from 1, by the selected metric; null without a complete
    /// epoch.
    #[serde(default)]
    pub best_epoch: Option<u64>,
    /// True if the params, their losses and their accuracy are those of the best epoch.
    #[serde(default)]
    pub of_best_epoch: bool,
    /// True if the run was stopped early for lack of improvement.
    #[serde(default)]
    pub stopped_early: bool,
    /// Steps that were skipped because their loss or gradient was NaN or infinite.
    #[serde(default)]
    pub skipped_steps: u64,
    /// Steps that changed nothing because all their samples have weight 0.
    #[serde(default)]
    pub weightless_steps: u64,
    /// The reason why the run diverged; null if it did not.
    #[serde(default)]
    pub divergence: Option<String>,
    /// The reason for the end of the run; [`StopReason::Completed`] also if it ended early.
    pub stopped: StopReason,
}

/// [`PhaseTimes`] in seconds, as stored in the file.
#[derive(Serialize, Deserialize)]
struct PhaseSecs {
    compute: f64,
    wait: f64,
    reduce_update: f64,
}

impl PhaseSecs {
    fn serialize<S: Serializer>(times: &PhaseTimes, serializer: S) -> Result<S::Ok, S::Error> {
        let PhaseTimes { compute, wait, reduce_update } = times;
        let [compute, wait, reduce_update] = [compute, wait, reduce_update].map(Duration::as_secs_f64);
        Serialize::serialize(&Self { compute, wait, reduce_update }, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PhaseTimes, D::Error> {
        let Self { compute, wait, reduce_update } = Deserialize::deserialize(deserializer)?;
        let time = |secs| Duration::try_from_secs_f64(secs).map_err(D::Error::custom);
        Ok(PhaseTimes { compute: time(compute)?, wait: time(wait)?, reduce_update: time(reduce_update)? })
    }
}

impl Results {
    /// Combines the plan, the checkpoint that the run was resumed from, if any, the epochs since
    /// then, and the outcome.
    pub fn new(
        plan: &Plan,
        resumed: Option<&Checkpoint>,
        epochs: &[EpochEnd],
        outcome: &Outcome,
        wall_secs: f64,
    ) -> Self {
        let best = outcome.position.best;
        let restored = best.filter(|_| outcome.best_params.is_some());
        let last = || epochs.last().map(Quality::of);
        let quality = restored.map(|best| best.quality).or_else(last).unwrap_or_default();
        let noise = outcome.noise_scale.and_then(|noise| noise.recent());
        let noise_of_run = outcome.noise_scale.and_then(|noise| noise.whole());
        let mut history = resumed.map(|from| from.history.clone()).unwrap_or_default();
        epochs.iter().for_each(|epoch| history.add(epoch));
        let partial = epochs.last().filter(|end| !end.is_whole);
        if let (Some(end), 0.0) = (partial, history.samples_per_sec) {
            history.samples_per_sec =
                Some(end.samples_per_sec()).filter(|speed| speed.is_finite()).unwrap_or(0.0);
        }
        Self {
            params_sha256: params_sha256(outcome.chosen_params()),
            params: plan.params_len(),
            threads: plan.threads(),
            processes: plan.processes(),
            shards: plan.shards(),
            batch_size: plan.batch_size(),
            reduction: plan.reduction().to_string(),
            conventions: Some(Conventions::new(plan)),
            seed: plan.seed(),
            steps: outcome.steps,
            epochs: outcome.steps / plan.steps_per_epoch(),
            train_samples: plan.train_samples(),
            test_samples: plan.test_samples(),
            train_loss: quality.train_loss,
            test_loss: quality.test_loss,
            test_accuracy: quality.test_accuracy,
            noise_scale: noise.map(|estimate| estimate.value),
            noise_scale_error: noise.map(|estimate| estimate.error),
            noise_scale_of_run: noise_of_run.map(|estimate| estimate.value),
            noise_scale_of_run_error: noise_of_run.map(|estimate| estimate.error),
            epoch_secs: history.epoch_secs,
            partial_epoch_secs: partial.map(|end| end.elapsed.as_secs_f64()),
            samples_per_sec: history.samples_per_sec,
            phases: history.phases,
            peak_rss_bytes: peak_rss_bytes(),
            wall_secs: history.wall_secs + wall_secs,
            best_epoch: best.map(|best| best.epoch + 1),
            of_best_epoch: restored.is_some(),
            stopped_early: outcome.reason == StopReason::StoppedEarly,
            skipped_steps: outcome.position.skipped,
            weightless_steps: outcome.position.weightless,
            divergence: outcome.divergence.as_ref().map(ToString::to_string),
            stopped: match outcome.reason {
                StopReason::StoppedEarly => StopReason::Completed,
                reason => reason,
            },
        }
    }

    /// Returns the seconds of all epochs, including a partial epoch at the end of the run.
    pub fn training_secs(&self) -> f64 {
        self.epoch_secs.iter().chain(&self.partial_epoch_secs).sum()
    }

    /// Returns the gradient noise scale at the end.
    pub fn noise_scale(&self) -> Option<NoiseEstimate> {
        estimate(self.noise_scale, self.noise_scale_error)
    }

    /// Returns the gradient noise scale over the whole run.
    pub fn noise_scale_of_run(&self) -> Option<NoiseEstimate> {
        estimate(self.noise_scale_of_run, self.noise_scale_of_run_error)
    }
}

fn estimate(value: Option<f64>, error: Option<f64>) -> Option<NoiseEstimate> {
    value.zip(error).map(|(value, error)| NoiseEstimate { value, error })
}

/// Returns the peak resident memory of the process so far, in bytes, or `None` if the system does
/// not report it (`VmHWM` in `/proc/self/status`, on Linux).
pub fn peak_rss_bytes() -> Option<u64> {
    entry("/proc/self/status", "VmHWM:")
}

/// Returns the memory that is available without swapping, in bytes, or `None` if the system does
/// not report it (`MemAvailable` in `/proc/meminfo`, on Linux).
///
/// # Examples
///
/// ```
/// use phalanx::internals::{available_bytes, peak_rss_bytes};
///
/// if let (Some(available), Some(used)) = (available_bytes(), peak_rss_bytes()) {
///     println!("{used} bytes used at most, {available} bytes available");
/// }
/// ```
pub fn available_bytes() -> Option<u64> {
    entry("/proc/meminfo", "MemAvailable:")
}

fn entry(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}
