//! What crosses from process to process of a gradient: the subtrees of each process's shards, cut by who owns the params.
//!
//! The threads of a process first combine what they can among themselves, each for the segments of some ranks of other processes, so that
//! each process sends the fewest subtrees that its shards make: one, if it has a power of two of them that starts at a multiple of it.

use std::ops::Range;

use super::combiner::{Combiner, Sink};
use super::contribution::{Contribution, pieces};
use super::processes::Processes;
use super::shards::{part, part_of};
use super::tree::Push;
use super::{Plan, TrainError};
use crate::collective::tree::Node;
use crate::collective::{Incoming, Outgoing, Peers};
use crate::model::Model;

/// A thread's share of it.
#[derive(Default)]
pub(super) struct Crossing {
    /// What this process has for the segments that are this thread's to send: segment by segment, and of each subtree by subtree.
    outbox: Vec<f32>,
    /// On the first thread: what the other processes have for the params that this one owns, process by process, segment by segment, and
    /// of each subtree by subtree.
    received: Vec<f32>,
}

/// A step that is done by several processes.
#[derive(Clone, Copy)]
pub(super) struct Spread<'a> {
    pub(super) plan: &'a Plan,
    /// The number of shards of its batch.
    pub(super) shards: usize,
}

/// The subtrees of the shards of a process, in their order, of a step that has so many.
pub(super) fn subtrees(plan: &Plan, process: usize, shards: usize) -> impl Iterator<Item = Node> + use<> {
    pieces(plan.shards_in(process, shards), usize::MAX)
}

impl Spread<'_> {
    pub(super) fn process(&self) -> usize {
        self.plan.place().process()
    }

    pub(super) fn subtrees(&self, process: usize) -> impl Iterator<Item = Node> + use<> {
        subtrees(self.plan, process, self.shards)
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let process = self.process();
        (0..self.plan.processes()).filter(move |other| *other != process)
    }

    /// The ranks of other processes whose segments a thread of this one combines.
    fn sent_by(&self, thread: usize) -> impl Iterator<Item = usize> + use<> {
        let own = self.plan.place().ranks_of(self.process());
        let mine = part(self.plan.ranks() - own.len(), own.len(), thread);
        mine.map(move |other| if other < own.start { other } else { other + own.len() })
    }

    /// Which thread of a process combines the segment of a rank of another.
    fn sender(&self, process: usize, rank: usize) -> usize {
        let own = self.plan.place().ranks_of(process);
        let index = if rank < own.start { rank } else { rank - own.len() };
        part_of(self.plan.ranks() - own.len(), own.len(), index)
    }

    /// The messages from one process to another: who sends each, and which ranks' segments it holds.
    fn messages(&self, from: usize, to: usize) -> Vec<(usize, Range<usize>)> {
        let mut messages: Vec<(usize, Range<usize>)> = Vec::new();
        for rank in self.plan.place().ranks_of(to) {
            let thread = self.sender(from, rank);
            match messages.last_mut().filter(|(last, _)| *last == thread) {
                Some((_, ranks)) => ranks.end = rank + 1,
                None => messages.push((thread, rank..rank + 1)),
            }
        }
        messages
    }

    /// The params of some successive ranks.
    fn params_of(&self, ranks: Range<usize>) -> Range<usize> {
        self.plan.segment(ranks.start).start..self.plan.segment(ranks.end - 1).end
    }

    /// Where in the outbox of its thread a message begins, of this process.
    fn place_of(&self, thread: usize, ranks: &Range<usize>) -> usize {
        let before = self.sent_by(thread).take_while(|sent| *sent != ranks.start);
        self.subtrees(self.process()).count() * before.map(|sent| self.plan.segment_len(sent)).sum::<usize>()
    }
}

impl Crossing {
    /// Combines what the threads of this process have, as far as the tree allows, for the segments that are this thread's to send.
    pub(super) fn fold<M: Model>(
        &mut self,
        spread: Spread<'_>,
        thread: usize,
        peers: &Peers<'_, Contribution<M::Workspace>>,
        (combiner, model): (&mut Combiner<M::Workspace>, &M),
    ) {
        if sent_as_it_is(peers).is_some() {
            return;
        }
        let count = spread.subtrees(spread.process()).count();
        let len: usize = spread.sent_by(thread).map(|rank| spread.plan.segment_len(rank)).sum();
        self.outbox.resize(count * len, 0.0);
        let mut rest = self.outbox.as_mut_slice();
        for rank in spread.sent_by(thread) {
            let segment = spread.plan.segment(rank);
            let (own, after) = rest.split_at_mut(count * segment.len());
            rest = after;
            if count > 0 {
                combiner.fold(model, peers, segment, own);
            }
        }
    }

