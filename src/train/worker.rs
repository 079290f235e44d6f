//! The life of one rank: epochs of steps, and scores in between.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::divergence::{blame, tensor_of};
use super::event::Message;
use super::ranks::Ranks;
use super::run::Run;
use super::save_every::SaveClock;
use super::score::{Scorer, groups, sum};
use super::shards::part;
use super::step::{Asked, Found, Step, StepResult};
use super::teller::Teller;
use super::whereabouts::Whereabouts;
use super::{
    Best, Blame, Divergence, EpochEnd, EpochSums, OnDivergence, Phase, PhaseTimes, Plan, Position, Quality,
    StepEnd, StepScore, StopReason, TrainError,
};
use crate::data::{Dataset, sample_order};
use crate::model::{Model, Score};
use crate::optim::Optimizer;

/// One rank at work.
pub(super) struct Worker<'a, 'p, M: Model> {
    run: &'a Run<'a, M>,
    ranks: Ranks<'p>,
    step: Step<'a, M>,
    scorer: Option<Scorer<'a, M>>,
    scores: Scores,
    /// Where the first thread of a process tells what happens; the others have none.
    events: Option<Teller>,
    position: Position,
    /// This rank's segment of the best params, if they are kept.
    best: Vec<f32>,
    /// Asked on rank 0 alone.
    saves: SaveClock,
    /// Over all epochs; [`Step`] keeps those of the one in hand.
    phases: PhaseTimes,
    found: Option<(Found, Range<usize>)>,
}

/// Scores of groups of test samples, as sums: this rank's, and all.
#[derive(Default)]
struct Scores {
    own: Vec<[f64; 3]>,
    all: Vec<[f64; 3]>,
}

/// What a rank leaves behind.
pub(super) struct Finished {
    pub(super) reason: StopReason,
    /// Where the last step was found to diverge, and which samples of the order were its batch.
    pub(super) found: Option<(Found, Range<usize>)>,
    pub(super) optimizer: Optimizer,
    pub(super) position: Position,
    pub(super) best: Vec<f32>,
    pub(super) phases: PhaseTimes,
}

/// Measures an epoch from where it began, or was gone on with.
struct EpochClock {
    begun: Instant,
    /// Time spent in scores between steps, and in copies to be saved.
    set_aside: Duration,
}

impl Finished {
    /// What the run diverged by, if it did in a step; the params are those before it.
    pub(super) fn divergence<M: Model>(
        &self,
        (plan, model, data): (&Plan, &M, &Dataset),
        params: &[f32],
    ) -> Option<Divergence> {
        let (found, batch) = self.found.clone().filter(|_| self.reason == StopReason::Diverged)?;
        let step = self.position.step;
        let blame = match found {
            Found::Gradient => {
                let epoch = (step - 1) / plan.steps_per_epoch();
                blame((plan, model, data), params, epoch, batch)
            }
            Found::Param(param) => Blame::Update { tensor: tensor_of(model, param) },
        };
        Some(Divergence { step, blame })
    }
}

impl<'a, 'p, M: Model> Worker<'a, 'p, M> {
    pub(super) fn new(run: &'a Run<'a, M>, ranks: Ranks<'p>, events: Option<Teller>) -> Self {
        let mut step = Step::new(run, &ranks);
        let position = run.start.position;
        let segment = run.params.segment(ranks.thread());
        for ((_, own), all) in step.optimizer.state_mut().zip(&run.start.state) {
            own.copy_from_slice(&all[segment.clone()]);
        }
        step.optimizer.set_steps(position.updates);
        step.noise_scale = position.noise_scale;
        let best = if run.plan.keep_best() {
            run.start.best.get(segment).unwrap_or_default().to_vec()
        } else {
            Vec::new()
        };
        let scorer = run.test.map(|test| Scorer::new(run.model, test));
        let saves = SaveClock::new(run.save_every, &position);
        let phases = PhaseTimes::default();
        let found = None;
        Self {
            run,
            ranks,
            step,
            scorer,
            scores: Scores::default(),
            events,
            position,
            best,
            saves,
            phases,
            found,
        }
    }

    /// Trains until the run is complete, stopped or diverged.
    pub(super) fn run(mut self) -> Result<Finished, TrainError> {
        let mut reason = None;
        while reason.is_none() {
            reason = self.epoch()?;
        }
        let reason = reason.expect("the loop ends with a reason");
        self.whereabouts().enter(Phase::End);
        // Rank 0 may still read the params to tell them: who leaves earlier takes them away.
        self.ranks.comm.barrier()?;
        let Self { step: Step { optimizer, .. }, position, best, phases, found, .. } = self;
        Ok(Finished { reason, found, optimizer, position, best, phases })
    }

