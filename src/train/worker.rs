//! The life of one rank: epochs of steps, and scores in between.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;

use super::event::Message;
use super::score::{Scorer, groups, sum};
use super::shards::part;
use super::step::{Step, StepResult};
use super::trainer::Run;
use super::{EpochEnd, NoiseScale, PhaseTimes, StepEnd, StepScore, StopReason, TrainError};
use crate::collective::Communicator;
use crate::data::sample_order;
use crate::model::{Model, Score};
use crate::optim::Optimizer;

/// One rank at work.
pub(super) struct Worker<'a, M: Model> {
    run: &'a Run<'a, M>,
    comm: Communicator,
    step: Step<'a, M>,
    scorer: Option<Scorer<'a, M>>,
    /// Scores of this rank's groups of test samples.
    scores: Vec<Score>,
    /// Where rank 0 tells what happens; the other ranks have none.
    events: Option<Sender<Message>>,
    steps: u64,
    /// Over all epochs; [`Step`] keeps those of the one in hand.
    phases: PhaseTimes,
}

/// What a rank leaves behind.
pub(super) struct Finished {
    pub(super) reason: StopReason,
    pub(super) optimizer: Optimizer,
    pub(super) noise_scale: NoiseScale,
    pub(super) steps: u64,
    pub(super) phases: PhaseTimes,
}

/// Sums over the steps of an epoch.
struct EpochSums {
    begun: Instant,
    /// Time that went into scores between steps.
    scoring: Duration,
    samples: u64,
    loss: f64,
    weight: f64,
}

impl<'a, M: Model> Worker<'a, M> {
    pub(super) fn new(run: &'a Run<'a, M>, comm: Communicator, events: Option<Sender<Message>>) -> Self {
        let step = Step::new(run, comm.rank());
        let scorer = run.test.map(|test| Scorer::new(run.model, test));
        let phases = PhaseTimes::default();
        Self { run, comm, step, scorer, scores: Vec::new(), events, steps: 0, phases }
    }

    /// Trains until the run is complete, stopped or diverged.
    pub(super) fn run(mut self) -> Result<Finished, TrainError> {
        let mut reason = None;
        let mut epoch = 0;
        while reason.is_none() {
            reason = self.epoch(epoch)?;
            epoch += 1;
        }
        let reason = reason.expect("the loop ends with a reason");
        let Step { optimizer, noise_scale, .. } = self.step;
        Ok(Finished { reason, optimizer, noise_scale, steps: self.steps, phases: self.phases })
    }

    /// Takes all batches of one epoch, and scores what came of it.
    fn epoch(&mut self, epoch: u64) -> Result<Option<StopReason>, TrainError> {
        let mut sums = EpochSums::begin();
        self.step.times = PhaseTimes::default();
        self.order(epoch)?;
        let mut reason = None;
        for batch in self.run.plan.batches() {
            let stop = self.run.stop.load(Ordering::Relaxed);
            let samples = batch.len();
            let result = self.step.run(&mut self.comm, self.steps, batch, stop)?;
            self.steps += 1;
            sums.add(samples, &result);
            self.tell(|steps| step_end(steps, epoch, samples, &result))?;
            reason = self.reason(&result);
            if reason != Some(StopReason::Diverged) {
                sums.scoring += self.score_step()?;
            }
            if reason.is_some() {
                break;
            }
        }
        let elapsed = sums.begun.elapsed() - sums.scoring;
        let test = if reason == Some(StopReason::Diverged) { None } else { self.score()? };
        let phases = self.step.times;
        self.phases += phases;
        self.tell(|steps| Message::Epoch(sums.end(epoch, steps, test, elapsed, phases)))?;
        Ok(reason)
    }

    /// Has rank 0 write the sample order of an epoch where all can read it.
    fn order(&mut self, epoch: u64) -> Result<(), TrainError> {
        let plan = &self.run.plan;
        if plan.shuffle() {
            self.comm.update(&self.run.order, &(), |_, order| {
                // The segments of the other ranks are empty.
                if !order.is_empty() {
                    sample_order(plan.seed(), epoch, order);
                }
            })?;
        }
        Ok(())
    }

    fn reason(&self, result: &StepResult) -> Option<StopReason> {
        if result.diverged {
            return Some(StopReason::Diverged);
        }
        if self.steps == self.run.plan.total_steps() {
            return Some(StopReason::Completed);
        }
        result.stop.then_some(StopReason::Interrupted)
    }

    /// Scores the test samples if this is asked for after the step that was done; returns how long it took.
    fn score_step(&mut self) -> Result<Duration, TrainError> {
        let start = Instant::now();
        if self.run.score_at.binary_search(&self.steps).is_err() {
            return Ok(Duration::ZERO);
        }
        if let Some(test) = self.score()? {
            self.tell(|step| Message::Score(StepScore { step, test }))?;
        }
        Ok(start.elapsed())
    }

    /// Scores the test samples, each rank a run of their groups; every rank knows the sum.
    fn score(&mut self) -> Result<Option<Score>, TrainError> {
        let (Some(test), Some(scorer)) = (self.run.test, &mut self.scorer) else { return Ok(None) };
        let params = self.run.params.read(&self.comm)?;
        let mine = part(groups(test), self.comm.world_size(), self.comm.rank());
        self.scores.clear();
        self.scores.extend(mine.map(|group| scorer.score(params, group)));
        let total = self.comm.lend(&self.scores, |peers| sum(peers.iter().flatten()))?;
        Ok(Some(total))
    }

    /// Sends a message if this is rank 0.
    fn tell(&self, message: impl FnOnce(u64) -> Message) -> Result<(), TrainError> {
        match &self.events {
            Some(events) => events.send(message(self.steps)).map_err(|_| TrainError::ListenerGone),
            None => Ok(()),
        }
    }
}

fn step_end(step: u64, epoch: u64, samples: usize, result: &StepResult) -> Message {
    let StepResult { sums, rate, grad_norm, noise_scale, .. } = *result;
    let (weight, loss) = (sums.weight, sums.loss / sums.weight);
    Message::Step(StepEnd { step, epoch, samples, weight, loss, rate, grad_norm, noise_scale })
}

impl EpochSums {
    fn begin() -> Self {
        Self { begun: Instant::now(), scoring: Duration::ZERO, samples: 0, loss: 0.0, weight: 0.0 }
    }

    fn add(&mut self, samples: usize, result: &StepResult) {
        self.samples += samples as u64;
        self.loss += result.sums.loss;
        self.weight += result.sums.weight;
    }

    fn end(
        self,
        epoch: u64,
        step: u64,
        test: Option<Score>,
        elapsed: Duration,
        phases: PhaseTimes,
    ) -> EpochEnd {
        let train_loss = self.loss / self.weight;
        EpochEnd { epoch, step, samples: self.samples, train_loss, test, elapsed, phases }
    }
}
