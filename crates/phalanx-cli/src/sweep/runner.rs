//! Several runs at a time.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::plan::shards;
use super::{Cell, CurvePoint, SweepError, SweepOptions, SweepRecord, SweepRun};
use crate::pool::in_parallel;
use phalanx::data::Dataset;
use phalanx::model::{Model, Score};
use phalanx::train::{Event, Length, NoiseEstimate, Options, Plan, StopReason, Trainer, score};

/// The runs of a sweep, with their model, data and options.
#[derive(Debug)]
pub struct Sweep<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    test: &'a Dataset,
    base: Options,
    options: SweepOptions,
    runs: Vec<SweepRun>,
}

impl<'a, M: Model> Sweep<'a, M> {
    /// Checks the options of all runs before the first run. `base` has the options that all runs
    /// have in common; its threads, batch size, rate, reduction and seed are ignored, and the short
    /// last batch of an epoch is dropped, so that a rate has an exact equivalent under sum and
    /// mean.
    ///
    /// # Errors
    ///
    /// [`SweepError`], naming the list or the option.
    pub fn new(
        model: &'a M,
        train: &'a Dataset,
        test: &'a Dataset,
        base: Options,
        options: SweepOptions,
    ) -> Result<Self, SweepError> {
        base.optimizer.check().map_err(phalanx::train::TrainError::from)?;
        let base = Options { threads: 1, drop_last: true, ..base };
        let runs = options.runs(&base, train.len())?;
        let sweep = Self { model, train, test, base, options, runs };
        for run in sweep.runs.iter().filter(|run| run.seed == sweep.options.seeds[0]) {
            Plan::new(&sweep.options_of(run), model, train, Some(test))?;
        }
        Ok(sweep)
    }
}

impl<M> Sweep<'_, M> {
    /// Returns every run.
    pub fn runs(&self) -> &[SweepRun] {
        &self.runs
    }

    /// Returns the options of the sweep.
    pub fn options(&self) -> &SweepOptions {
        &self.options
    }

    /// Returns the options that all runs have in common.
    pub fn base(&self) -> &Options {
        &self.base
    }

    /// Returns the number of training samples.
    pub fn train_samples(&self) -> usize {
        self.train.len()
    }

    /// Returns a rate of a cell under mean and under sum; they are equal for optimizers that do not
    /// depend on the scale of the gradient.
    pub(super) fn rates(&self, cell: &Cell, rate: f64) -> (f64, f64) {
        if self.base.optimizer.kind.is_scale_free() {
            return (rate, rate);
        }
        let shards = shards(self.base.shards, cell.batch_size);
        let (reduction, batch) = (cell.reduction, cell.batch_size);
        (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards))
    }

    fn options_of(&self, run: &SweepRun) -> Options {
        let Cell { reduction, batch_size, rate } = run.cell;
        Options { reduction, batch_size, rate: Some(rate), seed: run.seed, ..self.base.clone() }
    }
}

impl<M: Model> Sweep<'_, M> {
    /// Performs every run that has no record in `done`, several at a time on one thread each, and
    /// passes each record to `on_record` on the calling thread as it arrives. Returns all records
    /// in the order of the runs; runs that were stopped have none.
    ///
    /// # Errors
    ///
    /// The first error of a run; no further run is started then.
    ///
    /// # Panics
    ///
    /// If a run panics.
    pub fn run(
        &self,
        done: &[SweepRecord],
        stop: &AtomicBool,
        mut on_record: impl FnMut(&SweepRecord),
    ) -> Result<Vec<SweepRecord>, SweepError> {
        let missing: Vec<&SweepRun> =
            self.runs.iter().filter(|run| !done.iter().any(|record| record.run == **run)).collect();
        let mut records = done.to_vec();
        in_parallel(
            self.options.jobs,
            &missing,
            stop,
            |run| self.record(run, stop),
            |record| {
                on_record(&record);
                records.push(record);
            },
        )?;
        let place = |record: &SweepRecord| self.runs.iter().position(|run| *run == record.run);
        records.retain(|record| place(record).is_some());
        records.sort_by_key(place);
        Ok(records)
    }

    /// Performs one run; returns `None` if it was stopped.
    fn record(&self, run: &SweepRun, stop: &AtomicBool) -> Result<Option<SweepRecord>, SweepError> {
        let begun = Instant::now();
        let options = self.options_of(run);
        let total = Plan::new(&options, self.model, self.train, Some(self.test))?.total_steps();
        let initial = self.model.initial_params(run.seed);
        let start = score(self.model, &initial, self.test)?.mean_loss();
        let mut curve = Vec::new();
        let scored = scored_steps(self.train.len(), run.cell.batch_size, total);
        let trainer =
            Trainer::new(self.model, self.train, options).test(self.test).score_at(scored).stop_on(stop);
        let outcome = trainer
            .on_event(|event| {
                if let Event::Score { step, test } = event {
                    curve.push(point(*step, test));
                }
            })
            .run()?;
        if outcome.reason == StopReason::Interrupted {
            return Ok(None);
        }
        let finite = curve.iter().take_while(|point| point.loss.is_finite()).count();
        let end = curve.last().map_or(f64::NAN, |point| point.loss);
        curve.truncate(finite);
        // False if `end` is NaN.
        let learned = end < start;
        let diverged = outcome.reason == StopReason::Diverged || !learned;
        Ok(Some(SweepRecord { run: *run, diverged, secs: begun.elapsed().as_secs_f64(), curve }))
    }

    /// Returns the gradient noise scale over the first steps of a run, measured in each step;
    /// `None` if there are too few steps to estimate it.
    pub(super) fn noise(&self, run: &SweepRun, steps: u64) -> Result<Option<NoiseEstimate>, SweepError> {
        let options = Options { length: Length::Steps(steps), noise_scale: Some(1), ..self.options_of(run) };
        let outcome = Trainer::new(self.model, self.train, options).run()?;
        Ok(outcome.noise_scale.and_then(|noise| noise.whole()))
    }
}

fn point(step: u64, test: &Score) -> CurvePoint {
    CurvePoint { step, loss: test.mean_loss(), accuracy: test.accuracy() }
}

/// Sample counts at which a run is scored grow by this factor, starting at this share of the
/// samples.
const GROWTH: f64 = 1.12;
const FIRST_SHARE: f64 = 1.0 / 60.0;

/// Returns the steps after which a run of `total` steps is scored.
fn scored_steps(samples: usize, batch_size: usize, total: u64) -> Vec<u64> {
    let counts = std::iter::successors(Some(samples as f64 * FIRST_SHARE), |count| Some(count * GROWTH));
    let steps = counts.map(|count| ((count / batch_size as f64).round() as u64).max(1));
    let mut steps: Vec<u64> = steps.take_while(|step| *step < total).chain([total]).collect();
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scored_steps_grow_further_apart_and_end_with_the_last_step() {
        let steps = scored_steps(60_000, 16, 3750);
        assert_eq!((steps[0], *steps.last().unwrap()), (63, 3750));
        assert!(
            steps.windows(2).all(|pair| pair[0] < pair[1] && pair[1] as f64 <= 1.2 * pair[0] as f64 + 1.0)
        );
        assert_eq!(scored_steps(100, 25, 3), [1, 2, 3]);
    }
}
