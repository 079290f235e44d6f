//! Measures the all-reduce, compared with a copy, the serial reference and rayon.
//!
//! Every call gets fresh input: if the ranks called repeatedly on the previous result, each would
//! find its segment of all vectors in its own cache, which does not happen in a real program.

use std::fmt;
use std::hint::black_box;

use phalanx::collective::{CollectiveError, Communicator, Op, reference};
use phalanx::internals::available_bytes;
use serde::{Serialize, Serializer};

use super::error::check_takes;
use super::operands::{Operand, expected, input, rayon_fold_reduce};
use super::timing::{Interval, Statistics, from_first_start, from_last_start, on_ranks};
use super::{BenchError, Machine, Warning};

/// Evaluates an expression with a name bound to the type of an [`ElementType`].
macro_rules! with_type {
    ($element:expr, $type:ident => $expression:expr) => {
        with_type!($element, $type, $expression, F32 f32 F64 f64 I32 i32 I64 i64 U32 u32 U64 u64)
    };
    ($element:expr, $type:ident, $expression:expr, $($variant:ident $rust:ty)*) => {
        match $element {
            $(ElementType::$variant => {
                type $type = $rust;
                $expression
            })*
        }
    };
}
#[cfg(feature = "mpi")]
pub(super) use with_type;

/// An element type of the reducer that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed, 4 bytes.
    I32,
    /// Signed, 8 bytes.
    I64,
    /// Unsigned, 4 bytes.
    U32,
    /// Unsigned, 8 bytes.
    U64,
}

impl ElementType {
    /// All element types.
    pub const ALL: [Self; 6] = [Self::F32, Self::F64, Self::I32, Self::I64, Self::U32, Self::U64];

    /// Returns the size of an element in bytes.
    pub fn size_bytes(self) -> usize {
        with_type!(self, T => size_of::<T>())
    }

    /// Returns whether the elements are integers, for which no mean is defined.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U32 => "u32",
            Self::U64 => "u64",
        })
    }
}

/// The speed of the all-reduce.
#[derive(Clone, Debug, Serialize)]
pub struct AllReduceReport {
    /// The operator.
    #[serde(serialize_with = "as_text")]
    pub op: Op,
    /// The type of the elements.
    pub element: ElementType,
    /// The machine before the first take.
    pub machine: Machine,
    /// One point per thread count and length, both ascending.
    pub points: Vec<AllReducePoint>,
    /// Reasons why the measurements may be unreliable.
    pub warnings: Vec<Warning>,
}

/// The speed of the all-reduce on a number of threads for vectors of one length, reduced in place,
/// one per thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AllReducePoint {
    /// Threads, n.
    pub threads: usize,
    /// Elements of a vector.
    pub len: usize,
    /// Bytes of a vector.
    pub len_bytes: usize,
    /// Number of timed calls.
    pub takes: usize,
    /// Median time of a call: from the moment when the last rank makes it until the last rank has
    /// the result.
    pub median_secs: f64,
    /// Minimum time of a call.
    pub min_secs: f64,
    /// Algorithm bandwidth: len_bytes over the median time.
    pub algorithm_bytes_per_sec: f64,
    /// Every vector is read and written at least once: 2·n·len_bytes over the median time. Null for
    /// one thread, which has nothing to move.
    pub moved_bytes_per_sec: Option<f64>,
    /// The same for a copy: 2·n·len_bytes over the median time in which n threads copy one vector
    /// each, from the first start to the last end. Null below 64 KiB, as such a copy takes less
    /// time than the threads need to start together.
    pub copied_bytes_per_sec: Option<f64>,
    /// Moved bytes per second over copied bytes per second.
    pub share_of_copy: Option<f64>,
    /// Number of elements that differ from the exact result, over all ranks and all calls.
    pub wrong: u64,
    /// Median time of the serial reference, the definition of the operation.
    pub reference_secs: f64,
    /// Median time of rayon's fold and reduce on the same number of threads, which produces one
    /// vector instead of one per rank.
    pub rayon_secs: f64,
}

