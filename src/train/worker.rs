//! The main loop of one rank: epochs of steps, and scores in between.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::contribution::Request;
use super::error::TrainError;
use super::options::OnDivergence;
use super::outcome::{DivergedAt, RankOutcome, StopReason};
use super::phase::{Phase, PhaseTimes};
use super::position::{Best, EpochSums, Position, Quality, SaveClock};
use super::ranks::{RankValues, Ranks};
use super::run::RunContext;
use super::score::{Scorer, groups, sum};
use super::shards::part;
use super::step::{Step, StepResult};
use super::subscriber::{EpochEnd, Event, EventSender, StepEnd};
use crate::data::sample_order;
use crate::model::{AnyModel, Score};

/// The state of one rank during a run.
pub(super) struct Worker<'a, 'p> {
    run: &'a RunContext<'a>,
    ranks: Ranks<'p>,
    step: Step<'a>,
    scorer: Option<Scorer<'a, AnyModel<'a>>>,
    /// Scores of groups of test samples, as sums.
    scores: RankValues<[f64; 3]>,
    /// The channel to the subscribers, on the first thread of a process.
    events: Option<EventSender>,
    position: Position,
    /// This rank's segment of the best params, if they are kept.
    best: Vec<f32>,
    /// Read only on the first thread of a process.
    saves: SaveClock,
    /// The sum over all completed epochs.
    phases: PhaseTimes,
    /// The point at which the last step diverged, if it did, and its batch.
    diverged: Option<(DivergedAt, Range<usize>)>,
}

impl<'a, 'p> Worker<'a, 'p> {
    pub(super) fn new(run: &'a RunContext<'a>, ranks: Ranks<'p>, events: Option<EventSender>) -> Self {
        let mut step = Step::new(run, &ranks);
        let (position, values) = (run.start.position, &run.start.values);
        let segment = run.params.segment(ranks.thread());
        for ((_, own), all) in step.optimizer.state_mut().zip(&values.state) {
            own.copy_from_slice(&all[segment.clone()]);
        }
        step.optimizer.set_steps(position.updates);
        step.noise_scale = position.noise_scale;
        let best = values.best.get(segment).filter(|_| run.plan.keep_best()).unwrap_or_default().to_vec();
        Self {
            run,
            ranks,
            step,
            scorer: run.test.map(|test| Scorer::new(run.model, test)),
            scores: RankValues::default(),
            events,
            position,
            best,
            saves: SaveClock::new(run.save_every, &position),
            phases: PhaseTimes::default(),
            diverged: None,
        }
    }

    /// Trains until the run is complete, stopped or diverged.
    pub(super) fn run(mut self) -> Result<RankOutcome, TrainError> {
        let reason = loop {
            if let Some(reason) = self.epoch()? {
                break reason;
            }
        };
        self.step.clock.enter(Phase::End);
        // Rank 0 may still read the params to send them, so no rank leaves before that.
        self.ranks.comm.barrier()?;
        let Self { step: Step { optimizer, .. }, position, best, phases, diverged, .. } = self;
        Ok(RankOutcome { reason, diverged, optimizer, position, best, phases })
    }