    /// Takes the batches of one epoch that are left, and scores what came of it.
    fn epoch(&mut self) -> Result<Option<StopReason>, TrainError> {
        let mut clock = EpochClock { begun: Instant::now(), set_aside: Duration::ZERO };
        self.step.times = PhaseTimes::default();
        let epoch = self.position.epoch;
        self.order(epoch)?;
        let (mut reason, mut save) = (None, None);
        for batch in self.run.plan.batches().skip(self.position.batch as usize) {
            let (asked, samples) = (self.asks(), batch.len());
            let result = self.step.run(&mut self.ranks, self.position.step, batch.clone(), asked)?;
            self.whereabouts().enter(Phase::Score);
            self.found = result.divergence.map(|found| (found, batch));
            if self.skips(&result) {
                self.position.skip(samples);
            } else {
                self.position.add(samples, &result, self.step.optimizer.steps());
            }
            self.position.noise_scale = self.step.noise_scale;
            self.tell(|position| step_end(position.step, epoch, samples, &result))?;
            reason = self.reason(&result);
            save = result.asked.save;
            if reason != Some(StopReason::Diverged) {
                clock.set_aside += self.score_step()?;
            }
            if reason.is_some() || self.position.batch == self.run.plan.steps_per_epoch() {
                break;
            }
            if let Some(slot) = save {
                self.save(slot, &mut clock)?;
            }
        }
        self.stop_clock(&clock);
        self.phases += self.step.times;
        let test = if reason == Some(StopReason::Diverged) { None } else { self.score()? };
        let all_batches = self.position.batch == self.run.plan.steps_per_epoch();
        let end = epoch_end(&self.position, test, all_batches && reason != Some(StopReason::Diverged));
        if end.is_whole {
            let is_stale = self.judge(&end)?;
            if is_stale && reason != Some(StopReason::Completed) {
                reason = Some(StopReason::StoppedEarly);
            }
        }
        self.tell(|_| Message::Epoch(end))?;
        self.tell_params(&end)?;
        self.position.turn(self.run.plan.steps_per_epoch());
        // What a run ends with is in its outcome.
        if let (None, Some(slot)) = (reason, save) {
            self.hand_out(slot, self.position)?;
        }
        Ok(reason)
    }

    /// Keeps the params of a whole epoch if they are the best so far, which every rank finds alike; returns whether the best is too
    /// long ago.
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