impl AllReduceReport {
    /// Returns the number of wrong elements over all points.
    pub fn wrong(&self) -> u64 {
        self.points.iter().map(|point| point.wrong).sum()
    }
}

pub fn as_text<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(op)
}

/// The options of a measurement, unchecked; [`measure_all_reduce`] checks them.
#[derive(Clone, Debug)]
pub struct AllReduceOptions {
    /// Thread counts, in any order.
    pub threads: Vec<usize>,
    /// Lengths of a vector in elements, in any order.
    pub lengths: Vec<usize>,
    /// The operator.
    pub op: Op,
    /// The type of the elements.
    pub element: ElementType,
    /// Number of calls to time; `None` for 10 to 1000, fewer for longer vectors.
    pub takes: Option<usize>,
}

/// Measures each length on each thread count; calls `on_point` after each.
///
/// # Errors
///
/// If a list is empty or contains 0, the takes are 0 or more than 100,000, a mean of integers is
/// requested, the vectors or threads exceed what the machine has, or a collective call fails.
///
/// # Cost
///
/// 3n + 1 vectors for n threads.
pub fn measure_all_reduce(
    options: &AllReduceOptions,
    mut on_point: impl FnMut(&AllReducePoint),
) -> Result<AllReduceReport, BenchError> {
    check(options)?;
    let (threads, lengths) = (ascending(&options.threads), ascending(&options.lengths));
    let machine = Machine::now();
    let warnings = Warning::of_machine(&machine, *threads.last().expect("checked"));
    let mut points = Vec::with_capacity(threads.len() * lengths.len());
    for threads in threads {
        for &len in &lengths {
            let point = point(options, threads, len)?;
            on_point(&point);
            points.push(point);
        }
    }
    Ok(AllReduceReport { op: options.op, element: options.element, machine, points, warnings })
}

pub fn check(options: &AllReduceOptions) -> Result<(), BenchError> {
    let &AllReduceOptions { op, element, takes, .. } = options;
    let threads = *options.threads.iter().min().ok_or(BenchError::NoThreads)?;
    let len = *options.lengths.iter().min().ok_or(BenchError::NoLengths)?;
    match () {
        () if threads == 0 => Err(BenchError::ZeroThreads),
        () if len == 0 => Err(BenchError::ZeroLength),
        () if op == Op::Mean && element.is_integer() => {
            Err(BenchError::NoSuchReduction { op, element: element.to_string() })
        }
        () => takes.map_or(Ok(()), check_takes).and_then(|()| check_memory(options)),
    }
}

/// Rejects vectors so large that the system would kill the process during the measurement.
fn check_memory(options: &AllReduceOptions) -> Result<(), BenchError> {
    let (Some(&threads), Some(&len)) = (options.threads.iter().max(), options.lengths.iter().max()) else {
        return Ok(());
    };
    let vectors = (threads as u64).saturating_mul(3).saturating_add(1);
    let needed_bytes = vectors.saturating_mul(len as u64).saturating_mul(options.element.size_bytes() as u64);
    match available_bytes() {
        Some(available_bytes) if needed_bytes > available_bytes => {
            Err(BenchError::Memory { threads, len, needed_bytes, available_bytes })
        }
        _ => Ok(()),
    }
}

