//! The errors of collective calls, and the names of the calls in error messages.

use super::arithmetic::Op;
use std::fmt;
use std::time::Duration;

/// The reason why a collective call failed. Every rank of the round gets the same value.
///
/// Some errors [end the world](Self::ends_world): every later call on every rank returns the first
/// cause at once. All others leave the buffers unchanged and the world usable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A world of 0 ranks was requested.
    ZeroRanks,
    /// The ranks did not make the same call. `rank` is the first whose call differs from rank 0's.
    Mismatch {
        /// The first rank that differs from rank 0.
        rank: usize,
        /// The difference, with both values, such as "called barrier, but rank 0 called all-reduce
        /// (sum)".
        difference: String,
    },
    /// A rank panicked: inside a function that it passed to the reducer, or elsewhere, so that
    /// unwinding dropped its communicator or its session.
    Panicked {
        /// The rank that panicked.
        rank: usize,
    },
    /// A rank dropped its communicator, or its [`Session`](super::Session), while other ranks still
    /// waited for it or before they made further calls.
    Left {
        /// The rank that left.
        rank: usize,
    },
    /// A rank called [`Communicator::fail`](super::Communicator::fail), or returned an error from
    /// the work of [`World::run`](super::World::run).
    Failed {
        /// The rank that failed.
        rank: usize,
        /// The reason it gave, or the text of its error.
        reason: String,
    },
    /// [`World::run`](super::World::run) could not start the thread of a rank.
    Spawn {
        /// The rank without a thread.
        rank: usize,
        /// The error of the operating system.
        reason: String,
    },
    /// Not every rank arrived in time.
    TimedOut {
        /// The time for which the rank that gave up had waited.
        waited: Duration,
        /// The ranks that had not arrived, ascending; empty only if all arrived in the meantime.
        missing: Vec<usize>,
    },
    /// [`AbortHandle::abort`](super::AbortHandle::abort) was called.
    Aborted {
        /// The reason that the caller gave.
        reason: String,
    },
    /// The weights of a weighted mean add up to 0.
    ZeroWeight,
    /// A weight is negative, infinite or NaN. `rank` is the first rank with such a weight.
    BadWeight {
        /// The first rank with such a weight.
        rank: usize,
        /// Its weight.
        weight: f64,
    },
    /// Every weight is finite, but their sum is infinite.
    WeightOverflow,
    /// A mean of integers or of `bool` was requested.
    MeanOfIntegers {
        /// The element type.
        element: &'static str,
    },
    /// A broadcast from a rank that does not exist.
    RootOutOfRange {
        /// The requested root.
        root: usize,
        /// The number of ranks.
        world_size: usize,
    },
    /// A [`Shared`](super::Shared) value was used with a communicator of another world.
    NotOfThisWorld,
    /// A [`Shared`](super::Shared) value needs `world_size + 1` cuts.
    CutCount {
        /// The number of cuts passed.
        found: usize,
        /// The number required.
        expected: usize,
    },
    /// The cuts of a [`Shared`](super::Shared) value do not ascend from 0 to its length.
    CutOutOfOrder {
        /// The index of the first cut that is out of order.
        index: usize,
        /// That cut.
        found: usize,
        /// The smallest valid value.
        at_least: usize,
        /// The largest valid value.
        at_most: usize,
    },
}

/// A collective call, as named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Communicator::barrier`](super::Communicator::barrier).
    Barrier,
    /// [`Communicator::all_reduce`](super::Communicator::all_reduce).
    AllReduce(Op),
    /// All-reduce of many buffers with an operator.
    AllReduceMany(Op),
    /// All-gather of different numbers of values.
    AllGatherVec,
    /// Splitting into groups.
    Split,
    /// [`Communicator::all_reduce_weighted_mean`](super::Communicator::all_reduce_weighted_mean).
    WeightedMean,
    /// [`Communicator::all_reduce_with`](super::Communicator::all_reduce_with).
    AllReduceWith,
    /// [`Communicator::reduce_scatter`](super::Communicator::reduce_scatter).
    ReduceScatter(Op),
    /// [`Communicator::all_gather`](super::Communicator::all_gather).
    AllGather,
    /// [`Communicator::broadcast`](super::Communicator::broadcast).
    Broadcast,
    /// [`Communicator::lend`](super::Communicator::lend).
    Lend,
    /// [`Communicator::update`](super::Communicator::update).
    Update,
    /// [`Communicator::rewrite`](super::Communicator::rewrite).
    Rewrite,
}

