//! The position of a run between two steps, and the best of its epochs so far.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::noise_scale::NoiseScale;
use super::options::{Metric, SaveEvery};
use super::phase::PhaseTimes;

/// The position of a run between two steps. Except for its times, it is the same for any number of
/// threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The number of steps done, at which the schedule continues.
    pub step: u64,
    /// The 0-based epoch of the next step; it and the seed determine the sample order.
    pub epoch: u64,
    /// The number of batches of that epoch that are done.
    pub batch: u64,
    /// The number of updates counted by the optimizer, without steps of total weight 0; bias
    /// corrections continue from it.
    pub updates: u64,
    /// The number of steps that were [skipped](super::OnDivergence::Skip).
    #[serde(default)]
    pub skipped: u64,
    /// The number of steps whose samples all had weight 0, which changed nothing.
    #[serde(default)]
    pub weightless: u64,
    /// Sums over the batches of that epoch that are done.
    pub sums: EpochSums,
    /// The gradient noise scale so far.
    pub noise_scale: NoiseScale,
    /// The best completed epoch.
    #[serde(default)]
    pub best: Option<Best>,
}

/// Sums over the steps of an epoch so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    /// The number of samples processed.
    pub samples: u64,
    /// Σ w_i ℓ_i, each loss before its update.
    pub loss: f64,
    /// Σ w_i.
    pub weight: f64,
    /// Wall time, without scoring and saving.
    pub elapsed: Duration,
    /// The phases in which the first rank of this process spent this time.
    pub phases: PhaseTimes,
}

impl Position {
    /// Counts a step.
    pub(super) fn add(&mut self, samples: usize, loss: f64, weight: f64) {
        self.take(samples);
        self.weightless += u64::from(weight == 0.0);
        self.sums.loss += loss;
        self.sums.weight += weight;
    }

    /// Counts a skipped step, whose loss does not count.
    pub(super) fn skip(&mut self, samples: usize) {
        self.take(samples);
        self.skipped += 1;
    }

    fn take(&mut self, samples: usize) {
        self.step += 1;
        self.batch += 1;
        self.sums.samples += samples as u64;
    }

    /// Advances to the next epoch if all batches of this one are done.
    pub(super) fn turn(&mut self, steps_per_epoch: u64) {
        if self.batch == steps_per_epoch {
            *self = Self { epoch: self.epoch + 1, batch: 0, sums: EpochSums::default(), ..*self };
        }
    }

    /// Returns whether this position is possible in a run of `steps_per_epoch` steps an epoch, with
    /// `batch_size` samples in each but the last.
    pub(super) fn fits(&self, steps_per_epoch: u64, batch_size: u64) -> bool {
        let steps = self.epoch.checked_mul(steps_per_epoch).and_then(|steps| steps.checked_add(self.batch));
        self.batch < steps_per_epoch
            && steps == Some(self.step)
            && self.batch.checked_mul(batch_size) == Some(self.sums.samples)
    }
}

/// Measurements of the params at the end of an epoch; a value that is NaN or infinite counts as not
/// measured.
///
/// # Examples
///
/// ```
/// use phalanx::internals::{Best, Quality};
/// use phalanx::train::Metric;
///
/// let quality = |accuracy, loss| Quality { test_accuracy: Some(accuracy), test_loss: Some(loss), train_loss: None };
/// let best = Best { epoch: 2, step: 69, quality: quality(0.75, 0.5) };
/// let now = quality(0.5, 0.25);
/// assert_eq!(now.gain_over(&best.quality, Metric::TestAccuracy), Some(-0.25));
/// assert_eq!(now.gain_over(&best.quality, Metric::TestLoss), Some(0.25));
/// assert_eq!(now.gain_over(&best.quality, Metric::TrainLoss), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The share of the test samples whose class is predicted correctly.
    pub test_accuracy: Option<f64>,
    /// The mean loss over the test samples.
    pub test_loss: Option<f64>,
    /// The mean loss over the training samples of the epoch.
    pub train_loss: Option<f64>,
}

impl Quality {
    /// Returns the value of a metric, if it was measured.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::TestAccuracy => self.test_accuracy,
            Metric::TestLoss => self.test_loss,
            Metric::TrainLoss => self.train_loss,
        }
    }

    /// Returns the gain over another measurement in a metric, negative if it is worse. A measured
    /// value is infinitely better than one that was not measured; `None` if this one was not
    /// measured.
    pub fn gain_over(&self, other: &Self, metric: Metric) -> Option<f64> {
        let own = self.value(metric)?;
        let Some(other) = other.value(metric) else { return Some(f64::INFINITY) };
        Some(if metric == Metric::TestAccuracy { own - other } else { other - own })
    }
}

/// The best epoch of a run so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// 0-based epoch.
    pub epoch: u64,
    /// The number of steps done at its end.
    pub step: u64,
    /// The measurements of the params at its end.
    pub quality: Quality,
}

/// The last save, as known to rank 0.
pub(super) struct SaveClock {
    every: SaveEvery,
    step: u64,
    epoch: u64,
    at: Instant,
}

impl SaveClock {
    pub(super) fn new(every: SaveEvery, start: &Position) -> Self {
        Self { every, step: start.step, epoch: start.epoch, at: Instant::now() }
    }

    /// Returns whether the run must be saved after the next step, which starts from `position`. A
    /// save that was missed stays due; an interval in epochs is due only at the end of an epoch.
    pub(super) fn is_due(&self, position: &Position, steps_per_epoch: u64) -> bool {
        match self.every {
            SaveEvery::Steps(steps) => (position.step + 1) / steps > self.step / steps,
            SaveEvery::Epochs(epochs) => {
                position.batch + 1 == steps_per_epoch && (position.epoch + 1) / epochs > self.epoch / epochs
            }
            SaveEvery::Time(time) => self.at.elapsed() >= time,
            SaveEvery::Never => false,
        }
    }

    pub(super) fn saved(&mut self, position: &Position) {
        *self = Self { every: self.every, step: position.step, epoch: position.epoch, at: Instant::now() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_that_was_missed_stays_due() {
        let clock = SaveClock::new(SaveEvery::Steps(5), &Position::default());
        let due = |step| clock.is_due(&Position { step, ..Position::default() }, 100);
        assert_eq!([3, 4, 5, 11].map(due), [false, true, true, true]);
        let clock = SaveClock::new(SaveEvery::Epochs(2), &Position::default());
        let due = |epoch, batch| clock.is_due(&Position { epoch, batch, ..Position::default() }, 10);
        assert_eq!(
            [due(0, 9), due(1, 8), due(1, 9), due(2, 3), due(2, 9)],
            [false, false, true, false, true]
        );
    }

    #[test]
    fn higher_accuracy_and_lower_loss_are_gains() {
        let of = |test_accuracy, test_loss| Quality { test_accuracy, test_loss, train_loss: None };
        let (a, b, none) = (of(Some(0.75), Some(2.0)), of(Some(0.5), Some(1.0)), Quality::default());
        assert_eq!(Metric::ALL.map(|metric| a.gain_over(&b, metric)), [Some(0.25), Some(-1.0), None]);
        assert_eq!(a.gain_over(&a, Metric::TestLoss), Some(0.0));
        assert_eq!(a.gain_over(&none, Metric::TestLoss), Some(f64::INFINITY));
        assert_eq!(none.gain_over(&a, Metric::TestLoss), None);
    }
}
