//! The communication between processes in a step, after the contributions and before the reduction:
//!
//! ```text
//! totals       loss and weight of each shard, to all                                        small
//! fold         each thread, on segments of other processes: the subtrees of this one
//! swap         to each process the subtrees for the params that it owns                     (n−1)/n of the params
//! ```
//!
//! The threads of a process first combine their subtrees with each other, each thread for the
//! segments of some ranks of other processes, so that each process sends as few subtrees as
//! possible: one, if the number of its shards is a power of two and its first shard is at a
//! multiple of that number.

use std::mem::take;
use std::ops::Range;

use super::combiner::{Combiner, RemoteSubtrees, StepSums, StepTotals};
use super::contribution::{Contribution, Request};
use super::error::TrainError;
use super::noise_scale::BatchParts;
use super::phase::PhaseClock;
use super::plan::Plan;
use super::ranks::{Processes, RankValues, Ranks};
use super::run::RunContext;
use super::shards::{part, part_of};
use crate::collective::tree::Node;
use crate::collective::{Incoming, Outgoing, Peers};
use crate::model::AnyModel;

/// The messages of each rank to all others about its shards; empty in a run of one process.
#[derive(Default)]
pub(super) struct Exchange {
    /// The rank's request, the bound of its gradients, then the loss and weight of each of its
    /// shards.
    shards: RankValues<[f64; 2]>,
    /// The parts of each shard, if the noise scale is measured.
    parts: RankValues<[f64; 4]>,
}

impl Exchange {
    /// Returns the totals of all contributions, shard by shard in order.
    pub(super) fn totals(
        &mut self,
        ranks: &mut Ranks<'_>,
        plan: &Plan,
        contribution: &Contribution,
        shards: usize,
    ) -> Result<StepTotals, TrainError> {
        let (count, reduction) = (plan.ranks(), plan.reduction());
        let Request { stop, save } = contribution.request;
        let own = &mut self.shards.own;
        own.clear();
        own.push([f64::from(u8::from(stop)), save.map_or(0.0, |buffers| (buffers + 1) as f64)]);
        own.push([contribution.bound(), 0.0]);
        own.extend(contribution.shards().map(|(loss, weight)| [loss, weight]));
        let place = |rank: usize| {
            let Range { start, end } = part(shards, count, rank);
            start + 2 * rank..end + 2 * (rank + 1)
        };
        self.shards.gather(ranks, place)?;
        let (mut sums, mut request) = (StepSums::default(), Request::default());
        for rank in 0..count {
            let all = &self.shards.all[place(rank)];
            let [stop, save] = all[0];
            request.stop |= stop != 0.0;
            if rank == 0 {
                request.save = (save as usize).checked_sub(1);
            }
            sums.bound += all[1][0];
            all[2..].iter().for_each(|&[loss, weight]| sums.add_shard(reduction, loss, weight));
        }
        Ok(StepTotals { sums, request, parts: BatchParts::default() })
    }

    /// Returns the parts of all shards, for the noise scale.
    pub(super) fn parts(
        &mut self,
        ranks: &mut Ranks<'_>,
        plan: &Plan,
        contribution: &Contribution,
        shards: usize,
    ) -> Result<BatchParts, TrainError> {
        self.parts.own.clear();
        self.parts.own.extend(contribution.parts().iter().map(BatchParts::sums));
        self.parts.gather(ranks, |rank| part(shards, plan.ranks(), rank))?;
        let mut parts = BatchParts::default();
        self.parts.all.iter().for_each(|shard| parts.append(&BatchParts::of_sums(*shard)));
        Ok(parts)
    }
}

/// Combines the subtrees of this process's threads for other processes, and exchanges them for
/// those of the other processes.
pub(super) fn swap(
    ranks: &mut Ranks<'_>,
    processes: &Processes<'_>,
    run: &RunContext<'_>,
    shards: usize,
    contribution: &mut Contribution,
    combiner: &mut Combiner,
    clock: &mut PhaseClock,
) -> Result<(), TrainError> {
    let (routes, thread) = (Routes { plan: &run.plan, shards }, ranks.thread());
    clock.work();
    let mut outbox = take(&mut contribution.outbox);
    ranks.comm.lend(&*contribution, |peers| routes.fold(thread, &peers, combiner, run.model, &mut outbox))?;
    contribution.outbox = outbox;
    clock.wait();
    let mut inbox = take(&mut contribution.inbox);
    ranks.comm.lend(&*contribution, |peers| match thread {
        0 => routes.swap(&peers, processes, &mut inbox),
        _ => Ok(()),
    })??;
    contribution.inbox = inbox;
    Ok(())
}

/// The routes of subtrees in a step of several processes: the thread that combines and sends each
/// of them, and their positions in the buffers.
#[derive(Clone, Copy)]
pub(super) struct Routes<'a> {
    pub(super) plan: &'a Plan,
    /// The number of shards of the step's batch.
    pub(super) shards: usize,
}

impl<'a> Routes<'a> {
    fn process(&self) -> usize {
        self.plan.layout().process()
    }

    fn subtrees(&self, process: usize) -> impl Iterator<Item = Node> + use<> {
        self.plan.subtrees_in(process, self.shards)
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let process = self.process();
        (0..self.plan.processes()).filter(move |other| *other != process)
    }