    fn whereabouts(&self) -> &'a Whereabouts {
        &self.run.whereabouts[self.ranks.thread()]
    }

    /// What is to be done after the next step.
    fn asks(&self) -> Asked {
        let stop = self.run.stop.load(Ordering::Relaxed) || self.run.quit.load(Ordering::Relaxed);
        let rank_0 = self.events.is_some();
        if !(rank_0 && self.saves.is_due(&self.position, self.run.plan.steps_per_epoch())) {
            return Asked { stop, save: None };
        }
        Asked { stop, save: self.run.slots.iter().position(|slot| slot.is_here()) }
    }

    /// Saves the run in the middle of an epoch.
    fn save(&mut self, slot: usize, clock: &mut EpochClock) -> Result<(), TrainError> {
        let begun = Instant::now();
        let sums = self.measured(clock);
        self.hand_out(slot, Position { sums, ..self.position })?;
        clock.set_aside += begun.elapsed();
        Ok(())
    }

    /// Copies what this rank owns; once every rank has done so, the first thread of each process puts it together, and that of the first
    /// process hands it out.
    fn hand_out(&mut self, slot: usize, position: Position) -> Result<(), TrainError> {
        self.whereabouts().enter(Phase::Save);
        let (slot, thread) = (&self.run.slots[slot], self.ranks.thread());
        let params = &self.run.params.read(&self.ranks.comm)?[self.run.params.segment(thread)];
        slot.fill(thread, params, &self.best, &self.step.optimizer);
        self.ranks.comm.barrier()?;
        if self.events.is_none() {
            return Ok(());
        }
        self.saves.saved(&position);
        let snapshot = slot.take(position, &self.step.optimizer);
        match self.ranks.processes() {
            None => self.tell(|_| Message::Snapshot(snapshot)),
            Some(processes) => match processes.collect(snapshot, &self.run.plan)? {
                Some(snapshot) => self.tell(|_| Message::Snapshot(snapshot)),
                None => Ok(()),
            },
        }
    }

    /// The sums of the epoch in hand, with the time it took so far.
    fn measured(&self, clock: &EpochClock) -> EpochSums {
        let mut sums = self.position.sums;
        sums.elapsed += clock.begun.elapsed().saturating_sub(clock.set_aside);
        sums.phases += self.step.times;
        sums
    }

    /// Adds the time of the epoch to its sums, once.
    fn stop_clock(&mut self, clock: &EpochClock) {
        self.position.sums = self.measured(clock);
    }

    /// Has the first thread of a process write the sample order of an epoch where all can read it.
    fn order(&mut self, epoch: u64) -> Result<(), TrainError> {
        let plan = &self.run.plan;
        self.whereabouts().begin(self.position.step);
        self.whereabouts().enter(Phase::Order);
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

    /// Whether a step changed nothing and the run goes on all the same.
    fn skips(&self, result: &StepResult) -> bool {
        result.divergence == Some(Found::Gradient) && self.run.plan.on_divergence() == OnDivergence::Skip
    }

    fn reason(&self, result: &StepResult) -> Option<StopReason> {
        // An epoch of which nothing is left teaches nothing, nor would the next.
        let is_last = self.position.batch == self.run.plan.steps_per_epoch();
        let nothing_left = is_last && self.position.sums.weight == 0.0;
        if result.divergence.is_some() && (nothing_left || !self.skips(result)) {
            return Some(StopReason::Diverged);
        }
        if self.position.step == self.run.plan.total_steps() {
            return Some(StopReason::Completed);
        }
        result.asked.stop.then_some(StopReason::Interrupted)
    }

    /// Scores the test samples if this is asked for after the step that was done; returns how long it took.
    fn score_step(&mut self) -> Result<Duration, TrainError> {
        let start = Instant::now();
        if self.run.score_at.binary_search(&self.position.step).is_err() {
            return Ok(Duration::ZERO);
        }
        if let Some(test) = self.score()? {
            self.tell(|position| Message::Score(StepScore { step: position.step, test }))?;
        }
        Ok(start.elapsed())
    }

    /// Scores the test samples, each rank a run of their groups; every rank knows the sum.
    fn score(&mut self) -> Result<Option<Score>, TrainError> {
        let (Some(test), Some(scorer)) = (self.run.test, &mut self.scorer) else { return Ok(None) };
        let params = self.run.params.read(&self.ranks.comm)?;
        let (groups, ranks) = (groups(test), self.run.plan.ranks());
        let Scores { own, all } = &mut self.scores;
        own.clear();
        own.extend(part(groups, ranks, self.ranks.rank()).map(|group| scorer.score(params, group).sums()));
        self.ranks.gather(own, all, |rank| part(groups, ranks, rank))?;
        Ok(Some(sum(all.iter().map(|sums| Score::of_sums(*sums)))))
    }

    /// Sends a message if this is the first thread of its process.
    fn tell(&self, message: impl FnOnce(&Position) -> Message) -> Result<(), TrainError> {
        match &self.events {
            Some(events) => events.tell(message(&self.position)),
            None => Ok(()),
        }
    }

    /// Tells the params after an epoch if this is the first thread of its process. The others go on meanwhile, but change none before the next round.
    fn tell_params(&self, end: &EpochEnd) -> Result<(), TrainError> {
        match &self.events {
            Some(events) => events.tell_params(end, self.run.params.read(&self.ranks.comm)?),
            None => Ok(()),
        }
    }
}

fn step_end(step: u64, epoch: u64, samples: usize, result: &StepResult) -> Message {
    let StepResult { sums, rate, grad_norm, noise_scale, divergence, .. } = *result;
    let diverged = divergence.is_some();
    let (weight, loss) = (sums.weight, sums.loss / sums.weight);
    Message::Step(StepEnd { step, epoch, samples, weight, loss, rate, grad_norm, noise_scale, diverged })
}

/// The epoch in hand, whole or cut short.
fn epoch_end(position: &Position, test: Option<Score>, is_whole: bool) -> EpochEnd {
    let Position { epoch, step, sums: EpochSums { samples, loss, weight, elapsed, phases }, .. } = *position;
    EpochEnd { epoch, step, samples, train_loss: loss / weight, test, is_whole, elapsed, phases }
}
