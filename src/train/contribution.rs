//! What one rank brings to a step: the gradients of its shards, combined as far as the tree allows without the shards of
//! others.

use std::ops::Range;

use super::Plan;
use super::shards::part;
use super::step::samples_of;
use crate::collective::tree::{Node, Stack};
use crate::data::Gathered;
use crate::model::{Model, Subtree, SubtreeSums};
use crate::optim::Reduction;

/// The subtrees of a rank's shards, and what else the ranks must agree on.
pub(super) struct Contribution {
    params_len: usize,
    /// One gradient a slot.
    slots: Vec<f32>,
    /// The subtrees in the order of the shards, each with its slot: the k-th is in slot k.
    nodes: Stack<usize>,
    /// Loss sum of each of the rank's shards, in their order.
    losses: Vec<f64>,
    /// w_k of each of them.
    weights: Vec<f64>,
    /// What the gradient of each of them is divided by, if the reduction says so.
    divisors: Vec<f32>,
    /// Gradients that a model needs in between.
    spare: Vec<f32>,
    /// Whether this rank was asked to stop after this step.
    pub(super) stop: bool,
}

/// Some of a rank's shards that are computed in one go.
pub(super) struct Piece<'a> {
    pub(super) node: Node,
    /// Their samples.
    pub(super) gathered: &'a Gathered,
    /// Where each shard starts among them, and where the last ends.
    pub(super) bounds: &'a [usize],
}

/// Most samples of the shards that are computed in one go, unless one shard has more: enough for products to be
/// efficient, few enough for the memory of a rank to be bounded by a shard or this.
const PIECE_SAMPLES: usize = 1024;

impl Contribution {
    /// Reserves what any step of the plan needs of a rank.
    pub(super) fn new<M: Model>(plan: &Plan, model: &M, rank: usize) -> Self {
        let params_len = plan.params_len();
        let most = most_shards(plan);
        // A short last batch may have fewer shards, and thereby other subtrees.
        let batches = [Some(plan.max_batch_samples()), plan.short_batch()];
        let runs = batches.map(|batch| part(plan.shards_of(batch.unwrap_or(0)), plan.threads(), rank));
        let slots = runs.iter().map(|shards| slots_for(pieces(shards.clone(), most))).max().unwrap_or(0);
        let count = runs[0].len();
        let spare = model.spare_gradients(most.min(count.max(1)));
        Self {
            params_len,
            slots: vec![0.0; params_len * slots],
            nodes: Stack::with_capacity(count),
            losses: Vec::with_capacity(count),
            weights: Vec::with_capacity(count),
            divisors: Vec::with_capacity(count),
            spare: vec![0.0; params_len * spare],
            stop: false,
        }
    }

    pub(super) fn clear(&mut self) {
        drop(self.nodes.drain());
        self.losses.clear();
        self.weights.clear();
        self.divisors.clear();
    }

    /// Computes the gradients of some shards, and combines them with those before.
    pub(super) fn push<M: Model>(
        &mut self,
        piece: &Piece<'_>,
        reduction: Reduction,
        (model, params, workspace): (&M, &[f32], &mut M::Workspace),
    ) {
        let samples = samples_of(piece.gathered);
        let first = self.weights.len();
        for pair in piece.bounds.windows(2) {
            let weight = samples.range(pair[0]..pair[1]).total_weight();
            self.weights.push(weight);
            self.losses.push(0.0);
            // A shard of weight 0 is not divided, but has its place among the divisors.
            if let Some(divisor) = reduction.shard_divisor(if weight > 0.0 { weight } else { 1.0 }) {
                self.divisors.push(divisor as f32);
            }
        }
        let divisors = (!self.divisors.is_empty()).then(|| &self.divisors[first..]);
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        let grads = &mut self.slots[slot * len..][..len];
        let sums = SubtreeSums { grads, spare: &mut self.spare, losses: &mut self.losses[first..] };
        model.subtree_gradient(params, &Subtree { samples, bounds: piece.bounds, divisors }, sums, workspace);
        let slots = &mut self.slots;
        self.nodes.push(piece.node, slot, |left, right| {
            let (before, from_right) = slots.split_at_mut(right * len);
            add(&mut before[left * len..][..len], &from_right[..len]);
            left
        });
    }

    /// The subtrees with their gradients, in the order of the shards.
    pub(super) fn gradients(&self) -> impl Iterator<Item = (Node, &[f32])> {
        let gradient = |slot: usize| &self.slots[slot * self.params_len..][..self.params_len];
        self.nodes.nodes().iter().map(move |(node, slot)| (*node, gradient(*slot)))
    }

    /// Loss sum and weight of each shard, in order.
    pub(super) fn shards(&self) -> impl Iterator<Item = (f64, f64)> {
        self.losses.iter().copied().zip(self.weights.iter().copied())
    }
}

/// left += right.
pub(super) fn add(left: &mut [f32], right: &[f32]) {
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
}

/// Cuts a run of shards into subtrees of at most `most` shards, as large as can be.
pub(super) fn pieces(shards: Range<usize>, most: usize) -> impl Iterator<Item = Node> {
    let Range { mut start, end } = shards;
    std::iter::from_fn(move || {
        let left = (end - start).min(most);
        let level = start.trailing_zeros().min(left.checked_ilog2()?);
        let node = Node { level, index: start >> level };
        start = node.leaves().end;
        Some(node)
    })
}

/// Most shards of a piece.
pub(super) fn most_shards(plan: &Plan) -> usize {
    (PIECE_SAMPLES / plan.max_shard_samples()).max(1)
}

/// Most samples of a piece.
pub(super) fn most_samples(plan: &Plan) -> usize {
    let shards = most_shards(plan).min(plan.shards_of(plan.max_batch_samples()));
    (shards * plan.max_shard_samples()).min(plan.max_batch_samples())
}

/// Number of slots that pushing `nodes` one after the other takes at most at a time.
fn slots_for(nodes: impl Iterator<Item = Node>) -> usize {
    let mut stack = Stack::with_capacity(0);
    nodes.fold(0, |most, node| {
        let needed = stack.nodes().len() + 1;
        stack.push(node, (), |(), ()| ());
        most.max(needed)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_whole_subtrees_that_follow_one_another(start in 0_usize..70, len in 0_usize..70, most in 1_usize..20) {
            let nodes: Vec<Node> = pieces(start..start + len, most).collect();
            let leaves: Vec<usize> = nodes.iter().flat_map(|node| node.leaves()).collect();
            prop_assert_eq!(leaves, (start..start + len).collect::<Vec<_>>());
            prop_assert!(nodes.iter().all(|node| node.leaves().len() <= most));
        }
    }
}
