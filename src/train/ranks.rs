//! A rank's way to all others: those of its process, and those of other processes.

use std::ops::Range;

use bytemuck::Pod;

use super::processes::Processes;
use super::{Plan, TrainError};
use crate::collective::{Communicator, Op};

/// How a rank meets all others.
pub(super) struct Ranks<'a> {
    /// The threads of this process.
    pub(super) comm: Communicator,
    processes: Option<&'a Processes<'a>>,
    rank: usize,
}

impl<'a> Ranks<'a> {
    pub(super) fn new(comm: Communicator, processes: Option<&'a Processes<'a>>, plan: &Plan) -> Self {
        let rank = plan.place().rank(comm.rank());
        Self { comm, processes, rank }
    }

    /// The rank, over all processes.
    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// The thread, within the process.
    pub(super) fn thread(&self) -> usize {
        self.comm.rank()
    }

    /// The processes, if there are several.
    pub(super) fn processes(&self) -> Option<&'a Processes<'a>> {
        self.processes
    }

    /// Whether a value is true on every rank.
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

    /// Puts the values of all ranks together in `all`, on every rank; those of rank r are `part(r)` of them, and parts follow one another.
    pub(super) fn gather<T: Pod + Send + Sync>(
        &mut self,
        own: &Vec<T>,
        all: &mut Vec<T>,
        part: impl Fn(usize) -> Range<usize>,
    ) -> Result<(), TrainError> {
        let Some(processes) = self.processes else {
            all.clear();
            let append = |values: &Vec<T>| all.extend_from_slice(values);
            return Ok(self.comm.lend(own, |peers| peers.iter().for_each(append))?);
        };
        let place = processes.place();
        let of_process = |process| {
            let ranks = place.ranks_of(process);
            part(ranks.start).start..part(ranks.end - 1).end
        };
        let is_first = self.comm.rank() == 0;
        all.resize(part(place.ranks() - 1).end, T::zeroed());
        self.comm.lend(own, |peers| {
            if !is_first {
                return Ok(());
            }
            for (rank, values) in place.ranks_of(place.process()).zip(peers.iter()) {
                all[part(rank)].copy_from_slice(values);
            }
            processes.gather(all, of_process)
        })??;
        if is_first {
            self.comm.lend(&*all, |_| ())?;
        } else {
            self.comm.lend(own, |peers| all.copy_from_slice(peers.get(0)))?;
        }
        Ok(())
    }
}
