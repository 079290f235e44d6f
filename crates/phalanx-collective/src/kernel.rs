//! The arithmetic of a reduction on this rank's segment: read everyone's elements, combine, write the result.
//!
//! For each element of the segment the leaves are combined in the fixed tree over the ranks. Two ranks, the case of
//! most machines' benches, take one loop without intermediate storage; more go block by block, so that intermediate
//! results stay in the first-level cache.

use super::element::Element;
use super::loan::Segments;
use super::recipe::Recipe;
use super::round::{PAYLOAD_BYTES, Round};
use super::tree::{fold_ranks, split};
use std::ops::Range;

/// Elements combined at a time: 4 KiB of f64 for each level of the tree.
pub(super) const BLOCK: usize = 512;

/// Elements of the smallest type, of 2 bytes, that a payload holds.
const PAYLOAD_BLOCK: usize = PAYLOAD_BYTES / 2;

/// Reduces into the segments of all ranks.
pub(super) fn reduce_to_all<T: Copy, R: Recipe<T>>(recipe: &R, segments: &mut Segments<'_, T>) {
    if segments.world_size() == 2 {
        let (first, second) = segments.pair_mut(0, 1);
        return reduce_two(recipe, first, second);
    }
    for_each_block(segments.len(), |block| {
        reduce_block(recipe, segments, block.clone());
        let own = segments.rank();
        for rank in (0..segments.world_size()).filter(|&rank| rank != own) {
            let (result, copy) = segments.pair_mut(own, rank);
            copy[block.clone()].copy_from_slice(&result[block.clone()]);
        }
    });
}

/// Reduces into this rank's own segment.
pub(super) fn reduce_to_own<T: Copy, R: Recipe<T>>(recipe: &R, segments: &mut Segments<'_, T>) {
    for_each_block(segments.len(), |block| reduce_block(recipe, segments, block));
}

/// As [`reduce_to_all`], element by element: for types of any size, of which a block may not fit the stack.
pub(super) fn reduce_each_to_all<T: Copy, R: Recipe<T>>(recipe: &R, segments: &mut Segments<'_, T>) {
    if segments.world_size() == 2 {
        let (first, second) = segments.pair_mut(0, 1);
        return reduce_two(recipe, first, second);
    }
    for index in 0..segments.len() {
        let leaf = |rank| recipe.leaf(rank)(segments.get(rank)[index]);
        let combine = |left, right| recipe.combine(left, right);
        let result = recipe.finish(fold_ranks(0..segments.world_size(), &leaf, &combine));
        for rank in 0..segments.world_size() {
            segments.get_mut(rank)[index] = result;
        }
    }
}

/// Reduces what travelled with the arrivals, from element `first` on, into `results`.
pub(super) fn reduce_payloads<T: Element, R: Recipe<T>>(
    recipe: &R,
    round: &Round<'_>,
    first: usize,
    results: &mut [T],
) {
    let range = first..first + results.len();
    let leaves = |rank| &round.payload(rank)[range.clone()];
    reduce_slices::<T, R, PAYLOAD_BLOCK>(recipe, round.world_size(), leaves, results);
}

/// Reduces the leaves of each rank, as many as there are results, in blocks of at most `N`.
pub(super) fn reduce_slices<'l, T: Copy + 'l, R: Recipe<T>, const N: usize>(
    recipe: &R,
    world_size: usize,
    leaves: impl Fn(usize) -> &'l [T],
    results: &mut [T],
) {
    for (block, results) in results.chunks_mut(N).enumerate() {
        let range = block * N..block * N + results.len();
        let leaves = |rank| &leaves(rank)[range.clone()];
        let filling = recipe.leaf(0)(leaves(0)[0]);
        let mut roots = [filling; N];
        let roots = &mut roots[..results.len()];
        Source::<_, _, _, N> { recipe, leaves, filling }.combine(0..world_size, roots);
        finish(recipe, roots, results);
    }
}

