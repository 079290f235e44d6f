//! The division of work: shards of a batch, ranks of processes, subtrees of shards. Only
//! arithmetic.

use std::ops::Range;

use crate::collective::tree::Node;

/// Returns the k-th of `parts` contiguous ranges of 0..len whose lengths differ by at most one, the
/// larger first.
///
/// It divides a batch into shards, and a range of shards among ranks.
pub(super) fn part(len: usize, parts: usize, k: usize) -> Range<usize> {
    let (size, larger) = (len / parts, len % parts);
    let start = k * size + k.min(larger);
    start..start + size + usize::from(k < larger)
}

/// Returns the index of the [part](part) of 0..len that contains an index.
pub(super) fn part_of(len: usize, parts: usize, index: usize) -> usize {
    let (size, larger) = (len / parts, len % parts);
    let of_larger = larger * (size + 1);
    if index < of_larger { index / (size + 1) } else { larger + (index - of_larger) / size }
}

/// The ranks of each process of a run, and the index of this process. Ranks are numbered process by
/// process over all processes; each may have a different number of threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RankLayout {
    process: usize,
    /// The first rank of each process, followed by the number of ranks.
    firsts: Vec<usize>,
}

impl RankLayout {
    /// Returns the layout of a run of one process.
    pub(super) fn alone(threads: usize) -> Self {
        Self::of(0, &[threads])
    }

    /// Returns the layout for one of several processes, given the number of `threads` of each.
    pub(super) fn of(process: usize, threads: &[usize]) -> Self {
        let ends = threads.iter().scan(0, |ranks, threads| {
            *ranks += threads;
            Some(*ranks)
        });
        Self { process, firsts: std::iter::once(0).chain(ends).collect() }
    }

    pub(super) fn process(&self) -> usize {
        self.process
    }

    pub(super) fn processes(&self) -> usize {
        self.firsts.len() - 1
    }

    /// Returns the number of ranks of all processes.
    pub(super) fn ranks(&self) -> usize {
        self.firsts[self.processes()]
    }

    /// Returns the ranks of a process.
    pub(super) fn ranks_of(&self, process: usize) -> Range<usize> {
        self.firsts[process]..self.firsts[process + 1]
    }

    /// Returns the rank of a thread of this process.
    pub(super) fn rank(&self, thread: usize) -> usize {
        self.firsts[self.process] + thread
    }
}

/// Divides a range of shards into subtrees of at most `most` shards, each as large as possible.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_contiguous_and_differ_by_at_most_one(len in 0_usize..500, parts in 1_usize..40) {
            let ranges: Vec<_> = (0..parts).map(|k| part(len, parts, k)).collect();
            prop_assert_eq!(ranges[0].start, 0);
            prop_assert_eq!(ranges[parts - 1].end, len);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].len() >= pair[1].len()));
            prop_assert!(ranges[0].len() - ranges[parts - 1].len() <= 1);
            prop_assert!((0..len).all(|index| ranges[part_of(len, parts, index)].contains(&index)));
        }

        #[test]
        fn pieces_are_contiguous_complete_subtrees(start in 0_usize..70, len in 0_usize..70, most in 1_usize..20) {
            let nodes: Vec<Node> = pieces(start..start + len, most).collect();
            let leaves: Vec<usize> = nodes.iter().flat_map(|node| node.leaves()).collect();
            prop_assert_eq!(leaves, (start..start + len).collect::<Vec<_>>());
            prop_assert!(nodes.iter().all(|node| node.leaves().len() <= most));
        }
    }
}
