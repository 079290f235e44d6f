//! The segments of a flat vector, one per rank, and the fixed binary tree of all reductions.
//!
//! [`Node`] `(level j, index k)` covers the leaves `k·2^j .. (k+1)·2^j`. If the number of leaves is
//! not a power of two, the incomplete right edge is merged from right to left, which is equivalent
//! to splitting recursively at the largest power of two below the number:
//!
//! ```text
//! 7 leaves:   ((0 1) (2 3)) ((4 5) 6)
//! ```
//!
//! So the tree depends only on the number of leaves. A rank that holds leaves `a..b` can combine
//! the nodes that are entirely within them, independently of the other ranks: [`Stack`] keeps the
//! maximal complete subtrees. Combining the remaining nodes of all ranks, in order, gives the same
//! bits regardless of how the leaves were distributed.
//!
//! # Examples
//! ```
//! use phalanx_collective::tree::{Node, Stack};
//!
//! let show = |left: String, right: String| format!("({left} {right})");
//! // Two holders, one of leaves 0..3, the other of leaves 3..7.
//! let mut remainders = Vec::new();
//! for leaves in [0..3, 3..7] {
//!     let mut stack = Stack::with_capacity(8);
//!     for leaf in leaves {
//!         stack.push(Node::leaf(leaf), leaf.to_string(), show);
//!     }
//!     remainders.extend(stack.drain());
//! }
//! assert_eq!(Stack::fold(remainders, show).unwrap(), "(((0 1) (2 3)) ((4 5) 6))");
//! ```

use std::ops::Range;

/// Returns the elements of a vector of length `len` that `rank` owns: contiguous, in rank order;
/// the sizes differ by at most one, the larger first. In the same way it cuts samples into chunks:
/// `segment(samples, chunks, chunk)`.
///
/// With `q = len / world_size` and `m = len % world_size`, rank `r` owns `r·q + min(r, m) ..
/// (r+1)·q + min(r+1, m)`. Cuts are not rounded to cache lines: the memory of a vector rarely
/// starts at one, and the effect of sharing a line at each cut is too small to measure.
///
/// # Panics
/// If `rank >= world_size`.
///
/// # Examples
/// ```
/// use phalanx_collective::segment;
/// let segments: Vec<_> = (0..3).map(|rank| segment(8, 3, rank)).collect();
/// assert_eq!(segments, [0..3, 3..6, 6..8]);
/// ```
#[inline]
pub fn segment(len: usize, world_size: usize, rank: usize) -> Range<usize> {
    assert!(rank < world_size, "segment {rank} of {world_size} does not exist; segments are numbered from 0");
    let (quotient, rest) = (len / world_size, len % world_size);
    let cut = |rank: usize| rank * quotient + rank.min(rest);
    cut(rank)..cut(rank + 1)
}

/// A complete subtree: `2^level` leaves from `index · 2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u32,
    /// Counted from the left within the level.
    pub index: usize,
}

impl Node {
    /// Returns the node of one leaf.
    #[inline]
    pub fn leaf(index: usize) -> Self {
        Self { level: 0, index }
    }

    /// Returns the leaves below this node.
    ///
    /// # Panics
    /// If a leaf index overflows `usize`.
    #[inline]
    pub fn leaves(self) -> Range<usize> {
        let cut = |index: usize| index.checked_mul(1 << self.level).expect("a leaf index fits into a usize");
        cut(self.index)..cut(self.index + 1)
    }

    /// Returns the node one level up that covers this one.
    #[inline]
    pub fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index / 2 }
    }

    /// Returns the other child of the parent.
    #[inline]
    pub fn sibling(self) -> Self {
        Self { index: self.index ^ 1, ..self }
    }

    /// Returns whether `right` is this node's sibling and is to its right, so that the two merge
    /// into the parent.
    #[inline]
    pub fn merges_with(self, right: Self) -> bool {
        self.index.is_multiple_of(2) && right == self.sibling()
    }
}

/// A binary counter over the leaf index that merges siblings as they are pushed.
///
/// Nodes are pushed in order, without gaps. The remaining nodes are the maximal complete subtrees
/// of the pushed leaves.
///
/// # Cost
/// Each push merges once on average. At most `2·log2(leaves) + 1` nodes remain; with that capacity
/// a push does not allocate.
#[derive(Clone, Debug)]
pub struct Stack<V> {
    nodes: Vec<(Node, V)>,
}

impl<V> Stack<V> {
    /// Creates an empty stack with capacity for any `leaves` consecutive leaves.
    pub fn with_capacity(leaves: usize) -> Self {
        let levels = leaves.max(1).ilog2() as usize + 1;
        Self { nodes: Vec::with_capacity(2 * levels + 1) }
    }

    /// Adds the value of the next node, and merges siblings with `merge(left, right)` as long as
    /// there are any.
    ///
    /// # Panics
    /// If `node` does not start where the last one ended.
    pub fn push(&mut self, node: Node, value: V, mut merge: impl FnMut(V, V) -> V) {
        if let Some((last, _)) = self.nodes.last() {
            let (end, start) = (last.leaves().end, node.leaves().start);
            assert_eq!(end, start, "node {node:?} does not start where the last, {last:?}, ended");
        }
        let (mut node, mut value) = (node, value);
        while let Some((left, left_value)) = self.nodes.pop_if(|(left, _)| left.merges_with(node)) {
            value = merge(left_value, value);
            node = left.parent();
        }
        self.nodes.push((node, value));
    }

    /// Returns the maximal complete subtrees, from left to right.
    pub fn nodes(&self) -> &[(Node, V)] {
        &self.nodes
    }

