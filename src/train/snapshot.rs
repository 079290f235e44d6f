//! All that a run goes on from.

use std::mem::take;
use std::sync::Arc;

use super::Position;
use super::slot::Slot;

/// All that a run goes on from, taken between two steps: plain data, and the same for any number of threads.
///
/// Those of [`Event::Snapshot`](super::Event::Snapshot) lie in buffers that the run uses again. There are two of them: keep a
/// [clone](Clone), not the snapshot itself, for longer than it takes to write it, or the run cannot take others meanwhile.
#[derive(Debug)]
pub struct Snapshot {
    position: Position,
    /// Of the state vectors, as the optimizer calls them.
    names: Vec<String>,
    /// Segments in the order of the params.
    parts: Vec<Part>,
    /// Where the parts go back to.
    home: Option<Arc<Slot>>,
}

/// A segment of the params, and of each state vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub(super) params: Vec<f32>,
    pub(super) state: Vec<Vec<f32>>,
    /// The best params so far; empty if the run does not keep them, or has none yet.
    pub(super) best: Vec<f32>,
}

impl Part {
    /// One of so many params and state vectors, all 0.
    pub(super) fn zeroed(len: usize, vectors: usize, has_best: bool) -> Self {
        let best = if has_best { vec![0.0; len] } else { Vec::new() };
        Self { params: vec![0.0; len], state: vec![vec![0.0; len]; vectors], best }
    }

    /// All its vectors, in one order.
    pub(super) fn vectors(&self) -> impl Iterator<Item = &Vec<f32>> {
        self.state.iter().chain([&self.params, &self.best])
    }

    /// As [`vectors`](Self::vectors), to write.
    pub(super) fn vectors_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.state.iter_mut().chain([&mut self.params, &mut self.best])
    }
}

impl Snapshot {
    /// Puts together what was read from somewhere: flat params, and by name the optimizer's state vectors of the same len.
    pub fn new(position: Position, params: Vec<f32>, state: Vec<(String, Vec<f32>)>) -> Self {
        let (names, state) = state.into_iter().unzip();
        Self { position, names, parts: vec![Part { params, state, best: Vec::new() }], home: None }
    }

    /// With the best params so far, of the len of the params; none if there are 0.
    pub fn with_best(self, best: Vec<f32>) -> Self {
        let Part { params, state, .. } = self.joined();
        Self {
            parts: vec![Part { params, state, best }],
            home: None,
            position: self.position,
            names: self.names.clone(),
        }
    }

    /// Everything in one piece.
    fn joined(&self) -> Part {
        let state = (0..self.names.len()).map(|index| joined(self.state(index))).collect();
        Part { params: joined(self.params()), state, best: joined(self.best()) }
    }

    pub(super) fn lent(position: Position, names: Vec<String>, parts: Vec<Part>, home: Arc<Slot>) -> Self {
        Self { position, names, parts, home: Some(home) }
    }

    /// Its parts, to which those of other processes may be added.
    pub(super) fn parts_mut(&mut self) -> &mut Vec<Part> {
        &mut self.parts
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The flat params, in pieces.
    pub fn params(&self) -> impl Iterator<Item = &[f32]> {
        self.parts.iter().map(|part| part.params.as_slice())
    }

    /// The best params so far, in pieces; empty if the run does not [keep](super::Options::keep_best) them, or no epoch is done.
    pub fn best(&self) -> impl Iterator<Item = &[f32]> {
        self.parts.iter().map(|part| part.best.as_slice())
    }

    /// Whether the best params so far are here.
    pub fn has_best(&self) -> bool {
        self.best().any(|piece| !piece.is_empty())
    }

    /// Names of the optimizer's state vectors.
    pub fn state_names(&self) -> &[String] {
        &self.names
    }

    /// A state vector, given by the index of its name, in pieces as the params.
    ///
    /// # Panics
    ///
    /// If there is no such vector.
    pub fn state(&self, index: usize) -> impl Iterator<Item = &[f32]> {
        self.parts.iter().map(move |part| part.state[index].as_slice())
    }
}

impl Clone for Snapshot {
    /// Copies everything, into one piece that is nobody else's.
    fn clone(&self) -> Self {
        Self { position: self.position, names: self.names.clone(), parts: vec![self.joined()], home: None }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.take_back(take(&mut self.parts));
        }
    }
}

/// Pieces as one vector.
pub(super) fn joined<'a>(pieces: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    pieces.flatten().copied().collect()
}
