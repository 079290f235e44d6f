//! The runs of a sweep: the options they are made from, and the errors of a sweep.

use phalanx::optim::{OptimizerOptions, Reduction};
use phalanx::train::{Options, Shards, TrainError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The options in which the cells of a sweep differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The reduction of gradients.
    pub reduction: Reduction,
    /// Samples per step.
    pub batch_size: usize,
    /// The learning rate under this reduction.
    pub rate: f64,
}

/// A cell with one of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRun {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Seed of initial params and sample order.
    pub seed: u64,
}

/// The options of a sweep, unchecked; [`Sweep::new`](super::Sweep::new) checks them.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Batch sizes; if empty, powers of two up to an eighth of the samples, at most nine of them
    /// and none below 4 (1 if there are fewer than 32 samples).
    pub batch_sizes: Vec<usize>,
    /// Rates, the same under every reduction; if empty, 19 rates under mean around the optimizer's
    /// default, a factor √2 apart, and for another reduction the rates that make the same updates.
    pub rates: Vec<f64>,
    /// Reductions.
    pub reductions: Vec<Reduction>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// The test loss that the runs should reach; `None` for 1.2 times the lowest that some rate of
    /// every batch size reaches with every seed.
    pub goal: Option<f64>,
    /// Runs at a time.
    pub jobs: usize,
}

impl Default for SweepOptions {
    /// Returns the mean, five seeds and one run at a time; everything else is chosen automatically.
    fn default() -> Self {
        Self {
            batch_sizes: Vec::new(),
            rates: Vec::new(),
            reductions: vec![Reduction::Mean],
            seeds: vec![42, 43, 44, 45, 46],
            goal: None,
            jobs: 1,
        }
    }
}

/// Maximum number of chosen batch sizes, and the smallest of them.
const MAX_SIZES: usize = 9;
const MIN_SIZE: usize = 4;
/// Chosen rates are a factor 2^(1/2) apart: this number of them below and above the centre.
const BELOW: i32 = 8;
const ABOVE: i32 = 10;

impl SweepOptions {
    /// Returns every run, batch size by batch size.
    pub(super) fn runs(&self, base: &Options, samples: usize) -> Result<Vec<SweepRun>, SweepError> {
        self.check()?;
        let sizes = self.sizes(samples);
        self.check_count(sizes.len())?;
        let mut runs = Vec::new();
        for batch_size in sizes {
            if batch_size * MIN_STEPS > samples {
                return Err(SweepError::LargeBatch { batch_size, samples });
            }
            for &reduction in &self.reductions {
                for rate in self.rates_of(base, reduction, batch_size)? {
                    let cell = Cell { reduction, batch_size, rate };
                    runs.extend(self.seeds.iter().map(|&seed| SweepRun { cell, seed }));
                }
            }
        }
        Ok(runs)
    }

    fn check(&self) -> Result<(), SweepError> {
        let bad = |what, found: String| Err(SweepError::BadList { what, found });
        if self.batch_sizes.contains(&0) {
            return bad("batch sizes", format!("{:?}", self.batch_sizes));
        }
        if self.reductions.is_empty() || self.seeds.is_empty() {
            return bad("reductions and seeds", "none".to_owned());
        }
        if self.jobs == 0 {
            return Err(SweepError::NoJobs);
        }
        let positive = |what, found: f64| {
            if found > 0.0 && found.is_finite() {
                Ok(())
            } else {
                Err(SweepError::NotPositive { what, found })
            }
        };
        self.rates.iter().try_for_each(|rate| positive("a rate", *rate))?;
        self.goal.map_or(Ok(()), |goal| positive("the goal", goal))
    }

    /// Rejects lists that give too many runs, before the runs are created.
    fn check_count(&self, sizes: usize) -> Result<(), SweepError> {
        let (reductions, seeds) = (self.reductions.len(), self.seeds.len());
        let rates = if self.rates.is_empty() { (BELOW + ABOVE + 1) as usize } else { self.rates.len() };
        let runs = [sizes, reductions, rates, seeds].into_iter().fold(1, usize::saturating_mul);
        if runs > MAX_RUNS {
            return Err(SweepError::TooManyRuns { sizes, reductions, rates, seeds });
        }
        Ok(())
    }