    /// Removes the maximal complete subtrees, from left to right; the capacity stays.
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = (Node, V)> + '_ {
        self.nodes.drain(..)
    }

    /// Merges the remaining nodes from right to left and returns the result, which leaves the stack
    /// empty; `None` if nothing was pushed.
    ///
    /// If the leaves started at 0, this is the root of the tree.
    pub fn finish(&mut self, mut merge: impl FnMut(V, V) -> V) -> Option<V> {
        let (_, mut value) = self.nodes.pop()?;
        while let Some((_, left)) = self.nodes.pop() {
            value = merge(left, value);
        }
        Some(value)
    }

    /// Merges nodes that cover all leaves, in order, into the root of the tree; returns `None`
    /// without nodes.
    ///
    /// # Panics
    /// If a node does not start where the previous one ended.
    ///
    /// # Cost
    /// Allocates one stack; to avoid that, push to your own and call [`finish`](Self::finish).
    pub fn fold(nodes: impl IntoIterator<Item = (Node, V)>, mut merge: impl FnMut(V, V) -> V) -> Option<V> {
        let mut stack = Self { nodes: Vec::new() };
        for (node, value) in nodes {
            stack.push(node, value, &mut merge);
        }
        stack.finish(merge)
    }
}

/// Returns the number of leaves, of `count`, in the left branch: the largest power of two below
/// `count`.
///
/// # Panics
/// If `count` is below 2, because there are no branches then.
#[inline]
pub(super) fn split(count: usize) -> usize {
    assert!(count >= 2, "a tree of {count} leaves has no branches");
    1 << (count - 1).ilog2()
}

/// Combines the leaves of `ranks`, at least one, in the tree.
pub(super) fn fold_ranks<A>(
    ranks: Range<usize>,
    leaf: &impl Fn(usize) -> A,
    combine: &impl Fn(A, A) -> A,
) -> A {
    match ranks.len() {
        1 => leaf(ranks.start),
        2 => combine(leaf(ranks.start), leaf(ranks.start + 1)),
        count => {
            let middle = ranks.start + split(count);
            combine(
                fold_ranks(ranks.start..middle, leaf, combine),
                fold_ranks(middle..ranks.end, leaf, combine),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::combine_in_tree;
    use super::*;

    fn show(left: String, right: String) -> String {
        format!("({left} {right})")
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|leaf| leaf.to_string()).collect()
    }

    #[test]
    fn recursion_binary_counter_and_reference_build_the_same_tree() {
        for count in 1..=70 {
            let expected = combine_in_tree(names(count), show);
            assert_eq!(fold_ranks(0..count, &|leaf| leaf.to_string(), &show), expected);
            let leaves = names(count).into_iter().enumerate().map(|(leaf, name)| (Node::leaf(leaf), name));
            assert_eq!(Stack::fold(leaves, show).unwrap(), expected);
        }
    }

    #[test]
    fn segments_are_contiguous_complete_and_never_larger_for_a_higher_rank() {
        for world_size in 1..20 {
            for len in 0..100 {
                let segments: Vec<_> = (0..world_size).map(|rank| segment(len, world_size, rank)).collect();
                assert_eq!(segments[0].start, 0);
                assert_eq!(segments[world_size - 1].end, len);
                assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(segments.windows(2).all(|pair| pair[0].len() - pair[1].len() <= 1));
                assert!(segments[0].len() - segments[world_size - 1].len() <= 1);
            }
        }
    }

    #[test]
    fn the_left_branch_has_the_largest_power_of_two_below_the_count() {
        assert_eq!([2, 3, 4, 5, 8, 9].map(split), [1, 2, 2, 4, 4, 8]);
    }

    #[test]
    fn the_tree_of_seven_leaves_is_the_one_in_the_docs() {
        assert_eq!(combine_in_tree(names(7), show), "(((0 1) (2 3)) ((4 5) 6))");
    }

    #[test]
    fn the_tree_does_not_depend_on_the_distribution_of_the_leaves() {
        for count in 1..=33 {
            let expected = combine_in_tree(names(count), show);
            for holders in 1..=9 {
                let mut remainders = Vec::new();
                for holder in 0..holders {
                    let mut stack = Stack::with_capacity(count);
                    for leaf in segment(count, holders, holder) {
                        stack.push(Node::leaf(leaf), leaf.to_string(), show);
                    }
                    remainders.extend(stack.drain());
                }
                assert_eq!(
                    Stack::fold(remainders, show).unwrap(),
                    expected,
                    "{count} leaves, {holders} holders"
                );
            }
        }
    }

    #[test]
    fn remaining_nodes_are_the_maximal_complete_subtrees_and_fit_the_capacity() {
        for start in 0..40 {
            for end in start + 1..80 {
                let mut stack = Stack::with_capacity(end - start);
                let capacity = stack.nodes.capacity();
                (start..end).for_each(|leaf| stack.push(Node::leaf(leaf), (), |(), ()| ()));
                assert_eq!(stack.nodes.capacity(), capacity, "allocated for {start}..{end}");
                let nodes = stack.nodes();
                assert_eq!(nodes[0].0.leaves().start, start);
                assert_eq!(nodes[nodes.len() - 1].0.leaves().end, end);
                for (node, ()) in nodes {
                    let parent = node.parent().leaves();
                    assert!(parent.start < start || parent.end > end, "{node:?} could have merged");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not start where the last")]
    fn a_gap_between_nodes_is_rejected() {
        let mut stack = Stack::with_capacity(4);
        stack.push(Node::leaf(0), (), |(), ()| ());
        stack.push(Node::leaf(2), (), |(), ()| ());
    }
}
