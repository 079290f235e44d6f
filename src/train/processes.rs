//! The processes of a run: what one of them exchanges with the others. One thread of each does it at a time.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytemuck::Pod;

use super::place::Place;
use super::snapshot::Part;
use super::{Outcome, Plan, Snapshot, TrainError};
use crate::collective::{CollectiveError, Incoming, Outgoing, Wire, gather_parts};

/// One process among those of a run.
pub(super) struct Processes<'a> {
    wire: Mutex<&'a mut dyn Wire>,
    place: Place,
}

impl<'a> Processes<'a> {
    /// Meets the others, each of which says how many threads it has.
    pub(super) fn meet(
        wire: &'a mut dyn Wire,
        threads: usize,
        timeout: Option<Duration>,
    ) -> Result<Self, TrainError> {
        wire.set_timeout(timeout);
        let mut all = vec![threads as u64; wire.processes()];
        gather_parts(wire, &mut all, |process| process..process + 1).map_err(far)?;
        let all: Vec<usize> = all.into_iter().map(|threads| threads as usize).collect();
        let place = Place::of(wire.process(), &all);
        Ok(Self { wire: Mutex::new(wire), place })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn exchange(
        &self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), TrainError> {
        self.wire().exchange(outgoing, incoming).map_err(far)
    }

    /// Gives every process's part of the values to all.
    pub(super) fn gather<T: Pod>(
        &self,
        values: &mut [T],
        part: impl Fn(usize) -> Range<usize>,
    ) -> Result<(), TrainError> {
        gather_parts(&mut **self.wire(), values, part).map_err(far)
    }

    /// Gives a text of every process to all.
    pub(super) fn gather_texts(&self, own: &str) -> Result<Vec<String>, TrainError> {
        let mut lens = vec![own.len() as u64; self.place.processes()];
        self.gather(&mut lens, |process| process..process + 1)?;
        let starts: Vec<usize> = std::iter::once(0)
            .chain(lens.iter().scan(0, |end, len| {
                *end += *len as usize;
                Some(*end)
            }))
            .collect();
        let part = |process: usize| starts[process]..starts[process + 1];
        let mut bytes = vec![0; starts[starts.len() - 1]];
        bytes[part(self.place.process())].copy_from_slice(own.as_bytes());
        self.gather(&mut bytes, part)?;
        let text = |process| String::from_utf8_lossy(&bytes[part(process)]).into_owned();
        Ok((0..self.place.processes()).map(text).collect())
    }

    /// The least of everyone's values.
    pub(super) fn least(&self, own: u64) -> Result<u64, TrainError> {
        let mut all = vec![own; self.place.processes()];
        self.gather(&mut all, |process| process..process + 1)?;
        Ok(all.into_iter().min().expect("there is one process or more"))
    }

    /// Sends the parts of a snapshot to process 0, which returns the whole; they go in the order of the params.
    pub(super) fn collect(
        &self,
        mut snapshot: Snapshot,
        plan: &Plan,
    ) -> Result<Option<Snapshot>, TrainError> {
        let vectors = snapshot.state_names().len();
        let has_best = plan.keep_best() && snapshot.position().best.is_some();
        if self.place.process() > 0 {
            let pieces = snapshot.parts_mut().iter().flat_map(Part::vectors);
            let outgoing: Vec<_> =
                pieces.map(|piece| Outgoing { to: 0, bytes: bytemuck::cast_slice(piece) }).collect();
            self.exchange(&outgoing, &mut [])?;
            return Ok(None);
        }
        let mut others: Vec<Vec<Part>> = (1..self.place.processes())
            .map(|process| {
                let lens = self.place.ranks_of(process).map(|rank| plan.segment_len(rank));
                lens.map(|len| Part::zeroed(len, vectors, has_best)).collect()
            })
            .collect();
        let mut incoming = Vec::new();
        for (index, parts) in others.iter_mut().enumerate() {
            let pieces = parts.iter_mut().flat_map(Part::vectors_mut);
            incoming.extend(
                pieces.map(|piece| Incoming { from: index + 1, bytes: bytemuck::cast_slice_mut(piece) }),
            );
        }
        self.exchange(&[], &mut incoming)?;
        snapshot.parts_mut().extend(others.into_iter().flatten());
        Ok(Some(snapshot))
    }

    /// Gives every process the whole of what each has a part of, as a run ends.
    pub(super) fn complete(&self, outcome: &mut Outcome, plan: &Plan) -> Result<(), TrainError> {
        let part = |process| plan.params_in(process);
        let own = part(self.place.process());
        let states = outcome.state.iter_mut().map(|vector| &mut vector.values);
        for values in states.chain(&mut outcome.best_params) {
            let mut all = vec![0.0; plan.params_len()];
            all[own.clone()].copy_from_slice(values);
            self.gather(&mut all, part)?;
            *values = all;
        }
        Ok(())
    }

    /// The only thread that is at it; one that panicked ends the run.
    fn wire(&self) -> MutexGuard<'_, &'a mut dyn Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn far(source: CollectiveError) -> TrainError {
    TrainError::Processes { source }
}
