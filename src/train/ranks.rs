//! The connection of a rank to all others: to the threads of its process directly, and to those of
//! other processes through the first thread.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytemuck::Pod;

use super::error::TrainError;
use super::outcome::Outcome;
use super::plan::Plan;
use super::shards::RankLayout;
use super::snapshot::{Snapshot, SnapshotSegment};
use crate::collective::internals::gather_parts;
use crate::collective::{CollectiveError, Communicator, Incoming, Op, Outgoing, Wire};

/// The connection of a rank to all others.
pub(super) struct Ranks<'a> {
    /// The threads of this process.
    pub(super) comm: Communicator,
    processes: Option<&'a Processes<'a>>,
    rank: usize,
}

impl<'a> Ranks<'a> {
    pub(super) fn new(comm: Communicator, processes: Option<&'a Processes<'a>>, plan: &Plan) -> Self {
        let rank = plan.layout().rank(comm.rank());
        Self { comm, processes, rank }
    }

    /// Returns the rank, over all processes.
    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the index of the thread within the process.
    pub(super) fn thread(&self) -> usize {
        self.comm.rank()
    }

    /// Returns the processes, if there are several.
    pub(super) fn processes(&self) -> Option<&'a Processes<'a>> {
        self.processes
    }

    /// Returns whether a value is true on every rank.
    pub(super) fn all(&mut self, value: bool) -> Result<bool, TrainError> {
        let mut values = [u64::from(value)];
        self.comm.all_reduce(&mut values, Op::Min)?;
        if let Some(processes) = self.processes {
            if self.comm.rank() == 0 {
                values = [processes.least(values[0])?];
            }
            self.comm.broadcast(&mut values, 0)?;
        }
        Ok(values[0] == 1)
    }
}

/// Values that are distributed over the ranks, and then gathered on all of them.
#[derive(Default)]
pub(super) struct RankValues<T> {
    pub(super) own: Vec<T>,
    pub(super) all: Vec<T>,
}

impl<T: Pod + Send + Sync> RankValues<T> {
    /// Gathers the values of all ranks in `all`, on every rank; `part(r)` is the range of rank r,
    /// and the ranges are in ascending order.
    pub(super) fn gather(
        &mut self,
        ranks: &mut Ranks<'_>,
        part: impl Fn(usize) -> Range<usize>,
    ) -> Result<(), TrainError> {
        let Self { own, all } = self;
        let Ranks { comm, processes, .. } = ranks;
        let Some(processes) = processes else {
            all.clear();
            let append = |values: &Vec<T>| all.extend_from_slice(values);
            return Ok(comm.lend(&*own, |peers| peers.iter().for_each(append))?);
        };
        let layout = processes.layout();
        let of_process = |process| {
            let ranks = layout.ranks_of(process);
            part(ranks.start).start..part(ranks.end - 1).end
        };
        let is_first = comm.rank() == 0;
        all.resize(part(layout.ranks() - 1).end, T::zeroed());
        comm.lend(&*own, |peers| {
            if !is_first {
                return Ok(());
            }
            for (rank, values) in layout.ranks_of(layout.process()).zip(peers.iter()) {
                all[part(rank)].copy_from_slice(values);
            }
            processes.gather(all, of_process)
        })??;
        if is_first {
            comm.lend(&*all, |_| ())?;
        } else {
            comm.lend(&*own, |peers| all.copy_from_slice(peers.get(0)))?;
        }
        Ok(())
    }
}

/// One process among those of a run, and its wire to the others.
pub(super) struct Processes<'a> {
    wire: Mutex<&'a mut dyn Wire>,
    layout: RankLayout,
}

impl<'a> Processes<'a> {
    /// Connects to the other processes, and exchanges the number of threads of each.
    pub(super) fn meet(
        wire: &'a mut dyn Wire,
        threads: usize,
        timeout: Option<Duration>,
    ) -> Result<Self, TrainError> {
        wire.set_timeout(timeout);
        let mut all = vec![threads as u64; wire.processes()];
        gather_parts(wire, &mut all, |process| process..process + 1).map_err(process_error)?;
        let all: Vec<usize> = all.into_iter().map(|threads| threads as usize).collect();
        let layout = RankLayout::of(wire.process(), &all);
        Ok(Self { wire: Mutex::new(wire), layout })
    }

