//! The tree over shards, for sums that come one shard after the other.
//!
//! A node that covers 2^j shards from a multiple of 2^j on is complete as soon as the last of them has come; then it is
//! left + right. What is complete and waits for its right neighbour is a stack with a place for each 1 in the binary
//! number of shards that have come: adding a shard carries over every 1 at its end. The incomplete right edge is
//! combined from right to left, when the last shard has come.

use super::arithmetic::Arithmetic;
use super::lines::Line;
use super::tile::{Tile, add, store};

/// What is to be done when a shard has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Nodes that wait before.
    waiting: usize,
    /// How many of them, from the right, the shard's sum is combined with.
    merges: usize,
    /// Whether the root is complete then.
    pub(super) is_last: bool,
}

impl Turn {
    /// The turn of shard `index` of `shards`.
    pub(super) fn new(index: usize, shards: usize) -> Self {
        let (waiting, is_last) = (index.count_ones() as usize, index + 1 == shards);
        let merges = if is_last { waiting } else { index.trailing_ones() as usize };
        Self { waiting, merges, is_last }
    }

    /// Combines the sum of a shard with those that wait for it, and leaves it to wait unless it is the last.
    ///
    /// Node n that waits is in `levels[n · level_len..]`.
    #[inline(always)]
    pub(super) fn take<A: Arithmetic, const M: usize, const N: usize>(
        self,
        arithmetic: A,
        mut sum: Tile<A::Vector, M, N>,
        levels: &mut [Line],
        level_len: usize,
    ) -> Tile<A::Vector, M, N> {
        for merge in 1..=self.merges {
            sum = add(arithmetic, &levels[(self.waiting - merge) * level_len..], sum);
        }
        if !self.is_last {
            store(arithmetic, &sum, &mut levels[(self.waiting - self.merges) * level_len..]);
        }
        sum
    }
}

/// Most nodes of `shards` shards that wait at a time.
pub(super) fn levels(shards: usize) -> usize {
    shards.ilog2() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::super::arithmetic::Separate;
    use super::*;

    /// The tree by its definition: cut at the largest power of two below the number of shards.
    fn by_definition(sums: &[f32]) -> f32 {
        match sums {
            [sum] => *sum,
            _ => {
                let (left, right) = sums.split_at(1 << (sums.len() - 1).ilog2());
                by_definition(left) + by_definition(right)
            }
        }
    }

    #[test]
    fn turns_build_the_tree_that_is_cut_at_powers_of_two() {
        for shards in 1..70 {
            let sums: Vec<f32> = (0..shards).map(|shard| 1.0 / (3.0 + shard as f32)).collect();
            let (mut waiting, mut root) = (vec![Line::ZERO; levels(shards)], 0.0);
            for (shard, sum) in sums.iter().enumerate() {
                let turn = Turn::new(shard, shards);
                [[[root, ..]]] = turn.take(Separate, [[[*sum; 16]]], &mut waiting, 1);
            }
            assert_eq!(root, by_definition(&sums), "{shards} shards");
        }
    }
}