    /// Processes the remaining batches of one epoch, and scores the params at its end.
    fn epoch(&mut self) -> Result<Option<StopReason>, TrainError> {
        let (plan, epoch) = (&self.run.plan, self.position.epoch);
        self.order(epoch)?;
        let (mut reason, mut save) = (None, None);
        for batch in plan.batches().skip(self.position.batch as usize) {
            let (request, samples) = (self.request(), batch.len());
            let spec = plan.step(self.position.step);
            let result = self.step.run(&mut self.ranks, spec, batch.clone(), request)?;
            self.step.clock.enter(Phase::Score);
            self.diverged = result.divergence.map(|at| (at, batch));
            self.count(samples, &result);
            self.send(|position| step_end(position.step, epoch, samples, &result))?;
            reason = self.reason(&result);
            save = result.request.save;
            if reason != Some(StopReason::Diverged) {
                self.score_step()?;
            }
            if reason.is_some() || self.position.batch == plan.steps_per_epoch() {
                break;
            }
            if let Some(buffers) = save {
                let sums = self.sums();
                self.hand_out(buffers, Position { sums, ..self.position })?;
            }
        }
        self.position.sums = self.sums();
        self.phases += self.step.clock.spent().phases;
        let test = if reason == Some(StopReason::Diverged) { None } else { self.score()? };
        let all_batches = self.position.batch == plan.steps_per_epoch();
        let end = epoch_end(&self.position, test, all_batches && reason != Some(StopReason::Diverged));
        if end.is_whole {
            let is_stale = self.judge(&end)?;
            if is_stale && reason != Some(StopReason::Completed) {
                reason = Some(StopReason::StoppedEarly);
            }
        }
        self.send(|_| Event::Epoch(end))?;
        self.send_params(&end)?;
        self.position.turn(plan.steps_per_epoch());
        // The outcome contains the state at the end of a run.
        if let (None, Some(buffers)) = (reason, save) {
            self.hand_out(buffers, self.position)?;
        }
        Ok(reason)
    }

    /// Keeps the params of a whole epoch if they are the best so far, which every rank decides
    /// alike; returns whether the run is `early_stop` epochs past the best.
    fn judge(&mut self, end: &EpochEnd) -> Result<bool, TrainError> {
        let (plan, quality) = (&self.run.plan, Quality::of(end));
        let best = match self.position.best {
            Some(best) if !plan.is_gain(&quality, &best.quality) => best,
            _ => {
                if plan.keep_best() {
                    let segment = self.run.params.segment(self.ranks.thread());
                    self.best.clear();
                    self.best.extend_from_slice(&self.run.params.read(&self.ranks.comm)?[segment]);
                }
                Best { epoch: end.epoch, step: end.step, quality }
            }
        };
        self.position.best = Some(best);
        Ok(plan.is_stale(&best, end.epoch + 1))
    }

    /// Counts a step, whether or not it was skipped.
    fn count(&mut self, samples: usize, result: &StepResult) {
        if self.skips(result) {
            self.position.skip(samples);
        } else {
            self.position.add(samples, result.sums.loss, result.sums.weight);
            self.position.updates = self.step.optimizer.steps();
        }
        self.position.noise_scale = self.step.noise_scale;
    }

    /// Returns the request of this rank for after the next step.
    fn request(&self) -> Request {
        let stop = self.run.stop.load(Ordering::Relaxed) || self.run.quit.load(Ordering::Relaxed);
        let is_due =
            self.events.is_some() && self.saves.is_due(&self.position, self.run.plan.steps_per_epoch());
        let available = || self.run.buffers.iter().position(|buffers| buffers.are_available());
        Request { stop, save: if is_due { available() } else { None } }
    }

    /// Saves the run: copies what this rank owns; once every rank has done so, the first thread of
    /// each process joins the copies, and that of the first process emits them.
    fn hand_out(&mut self, buffers: usize, position: Position) -> Result<(), TrainError> {
        self.step.clock.enter(Phase::Save);
        let (buffers, thread) = (&self.run.buffers[buffers], self.ranks.thread());
        let params = &self.run.params.read(&self.ranks.comm)?[self.run.params.segment(thread)];
        buffers.fill(thread, params, &self.best, &self.step.optimizer);
        self.ranks.comm.barrier()?;
        if self.events.is_none() {
            return Ok(());
        }
        self.saves.saved(&position);
        let snapshot = buffers.take(position, &self.step.optimizer);
        let snapshot = match self.ranks.processes() {
            None => Some(snapshot),
            Some(processes) => processes.collect(snapshot, &self.run.plan)?,
        };
        snapshot.map_or(Ok(()), |snapshot| self.send(|_| Event::Snapshot(Arc::new(snapshot))))
    }

    /// Returns the sums of the current epoch, with the time that it has taken until now.
    fn sums(&mut self) -> EpochSums {
        let (mut sums, spent) = (self.position.sums, self.step.clock.spent());
        sums.elapsed += spent.elapsed;
        sums.phases += spent.phases;
        sums
    }