    pub(super) fn layout(&self) -> &RankLayout {
        &self.layout
    }

    pub(super) fn exchange(
        &self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), TrainError> {
        self.wire().exchange(outgoing, incoming).map_err(process_error)
    }

    /// Sends each process's part of the values to all processes.
    pub(super) fn gather<T: Pod>(
        &self,
        values: &mut [T],
        part: impl Fn(usize) -> Range<usize>,
    ) -> Result<(), TrainError> {
        gather_parts(&mut **self.wire(), values, part).map_err(process_error)
    }

    /// Sends a text of each process to all processes.
    pub(super) fn gather_texts(&self, own: &str) -> Result<Vec<String>, TrainError> {
        let mut lengths = vec![own.len() as u64; self.layout.processes()];
        self.gather(&mut lengths, |process| process..process + 1)?;
        let starts: Vec<usize> = std::iter::once(0)
            .chain(lengths.iter().scan(0, |end, len| {
                *end += *len as usize;
                Some(*end)
            }))
            .collect();
        let part = |process: usize| starts[process]..starts[process + 1];
        let mut bytes = vec![0; starts[starts.len() - 1]];
        bytes[part(self.layout.process())].copy_from_slice(own.as_bytes());
        self.gather(&mut bytes, part)?;
        let text = |process| String::from_utf8_lossy(&bytes[part(process)]).into_owned();
        Ok((0..self.layout.processes()).map(text).collect())
    }

    /// Returns the smallest value of all processes.
    pub(super) fn least(&self, own: u64) -> Result<u64, TrainError> {
        let mut all = vec![own; self.layout.processes()];
        self.gather(&mut all, |process| process..process + 1)?;
        Ok(all.into_iter().min().expect("there is at least one process"))
    }

    /// Sends the parts of a snapshot to process 0, which returns the whole; they are in the order
    /// of the params.
    pub(super) fn collect(
        &self,
        mut snapshot: Snapshot,
        plan: &Plan,
    ) -> Result<Option<Snapshot>, TrainError> {
        let vectors = snapshot.state_names().len();
        let has_best = plan.keep_best() && snapshot.position().best.is_some();
        if self.layout.process() > 0 {
            let pieces = snapshot.segments_mut().iter().flat_map(SnapshotSegment::vectors);
            let outgoing: Vec<_> =
                pieces.map(|piece| Outgoing { to: 0, bytes: bytemuck::cast_slice(piece) }).collect();
            self.exchange(&outgoing, &mut [])?;
            return Ok(None);
        }
        let mut others: Vec<Vec<SnapshotSegment>> = (1..self.layout.processes())
            .map(|process| {
                let ranks = self.layout.ranks_of(process);
                ranks
                    .map(|rank| SnapshotSegment::zeroed(plan.segment(rank).len(), vectors, has_best))
                    .collect()
            })
            .collect();
        let mut incoming = Vec::new();
        for (index, parts) in others.iter_mut().enumerate() {
            let pieces = parts.iter_mut().flat_map(SnapshotSegment::vectors_mut);
            incoming.extend(
                pieces.map(|piece| Incoming { from: index + 1, bytes: bytemuck::cast_slice_mut(piece) }),
            );
        }
        self.exchange(&[], &mut incoming)?;
        snapshot.segments_mut().extend(others.into_iter().flatten());
        Ok(Some(snapshot))
    }

    /// Joins the vectors of which each process has a part, on every process, at the end of a run.
    pub(super) fn complete(&self, outcome: &mut Outcome, plan: &Plan) -> Result<(), TrainError> {
        let part = |process| plan.params_in(process);
        let own = part(self.layout.process());
        let states = outcome.state.iter_mut().map(|(_, values)| values);
        for values in states.chain(&mut outcome.best_params) {
            let mut all = vec![0.0; plan.params_len()];
            all[own.clone()].copy_from_slice(values);
            self.gather(&mut all, part)?;
            *values = all;
        }
        Ok(())
    }

    /// Locks the wire. One thread uses it at a time; a panic of that thread ends the run.
    fn wire(&self) -> MutexGuard<'_, &'a mut dyn Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn process_error(source: CollectiveError) -> TrainError {
    TrainError::Processes { source }
}
