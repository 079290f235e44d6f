//! The combination of all ranks' contributions into the gradient of a step.

use std::ops::Range;

use super::contribution::{Contribution, Request, add, reduces_by_segment};
use super::noise_scale::BatchParts;
use super::plan::Plan;
use crate::collective::Peers;
use crate::collective::tree::{Node, Stack};
use crate::model::{AnyModel, AnyWorkspace, segment_model};
use crate::optim::Reduction;

/// Totals of a step's shards, the same on every rank.
#[derive(Default)]
pub(super) struct StepTotals {
    pub(super) sums: StepSums,
    pub(super) request: Request,
    /// The parts of the batch; empty unless the step measures the noise scale.
    pub(super) parts: BatchParts,
}

/// Sums over the samples of one step, the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StepSums {
    /// Σ w_i ℓ_i.
    pub(super) loss: f64,
    /// W = Σ w_k.
    pub(super) weight: f64,
    /// S, the number of shards that the reduction counts.
    pub(super) shards: usize,
    /// A bound on the absolute value of the undivided gradient of every param; NaN if the model has
    /// no bound.
    pub(super) bound: f64,
}

impl StepTotals {
    /// Adds up the contributions of one process, shard by shard in order.
    pub(super) fn of(reduction: Reduction, peers: &Peers<'_, Contribution>) -> Self {
        let (mut sums, mut parts) = (StepSums::default(), BatchParts::default());
        let shards = peers.iter().flat_map(Contribution::shards);
        shards.for_each(|(loss, weight)| sums.add_shard(reduction, loss, weight));
        sums.bound = peers.iter().map(Contribution::bound).sum();
        peers.iter().flat_map(Contribution::parts).for_each(|shard| parts.append(shard));
        Self { sums, request: peers.get(0).request, parts }
    }
}

impl StepSums {
    /// Adds the next shard, which must not be empty.
    pub(super) fn add_shard(&mut self, reduction: Reduction, loss: f64, weight: f64) {
        self.loss += loss;
        self.weight += weight;
        self.shards += usize::from(reduction.counts_shard(weight));
    }

    /// Returns whether the gradient, divided by `divisor`, is guaranteed to be finite. The bound
    /// holds for exact arithmetic: rounding takes less than a tenth of its factor of 2 for a
    /// million samples.
    pub(super) fn is_surely_finite(&self, divisor: Option<f64>) -> bool {
        let largest = 2.0 * self.bound / divisor.unwrap_or(1.0).min(1.0);
        largest < f64::from(f32::MAX)
    }
}

/// Receives pieces of a gradient: their indices among the params, and values that it may modify.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Range<usize>, &mut [f32]);

/// The subtrees of other processes for a segment, before and after those of this one; empty in a
/// run of one process.
#[derive(Default)]
pub(super) struct RemoteSubtrees<'a> {
    /// The first subtree of this process, if it has one; its only one when reducing by segment.
    pub(super) own: Option<Node>,
    pub(super) before: Vec<(Node, &'a [f32])>,
    pub(super) after: Vec<(Node, &'a [f32])>,
}

/// The buffers of a rank for combining a segment of the gradient of all shards.
pub(super) struct Combiner {
    tree: Tree,
    /// The model's workspace for reducing by segment, if this is used.
    by_segment: Option<AnyWorkspace>,
}

impl Combiner {
    /// Allocates the buffers for a plan.
    pub(super) fn new(plan: &Plan, model: &AnyModel<'_>) -> Self {
        let by_segment = reduces_by_segment(plan, model).then(|| model.workspace(0));
        Self { tree: Tree::new(plan.shards_of(plan.max_batch_samples())), by_segment }
    }

    /// Passes the gradient of the step for the params in `segment` to `sink`, piece by piece: all
    /// shards combined in the fixed tree, not yet divided.
    pub(super) fn combine(
        &mut self,
        model: &AnyModel<'_>,
        peers: &Peers<'_, Contribution>,
        segment: Range<usize>,
        far: &RemoteSubtrees<'_>,
        sink: Sink<'_>,
    ) {
        let (tree, first) = (&mut self.tree, segment.start);
        match (&mut self.by_segment, far.own) {
            (Some(spare), _) if far.is_empty() => segment_gradient(model, peers, segment, spare, sink),
            (Some(spare), Some(own)) => {
                segment_gradient(model, peers, segment, spare, &mut |range, values| {
                    for (range, values) in blocks(range).zip(values.chunks(BLOCK)) {
                        let (before, after) =
                            (cut(&far.before, &range, first), cut(&far.after, &range, first));
                        let root = tree.combine(before.chain([(own, values)]).chain(after), range.len());
                        sink(range, root);
                    }
                });
            }
            _ => {
                for range in blocks(segment) {
                    let (before, after) = (cut(&far.before, &range, first), cut(&far.after, &range, first));
                    let root = tree.combine(before.chain(subtrees(peers, &range)).chain(after), range.len());
                    sink(range, root);
                }
            }
        }
    }

    /// Writes the gradient of this process's shards, at least one, for the params in `segment`:
    /// subtree by subtree.
    pub(super) fn fold(
        &mut self,
        model: &AnyModel<'_>,
        peers: &Peers<'_, Contribution>,
        segment: Range<usize>,
        to: &mut [f32],
    ) {
        let (first, len) = (segment.start, segment.len());
        if let Some(spare) = &mut self.by_segment {
            return segment_gradient(model, peers, segment, spare, &mut |range, values| {
                to[range.start - first..range.end - first].copy_from_slice(values);
            });
        }
        for range in blocks(segment) {
            for (index, values) in self.tree.fold(subtrees(peers, &range), range.len()).enumerate() {
                to[index * len + range.start - first..][..values.len()].copy_from_slice(values);
            }
        }
    }
}

impl RemoteSubtrees<'_> {
    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// Returns the subtrees of the ranks of this process, restricted to a range of the params.
fn subtrees<'a>(
    peers: &Peers<'a, Contribution>,
    range: &Range<usize>,
) -> impl Iterator<Item = (Node, &'a [f32])> {
    let range = range.clone();
    let all = peers.iter().flat_map(Contribution::gradients);
    all.map(move |(node, values)| (node, &values[range.clone()]))
}

