//! Several runs at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam::channel::bounded;

use super::options::shards;
use super::record::scored_steps;
use super::{Cell, CurvePoint, Record, Run, SweepError, SweepOptions};
use phalanx::data::Dataset;
use phalanx::model::{Model, Score};
use phalanx::train::{
    Event, Length, NoiseEstimate, NoiseInterval, Options, Plan, StopReason, Trainer, score,
};

/// The runs of a sweep, and what they need.
#[derive(Debug)]
pub struct Sweep<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    test: &'a Dataset,
    base: Options,
    options: SweepOptions,
    runs: Vec<Run>,
}

impl<'a, M: Model> Sweep<'a, M> {
    /// Checks everything that can be wrong with any run, before the first. `base` says what all runs have in common; its threads,
    /// batch size, rate, reduction and seed are not used, and the short last batch of an epoch is left out, so that a rate is
    /// the same under sum and mean.
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
    /// Every run.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What is swept over.
    pub fn options(&self) -> &SweepOptions {
        &self.options
    }

    /// What all runs have in common.
    pub fn base(&self) -> &Options {
        &self.base
    }

    /// Training samples.
    pub fn train_samples(&self) -> usize {
        self.train.len()
    }

    /// The rate of a cell as the mean and as the sum say it; the same for rules that are free of the gradient's scale.
    pub(super) fn rates(&self, cell: &Cell, rate: f64) -> (f64, f64) {
        if self.base.optimizer.kind.is_scale_free() {
            return (rate, rate);
        }
        let shards = shards(self.base.shards, cell.batch_size);
        let (reduction, batch) = (cell.reduction, cell.batch_size);
        (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards))
    }

    fn options_of(&self, run: &Run) -> Options {
        let Cell { reduction, batch_size, rate } = run.cell;
        Options { reduction, batch_size, rate: Some(rate), seed: run.seed, ..self.base.clone() }
    }
}

impl<M: Model> Sweep<'_, M> {
    /// Does every run that has no record among `done`, several at once on a thread each, and hands each record to `on_record` on
    /// the calling thread as it comes. Returns all records in the order of the runs; those that are missing were stopped.
    ///
    /// # Errors
    ///
    /// The first that a run ends with; the others are stopped then.
    ///
    /// # Panics
    ///
    /// If a run does.
    pub fn run(
        &self,
        done: &[Record],
        stop: &AtomicBool,
        mut on_record: impl FnMut(&Record),
    ) -> Result<Vec<Record>, SweepError> {
        let missing: Vec<&Run> =
            self.runs.iter().filter(|run| !done.iter().any(|record| record.run == **run)).collect();
        let (next, quit) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut records = done.to_vec();
        let mut failed = None;
        thread::scope(|scope| {
            let (sender, receiver) = bounded(self.options.jobs);
            for _ in 0..self.options.jobs.min(missing.len()) {
                let (sender, next, quit, missing) = (sender.clone(), &next, &quit, &missing);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && !quit.load(Ordering::Relaxed) {
                        let Some(run) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        let record = self.record(run, stop).transpose();
                        if record.is_some_and(|record| sender.send(record).is_err()) {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for record in receiver {
                match record {
                    Ok(record) => {
                        on_record(&record);
                        records.push(record);
                    }
                    Err(error) => {
                        quit.store(true, Ordering::Relaxed);
                        failed.get_or_insert(error);
                    }
                }
            }
        });
        let place = |record: &Record| self.runs.iter().position(|run| *run == record.run);
        records.retain(|record| place(record).is_some());
        records.sort_by_key(place);
        failed.map_or(Ok(records), Err)
    }

    /// Does one run; `None` if it was stopped.
    fn record(&self, run: &Run, stop: &AtomicBool) -> Result<Option<Record>, SweepError> {
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
                if let Event::Score(score) = event {
                    curve.push(point(score.step, &score.test));
                }
            })
            .run()?;
        if outcome.reason == StopReason::Interrupted {
            return Ok(None);
        }
        let finite = curve.iter().take_while(|point| point.loss.is_finite()).count();
        let end = curve.last().map_or(f64::NAN, |point| point.loss);
        curve.truncate(finite);
        // A comparison that NaN does not pass.
        let learned = end < start;
        let diverged = outcome.reason == StopReason::Diverged || !learned;
        Ok(Some(Record { run: *run, diverged, secs: begun.elapsed().as_secs_f64(), curve }))
    }

    /// The gradient noise scale over the first steps of a run, measured in each; `None` if it cannot be known from so few.
    pub(super) fn noise(&self, run: &Run, steps: u64) -> Result<Option<NoiseEstimate>, SweepError> {
        let options = Options {
            length: Length::Steps(steps),
            noise_scale: Some(NoiseInterval::Steps(1)),
            ..self.options_of(run)
        };
        let outcome = Trainer::new(self.model, self.train, options).run()?;
        Ok(outcome.noise_scale.and_then(|noise| noise.whole()))
    }
}

fn point(step: u64, test: &Score) -> CurvePoint {
    CurvePoint { step, loss: test.mean_loss(), accuracy: test.accuracy() }
}
