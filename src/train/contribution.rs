//! What one rank brings to a step, and how the contributions of all ranks become one gradient.

use std::ops::Range;

use crate::collective::Peers;
use crate::collective::tree::{Node, Stack};
use crate::optim::{Reduction, divide_grads};

/// The gradient sums of a rank's shards, combined as far as the tree allows without the shards of others, and what
/// else the ranks must agree on.
pub(super) struct Contribution {
    params_len: usize,
    /// One gradient a slot.
    slots: Vec<f32>,
    /// The subtrees of the rank's shards in the order of the shards, each with its slot: the k-th is in slot k.
    nodes: Stack<usize>,
    /// Loss sum and weight of each of the rank's shards, in their order.
    shards: Vec<ShardSums>,
    /// Whether this rank was asked to stop after this step.
    pub(super) stop: bool,
}

/// Sums over the samples of one shard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShardSums {
    /// Σ w_i ℓ_i.
    pub(super) loss: f64,
    /// w_k = Σ w_i.
    pub(super) weight: f64,
}

/// Sums over the samples of one step, the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StepSums {
    /// Σ w_i ℓ_i.
    pub(super) loss: f64,
    /// W = Σ w_k.
    pub(super) weight: f64,
    /// S, the number of shards whose weight is not 0.
    pub(super) shards: usize,
}

impl Contribution {
    /// Reserves what any step needs of a rank that computes `shards` (the largest of its runs).
    pub(super) fn new(params_len: usize, shards: Range<usize>) -> Self {
        Self {
            params_len,
            slots: vec![0.0; params_len * slots_for(shards.clone())],
            nodes: Stack::with_capacity(shards.len()),
            shards: Vec::with_capacity(shards.len()),
            stop: false,
        }
    }

    pub(super) fn clear(&mut self) {
        drop(self.nodes.drain());
        self.shards.clear();
    }

    /// Takes the gradient sum of shard `index`, written by `compute` into the slot it is handed, and combines it with
    /// the shards before it. A shard of weight 0 contributes nothing: it is not computed.
    pub(super) fn push(
        &mut self,
        index: usize,
        weight: f64,
        reduction: Reduction,
        compute: impl FnOnce(&mut [f32]) -> f64,
    ) {
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        let grads = &mut self.slots[slot * len..][..len];
        let loss = if weight == 0.0 {
            grads.fill(0.0);
            0.0
        } else {
            let loss = compute(grads);
            divide(grads, reduction.shard_divisor(weight));
            loss
        };
        self.shards.push(ShardSums { loss, weight });
        let slots = &mut self.slots;
        self.nodes.push(Node::leaf(index), slot, |left, right| {
            let (before, from_right) = slots.split_at_mut(right * len);
            add(&mut before[left * len..][..len], &from_right[..len]);
            left
        });
    }

    /// The nodes with their gradients, in the order of the shards.
    fn gradients(&self) -> impl Iterator<Item = (Node, &[f32])> {
        let gradient = |slot: usize| &self.slots[slot * self.params_len..][..self.params_len];
        self.nodes.nodes().iter().map(move |(node, slot)| (*node, gradient(*slot)))
    }
}

/// Number of slots that pushing `leaves` one after the other takes at most at a time.
fn slots_for(leaves: Range<usize>) -> usize {
    let mut stack = Stack::with_capacity(leaves.len());
    let mut most = 0;
    for leaf in leaves {
        most = most.max(stack.nodes().len() + 1);
        stack.push(Node::leaf(leaf), (), |(), ()| ());
    }
    most
}

/// Adds up what the ranks say of their shards, shard by shard in order.
pub(super) fn step_sums(peers: &Peers<'_, Contribution>) -> StepSums {
    let mut sums = StepSums::default();
    for shard in peers.iter().flat_map(|peer| &peer.shards) {
        sums.loss += shard.loss;
        sums.weight += shard.weight;
        sums.shards += usize::from(shard.weight != 0.0);
    }
    sums
}

/// Elements that are combined at a time: few enough for all nodes on the stack to stay in the first cache.
const BLOCK: usize = 1024;

/// Buffers in which a rank combines the contributions of all.
pub(super) struct Combiner {
    /// Nodes with the block that holds each.
    stack: Stack<usize>,
    blocks: Vec<[f32; BLOCK]>,
}

impl Combiner {
    /// Reserves what `shards` shards need, however they are spread over ranks.
    pub(super) fn new(shards: usize) -> Self {
        Self { stack: Stack::with_capacity(shards), blocks: vec![[0.0; BLOCK]; slots_for(0..shards)] }
    }

    /// Writes the gradient of the step for the params in `segment`: all shards combined in the fixed tree, then
    /// divided.
    pub(super) fn combine(
        &mut self,
        peers: &Peers<'_, Contribution>,
        segment: Range<usize>,
        divisor: Option<f64>,
        grads: &mut [f32],
    ) {
        for (block, grads) in grads.chunks_mut(BLOCK).enumerate() {
            let start = segment.start + block * BLOCK;
            self.combine_block(peers, start..start + grads.len(), grads);
            divide(grads, divisor);
        }
    }

    fn combine_block(&mut self, peers: &Peers<'_, Contribution>, range: Range<usize>, grads: &mut [f32]) {
        let Self { stack, blocks } = self;
        let len = range.len();
        let merge = |blocks: &mut [[f32; BLOCK]], left: usize, right: usize| {
            let (before, from_right) = blocks.split_at_mut(right);
            add(&mut before[left][..len], &from_right[0][..len]);
            left
        };
        for (node, gradient) in peers.iter().flat_map(Contribution::gradients) {
            let block = stack.nodes().len();
            blocks[block][..len].copy_from_slice(&gradient[range.clone()]);
            stack.push(node, block, |left, right| merge(blocks, left, right));
        }
        let root = stack.finish(|left, right| merge(blocks, left, right)).expect("a step has a shard");
        grads.copy_from_slice(&blocks[root][..len]);
    }
}

/// left += right.
fn add(left: &mut [f32], right: &[f32]) {
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
}

fn divide(values: &mut [f32], divisor: Option<f64>) {
    if let Some(divisor) = divisor {
        divide_grads(values, divisor);
    }
}
