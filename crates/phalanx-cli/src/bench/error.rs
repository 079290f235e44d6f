//! The errors of measurements.

use std::io;

use phalanx::collective::{CollectiveError, Op};
use phalanx::train::TrainError;
use thiserror::Error;

use crate::numbers::counted;

/// Most takes: the times of all of them are kept.
const MOST_TAKES: usize = 100_000;

/// Refuses takes that cannot be measured.
pub(super) fn check_takes(takes: usize) -> Result<(), BenchError> {
    if (1..=MOST_TAKES).contains(&takes) { Ok(()) } else { Err(BenchError::Takes { takes }) }
}

/// An error of a measurement.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No thread count is given.
    #[error("no thread count to measure; give at least one, such as 1,2,4")]
    NoThreads,
    /// A thread count is 0.
    #[error("0 threads compute nothing; give thread counts of at least 1")]
    ZeroThreads,
    /// No length is given.
    #[error("no len to measure; give at least one, such as 1..16M")]
    NoLens,
    /// A length is 0.
    #[error("a vector of 0 elements has nothing to reduce; give lens of at least 1")]
    ZeroLen,
    /// There are no takes, or more than anybody can wait for.
    #[error("{takes} takes cannot be measured; give 1 to {MOST_TAKES}")]
    Takes {
        /// The takes asked for.
        takes: usize,
    },
    /// The batch size cannot grow with the threads.
    #[error(
        "a batch of {batch_size} samples for {} does not grow to a whole number of samples for {threads}; give a batch \
         size that {smallest} divides",
        counted(*smallest as u64, "thread")
    )]
    UnevenBatch {
        /// Samples of the batch for the smallest thread count.
        batch_size: usize,
        /// The smallest thread count.
        smallest: usize,
        /// The thread count in question.
        threads: usize,
    },
    /// There are fewer samples than a batch would take.
    #[error(
        "weak scaling gives {threads} threads a batch of {batch_size} samples, but the data has {samples}; lower the \
         batch size or the thread counts"
    )]
    BatchBeyondData {
        /// The thread count.
        threads: usize,
        /// Samples of its batch.
        batch_size: usize,
        /// Samples of the data.
        samples: usize,
    },
    /// A run ended before it was complete.
    #[error(
        "training on {} diverged in step {step}: the times of a run that is cut short cannot be \
         compared; lower the rate",
        counted(*threads as u64, "thread")
    )]
    Diverged {
        /// The thread count.
        threads: usize,
        /// The last step.
        step: u64,
    },
    /// Integers have no mean.
    #[error("the {op} of {element} is not defined; measure sum, min, max or product, or a float type")]
    NoSuchReduction {
        /// The operator.
        op: Op,
        /// The type of the elements.
        element: String,
    },
    /// The vectors do not fit into memory.
    #[error(
        "{threads} vectors of {len} elements need {needed_bytes} bytes while they are measured, but {available_bytes} \
         are available; lower the lens or the thread counts"
    )]
    Memory {
        /// The thread count.
        threads: usize,
        /// Elements of a vector.
        len: usize,
        /// The bytes that the measurement needs.
        needed_bytes: u64,
        /// The bytes that the system has.
        available_bytes: u64,
    },
    /// A thread could not be started.
    #[error("the thread of rank {rank} could not be started: {source}; lower the number of threads")]
    Spawn {
        /// Rank without a thread.
        rank: usize,
        /// The error of the system.
        source: io::Error,
    },
    /// The pool that the reducer is compared with could not be started.
    #[error("a rayon pool of {threads} threads could not be started: {source}; lower the number of threads")]
    Pool {
        /// Threads of the pool.
        threads: usize,
        /// The error of rayon.
        source: rayon::ThreadPoolBuildError,
    },
    /// The run could not begin, or did not end well.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The ranks could not continue together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
}

impl BenchError {
    /// Returns whether what was asked for cannot be measured by anybody.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoThreads
            | Self::ZeroThreads
            | Self::NoLens
            | Self::ZeroLen
            | Self::Takes { .. }
            | Self::UnevenBatch { .. }
            | Self::NoSuchReduction { .. } => true,
            Self::Train(error) => error.is_usage(),
            _ => false,
        }
    }
}
