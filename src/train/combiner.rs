//! How the contributions of all ranks become the gradient of a step.

use std::ops::Range;

use super::contribution::{Contribution, reduces_by_segment};
use super::gradients::add;
use super::{BatchParts, Plan};
use crate::collective::Peers;
use crate::collective::tree::{Node, Stack};
use crate::model::Model;

/// Sums over the samples of one step, the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StepSums {
    /// Σ w_i ℓ_i.
    pub(super) loss: f64,
    /// W = Σ w_k.
    pub(super) weight: f64,
    /// S, the number of shards whose weight is not 0.
    pub(super) shards: usize,
    /// What the undivided gradient of no param exceeds; NaN if that is not known.
    bound: f64,
}

/// Adds up what the ranks say of their shards, shard by shard in order.
pub(super) fn step_sums<W>(peers: &Peers<'_, Contribution<W>>) -> StepSums {
    let mut sums = StepSums::default();
    for (loss, weight) in peers.iter().flat_map(Contribution::shards) {
        sums.loss += loss;
        sums.weight += weight;
        sums.shards += usize::from(weight != 0.0);
    }
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
pub(super) enum Combiner<W> {
    /// From the gradients of shards.
    Tree(Tree),
    /// From what all ranks computed of their samples; the room is the model's.
    BySegment(W),
}

impl<W> Combiner<W> {
    /// Reserves what the plan needs.
    pub(super) fn new<M: Model<Workspace = W>>(plan: &Plan, model: &M) -> Self {
        if reduces_by_segment(plan, model) {
            Self::BySegment(model.workspace(0))
        } else {
            Self::Tree(Tree::new(plan.shards_of(plan.max_batch_samples())))
        }
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
        match self {
            Self::Tree(tree) => tree.combine(peers, segment, sink),
            Self::BySegment(room) => {
                let ranks = (0..peers.len()).map(|rank| peers.get(rank).workspace());
                model.segment_gradient(ranks, segment, room, sink);
            }
        }
    }
}

/// Elements that are combined at a time: few enough for all nodes on the stack to stay in the first cache.
const BLOCK: usize = 1024;

/// Buffers in which a rank combines the gradients of all.
pub(super) struct Tree {
    /// Nodes with the block that holds each.
    stack: Stack<usize>,
    blocks: Vec<[f32; BLOCK]>,
}

impl Tree {
    /// Reserves what `shards` shards need, however they are spread over ranks.
    fn new(shards: usize) -> Self {
        // A binary counter of n leaves holds at most log2(n) + 1 nodes, and the one that comes.
        let depth = shards.max(1).ilog2() as usize + 2;
        Self { stack: Stack::with_capacity(shards), blocks: vec![[0.0; BLOCK]; depth] }
    }

    fn combine<W>(&mut self, peers: &Peers<'_, Contribution<W>>, segment: Range<usize>, sink: Sink<'_>) {
        for start in segment.clone().step_by(BLOCK) {
            let range = start..segment.end.min(start + BLOCK);
            for (node, gradient) in peers.iter().flat_map(Contribution::gradients) {
                self.push(node, &gradient[range.clone()]);
            }
            let (blocks, len) = (&mut self.blocks, range.len());
            let root = self.stack.finish(|left, right| merge(blocks, left, right, len));
            sink(range, &mut blocks[root.expect("a step has a shard")][..len]);
        }
    }

    fn push(&mut self, node: Node, gradient: &[f32]) {
        let (blocks, block, len) = (&mut self.blocks, self.stack.nodes().len(), gradient.len());
        blocks[block][..len].copy_from_slice(gradient);
        self.stack.push(node, block, |left, right| merge(blocks, left, right, len));
    }
}

fn merge(blocks: &mut [[f32; BLOCK]], left: usize, right: usize, len: usize) -> usize {
    let (before, from_right) = blocks.split_at_mut(right);
    add(&mut before[left][..len], &from_right[0][..len]);
    left
}
