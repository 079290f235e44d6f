//! Samples: where they come from, how they are stored, and in which order and shape they reach a step.
//!
//! # Vocabulary
//!
//! | word | meaning |
//! |---|---|
//! | [`Source`] | the name that the user gives: `digits`, a folder of IDX files, a CSV, npy or libsvm file, or standard input in an [`InputFormat`] |
//! | [`Dataset`] | samples with their targets and weights, in the type they are **stored** in (u8 images stay u8) |
//! | feature | one column of the inputs; an image of 28 × 28 pixels has 784, row by row |
//! | target | the output that a sample should map to: a class ([`Targets::Classes`]) or numbers ([`Targets::Values`]) |
//! | label | a target as it is written in a file: `7`, `-1`, `setosa` |
//! | [`Columns`] | the columns of a table: their names and uses; stored with the model, so that later tables are read alike |
//! | [remark](Dataset::remarks) | a decision that a reader made on its own, or something odd that it found |
//! | [`Classes`] | the names of the classes, by class index; learned from the training samples, stored with the model |
//! | [fingerprint](Dataset::fingerprint) | sizes and a checksum, which distinguish one data set from another |
//! | sample order | the order of an epoch, from (seed, epoch) alone |
//! | gather | to copy the samples of a shard into a buffer, converted to `f32` ([`Dataset::gather`]) |
//!
//! # Guarantees
//!
//! - Invalid content of a file is an error that names the file, the line or byte, the value found and the one expected.
//!   Nothing is skipped, filled in or clamped. Content that can be read in two ways is refused, with the options that settle it;
//!   each decision that a reader does make is a [remark](Dataset::remarks).
//! - A header is never trusted before the file can hold what it promises: reading IDX and npy takes at most twice the size
//!   of the (decompressed) file plus 16 MiB, and a row of a table has at most 262,144 columns and 4 MiB. A packed file that
//!   unpacks to absurdly more than its size is refused.
//! - The gathered bits depend on the stored samples and on [`Standardize`] alone. Targets are gathered as they are stored; a
//!   model [standardizes them](crate::model::Mlp::standardize_targets) on request.
//!
//! # Trade-offs
//!
//! All samples are in memory: a data set larger than memory is out of scope. In return a sample order can be
//! a true permutation of all samples, and gathering is a copy.
//!
//! # Examples
//!
//! ```
//! use phalanx::data::{LoadOptions, LoadedData, Source};
//!
//! let source: Source = "digits".parse()?;
//! let LoadedData { train, test } = source.load(&LoadOptions::default())?;
//! assert_eq!((train.len(), train.features()), (1_437, 64));
//! assert_eq!(train.describe(), "u8 images 8 × 8");
//! assert_eq!(test.map(|test| test.len()), Some(360));
//! # Ok::<(), phalanx::data::DataError>(())
//! ```

pub(crate) mod dataset;
mod digits;
pub(crate) mod error;
mod features;
mod header;
mod idx;
mod labels;
mod libsvm;
mod npy;
mod options;
pub(crate) mod order;
mod source;
pub(crate) mod standardize;
mod stream;
pub(crate) mod summary;
mod table;
mod text;

pub(crate) use dataset::GatherBuffer;
pub use dataset::{Dataset, LoadedData, Standardize};
pub use error::DataError;
pub(crate) use features::AS_GATHERED;
pub use labels::{Classes, TargetKind, Targets};
pub use options::{Columns, HeaderRow, InputFormat, LoadOptions};
pub(crate) use order::sample_order;
pub use source::Source;
pub(crate) use summary::{DataSummary, Fingerprint};
pub use text::Column;
