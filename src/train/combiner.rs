//! How the contributions of all ranks become the gradient of a step.

use std::ops::Range;

use super::contribution::{Contribution, reduces_by_segment};
use super::tree::{BLOCK, Push, Subtrees, Tree};
use super::{BatchParts, Plan};
use crate::collective::Peers;
use crate::collective::tree::Node;
use crate::model::Model;
use crate::optim::Reduction;

/// Sums over the samples of one step, the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StepSums {
    /// Σ w_i ℓ_i.
    pub(super) loss: f64,
    /// W = Σ w_k.
    pub(super) weight: f64,
    /// S, the number of shards that the reduction counts.
    pub(super) shards: usize,
    /// What the undivided gradient of no param exceeds; NaN if that is not known.
    pub(super) bound: f64,
}

/// Adds up what the ranks say of their shards, shard by shard in order.
pub(super) fn step_sums<W>(reduction: Reduction, peers: &Peers<'_, Contribution<W>>) -> StepSums {
    let mut sums = StepSums::default();
    let shards = peers.iter().flat_map(Contribution::shards);
    shards.for_each(|(loss, weight)| sums.add_shard(reduction, loss, weight));
    sums.bound = peers.iter().map(Contribution::bound).sum();
    sums
}

/// Adds up what the ranks say of the parts of their shards, shard by shard in order.
pub(super) fn batch_parts<W>(peers: &Peers<'_, Contribution<W>>) -> BatchParts {
    let mut all = BatchParts::default();
    peers.iter().flat_map(Contribution::parts).for_each(|shard| all.append(shard));
    all
}

impl StepSums {
    /// Adds the next shard, which has samples.
    pub(super) fn add_shard(&mut self, reduction: Reduction, loss: f64, weight: f64) {
        self.loss += loss;
        self.weight += weight;
        self.shards += usize::from(reduction.counts_shard(weight));
    }

    /// Whether the gradient, divided by `divisor`, cannot but be finite. The bound is one of exact arithmetic: of the factor
    /// 2 rounding takes less than a tenth for a million samples.
    pub(super) fn is_surely_finite(&self, divisor: Option<f64>) -> bool {
        let largest = 2.0 * self.bound / divisor.unwrap_or(1.0).min(1.0);
        largest < f64::from(f32::MAX)
    }
}

/// Where pieces of a gradient go: indices among the params, and values that are the receiver's to change.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Range<usize>, &mut [f32]);

/// What a rank needs to compute a segment of the gradient of all shards.
pub(super) struct Combiner<W> {
    tree: Tree,
    /// The model's room, if it reduces by segment.
    by_segment: Option<W>,
}

impl<W> Combiner<W> {
    /// Reserves what the plan needs.
    pub(super) fn new<M: Model<Workspace = W>>(plan: &Plan, model: &M) -> Self {
        let by_segment = reduces_by_segment(plan, model).then(|| model.workspace(0));
        Self { tree: Tree::new(plan.shards_of(plan.max_batch_samples())), by_segment }
    }

    /// Hands the gradient of the step for the params in `segment` to `sink`, piece by piece: all shards combined in the fixed
    /// tree, not yet divided.
    pub(super) fn combine<M: Model<Workspace = W>>(
        &mut self,
        model: &M,
        peers: &Peers<'_, Contribution<W>>,
        segment: Range<usize>,
        sink: Sink<'_>,
    ) {
        match &mut self.by_segment {
            None => self.tree.combine(segment, &mut |range, push| hand_on(peers, range, push), sink),
            Some(room) => model.segment_gradient(workspaces(peers), segment, room, sink),
        }
    }

    /// Writes the gradient of this process's shards, which there are some of, for the params in `segment`: subtree by subtree.
    pub(super) fn fold<M: Model<Workspace = W>>(
        &mut self,
        model: &M,
        peers: &Peers<'_, Contribution<W>>,
        segment: Range<usize>,
        to: &mut [f32],
    ) {
        let (first, len) = (segment.start, segment.len());
        match &mut self.by_segment {
            None => {
                let write = |index: usize, range: Range<usize>, values: &[f32]| {
                    to[index * len + range.start - first..][..values.len()].copy_from_slice(values);
                };
                self.tree.fold(segment, &mut |range, push| hand_on(peers, range, push), write);
            }
            Some(room) => model.segment_gradient(workspaces(peers), segment, room, &mut |range, values| {
                to[range.start - first..range.end - first].copy_from_slice(values);
            }),
        }
    }

    /// As [`combine`](Self::combine), where other processes have the subtrees before and after those of this one's shards, whose first, if
    /// there is any, is `own`. By segment it is the only one.
    pub(super) fn combine_between<M: Model<Workspace = W>>(
        &mut self,
        (model, own): (&M, Option<Node>),
        peers: &Peers<'_, Contribution<W>>,
        segment: Range<usize>,
        before: Subtrees<'_>,
        after: Subtrees<'_>,
        sink: Sink<'_>,
    ) {
        let tree = &mut self.tree;
        let (Some(room), Some(own)) = (&mut self.by_segment, own) else {
            let mut all = |range: Range<usize>, push: Push<'_>| {
                before(range.clone(), push);
                hand_on(peers, range.clone(), push);
                after(range, push);
            };
            return tree.combine(segment, &mut all, sink);
        };
        model.segment_gradient(workspaces(peers), segment, room, &mut |range, values| {
            let mut start = range.start;
            for values in values.chunks(BLOCK) {
                let range = start..start + values.len();
                start = range.end;
                let mut all = |push: Push<'_>| {
                    before(range.clone(), push);
                    push(own, values);
                    after(range.clone(), push);
                };
                tree.combine_block(range.clone(), &mut all, sink);
            }
        });
    }
}

/// The subtrees that the ranks of this process have, in a range of the params.
fn hand_on<W>(peers: &Peers<'_, Contribution<W>>, range: Range<usize>, push: Push<'_>) {
    peers.iter().flat_map(Contribution::gradients).for_each(|(node, all)| push(node, &all[range.clone()]));
}

fn workspaces<'a, W>(peers: &Peers<'a, Contribution<W>>) -> impl Iterator<Item = &'a W> + Clone {
    let peers = peers.clone();
    (0..peers.len()).map(move |rank| peers.get(rank).workspace())
}