/// Returns a range of subtrees whose values begin with the param `first`.
fn cut<'a>(
    subtrees: &'a [(Node, &'a [f32])],
    range: &Range<usize>,
    first: usize,
) -> impl Iterator<Item = (Node, &'a [f32])> {
    let range = range.start - first..range.end - first;
    subtrees.iter().map(move |(node, values)| (*node, &values[range.clone()]))
}

/// Computes a segment of the gradient of this process's shards, from what the model stored for the
/// samples of its ranks.
fn segment_gradient(
    model: &AnyModel<'_>,
    peers: &Peers<'_, Contribution>,
    segment: Range<usize>,
    spare: &mut AnyWorkspace,
    sink: Sink<'_>,
) {
    let workspace_of = |rank: usize| peers.get(rank).workspace();
    let model = segment_model(model).expect("the model reduces by segment");
    model.segment_gradient(peers.len(), &workspace_of, segment, spare, sink);
}

/// The buffers in which gradients are combined, block by block, in the fixed tree over the shards.
struct Tree {
    /// Nodes, each with the block that holds its values.
    stack: Stack<usize>,
    blocks: Vec<[f32; BLOCK]>,
}

/// The number of elements that are combined at a time: few enough for all nodes on the stack to
/// stay in the L1 cache.
const BLOCK: usize = 1024;

fn blocks(segment: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    segment.clone().step_by(BLOCK).map(move |start| start..segment.end.min(start + BLOCK))
}

impl Tree {
    /// Allocates the buffers for `shards` shards, for every distribution over the ranks.
    fn new(shards: usize) -> Self {
        // A binary counter of n leaves holds at most log2(n) + 1 nodes, plus a new one, plus more
        // if the first is not leaf 0.
        let depth = 2 * (shards.max(1).ilog2() as usize + 1) + 1;
        Self { stack: Stack::with_capacity(shards), blocks: vec![[0.0; BLOCK]; depth] }
    }

    /// Combines subtrees that cover all shards, of `len` values each, and returns the values of the
    /// root.
    fn combine<'a>(&mut self, subtrees: impl Iterator<Item = (Node, &'a [f32])>, len: usize) -> &mut [f32] {
        self.push(subtrees);
        let blocks = &mut self.blocks;
        let root = self.stack.finish(|left, right| merge(blocks, left, right, len));
        &mut blocks[root.expect("a step has a shard")][..len]
    }

    /// Combines subtrees of some consecutive shards as far as the tree allows, and returns the
    /// values of each remaining subtree, in order.
    fn fold<'a>(
        &mut self,
        subtrees: impl Iterator<Item = (Node, &'a [f32])>,
        len: usize,
    ) -> impl Iterator<Item = &[f32]> {
        self.push(subtrees);
        let blocks = &self.blocks;
        self.stack.drain().map(move |(_, block)| &blocks[block][..len])
    }

    fn push<'a>(&mut self, subtrees: impl Iterator<Item = (Node, &'a [f32])>) {
        for (node, values) in subtrees {
            let (blocks, block, len) = (&mut self.blocks, self.stack.nodes().len(), values.len());
            blocks[block][..len].copy_from_slice(values);
            self.stack.push(node, block, |left, right| merge(blocks, left, right, len));
        }
    }
}

fn merge(blocks: &mut [[f32; BLOCK]], left: usize, right: usize, len: usize) -> usize {
    let (before, from_right) = blocks.split_at_mut(right);
    add(&mut before[left][..len], &from_right[0][..len]);
    left
}
