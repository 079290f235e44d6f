//! How the contributions of all ranks become the gradient of a step.

use std::ops::Range;

use super::contribution::{Contribution, add};
use crate::collective::Peers;
use crate::collective::tree::{Node, Stack};
use crate::optim::divide_grads;

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

/// Adds up what the ranks say of their shards, shard by shard in order.
pub(super) fn step_sums(peers: &Peers<'_, Contribution>) -> StepSums {
    let mut sums = StepSums::default();
    for (loss, weight) in peers.iter().flat_map(Contribution::shards) {
        sums.loss += loss;
        sums.weight += weight;
        sums.shards += usize::from(weight != 0.0);
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
        // A binary counter of n leaves holds at most log2(n) + 1 nodes, and the one that comes.
        let depth = shards.max(1).ilog2() as usize + 2;
        Self { stack: Stack::with_capacity(shards), blocks: vec![[0.0; BLOCK]; depth] }
    }

    /// Writes the gradient of the step for the params in `segment`: all shards combined in the fixed tree, then
    /// divided. Returns whether it is finite.
    pub(super) fn combine(
        &mut self,
        peers: &Peers<'_, Contribution>,
        segment: Range<usize>,
        divisor: Option<f64>,
        grads: &mut [f32],
    ) -> bool {
        let mut finite = true;
        for (block, grads) in grads.chunks_mut(BLOCK).enumerate() {
            let start = segment.start + block * BLOCK;
            self.combine_block(peers, start..start + grads.len(), grads);
            if let Some(divisor) = divisor {
                divide_grads(grads, divisor);
            }
            finite &= all_finite(grads);
        }
        finite
    }

    fn combine_block(&mut self, peers: &Peers<'_, Contribution>, range: Range<usize>, grads: &mut [f32]) {
        for (node, gradient) in peers.iter().flat_map(Contribution::gradients) {
            self.push(node, &gradient[range.clone()]);
        }
        let (blocks, len) = (&mut self.blocks, range.len());
        let root =
            self.stack.finish(|left, right| merge(blocks, left, right, len)).expect("a step has a shard");
        grads.copy_from_slice(&blocks[root][..len]);
    }

    fn push(&mut self, node: Node, gradient: &[f32]) {
        let (blocks, block, len) = (&mut self.blocks, self.stack.nodes().len(), gradient.len());
        blocks[block][..len].copy_from_slice(gradient);
        self.stack.push(node, block, |left, right| merge(blocks, left, right, len));
    }
}

/// Whether no value is NaN or infinite. Without an early end, so that it takes a few values at a time.
pub(super) fn all_finite(values: &[f32]) -> bool {
    let largest = values.iter().fold(0, |largest, value| largest.max((value.to_bits() & 0x7fff_ffff) as i32));
    largest < f32::INFINITY.to_bits() as i32
}

fn merge(blocks: &mut [[f32; BLOCK]], left: usize, right: usize, len: usize) -> usize {
    let (before, from_right) = blocks.split_at_mut(right);
    add(&mut before[left][..len], &from_right[0][..len]);
    left
}
