//! The gradients of a rank's shards, combined as far as the tree allows without the shards of others.

use super::Plan;
use super::contribution::{pieces, runs};
use super::noise::measures_shards;
use crate::collective::tree::{Node, Stack};
use crate::model::{Model, ShardRun, SubtreeSums};

/// One gradient for each subtree of a rank's shards.
pub(super) struct Gradients {
    params_len: usize,
    /// One gradient a slot.
    slots: Vec<f32>,
    /// The subtrees in the order of the shards, each with its slot: the k-th is in slot k.
    nodes: Stack<usize>,
    /// Gradients that a model needs in between.
    spare: Vec<f32>,
}

impl Gradients {
    /// Reserves what any step of the plan needs of a rank that computes at most `most` shards in one go, or one by one if that
    /// is asked of it.
    pub(super) fn new<M: Model>(plan: &Plan, model: &M, rank: usize, most: usize) -> Self {
        let least = if measures_shards(plan, model) { 1 } else { most };
        let params_len = plan.params_len();
        // A short last batch may have fewer shards, and thereby other subtrees.
        let slots = runs(plan, rank)
            .flat_map(|shards| [most, least].map(|most| slots_for(pieces(shards.clone(), most))))
            .max()
            .unwrap_or(0);
        let count = runs(plan, rank).map(|shards| shards.len()).max().unwrap_or(0);
        let spare = model.spare_gradients(most.min(count.max(1)));
        Self {
            params_len,
            slots: vec![0.0; params_len * slots],
            nodes: Stack::with_capacity(count),
            spare: vec![0.0; params_len * spare],
        }
    }

    pub(super) fn clear(&mut self) {
        drop(self.nodes.drain());
    }

    /// Computes the gradient of the next subtree, which [`push`](Self::push) must follow.
    pub(super) fn compute<M: Model>(
        &mut self,
        shards: &ShardRun<'_>,
        losses: &mut [f64],
        (model, params, workspace): (&M, &[f32], &mut M::Workspace),
    ) -> &[f32] {
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        let grads = &mut self.slots[slot * len..][..len];
        let sums = SubtreeSums { grads: &mut *grads, spare: &mut self.spare, losses };
        model.subtree_gradient(params, shards, sums, workspace);
        grads
    }

    /// Combines the subtree just computed with those before.
    pub(super) fn push(&mut self, node: Node) {
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        let slots = &mut self.slots;
        self.nodes.push(node, slot, |left, right| {
            let (before, from_right) = slots.split_at_mut(right * len);
            add(&mut before[left * len..][..len], &from_right[..len]);
            left
        });
    }

    /// The subtrees with their gradients, in the order of the shards.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Node, &[f32])> {
        let gradient = |slot: usize| &self.slots[slot * self.params_len..][..self.params_len];
        self.nodes.nodes().iter().map(move |(node, slot)| (*node, gradient(*slot)))
    }
}

/// left += right.
pub(super) fn add(left: &mut [f32], right: &[f32]) {
    crate::simd::vectorized(
        #[inline(always)]
        || left.iter_mut().zip(right).for_each(|(left, right)| *left += right),
    );
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