/// The loop of two ranks. A function of its own, as only exclusive references that are parameters tell the compiler
/// that the two do not overlap.
#[inline(never)]
fn reduce_two<T: Copy, R: Recipe<T>>(recipe: &R, first: &mut [T], second: &mut [T]) {
    let (left_leaf, right_leaf) = (recipe.leaf(0), recipe.leaf(1));
    for (left, right) in first.iter_mut().zip(second) {
        let result = recipe.finish(recipe.combine(left_leaf(*left), right_leaf(*right)));
        *left = result;
        *right = result;
    }
}

fn for_each_block(len: usize, mut work: impl FnMut(Range<usize>)) {
    for start in (0..len).step_by(BLOCK) {
        work(start..len.min(start + BLOCK));
    }
}

/// Writes the result of `block` (indices within the segment) to this rank's own segment.
fn reduce_block<T: Copy, R: Recipe<T>>(recipe: &R, segments: &mut Segments<'_, T>, block: Range<usize>) {
    let filling = recipe.leaf(0)(segments.get(0)[block.start]);
    let mut roots = [filling; BLOCK];
    let roots = &mut roots[..block.len()];
    let leaves = |rank| &segments.get(rank)[block.clone()];
    Source::<_, _, _, BLOCK> { recipe, leaves, filling }.combine(0..segments.world_size(), roots);
    let own = segments.rank();
    finish(recipe, roots, &mut segments.get_mut(own)[block]);
}

fn finish<T, R: Recipe<T>>(recipe: &R, roots: &[R::Wide], results: &mut [T]) {
    for (result, &root) in results.iter_mut().zip(roots) {
        *result = recipe.finish(root);
    }
}

/// Where at most `N` leaves of each rank come from.
struct Source<'a, R, L, W, const N: usize> {
    recipe: &'a R,
    /// Returns the leaves of a rank.
    leaves: L,
    /// Any value, to fill intermediate storage with.
    filling: W,
}

impl<'l, T: Copy + 'l, R: Recipe<T>, L: Fn(usize) -> &'l [T], const N: usize> Source<'_, R, L, R::Wide, N> {
    /// Writes the roots of the trees over `ranks` to `roots`.
    fn combine(&self, ranks: Range<usize>, roots: &mut [R::Wide]) {
        match ranks.len() {
            1 => self.load(ranks.start, roots),
            2 => self.combine_two(ranks.start, roots),
            count => {
                let middle = ranks.start + split(count);
                self.combine(ranks.start..middle, roots);
                self.combine_right(middle..ranks.end, roots);
            }
        }
    }

    /// Combines `roots` with the trees over `ranks`, which lie to their right.
    fn combine_right(&self, ranks: Range<usize>, roots: &mut [R::Wide]) {
        if ranks.len() == 1 {
            let leaf = self.recipe.leaf(ranks.start);
            for (root, &value) in roots.iter_mut().zip((self.leaves)(ranks.start)) {
                *root = self.recipe.combine(*root, leaf(value));
            }
            return;
        }
        let mut right = [self.filling; N];
        let right = &mut right[..roots.len()];
        self.combine(ranks, right);
        for (root, &right) in roots.iter_mut().zip(&*right) {
            *root = self.recipe.combine(*root, right);
        }
    }

    fn load(&self, rank: usize, roots: &mut [R::Wide]) {
        let leaf = self.recipe.leaf(rank);
        for (root, &value) in roots.iter_mut().zip((self.leaves)(rank)) {
            *root = leaf(value);
        }
    }

    fn combine_two(&self, rank: usize, roots: &mut [R::Wide]) {
        let (left_leaf, right_leaf) = (self.recipe.leaf(rank), self.recipe.leaf(rank + 1));
        let pairs = (self.leaves)(rank).iter().zip((self.leaves)(rank + 1));
        for (root, (&left, &right)) in roots.iter_mut().zip(pairs) {
            *root = self.recipe.combine(left_leaf(left), right_leaf(right));
        }
    }
}