/// The difference between the calls of two ranks: rank 0's value is `expected`, the other's is
/// `found`.
///
/// # Examples
///
/// ```
/// use phalanx_collective::internals::{Difference, Operation};
/// use phalanx_collective::{CollectiveError, Op, World};
///
/// let errors: Vec<CollectiveError> = std::thread::scope(|scope| {
///     let ranks = World::new(2).unwrap().communicators();
///     let calls = ranks.map(|mut rank| {
///         scope.spawn(move || match rank.rank() {
///             0 => rank.all_reduce(&mut [1.0_f32, 2.0], Op::Sum).unwrap_err(),
///             _ => rank.barrier().unwrap_err(),
///         })
///     });
///     calls.collect::<Vec<_>>().into_iter().map(|call| call.join().unwrap()).collect()
/// });
/// let difference = Difference::Operation { expected: Operation::AllReduce(Op::Sum), found: Operation::Barrier }.to_string();
/// // All ranks get the same error, and can make further calls.
/// assert!(errors.iter().all(|error| *error == CollectiveError::Mismatch { rank: 1, difference: difference.clone() }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A different operation.
    Operation {
        /// The value on rank 0.
        expected: Operation,
        /// The value on the differing rank.
        found: Operation,
    },
    /// A different element type (or, in `lend` and `update`, a different type of lent value).
    ElementType {
        /// The value on rank 0.
        expected: &'static str,
        /// The value on the differing rank.
        found: &'static str,
    },
    /// A different number of elements.
    Len {
        /// The value on rank 0.
        expected: usize,
        /// The value on the differing rank.
        found: usize,
    },
    /// A different number of buffers.
    BufferCount {
        /// The value on rank 0.
        expected: usize,
        /// The value on the differing rank.
        found: usize,
    },
    /// A different number of elements in a buffer.
    BufferLen {
        /// The first buffer that differs.
        buffer: usize,
        /// The value on rank 0.
        expected: usize,
        /// The value on the differing rank.
        found: usize,
    },
    /// A different root of a broadcast.
    Root {
        /// The value on rank 0.
        expected: usize,
        /// The value on the differing rank.
        found: usize,
    },
    /// A different [`Shared`](super::Shared) value.
    Shared,
}

impl std::error::Error for CollectiveError {}

impl fmt::Display for CollectiveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroRanks => out.write_str("a world of 0 ranks was requested; use 1 or more"),
            Self::Mismatch { rank, difference } => {
                write!(out, "rank {rank} {difference}; every rank must make the same calls in the same order")
            }
            Self::Panicked { rank } => {
                write!(out, "rank {rank} panicked and the other ranks were stopped; see its panic message")
            }
            Self::Left { rank } => write!(
                out,
                "rank {rank} dropped its communicator, but other ranks still needed it; keep every communicator \
                 until the last collective call of all ranks, and if the rank stopped because of an error, pass that \
                 to Communicator::fail"
            ),
            Self::Failed { rank, reason } => write!(out, "rank {rank} failed: {reason}"),
            Self::Spawn { rank, reason } => write!(
                out,
                "the thread of rank {rank} could not be started: {reason}; use fewer ranks, or raise the limits on \
                 threads and memory"
            ),
            Self::TimedOut { waited, missing } => write!(
                out,
                "waited {waited:?} for ranks {missing:?}, which did not arrive; find out what delays them or set a \
                 longer timeout"
            ),
            Self::Aborted { reason } => write!(out, "the world was aborted: {reason}"),
            _ => self.fmt_misuse(out),
        }
    }
}

