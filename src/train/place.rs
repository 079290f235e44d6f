//! Which ranks of a run are in which process.

use std::ops::Range;

/// Which ranks of a run are in which process, and which process this is. Ranks are counted over all processes, one process after the
/// other; each may have a number of threads of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    process: usize,
    /// The first rank of each process, and at last the number of ranks.
    firsts: Vec<usize>,
}

impl Place {
    /// That of the only process.
    pub(super) fn alone(threads: usize) -> Self {
        Self::of(0, &[threads])
    }

    /// That of a process among some that have so many threads each.
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

    /// The number of ranks of all processes.
    pub(super) fn ranks(&self) -> usize {
        self.firsts[self.processes()]
    }

    /// The ranks of a process.
    pub(super) fn ranks_of(&self, process: usize) -> Range<usize> {
        self.firsts[process]..self.firsts[process + 1]
    }

    /// The rank of a thread of this process.
    pub(super) fn rank(&self, thread: usize) -> usize {
        self.firsts[self.process] + thread
    }
}
