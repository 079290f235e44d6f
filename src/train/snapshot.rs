//! The state from which a run is resumed, and the buffers into which ranks copy it.

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::position::Position;
use crate::optim::Optimizer;

/// The state from which a run is resumed, taken between two steps: plain data, and the same for any
/// number of threads.
///
/// The snapshot of an [`Event::Snapshot`](super::Event::Snapshot) uses one of two buffers, which
/// the run reuses. To keep it longer than it takes to write it, keep a [clone](Clone) of the
/// snapshot, not of the `Arc`: while both buffers are in use, the run cannot take another snapshot.
#[derive(Debug)]
pub struct Snapshot {
    position: Position,
    /// The names of the state vectors, as used by the optimizer.
    names: Vec<String>,
    /// Segments in the order of the params.
    segments: Vec<SnapshotSegment>,
    /// The buffers to which the segments are returned.
    buffers: Option<Arc<SnapshotBuffers>>,
}

/// A segment of the params, and of each state vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SnapshotSegment {
    pub(super) params: Vec<f32>,
    pub(super) state: Vec<Vec<f32>>,
    /// The best params so far; empty if the run does not keep them, or has completed no epoch.
    pub(super) best: Vec<f32>,
}

impl SnapshotSegment {
    /// Returns a segment of `len` params and `vectors` state vectors, all 0.
    pub(super) fn zeroed(len: usize, vectors: usize, has_best: bool) -> Self {
        let best = if has_best { vec![0.0; len] } else { Vec::new() };
        Self { params: vec![0.0; len], state: vec![vec![0.0; len]; vectors], best }
    }

    /// Returns all its vectors, in a fixed order.
    pub(super) fn vectors(&self) -> impl Iterator<Item = &Vec<f32>> {
        self.state.iter().chain([&self.params, &self.best])
    }

    /// The same as [`vectors`](Self::vectors), for writing.
    pub(super) fn vectors_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.state.iter_mut().chain([&mut self.params, &mut self.best])
    }
}

impl Snapshot {
    /// Creates a snapshot of flat params, and the optimizer's state vectors, by name and of the
    /// same length.
    pub fn new(position: Position, params: Vec<f32>, state: Vec<(String, Vec<f32>)>) -> Self {
        let (names, state) = state.into_iter().unzip();
        Self {
            position,
            names,
            segments: vec![SnapshotSegment { params, state, best: Vec::new() }],
            buffers: None,
        }
    }

    /// Adds the best params so far, of the length of the params; an empty vector if no epoch
    /// is completed.
    pub fn with_best(self, best: Vec<f32>) -> Self {
        let SnapshotSegment { params, state, .. } = self.joined();
        Self {
            segments: vec![SnapshotSegment { params, state, best }],
            buffers: None,
            position: self.position,
            names: self.names.clone(),
        }
    }

    /// Returns everything as one segment.
    pub(super) fn joined(&self) -> SnapshotSegment {
        let state = (0..self.names.len()).map(|index| joined(self.state(index))).collect();
        SnapshotSegment { params: joined(self.params()), state, best: joined(self.best()) }
    }

    pub(super) fn lent(
        position: Position,
        names: Vec<String>,
        segments: Vec<SnapshotSegment>,
        buffers: Arc<SnapshotBuffers>,
    ) -> Self {
        Self { position, names, segments, buffers: Some(buffers) }
    }

    /// Returns its segments, to which those of other processes may be added.
    pub(super) fn segments_mut(&mut self) -> &mut Vec<SnapshotSegment> {
        &mut self.segments
    }

    /// Returns the position of the run.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Returns the flat params, in pieces.
    pub fn params(&self) -> impl Iterator<Item = &[f32]> {
        self.segments.iter().map(|segment| segment.params.as_slice())
    }

    /// Returns the best params so far, in pieces; empty if the run does not
    /// [keep](super::Options::keep_best) them, or no epoch is completed.
    pub fn best(&self) -> impl Iterator<Item = &[f32]> {
        self.segments.iter().map(|segment| segment.best.as_slice())
    }