    /// Begins an epoch: the first thread of a process writes its sample order for all threads.
    fn order(&mut self, epoch: u64) -> Result<(), TrainError> {
        let plan = &self.run.plan;
        self.step.clock.begin_epoch(self.position.step);
        if plan.shuffle() {
            self.ranks.comm.update(&self.run.order, &(), |_, order| {
                // The segments of the other threads are empty.
                if !order.is_empty() {
                    sample_order(plan.seed(), epoch, order);
                }
            })?;
        }
        Ok(())
    }

    /// Returns whether a step changed nothing, but the run continues.
    fn skips(&self, result: &StepResult) -> bool {
        result.divergence == Some(DivergedAt::Gradient) && self.run.plan.on_divergence() == OnDivergence::Skip
    }

    fn reason(&self, result: &StepResult) -> Option<StopReason> {
        // An epoch in which all steps are skipped trains nothing, and neither would the next.
        let is_last = self.position.batch == self.run.plan.steps_per_epoch();
        let nothing_left = is_last && self.position.sums.weight == 0.0;
        if result.divergence.is_some() && (nothing_left || !self.skips(result)) {
            return Some(StopReason::Diverged);
        }
        if self.position.step == self.run.plan.total_steps() {
            return Some(StopReason::Completed);
        }
        result.request.stop.then_some(StopReason::Interrupted)
    }

    /// Scores the test samples if this is requested after the last step; the time is not charged to
    /// the epoch.
    fn score_step(&mut self) -> Result<(), TrainError> {
        if self.run.score_at.binary_search(&self.position.step).is_err() {
            return Ok(());
        }
        self.step.clock.exclude();
        match self.score()? {
            Some(test) => self.send(|position| Event::Score { step: position.step, test }),
            None => Ok(()),
        }
    }

    /// Scores the test samples, each rank a contiguous range of their groups; the sum is known to
    /// every rank.
    fn score(&mut self) -> Result<Option<Score>, TrainError> {
        let (Some(test), Some(scorer)) = (self.run.test, &mut self.scorer) else { return Ok(None) };
        let params = self.run.params.read(&self.ranks.comm)?;
        let (groups, ranks) = (groups(test), self.run.plan.ranks());
        let own = part(groups, ranks, self.ranks.rank()).map(|group| scorer.score(params, group).sums());
        self.scores.own.clear();
        self.scores.own.extend(own);
        self.scores.gather(&mut self.ranks, |rank| part(groups, ranks, rank))?;
        Ok(Some(sum(self.scores.all.iter().map(|sums| Score::of_sums(*sums)))))
    }

    /// Sends an event if this is the first thread of its process.
    fn send(&self, event: impl FnOnce(&Position) -> Event<'static>) -> Result<(), TrainError> {
        self.events.as_ref().map_or(Ok(()), |events| events.send(event(&self.position)))
    }

    /// Sends the params after an epoch if this is the first thread of its process. The others
    /// continue in the meantime, but change no params before the next round.
    fn send_params(&self, end: &EpochEnd) -> Result<(), TrainError> {
        match &self.events {
            Some(events) => events.send_params(end.epoch, end.step, self.run.params.read(&self.ranks.comm)?),
            None => Ok(()),
        }
    }
}

fn step_end(step: u64, epoch: u64, samples: usize, result: &StepResult) -> Event<'static> {
    let StepResult { spec, sums, grad_norm, noise_scale, divergence, .. } = *result;
    let (weight, loss, rate) = (sums.weight, sums.loss / sums.weight, spec.rate);
    let diverged = divergence.is_some();
    Event::Step(StepEnd { step, epoch, samples, weight, loss, rate, grad_norm, noise_scale, diverged })
}

/// Returns the result of the current epoch, whole or partial.
fn epoch_end(position: &Position, test: Option<Score>, is_whole: bool) -> EpochEnd {
    let Position { epoch, step, sums: EpochSums { samples, loss, weight, elapsed, phases }, .. } = *position;
    EpochEnd { epoch, step, samples, train_loss: loss / weight, test, is_whole, elapsed, phases }
}
