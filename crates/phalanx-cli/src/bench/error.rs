//! The errors of measurements.

use std::io;

use phalanx::collective::{CollectiveError, Op};
use phalanx::train::TrainError;
use thiserror::Error;

use crate::numbers::counted;

/// Maximum number of takes: the times of all takes are kept in memory.
const MAX_TAKES: usize = 100_000;

/// Rejects an invalid number of takes.
pub(super) fn check_takes(takes: usize) -> Result<(), BenchError> {
    if (1..=MAX_TAKES).contains(&takes) { Ok(()) } else { Err(BenchError::Takes { takes }) }
}

/// An error of a measurement.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No thread count is given.
    #[error("no thread count to measure; give at least one, such as 1,2,4")]
    NoThreads,
    /// A thread count is 0.
    #[error("thread counts must be at least 1; found 0")]
    ZeroThreads,
    /// No length is given.
    #[error("no vector length to measure; give at least one, such as 1..16M")]
    NoLengths,
    /// A length is 0.
    #[error("vector lengths must be at least 1; found 0")]
    ZeroLength,
    /// The number of takes is 0 or too large.
    #[error("the number of takes must be from 1 to {MAX_TAKES}; found {takes}")]
    Takes {
        /// The requested number of takes.
        takes: usize,
    },
    /// The batch size cannot grow with the threads.
    #[error(
        "weak scaling cannot grow a batch of {batch_size} samples for {} to a whole number of samples for {threads}; \
         give a batch size that is a multiple of {smallest}",
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
    /// The data has fewer samples than a batch.
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
    /// A run diverged before it was complete.
    #[error(
        "training on {} diverged in step {step}: the times of an incomplete run cannot be \
         compared; lower the learning rate",
        counted(*threads as u64, "thread")
    )]
    Diverged {
        /// The thread count.
        threads: usize,
        /// The step that diverged.
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
        "measuring {threads} vectors of {len} elements needs {needed_bytes} bytes, but only {available_bytes} \
         are available; lower the lengths or the thread counts"
    )]
    Memory {
        /// The thread count.
        threads: usize,
        /// Elements of a vector.
        len: usize,
        /// The bytes that the measurement needs.
        needed_bytes: u64,
        /// The bytes that are available.
        available_bytes: u64,
    },
    /// A thread could not be started.
    #[error("the thread of rank {rank} could not be started: {source}; lower the number of threads")]
    Spawn {
        /// The rank of the thread.
        rank: usize,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The rayon pool that the reducer is compared with could not be started.
    #[error("a rayon pool of {threads} threads could not be started: {source}; lower the number of threads")]
    Pool {
        /// Threads of the pool.
        threads: usize,
        /// The underlying error.
        source: rayon::ThreadPoolBuildError,
    },
    /// The run could not start, or failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A collective operation failed.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
}

impl BenchError {
    /// Returns whether the request is invalid on any machine.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoThreads
            | Self::ZeroThreads
            | Self::NoLengths
            | Self::ZeroLength
            | Self::Takes { .. }
            | Self::UnevenBatch { .. }
            | Self::NoSuchReduction { .. } => true,
            Self::Train(error) => error.is_usage(),
            _ => false,
        }
    }
}