    /// Returns whether the best params so far are included.
    pub fn has_best(&self) -> bool {
        self.best().any(|piece| !piece.is_empty())
    }

    /// Returns the names of the optimizer's state vectors.
    pub fn state_names(&self) -> &[String] {
        &self.names
    }

    /// Returns a state vector, given by the index of its name, in the same pieces as the params.
    ///
    /// # Panics
    ///
    /// If the index is out of range.
    pub fn state(&self, index: usize) -> impl Iterator<Item = &[f32]> {
        self.segments.iter().map(move |segment| segment.state[index].as_slice())
    }
}

impl Clone for Snapshot {
    /// Copies everything into a single new segment.
    fn clone(&self) -> Self {
        Self {
            position: self.position,
            names: self.names.clone(),
            segments: vec![self.joined()],
            buffers: None,
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(buffers) = self.buffers.take() {
            buffers.take_back(take(&mut self.segments));
        }
    }
}

/// Joins pieces into one vector.
pub(super) fn joined<'a>(pieces: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    pieces.flatten().copied().collect()
}

/// The buffers for one snapshot, empty until they are first used.
///
/// There are two of them, so that one can be filled while the other is being written. Each rank
/// fills its own segment, then all ranks meet, and rank 0 takes the segments as a [`Snapshot`];
/// they are returned when it is dropped. No step waits for buffers that are in use: the save stays
/// due.
#[derive(Debug)]
pub(super) struct SnapshotBuffers {
    /// One segment per rank, written only by that rank.
    segments: Vec<Mutex<SnapshotSegment>>,
    /// Set by rank 0 when it takes the segments, cleared when they are returned.
    taken: AtomicBool,
}

impl SnapshotBuffers {
    /// Returns two of these for `ranks` ranks.
    pub(super) fn two(ranks: usize) -> [Arc<Self>; 2] {
        [(); 2].map(|()| {
            let segments = (0..ranks).map(|_| Mutex::default()).collect();
            Arc::new(Self { segments, taken: AtomicBool::new(false) })
        })
    }

    /// Returns whether its segments are available. Only rank 0 takes them, so for rank 0 this stays
    /// true once it is.
    pub(super) fn are_available(&self) -> bool {
        !self.taken.load(Ordering::Acquire)
    }

    /// Copies what a rank owns into its segment, which is the only cost of a save to a rank.
    /// Allocates the first time.
    pub(super) fn fill(&self, rank: usize, params: &[f32], best: &[f32], optimizer: &Optimizer) {
        let mut segment = own(&self.segments[rank]);
        segment.state.resize_with(optimizer.state().count(), Vec::new);
        copy(params, &mut segment.params);
        copy(best, &mut segment.best);
        optimizer.state().zip(&mut segment.state).for_each(|((_, values), to)| copy(values, to));
    }

    /// Takes the segments, which all ranks must have filled.
    pub(super) fn take(self: &Arc<Self>, position: Position, optimizer: &Optimizer) -> Snapshot {
        self.taken.store(true, Ordering::Relaxed);
        let segments = self.segments.iter().map(|segment| take(&mut *own(segment))).collect();
        let names = optimizer.state().map(|(name, _)| name.to_owned()).collect();
        Snapshot::lent(position, names, segments, Arc::clone(self))
    }

    pub(super) fn take_back(&self, segments: Vec<SnapshotSegment>) {
        self.segments.iter().zip(segments).for_each(|(place, segment)| *own(place) = segment);
        self.taken.store(false, Ordering::Release);
    }
}

/// A rank that panicked in the middle of a copy ends the run; its incomplete copy is overwritten or
/// dropped.
fn own(segment: &Mutex<SnapshotSegment>) -> MutexGuard<'_, SnapshotSegment> {
    segment.lock().unwrap_or_else(PoisonError::into_inner)
}

fn copy(from: &[f32], to: &mut Vec<f32>) {
    to.clear();
    to.extend_from_slice(from);
}

/// The start of the first step, with complete vectors: without state at the beginning of a run, and
/// without best params before any epoch.
#[derive(Default)]
pub(super) struct Start {
    pub(super) position: Position,
    pub(super) values: SnapshotSegment,
}
