//! The parts of a step that cross from process to process: what is said of the shards, their gradients, and the params after the update.

use std::ops::Range;
use std::time::Instant;

use super::super::combiner::StepSums;
use super::super::crossing::{Spread, combine, receive};
use super::super::processes::Processes;
use super::super::ranks::Ranks;
use super::super::shards::part;
use super::super::{BatchParts, Phase, TrainError};
use super::{Asked, Found, OfStep, Piecewise, Reduced, Step, StepResult, Wanted, Watch, write_down};
use crate::model::Model;

/// What a rank keeps for it from step to step; nothing in a run of one process.
#[derive(Default)]
pub(super) struct Across {
    /// What this rank says, and what all say: what it asks for, then loss and weight of each of its shards.
    said: [Vec<[f64; 2]>; 2],
    /// The parts of each shard, if the noise scale is measured: this rank's, and all.
    parts: [Vec<[f64; 4]>; 2],
}

impl<M: Model> Step<'_, M> {
    /// As `reduce`, with the shards of other processes.
    pub(super) fn reduce_across(
        &mut self,
        ranks: &mut Ranks<'_>,
        processes: &Processes<'_>,
        of_step: OfStep,
        (samples, wanted): (usize, Wanted),
    ) -> Result<(StepResult, Reduced), TrainError> {
        let begun = Instant::now();
        self.whereabouts.enter(Phase::Reduce);
        let spread = Spread { plan: self.plan, shards: self.plan.shards_of(samples) };
        let (sums, asked) = self.say(ranks, spread.shards)?;
        let divergence = (!sums.loss.is_finite()).then_some(Found::Gradient);
        let rate = of_step.rate;
        let result = StepResult { sums, grad_norm: None, noise_scale: None, rate, asked, divergence };
        if !result.changes_params() {
            self.times.wait += begun.elapsed();
            return Ok((result, Reduced::Nothing));
        }
        let divisor = self.plan.reduction().step_divisor(sums.shards, sums.weight);
        self.optimizer.divide_l2(self.plan.l2_divisor(sums.weight));
        let parts = if wanted.noise { Some(self.say_parts(ranks, spread.shards)?) } else { None };
        self.times.wait += begun.elapsed();
        self.exchange(ranks, processes, spread)?;
        let reduced = if sums.is_surely_finite(divisor) && !self.norms.needed() && !wanted.any() {
            self.update_subtrees(ranks, spread, (of_step, divisor))?;
            Reduced::Updated
        } else {
            let finite = self.reduce_subtrees(ranks, spread, divisor)?;
            let parts = parts.map(|parts| parts.divided(divisor.unwrap_or(1.0)));
            Reduced::Gradient { finite, parts }
        };
        self.whereabouts.enter(Phase::AfterReduce);
        Ok((result, reduced))
    }

    /// Says what this rank has of a step's shards, and hears all: added up shard by shard in order.
    fn say(&mut self, ranks: &mut Ranks<'_>, shards: usize) -> Result<(StepSums, Asked), TrainError> {
        let [own, all] = &mut self.across.said;
        own.clear();
        own.push(self.contribution.asked.words());
        own.push([self.contribution.bound(), 0.0]);
        own.extend(self.contribution.shards().map(|(loss, weight)| [loss, weight]));
        let count = self.plan.ranks();
        let place = |rank: usize| {
            let Range { start, end } = part(shards, count, rank);
            start + 2 * rank..end + 2 * (rank + 1)
        };
        ranks.gather(own, all, place)?;
        let (mut sums, mut asked) = (StepSums::default(), Asked::default());
        for rank in 0..count {
            let said = &all[place(rank)];
            let of_rank = Asked::of_words(said[0]);
            asked.stop |= of_rank.stop;
            asked.save = if rank == 0 { of_rank.save } else { asked.save };
            sums.bound += said[1][0];
            said[2..].iter().for_each(|&[loss, weight]| sums.add_shard(self.plan.reduction(), loss, weight));
        }
        Ok((sums, asked))
    }

    /// The parts of all shards, for the noise scale.
    fn say_parts(&mut self, ranks: &mut Ranks<'_>, shards: usize) -> Result<BatchParts, TrainError> {
        let [own, all] = &mut self.across.parts;
        own.clear();
        own.extend(self.contribution.parts().map(BatchParts::sums));
        let count = self.plan.ranks();
        ranks.gather(own, all, |rank| part(shards, count, rank))?;
        let mut parts = BatchParts::default();
        all.iter().for_each(|shard| parts.append(&BatchParts::of_sums(*shard)));
        Ok(parts)
    }

    /// Combines what the threads of this process have for others, and exchanges it with them.
    fn exchange(
        &mut self,
        ranks: &mut Ranks<'_>,
        processes: &Processes<'_>,
        spread: Spread<'_>,
    ) -> Result<(), TrainError> {
        let Self { model, contribution, combiner, .. } = self;
        let (thread, begun) = (ranks.thread(), Instant::now());
        let mut crossing = std::mem::take(&mut contribution.crossing);
        ranks.comm.lend(contribution, |peers| crossing.fold(spread, thread, &peers, (combiner, *model)))?;
        self.times.reduce_update += begun.elapsed();
        let begun = Instant::now();
        let mut received = crossing.take_room();
        contribution.crossing = crossing;
        ranks.comm.lend(contribution, |peers| match thread {
            0 => receive(&mut received, spread, &peers, processes),
            _ => Ok(()),
        })??;
        contribution.crossing.put_back(received);
        self.times.wait += begun.elapsed();
        Ok(())
    }

    /// Updates this rank's segment with its gradient, which cannot but be finite.
    fn update_subtrees(
        &mut self,
        ranks: &mut Ranks<'_>,
        spread: Spread<'_>,
        (OfStep { step, rate }, divisor): (OfStep, Option<f64>),
    ) -> Result<(), TrainError> {
        let Self { model, params, contribution, combiner, optimizer, times, .. } = self;
        let (kept, broken, whereabouts) = (self.kept, self.broken, &*self.whereabouts);
        let (rank, thread, watch) = (ranks.rank(), ranks.thread(), Watch::start());
        let first = params.segment(thread).start;
        let watch = ranks.comm.update(params, contribution, |peers, params| {
            let watch = watch.opened();
            let kept = kept.begin(thread, step);
            let mut updates =
                Piecewise::begin(first, divisor, (optimizer, rate), (params, kept), whereabouts);
            let mut sink = |range: Range<usize>, grads: &mut [f32]| updates.take(range, grads);
            combine(spread, &peers, rank, (combiner, *model), &mut sink);
            if !updates.end() {
                broken.note(step, first, params);
            }
            watch.worked()
        })?;
        watch.closed(times);
        Ok(())
    }

    /// Writes down the gradient of this rank's segment; returns whether it is finite.
    fn reduce_subtrees(
        &mut self,
        ranks: &mut Ranks<'_>,
        spread: Spread<'_>,
        divisor: Option<f64>,
    ) -> Result<bool, TrainError> {
        let Self { model, params, contribution, combiner, grads, .. } = self;
        let (rank, begun) = (ranks.rank(), Instant::now());
        let (segment, mut finite) = (params.segment(ranks.thread()), true);
        ranks.comm.lend(contribution, |peers| {
            let mut sink = write_down(grads, &segment, divisor, &mut finite);
            combine(spread, &peers, rank, (combiner, *model), &mut sink);
        })?;
        self.times.reduce_update += begun.elapsed();
        Ok(finite)
    }

    /// Gives the updated params to all processes, if there are several, with what is broken among them.
    pub(super) fn share(&mut self, ranks: &mut Ranks<'_>, step: u64) -> Result<(), TrainError> {
        let Some(processes) = ranks.processes() else { return Ok(()) };
        let (plan, broken, begun) = (self.plan, self.broken, Instant::now());
        let shared = ranks.comm.rewrite(self.params, |params| {
            let word = broken.at(step).map_or(u64::MAX, |param| param as u64);
            let least = processes.least(word)?;
            processes.gather(params, |process| plan.params_in(process))?;
            if least != u64::MAX {
                broken.note_at(step, least as usize);
            }
            Ok(())
        })?;
        self.times.wait += begun.elapsed();
        shared.unwrap_or(Ok(()))
    }
}
