//! The state buffers of an optimizer, and the params that are excluded from penalties.

use super::blocks::{Blocks, scale_grads};
use super::error::OptimError;
use super::options::{Hyper, OptimizerKind, Rule};
use std::ops::Range;

/// Named buffers, each as long as the segment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StateBuffers {
    kind: OptimizerKind,
    names: &'static [&'static str],
    /// One buffer per name, in the same order; at most two.
    buffers: Vec<Vec<f32>>,
}

impl StateBuffers {
    /// Creates buffers of zeros, except for adagrad's, which starts from its initial accumulator.
    pub(super) fn new(hyper: &Hyper, len: usize) -> Self {
        let start = match hyper.rule {
            Rule::Adagrad { initial_accumulator, .. } => initial_accumulator as f32,
            _ => 0.0,
        };
        let names = hyper.state_names();
        Self { kind: hyper.kind(), names, buffers: vec![vec![start; len]; names.len()] }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        self.names.iter().copied().zip(self.buffers.iter().map(Vec::as_slice))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [f32])> {
        self.names.iter().copied().zip(self.buffers.iter_mut().map(Vec::as_mut_slice))
    }

    pub(super) fn load(&mut self, name: &str, values: &[f32]) -> Result<(), OptimError> {
        let (name, buffer) = self.find(name)?;
        if buffer.len() != values.len() {
            return Err(OptimError::StateLen { name, found: values.len(), expected: buffer.len() });
        }
        buffer.copy_from_slice(values);
        Ok(())
    }

    pub(super) fn scale(&mut self, name: &str, factor: f32) -> Result<(), OptimError> {
        self.find(name).map(|(_, buffer)| scale_grads(buffer, factor))
    }

    fn find(&mut self, name: &str) -> Result<(&'static str, &mut [f32]), OptimError> {
        let unknown = OptimError::UnknownState {
            optimizer: self.kind.name(),
            found: name.to_owned(),
            expected: self.names,
        };
        self.iter_mut().find(|(known, _)| *known == name).ok_or(unknown)
    }

    /// Returns both buffers over a range; a buffer that the rule does not have is empty.
    #[inline(always)]
    pub(super) fn over(&mut self, range: Range<usize>) -> [&mut [f32]; 2] {
        match self.buffers.as_mut_slice() {
            [] => [&mut [], &mut []],
            [only] => [&mut only[range], &mut []],
            [first, second] => [&mut first[range.clone()], &mut second[range]],
            _ => unreachable!("no rule has more than two buffers"),
        }
    }
}

/// The params of a segment that are excluded from penalties: ascending ranges with gaps between
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NoDecay(Vec<Range<usize>>);

impl NoDecay {
    /// Returns the params of a segment that belong to biases, counted from its start.
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

    /// Splits a range at the boundaries of the exclusion; returns each piece with true if it is
    /// excluded.
    pub(super) fn runs(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> + use<'_> {
        let mut start = range.start;
        std::iter::from_fn(move || {
            let next = self.0.iter().find(|excluded| excluded.end > start);
            let (end, is_excluded) = match next {
                _ if start == range.end => return None,
                Some(next) if next.start <= start => (next.end, true),
                Some(next) => (next.start, false),
                None => (range.end, false),
            };
            let run = start..end.min(range.end);
            start = run.end;
            Some((run, is_excluded))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_split_at_the_boundaries_of_the_exclusion() {
        let excluded = NoDecay(vec![3..5, 9..12]);
        let runs: Vec<_> = excluded.runs(1..10).collect();
        assert_eq!(runs, [(1..3, false), (3..5, true), (5..9, false), (9..10, true)]);
        assert_eq!(excluded.runs(4..5).collect::<Vec<_>>(), [(4..5, true)]);
        assert_eq!(excluded.runs(5..5).count(), 0);
        assert_eq!(NoDecay::default().runs(0..7).collect::<Vec<_>>(), [(0..7, false)]);
    }
}