impl CollectiveError {
    /// Returns whether the error ends the world, so that every later collective call on every rank
    /// fails with it. True for [`Panicked`](Self::Panicked), [`Left`](Self::Left),
    /// [`Failed`](Self::Failed), [`Spawn`](Self::Spawn), [`TimedOut`](Self::TimedOut) and
    /// [`Aborted`](Self::Aborted). After any other error the ranks can make further calls, except
    /// after a [`Mismatch`](Self::Mismatch) in the length of a message on a wire between processes.
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, Op, World};
    ///
    /// let mut rank = World::new(1)?.communicators().next().unwrap();
    /// let error = rank.all_reduce(&mut [1, 2], Op::Mean).unwrap_err();
    /// assert!(!error.ends_world()); // Integers have no mean; the world is still usable.
    /// assert!(rank.fail("the disk is full").ends_world());
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn ends_world(&self) -> bool {
        matches!(
            self,
            Self::Panicked { .. }
                | Self::Left { .. }
                | Self::Failed { .. }
                | Self::Spawn { .. }
                | Self::TimedOut { .. }
                | Self::Aborted { .. }
        )
    }

    fn fmt_misuse(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroWeight => {
                out.write_str("the weights of all ranks sum to 0, expected a positive sum; skip this call")
            }
            Self::BadWeight { rank, weight } => {
                write!(out, "rank {rank} passed weight {weight:?}, expected a finite weight of 0 or more")
            }
            Self::WeightOverflow => {
                out.write_str("the weights are finite but their sum is infinite; scale all of them down")
            }
            Self::MeanOfIntegers { element } => write!(
                out,
                "a mean of {element} was requested, but only floats have one; convert the values to f32 or f64 first"
            ),
            Self::RootOutOfRange { root, world_size } => {
                write!(out, "broadcast from rank {root}, expected a rank from 0 to {}", world_size - 1)
            }
            Self::NotOfThisWorld => out.write_str(
                "a shared value was used with a communicator of another world; create it from the same world",
            ),
            Self::CutCount { found, expected } => {
                write!(
                    out,
                    "{found} cuts for a shared value, expected {expected} (the number of ranks plus 1)"
                )
            }
            Self::CutOutOfOrder { index, found, at_least, at_most } => write!(
                out,
                "cut {index} of a shared value is {found}, expected {at_least} to {at_most}; cuts must ascend from 0 to \
                 the number of values"
            ),
            _ => unreachable!("every other error has its text in `fmt`"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { expected, found } => {
                write!(out, "called {found}, but rank 0 called {expected}")
            }
            Self::ElementType { expected, found } => {
                write!(out, "passed values of type {found}, but rank 0 passed {expected}")
            }
            Self::Len { expected, found } => {
                write!(out, "passed {found} elements, but rank 0 passed {expected}")
            }
            Self::BufferCount { expected, found } => {
                write!(out, "passed {found} buffers, but rank 0 passed {expected}")
            }
            Self::BufferLen { buffer, expected, found } => {
                write!(out, "passed {found} elements in buffer {buffer}, but rank 0 passed {expected}")
            }
            Self::Root { expected, found } => {
                write!(out, "broadcast from rank {found}, but rank 0 broadcast from rank {expected}")
            }
            Self::Shared => out.write_str("updated a different shared value than rank 0"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier => out.write_str("barrier"),
            Self::AllReduce(op) => write!(out, "all-reduce ({op})"),
            Self::AllGatherVec => out.write_str("all-gather into a vector"),
            Self::Split => out.write_str("split"),
            Self::AllReduceMany(op) => write!(out, "all-reduce of many buffers ({op})"),
            Self::WeightedMean => out.write_str("all-reduce (weighted mean)"),
            Self::AllReduceWith => out.write_str("all-reduce (with a function)"),
            Self::ReduceScatter(op) => write!(out, "reduce-scatter ({op})"),
            Self::AllGather => out.write_str("all-gather"),
            Self::Broadcast => out.write_str("broadcast"),
            Self::Lend => out.write_str("lend"),
            Self::Update => out.write_str("update"),
            Self::Rewrite => out.write_str("rewrite"),
        }
    }
}
