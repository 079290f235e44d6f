//! The buffers in which a rank combines gradients, block by block, in the fixed tree over the shards.

use std::ops::Range;

use super::combiner::Sink;
use super::gradients::add;
use crate::collective::tree::{Node, Stack};

/// Elements that are combined at a time: few enough for all nodes on the stack to stay in the first cache.
pub(super) const BLOCK: usize = 1024;

/// Takes the values of a subtree, in the order of the shards.
pub(super) type Push<'a> = &'a mut dyn FnMut(Node, &[f32]);

/// Hands on the values that all subtrees have in a range.
pub(super) type Subtrees<'a> = &'a mut dyn FnMut(Range<usize>, Push<'_>);

/// Buffers in which a rank combines the gradients of all.
pub(super) struct Tree {
    /// Nodes with the block that holds each.
    stack: Stack<usize>,
    blocks: Vec<[f32; BLOCK]>,
}

impl Tree {
    /// Reserves what `shards` shards need, however they are spread over ranks.
    pub(super) fn new(shards: usize) -> Self {
        // A binary counter of n leaves holds at most log2(n) + 1 nodes, one that comes, and more if the first is not leaf 0.
        let depth = 2 * (shards.max(1).ilog2() as usize + 1) + 1;
        Self { stack: Stack::with_capacity(shards), blocks: vec![[0.0; BLOCK]; depth] }
    }

    /// Combines subtrees that cover all shards, and hands the values of the root to `sink`.
    pub(super) fn combine(&mut self, segment: Range<usize>, subtrees: Subtrees<'_>, sink: Sink<'_>) {
        for range in blocks(segment) {
            self.combine_block(range.clone(), &mut |push| subtrees(range.clone(), push), sink);
        }
    }

    /// Combines subtrees of some successive shards as far as the tree allows, and hands on the values of each that is left, with its
    /// index among them.
    pub(super) fn fold(
        &mut self,
        segment: Range<usize>,
        subtrees: Subtrees<'_>,
        mut sink: impl FnMut(usize, Range<usize>, &[f32]),
    ) {
        for range in blocks(segment) {
            subtrees(range.clone(), &mut |node, values| self.push(node, values));
            for (index, (_, block)) in self.stack.drain().enumerate() {
                sink(index, range.clone(), &self.blocks[block][..range.len()]);
            }
        }
    }

    /// Combines the values that subtrees have in one range, at most [`BLOCK`] long, and hands those of the root to `sink`.
    pub(super) fn combine_block(
        &mut self,
        range: Range<usize>,
        subtrees: &mut dyn FnMut(Push<'_>),
        sink: Sink<'_>,
    ) {
        subtrees(&mut |node, values| self.push(node, values));
        let (blocks, len) = (&mut self.blocks, range.len());
        let root = self.stack.finish(|left, right| merge(blocks, left, right, len));
        sink(range, &mut blocks[root.expect("a step has a shard")][..len]);
    }

    fn push(&mut self, node: Node, values: &[f32]) {
        let (blocks, block, len) = (&mut self.blocks, self.stack.nodes().len(), values.len());
        blocks[block][..len].copy_from_slice(values);
        self.stack.push(node, block, |left, right| merge(blocks, left, right, len));
    }
}

fn blocks(segment: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    segment.clone().step_by(BLOCK).map(move |start| start..segment.end.min(start + BLOCK))
}

fn merge(blocks: &mut [[f32; BLOCK]], left: usize, right: usize, len: usize) -> usize {
    let (before, from_right) = blocks.split_at_mut(right);
    add(&mut before[left][..len], &from_right[0][..len]);
    left
}
