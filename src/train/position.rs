//! Where a run stands between two steps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::step::StepResult;
use super::{Best, NoiseScale, PhaseTimes};

/// Where a run stands between two steps. Its times aside, it is the same for any number of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done: what the schedule goes on from.
    pub step: u64,
    /// 0-based epoch of the next step, whose sample order follows from it and the seed.
    pub epoch: u64,
    /// Batches of that epoch that are done.
    pub batch: u64,
    /// Updates that the optimizer has counted, which steps of total weight 0 are not: what bias corrections go on from.
    pub updates: u64,
    /// Steps that were [skipped](super::OnDivergence::Skip).
    #[serde(default)]
    pub skipped: u64,
    /// Steps whose samples all weighed 0, which changed nothing.
    #[serde(default)]
    pub weightless: u64,
    /// Sums over the batches of that epoch that are done.
    pub sums: EpochSums,
    /// The gradient noise scale so far.
    pub noise_scale: NoiseScale,
    /// The best of the epochs that are done.
    #[serde(default)]
    pub best: Option<Best>,
}

/// Sums over the steps of an epoch so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    /// Samples taken.
    pub samples: u64,
    /// Σ w_i ℓ_i, each loss before its update.
    pub loss: f64,
    /// Σ w_i.
    pub weight: f64,
    /// Wall time, scoring and saving left out.
    pub elapsed: Duration,
    /// Where rank 0 spent it.
    pub phases: PhaseTimes,
}

impl Position {
    /// Counts a step.
    pub(super) fn add(&mut self, samples: usize, result: &StepResult, updates: u64) {
        self.step += 1;
        self.batch += 1;
        self.updates = updates;
        self.weightless += u64::from(result.sums.weight == 0.0);
        self.sums.samples += samples as u64;
        self.sums.loss += result.sums.loss;
        self.sums.weight += result.sums.weight;
    }

    /// Counts a step that is skipped: its loss is none.
    pub(super) fn skip(&mut self, samples: usize) {
        self.step += 1;
        self.batch += 1;
        self.skipped += 1;
        self.sums.samples += samples as u64;
    }

    /// Goes on to the next epoch if all batches of this one are done.
    pub(super) fn turn(&mut self, steps_per_epoch: u64) {
        if self.batch == steps_per_epoch {
            *self = Self { epoch: self.epoch + 1, batch: 0, sums: EpochSums::default(), ..*self };
        }
    }

    /// Whether a run with so many steps an epoch, and so many samples in each but the last, can stand here.
    pub(super) fn fits(&self, steps_per_epoch: u64, batch_size: u64) -> bool {
        let steps = self.epoch.checked_mul(steps_per_epoch).and_then(|steps| steps.checked_add(self.batch));
        self.batch < steps_per_epoch
            && steps == Some(self.step)
            && self.batch.checked_mul(batch_size) == Some(self.sums.samples)
    }
}
