//! Measures the all-reduce of the processes of a job, compared with that of MPI on the same
//! buffers.

use bytemuck::Pod;
use mpi::traits::Equivalence;
use phalanx::collective::internals::gather_parts;
use phalanx::collective::{MpiWire, Op, ProcessCommunicator, Wire};
use serde::Serialize;

use super::all_reduce::{self, BYTES_OF_TAKES, as_text, check, with_type};
use super::operands::{Operand, expected, input};
use super::timing::{Interval, Statistics};
use super::{AllReduceOptions, BenchError, ElementType};

/// The speed of the all-reduce over the processes of a job.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessesReport {
    /// The operator.
    #[serde(serialize_with = "as_text")]
    pub op: Op,
    /// The type of the elements.
    pub element: ElementType,
    /// Number of processes.
    pub processes: usize,
    /// One point per length, ascending.
    pub points: Vec<ProcessesPoint>,
}

/// The speed of the all-reduce for vectors of one length, reduced in place, one per process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessesPoint {
    /// Elements of a vector.
    pub len: usize,
    /// Bytes of a vector.
    pub len_bytes: usize,
    /// Number of timed calls.
    pub takes: usize,
    /// Median time of a call on the slowest process, after a barrier.
    pub median_secs: f64,
    /// Minimum of these times.
    pub min_secs: f64,
    /// Algorithm bandwidth: len_bytes over the median time.
    pub algorithm_bytes_per_sec: f64,
    /// Median time of `MPI_Allreduce`, alternating with the calls; for a mean, that of the sum.
    pub mpi_median_secs: f64,
    /// Number of elements that differ from the exact result, over all calls and processes.
    pub wrong: u64,
}

impl ProcessesReport {
    /// Returns the number of wrong elements.
    pub fn wrong(&self) -> u64 {
        self.points.iter().map(|point| point.wrong).sum()
    }
}

/// Measures each length. Every process of the job must call this with the same options, whose
/// thread counts are ignored.
///
/// # Errors
///
/// If a list is empty or contains 0, the takes are 0 or more than 100,000, a mean of integers is
/// requested, the vectors exceed the memory of the machine, or the wire fails.
///
/// # Cost
///
/// n + 2 vectors in each of n processes.
pub fn measure_processes(
    options: &AllReduceOptions,
    wire: &mut MpiWire,
) -> Result<ProcessesReport, BenchError> {
    let mut lengths = options.lengths.clone();
    lengths.sort_unstable();
    lengths.dedup();
    let options = AllReduceOptions { threads: vec![wire.processes()], lengths, ..options.clone() };
    check(&options)?;
    let mut point = |len: &usize| with_type!(options.element, T => measure::<T>(&options, *len, wire));
    let points = options.lengths.iter().map(&mut point).collect::<Result<_, _>>()?;
    let AllReduceOptions { op, element, .. } = options;
    Ok(ProcessesReport { op, element, processes: wire.processes(), points })
}

fn measure<T: Operand + Pod + Equivalence>(
    options: &AllReduceOptions,
    len: usize,
    wire: &mut MpiWire,
) -> Result<ProcessesPoint, BenchError> {
    let (op, processes) = (options.op, wire.processes());
    let len_bytes = len * size_of::<T>();
    let takes = options.takes.unwrap_or_else(|| (BYTES_OF_TAKES / (len_bytes * processes)).clamp(10, 1000));
    let inputs: Vec<Vec<T>> = (0..processes).map(|process| input(process, len, op)).collect();
    let expected = expected(&inputs, op);
    let own = &inputs[wire.process()].clone();
    drop(inputs);
    let mut values = own.clone();
    let mut theirs = own.clone();
    let (mut calls, mut of_mpi, mut wrong) = (Vec::new(), Vec::new(), 0);
    for _ in 0..=takes {
        values.copy_from_slice(own);
        let mut communicator = ProcessCommunicator::new(wire);
        communicator.barrier()?;
        let (call, result) = Interval::of(|| communicator.all_reduce(&mut values, op));
        result?;
        communicator.barrier()?;
        wrong += all_reduce::wrong(&values, &expected);
        let (call_of_mpi, ()) = Interval::of(|| wire.all_reduce_by_mpi(own, &mut theirs, op));
        calls.push(call.secs());
        of_mpi.push(call_of_mpi.secs());
    }
    // The first of each does not count.
    let (calls, of_mpi) = (longest(wire, &calls[1..])?, longest(wire, &of_mpi[1..])?);
    let (calls, of_mpi) = (Statistics::of(&calls), Statistics::of(&of_mpi));
    let mut all_wrong = vec![wrong; processes];
    gather_parts(wire, &mut all_wrong, |process| process..process + 1)?;
    Ok(ProcessesPoint {
        len,
        len_bytes,
        takes,
        median_secs: calls.median,
        min_secs: calls.min,
        algorithm_bytes_per_sec: len_bytes as f64 / calls.median,
        mpi_median_secs: of_mpi.median,
        wrong: all_wrong.iter().sum(),
    })
}

/// Returns the longest time of any process, call by call.
fn longest(wire: &mut MpiWire, own: &[f64]) -> Result<Vec<f64>, BenchError> {
    let mut all: Vec<f64> = own.repeat(wire.processes());
    gather_parts(wire, &mut all, |process| process * own.len()..(process + 1) * own.len())?;
    let longest = |take: usize| all.iter().skip(take).step_by(own.len()).copied().fold(0.0, f64::max);
    Ok((0..own.len()).map(longest).collect())
}