    /// Room to [`receive`] into, which [`put_back`](Self::put_back) must follow.
    pub(super) fn take_room(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.received)
    }

    pub(super) fn put_back(&mut self, received: Vec<f32>) {
        self.received = received;
    }

    /// What the other processes have for the segment of a rank of this one, subtree by subtree: of those before it, and of those after.
    fn of_others(&self, spread: Spread<'_>, rank: usize) -> [Vec<(Node, &[f32])>; 2] {
        let (mine, segment) = (spread.plan.params_in(spread.process()), spread.plan.segment(rank));
        let (mut found, mut rest) = ([Vec::new(), Vec::new()], self.received.as_slice());
        for other in spread.others() {
            let count = spread.subtrees(other).count();
            let (all, after) = rest.split_at(count * mine.len());
            rest = after;
            let of_rank = &all[count * (segment.start - mine.start)..];
            let side = &mut found[usize::from(other > spread.process())];
            side.extend(
                spread
                    .subtrees(other)
                    .enumerate()
                    .map(|(index, node)| (node, &of_rank[index * segment.len()..][..segment.len()])),
            );
        }
        found
    }
}

/// The gradient of the only thread of this process, if it is a subtree: nothing is to be combined or copied.
fn sent_as_it_is<'a, W>(peers: &Peers<'a, Contribution<W>>) -> Option<&'a [f32]> {
    if peers.len() == 1 { peers.get(0).sole_gradient() } else { None }
}

/// Sends every other process what this one has for its params, and receives what they have for this one's.
pub(super) fn receive<W>(
    room: &mut Vec<f32>,
    spread: Spread<'_>,
    peers: &Peers<'_, Contribution<W>>,
    processes: &Processes<'_>,
) -> Result<(), TrainError> {
    let (plan, process) = (spread.plan, spread.process());
    let subtrees: usize = spread.others().map(|other| spread.subtrees(other).count()).sum();
    room.resize(subtrees * plan.params_in(process).len(), 0.0);
    let (mut incoming, mut rest) = (Vec::new(), room.as_mut_slice());
    for from in spread.others() {
        let count = spread.subtrees(from).count();
        for (_, ranks) in spread.messages(from, process) {
            let (values, after) = rest.split_at_mut(count * spread.params_of(ranks).len());
            incoming.push(Incoming { from, bytes: bytemuck::cast_slice_mut(values) });
            rest = after;
        }
    }
    let count = spread.subtrees(process).count();
    let mut outgoing = Vec::new();
    for to in spread.others() {
        for (thread, ranks) in spread.messages(process, to) {
            let params = spread.params_of(ranks.clone());
            let values = match sent_as_it_is(peers) {
                Some(gradient) => &gradient[params],
                None => {
                    &peers.get(thread).crossing.outbox[spread.place_of(thread, &ranks)..]
                        [..count * params.len()]
                }
            };
            outgoing.push(Outgoing { to, bytes: bytemuck::cast_slice(values) });
        }
    }
    processes.exchange(&outgoing, &mut incoming)
}

/// Combines the subtrees of all processes for the segment of a rank of this one.
pub(super) fn combine<M: Model>(
    spread: Spread<'_>,
    peers: &Peers<'_, Contribution<M::Workspace>>,
    rank: usize,
    (combiner, model): (&mut Combiner<M::Workspace>, &M),
    sink: Sink<'_>,
) {
    let (segment, own) = (spread.plan.segment(rank), spread.subtrees(spread.process()).next());
    let [before, after] = peers.get(0).crossing.of_others(spread, rank);
    let first = segment.start;
    let hand_on = |subtrees: &[(Node, &[f32])], range: Range<usize>, push: Push<'_>| {
        subtrees
            .iter()
            .for_each(|(node, values)| push(*node, &values[range.start - first..range.end - first]));
    };
    combiner.combine_between(
        (model, own),
        peers,
        segment,
        &mut |range, push| hand_on(&before, range, push),
        &mut |range, push| hand_on(&after, range, push),
        sink,
    );
}