fn ascending(values: &[usize]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

fn point(options: &AllReduceOptions, threads: usize, len: usize) -> Result<AllReducePoint, BenchError> {
    with_type!(options.element, T => Case::<T>::new(options, threads, len).measure())
}

/// Copies of fewer bytes finish before all threads have started.
const MIN_COPY_BYTES: usize = 1 << 16;

/// Total bytes of input over all takes, within 10 to 1000 takes.
pub const BYTES_OF_TAKES: usize = 1 << 28;

/// Total number of elements for the serial reference, which allocates once per element and is slow.
const ELEMENTS_OF_REFERENCE: usize = 1 << 20;

/// The measurement of one thread count and one length.
struct Case<T> {
    inputs: Vec<Vec<T>>,
    expected: Vec<T>,
    op: Op,
    takes: usize,
}

/// The measurements of one rank, take by take.
struct RankTakes {
    copies: Vec<Interval>,
    calls: Vec<Interval>,
    wrong: u64,
}

impl<T: Operand> Case<T> {
    fn new(options: &AllReduceOptions, threads: usize, len: usize) -> Self {
        let op = options.op;
        let inputs: Vec<Vec<T>> = (0..threads).map(|rank| input(rank, len, op)).collect();
        let bytes = len.saturating_mul(size_of::<T>()).saturating_mul(threads);
        let takes = options.takes.unwrap_or_else(|| (BYTES_OF_TAKES / bytes).clamp(10, 1000));
        Self { expected: expected(&inputs, op), inputs, op, takes }
    }

    fn measure(&self) -> Result<AllReducePoint, BenchError> {
        let (threads, len, len_bytes) =
            (self.inputs.len(), self.expected.len(), size_of_val(&self.expected[..]));
        let ranks = on_ranks(threads, |comm| self.rank(comm))?;
        let call = |take: usize| from_last_start(ranks.iter().map(|rank| rank.calls[take])).as_secs_f64();
        let copy = |take: usize| from_first_start(ranks.iter().map(|rank| rank.copies[take])).as_secs_f64();
        let calls = Statistics::of(&(0..self.takes).map(call).collect::<Vec<_>>());
        let copies = Statistics::of(&(0..self.takes).map(copy).collect::<Vec<_>>());
        let bytes = (2 * threads * len_bytes) as f64;
        let moved_bytes_per_sec = (threads > 1).then(|| bytes / calls.median);
        let copied_bytes_per_sec = (len_bytes >= MIN_COPY_BYTES).then(|| bytes / copies.median);
        Ok(AllReducePoint {
            threads,
            len,
            len_bytes,
            takes: self.takes,
            median_secs: calls.median,
            min_secs: calls.min,
            algorithm_bytes_per_sec: len_bytes as f64 / calls.median,
            moved_bytes_per_sec,
            copied_bytes_per_sec,
            share_of_copy: moved_bytes_per_sec
                .zip(copied_bytes_per_sec)
                .map(|(moved, copied)| moved / copied),
            wrong: ranks.iter().map(|rank| rank.wrong).sum(),
            reference_secs: self.reference_secs()?,
            rayon_secs: self.rayon_secs()?,
        })
    }

    /// Measures the time of copies and calls, alternately; the first of each does not count.
    fn rank(&self, mut comm: Communicator) -> Result<RankTakes, CollectiveError> {
        let input = &self.inputs[comm.rank()];
        let mut values = input.clone();
        let (copies, calls) = (Vec::with_capacity(self.takes), Vec::with_capacity(self.takes));
        let mut found = RankTakes { copies, calls, wrong: 0 };
        for take in 0..=self.takes {
            // Brings the vector back from the caches of the ranks that wrote its segments, so that
            // the timed copy reads and writes local memory.
            black_box(&mut values).copy_from_slice(input);
            comm.barrier()?;
            let (copy, ()) = Interval::of(|| black_box(&mut values).copy_from_slice(black_box(input)));
            comm.barrier()?;
            let (call, result) = Interval::of(|| comm.all_reduce(&mut values, self.op));
            result?;
            found.wrong += wrong(&values, &self.expected);
            if take > 0 {
                found.copies.push(copy);
                found.calls.push(call);
            }
        }
        Ok(found)
    }

    fn reference_secs(&self) -> Result<f64, BenchError> {
        let takes = (ELEMENTS_OF_REFERENCE / self.expected.len()).clamp(1, self.takes.min(100));
        median_secs(takes, || {
            reference::all_reduce(&self.inputs, self.op).map(drop).map_err(BenchError::from)
        })
    }

    fn rayon_secs(&self) -> Result<f64, BenchError> {
        let threads = self.inputs.len();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|source| BenchError::Pool { threads, source })?;
        let reduce = || drop(black_box(rayon_fold_reduce(&pool, &self.inputs, self.op)));
        reduce();
        median_secs(self.takes, || {
            reduce();
            Ok(())
        })
    }
}