    /// Returns the ranks of other processes whose segments a thread of this process combines.
    fn sent_by(&self, thread: usize) -> impl Iterator<Item = usize> + use<> {
        let own = self.plan.layout().ranks_of(self.process());
        let mine = part(self.plan.ranks() - own.len(), own.len(), thread);
        mine.map(move |other| if other < own.start { other } else { other + own.len() })
    }

    /// Returns the thread of a process that combines the segment of a rank of another process.
    fn sender(&self, process: usize, rank: usize) -> usize {
        let own = self.plan.layout().ranks_of(process);
        let index = if rank < own.start { rank } else { rank - own.len() };
        part_of(self.plan.ranks() - own.len(), own.len(), index)
    }

    /// Returns the messages from one process to another: the sending thread of each, and the ranks
    /// whose segments it contains.
    fn messages(&self, from: usize, to: usize) -> Vec<(usize, Range<usize>)> {
        let mut messages: Vec<(usize, Range<usize>)> = Vec::new();
        for rank in self.plan.layout().ranks_of(to) {
            let thread = self.sender(from, rank);
            match messages.last_mut().filter(|(last, _)| *last == thread) {
                Some((_, ranks)) => ranks.end = rank + 1,
                None => messages.push((thread, rank..rank + 1)),
            }
        }
        messages
    }

    /// Returns the params of some consecutive ranks.
    fn params_of(&self, ranks: &Range<usize>) -> Range<usize> {
        self.plan.segment(ranks.start).start..self.plan.segment(ranks.end - 1).end
    }

    /// Returns the index at which a message of this process begins in the outbox of its thread.
    fn place_of(&self, thread: usize, ranks: &Range<usize>) -> usize {
        let before = self.sent_by(thread).take_while(|sent| *sent != ranks.start);
        let params: usize = before.map(|sent| self.plan.segment(sent).len()).sum();
        self.subtrees(self.process()).count() * params
    }

    /// Combines the subtrees of this process's threads, as far as the tree allows, for the segments
    /// that this thread sends.
    fn fold(
        &self,
        thread: usize,
        peers: &Peers<'_, Contribution>,
        combiner: &mut Combiner,
        model: &AnyModel<'_>,
        outbox: &mut Vec<f32>,
    ) {
        if sent_as_it_is(peers).is_some() {
            return;
        }
        let count = self.subtrees(self.process()).count();
        let len: usize = self.sent_by(thread).map(|rank| self.plan.segment(rank).len()).sum();
        outbox.resize(count * len, 0.0);
        let mut rest = outbox.as_mut_slice();
        for rank in self.sent_by(thread).filter(|_| count > 0) {
            let segment = self.plan.segment(rank);
            let (own, after) = rest.split_at_mut(count * segment.len());
            rest = after;
            combiner.fold(model, peers, segment, own);
        }
    }

    /// Sends to every other process the subtrees for its params, and receives those for the params
    /// of this one.
    fn swap(
        &self,
        peers: &Peers<'_, Contribution>,
        processes: &Processes<'_>,
        inbox: &mut Vec<f32>,
    ) -> Result<(), TrainError> {
        let process = self.process();
        let subtrees: usize = self.others().map(|other| self.subtrees(other).count()).sum();
        inbox.resize(subtrees * self.plan.params_in(process).len(), 0.0);
        let (mut incoming, mut rest) = (Vec::new(), inbox.as_mut_slice());
        for from in self.others() {
            let count = self.subtrees(from).count();
            for (_, ranks) in self.messages(from, process) {
                let (values, after) = rest.split_at_mut(count * self.params_of(&ranks).len());
                incoming.push(Incoming { from, bytes: bytemuck::cast_slice_mut(values) });
                rest = after;
            }
        }
        let count = self.subtrees(process).count();
        let mut outgoing = Vec::new();
        for to in self.others() {
            for (thread, ranks) in self.messages(process, to) {
                let params = self.params_of(&ranks);
                let values = match sent_as_it_is(peers) {
                    Some(gradient) => &gradient[params],
                    None => {
                        &peers.get(thread).outbox[self.place_of(thread, &ranks)..][..count * params.len()]
                    }
                };
                outgoing.push(Outgoing { to, bytes: bytemuck::cast_slice(values) });
            }
        }
        processes.exchange(&outgoing, &mut incoming)
    }

    /// Returns the subtrees of other processes for the segment of a rank of this one.
    pub(super) fn remote_subtrees<'p>(
        &self,
        rank: usize,
        peers: &Peers<'p, Contribution>,
    ) -> RemoteSubtrees<'p> {
        let process = self.process();
        let (mine, segment) = (self.plan.params_in(process), self.plan.segment(rank));
        let mut rest = peers.get(0).inbox.as_slice();
        let mut far = RemoteSubtrees { own: self.subtrees(process).next(), ..RemoteSubtrees::default() };
        for other in self.others() {
            let count = self.subtrees(other).count();
            let (all, after) = rest.split_at(count * mine.len());
            rest = after;
            let of_rank = &all[count * (segment.start - mine.start)..];
            let values = |index: usize| &of_rank[index * segment.len()..][..segment.len()];
            let side = if other < process { &mut far.before } else { &mut far.after };
            side.extend(self.subtrees(other).enumerate().map(|(index, node)| (node, values(index))));
        }
        far
    }
}

/// Returns the gradient of the only thread of this process, if it is a subtree: then nothing needs
/// to be combined or copied.
fn sent_as_it_is<'a>(peers: &Peers<'a, Contribution>) -> Option<&'a [f32]> {
    if peers.len() == 1 { peers.get(0).sole_gradient() } else { None }
}