    fn sizes(&self, samples: usize) -> Vec<usize> {
        let mut sizes = self.batch_sizes.clone();
        if sizes.is_empty() {
            let largest = (samples / 8).max(1).ilog2();
            sizes = (0..=largest).map(|power| 1 << power).filter(|size| *size >= MIN_SIZE).collect();
            sizes.drain(..sizes.len().saturating_sub(MAX_SIZES));
            if sizes.is_empty() {
                sizes.push(1);
            }
        }
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn rates_of(
        &self,
        base: &Options,
        reduction: Reduction,
        batch_size: usize,
    ) -> Result<Vec<f64>, SweepError> {
        if !self.rates.is_empty() {
            let mut rates = self.rates.clone();
            rates.sort_by(f64::total_cmp);
            rates.dedup();
            return Ok(rates);
        }
        let kind = base.optimizer.kind;
        let scale = match kind.is_scale_free() {
            true => 1.0,
            false => reduction.per_mean(batch_size, shards(base.shards, batch_size)),
        };
        let centre = centre(&base.optimizer) / scale;
        Ok((-BELOW..=ABOVE).map(|step| centre * 2_f64.powf(f64::from(step) / 2.0)).collect())
    }
}

/// Returns the number of shards of a full batch.
pub(super) fn shards(shards: Shards, batch_size: usize) -> usize {
    shards.count(batch_size).min(batch_size)
}

/// Returns the power of two closest to the default rate, divided by the factor 1/(1 − μ) of
/// momentum μ.
fn centre(optimizer: &OptimizerOptions) -> f64 {
    let rate = optimizer.kind.default_rate() * (1.0 - optimizer.momentum.unwrap_or(0.0));
    2_f64.powf(rate.log2().round())
}

/// Maximum number of runs of a sweep: years of training for all but the smallest models, but little
/// memory.
const MAX_RUNS: usize = 100_000;

/// Minimum number of steps per epoch: with fewer, a curve cannot measure steps.
const MIN_STEPS: usize = 4;

/// An error of a sweep.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A list is empty, or a value in it is 0.
    #[error("{what} must be a list of values above 0; found {found}")]
    BadList {
        /// The list.
        what: &'static str,
        /// Its content.
        found: String,
    },
    /// The number of concurrent runs is 0.
    #[error("the number of concurrent runs is 0; it must be at least 1, or auto (--jobs)")]
    NoJobs,
    /// The lists give more runs than a sweep may have.
    #[error(
        "{sizes} batch sizes, {reductions} reductions, {rates} rates and {seeds} seeds are more than {MAX_RUNS} runs; shorten the lists"
    )]
    TooManyRuns {
        /// Batch sizes.
        sizes: usize,
        /// Reductions.
        reductions: usize,
        /// Rates.
        rates: usize,
        /// Seeds.
        seeds: usize,
    },
    /// A rate, or the goal, is not a positive number.
    #[error("{what} is {found:?}, but must be above 0 and finite")]
    NotPositive {
        /// The rate or the goal.
        what: &'static str,
        /// The value.
        found: f64,
    },
    /// A batch is too large for the data.
    #[error(
        "a batch of {batch_size} samples leaves fewer than {MIN_STEPS} steps per epoch of {samples} samples; lower the batch sizes, or use more data"
    )]
    LargeBatch {
        /// Samples of the batch.
        batch_size: usize,
        /// Samples of the data.
        samples: usize,
    },
    /// A run cannot be planned, or failed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl SweepError {
    /// Returns whether the request itself is invalid.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::BadList { .. }
            | Self::NoJobs
            | Self::TooManyRuns { .. }
            | Self::NotPositive { .. }
            | Self::LargeBatch { .. } => true,
            Self::Train(error) => error.is_usage(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_batch_sizes_reach_an_eighth_of_the_samples() {
        let sizes = |samples| SweepOptions::default().sizes(samples);
        assert_eq!(sizes(1437), [4, 8, 16, 32, 64, 128]);
        assert_eq!(sizes(60_000), [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]);
        assert_eq!(sizes(20), [1]);
    }

    #[test]
    fn chosen_rates_under_sum_make_the_updates_of_those_under_mean() {
        let options = SweepOptions::default();
        let rates = |reduction| options.rates_of(&Options::default(), reduction, 64).unwrap();
        let mean: Vec<f64> = rates(Reduction::Mean);
        assert_eq!((mean.len(), mean[8]), (19, 0.125));
        assert_eq!(rates(Reduction::Sum).iter().map(|rate| rate * 64.0).collect::<Vec<_>>(), mean);
    }

    #[test]
    fn invalid_sweeps_are_rejected() {
        let runs = |options: SweepOptions| options.runs(&Options::default(), 100).map(|runs| runs.len());
        let some =
            SweepOptions { batch_sizes: vec![5, 10], rates: vec![0.1, 0.2], ..SweepOptions::default() };
        assert_eq!(runs(some.clone()).unwrap(), 2 * 2 * 5);
        for bad in [
            SweepOptions { batch_sizes: vec![0], ..some.clone() },
            SweepOptions { batch_sizes: vec![26], ..some.clone() },
            SweepOptions { rates: vec![0.0], ..some.clone() },
            SweepOptions { rates: vec![f64::NAN], ..some.clone() },
            SweepOptions { reductions: vec![], ..some.clone() },
            SweepOptions { seeds: vec![], ..some.clone() },
            SweepOptions { goal: Some(-1.0), ..some.clone() },
            SweepOptions { jobs: 0, ..some.clone() },
            SweepOptions { seeds: (0..25_001).collect(), ..some.clone() },
        ] {
            assert!(runs(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
