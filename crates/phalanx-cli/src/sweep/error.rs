//! Why a sweep cannot be.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use phalanx::internals::remedy;
use phalanx::train::TrainError;

/// Why a sweep cannot be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A list is empty, or a value in it is 0.
    #[error("{what} must be a list of values above 0; found {found}")]
    BadList {
        /// The list.
        what: &'static str,
        /// What is in it.
        found: String,
    },
    /// The lists ask for more runs than a sweep holds.
    #[error(
        "{sizes} batch sizes, {reductions} reductions, {rates} rates and {seeds} seeds are more than {MOST_RUNS} runs; shorten the lists"
    )]
    TooManyRuns {
        /// Batch sizes.
        sizes: usize,
        /// Reductions.
        reductions: usize,
        /// Rates.
        rates: usize,
        /// Seeds.
        seeds: usize,
    },
    /// A rate, or the goal, is no positive number.
    #[error("{what} is {found:?}, but must be above 0 and finite")]
    NotPositive {
        /// What it is.
        what: &'static str,
        /// The value.
        found: f64,
    },
    /// A batch does not fit the data.
    #[error(
        "a batch of {batch_size} samples leaves fewer than {FEWEST_STEPS} steps an epoch of {samples} samples; lower the batch sizes"
    )]
    LargeBatch {
        /// Samples of the batch.
        batch_size: usize,
        /// Samples of the data.
        samples: usize,
    },
    /// The log of a sweep cannot be read.
    #[error("{}: {reason}; start the sweep anew with another -o", path.display())]
    BadLog {
        /// The log.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The log of a sweep cannot be written.
    #[error("cannot write {}: {source}; {}, then go on with --resume", path.display(), remedy(source))]
    WriteLog {
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A run cannot be planned, or failed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Most runs of a sweep: years of training for all but the smallest models, and little to hold.
pub(super) const MOST_RUNS: usize = 100_000;

/// Fewest steps of an epoch: with fewer, a curve says nothing of steps.
pub(super) const FEWEST_STEPS: usize = 4;
