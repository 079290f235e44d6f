//! The params that penalties pass over.

use super::Blocks;
use std::ops::Range;

/// Ranges of a segment's params, ascending, none touching the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spared(Vec<Range<usize>>);

impl Spared {
    /// The params of a segment that belong to biases, counted from its start.
    pub(super) fn biases(blocks: &Blocks, segment: Range<usize>) -> Self {
        let start = blocks.params_range(segment.clone()).start;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for block in segment.filter(|block| blocks.is_bias(blocks.tensor_of(*block))) {
            let range = blocks.range(block);
            let range = range.start - start..range.end - start;
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        Self(ranges)
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.0.iter().any(|range| range.contains(&index))
    }

    /// Cuts a range where sparing begins and ends; says of each piece whether it is spared.
    pub(super) fn runs(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> + use<'_> {
        let mut start = range.start;
        std::iter::from_fn(move || {
            let next = self.0.iter().find(|spared| spared.end > start);
            let (end, is_spared) = match next {
                _ if start == range.end => return None,
                Some(next) if next.start <= start => (next.end, true),
                Some(next) => (next.start, false),
                None => (range.end, false),
            };
            let run = start..end.min(range.end);
            start = run.end;
            Some((run, is_spared))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_sparing_does() {
        let spared = Spared(vec![3..5, 9..12]);
        let runs: Vec<_> = spared.runs(1..10).collect();
        assert_eq!(runs, [(1..3, false), (3..5, true), (5..9, false), (9..10, true)]);
        assert_eq!(spared.runs(4..5).collect::<Vec<_>>(), [(4..5, true)]);
        assert_eq!(spared.runs(5..5).count(), 0);
        assert_eq!(Spared::default().runs(0..7).collect::<Vec<_>>(), [(0..7, false)]);
    }
}