/// Returns the number of elements that differ from the expected ones.
pub fn wrong<T: PartialEq>(values: &[T], expected: &[T]) -> u64 {
    values.iter().zip(expected).filter(|(found, expected)| found != expected).count() as u64
}

fn median_secs(takes: usize, mut work: impl FnMut() -> Result<(), BenchError>) -> Result<f64, BenchError> {
    let take = |_| {
        let (interval, result) = Interval::of(&mut work);
        result.map(|()| interval.secs())
    };
    let secs = (0..takes).map(take).collect::<Result<Vec<_>, _>>()?;
    Ok(Statistics::of(&secs).median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> AllReduceOptions {
        AllReduceOptions {
            threads: vec![3, 1],
            lengths: vec![70_000, 1, 1],
            op: Op::Sum,
            element: ElementType::F32,
            takes: Some(2),
        }
    }

    #[test]
    fn every_pair_of_threads_and_length_is_measured_once_and_correctly() {
        let mut measured = 0;
        let report = measure_all_reduce(&options(), |_| measured += 1).unwrap();
        let pairs: Vec<_> = report.points.iter().map(|point| (point.threads, point.len)).collect();
        assert_eq!(pairs, [(1, 1), (1, 70_000), (3, 1), (3, 70_000)]);
        assert_eq!((measured, report.wrong()), (4, 0));
    }

    #[test]
    fn bandwidths_are_bytes_over_the_median_time() {
        let report = measure_all_reduce(&options(), |_| {}).unwrap();
        let point = &report.points[3];
        assert_eq!(point.algorithm_bytes_per_sec, 280_000.0 / point.median_secs);
        assert_eq!(point.moved_bytes_per_sec, Some(6.0 * 280_000.0 / point.median_secs));
        assert!(point.copied_bytes_per_sec.is_some() && point.min_secs <= point.median_secs);
    }

    #[test]
    fn one_thread_moves_nothing_and_a_short_copy_has_no_rate() {
        let report = measure_all_reduce(&options(), |_| {}).unwrap();
        assert_eq!(report.points[1].moved_bytes_per_sec, None);
        assert_eq!((report.points[2].copied_bytes_per_sec, report.points[2].share_of_copy), (None, None));
    }

    #[test]
    fn a_wrong_element_is_counted() {
        let mut case = Case::<i64>::new(&options(), 2, 10);
        case.expected[3] += 1;
        let wrong = case.measure().unwrap().wrong;
        assert_eq!(wrong, 2 * 3, "on each of 2 ranks, in 1 + 2 calls");
    }

    #[test]
    fn invalid_options_are_rejected_before_measuring() {
        let refused =
            |options: AllReduceOptions| measure_all_reduce(&options, |_| panic!("measured")).unwrap_err();
        assert!(matches!(refused(AllReduceOptions { threads: vec![], ..options() }), BenchError::NoThreads));
        assert!(matches!(
            refused(AllReduceOptions { threads: vec![1, 0], ..options() }),
            BenchError::ZeroThreads
        ));
        assert!(matches!(refused(AllReduceOptions { lengths: vec![], ..options() }), BenchError::NoLengths));
        assert!(matches!(
            refused(AllReduceOptions { lengths: vec![0], ..options() }),
            BenchError::ZeroLength
        ));
        for takes in [0, 100_001, usize::MAX] {
            let refused = refused(AllReduceOptions { takes: Some(takes), ..options() });
            assert!(matches!(refused, BenchError::Takes { .. }), "{takes}");
        }
        let integers = AllReduceOptions { op: Op::Mean, element: ElementType::U32, ..options() };
        assert!(matches!(refused(integers), BenchError::NoSuchReduction { .. }));
    }
}
