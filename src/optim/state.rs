//! The buffers that an optimizer keeps from step to step.

use super::{Hyper, OptimError, OptimizerKind, hyper::Rule};
use std::ops::Range;

/// Named buffers, each as long as the segment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    kind: OptimizerKind,
    names: &'static [&'static str],
    /// One for each name, in order; at most two.
    buffers: Vec<Vec<f32>>,
}

impl State {
    /// Buffers of zeros, save for adagrad's, which starts from its initial accumulator.
    pub(super) fn new(hyper: &Hyper, len: usize) -> Self {
        let start = match hyper.rule {
            Rule::Adagrad { initial_accumulator, .. } => initial_accumulator as f32,
            _ => 0.0,
        };
        let names = hyper.state_names();
        Self { kind: hyper.kind, names, buffers: vec![vec![start; len]; names.len()] }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        self.names.iter().copied().zip(self.buffers.iter().map(Vec::as_slice))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [f32])> {
        self.names.iter().copied().zip(self.buffers.iter_mut().map(Vec::as_mut_slice))
    }

    pub(super) fn load(&mut self, name: &str, values: &[f32]) -> Result<(), OptimError> {
        let (kind, names) = (self.kind, self.names);
        let Some((name, buffer)) = self.iter_mut().find(|(known, _)| *known == name) else {
            return Err(OptimError::UnknownState { kind, found: name.to_owned(), expected: names });
        };
        if buffer.len() != values.len() {
            return Err(OptimError::StateLen { name, found: values.len(), expected: buffer.len() });
        }
        buffer.copy_from_slice(values);
        Ok(())
    }

    pub(super) fn scale(&mut self, name: &str, factor: f32) -> Result<(), OptimError> {
        let (kind, names) = (self.kind, self.names);
        let Some((_, buffer)) = self.iter_mut().find(|(known, _)| *known == name) else {
            return Err(OptimError::UnknownState { kind, found: name.to_owned(), expected: names });
        };
        super::scale_grads(buffer, factor);
        Ok(())
    }

    /// Both buffers over a range; those that are not kept are empty.
    #[inline(always)]
    pub(super) fn over(&mut self, range: Range<usize>) -> [&mut [f32]; 2] {
        match self.buffers.as_mut_slice() {
            [] => [&mut [], &mut []],
            [only] => [&mut only[range], &mut []],
            [first, second] => [&mut first[range.clone()], &mut second[range]],
            _ => unreachable!("no rule keeps more than two buffers"),
        }
    }
}
