//! Data sets: reading, storing, splitting and standardizing samples, and gathering them for a step
//! in a seeded order.
//!
//! # Vocabulary
//!
//! | word | meaning |
//! |---|---|
//! | [`Source`] | the name of the data, as the user passes it: `digits`, a folder of IDX files, a CSV, npy or libsvm file, or standard input in an [`InputFormat`] |
//! | [`Dataset`] | samples with their targets and weights, in the type they are **stored** in (u8 images stay u8) |
//! | feature | one column of the inputs; an image of 28 × 28 pixels has 784, row by row |
//! | target | the output that a sample should map to: a class ([`Targets::Classes`]) or numbers ([`Targets::Values`]) |
//! | label | a target as written in a file: `7`, `-1`, `setosa` |
//! | [`Columns`] | the columns of a table: their names and uses; stored with the model, so that later tables are read the same way |
//! | [remark](Dataset::remarks) | a decision that a reader made without being asked, or a possible problem that it found |
//! | [`Classes`] | the names of the classes, by class index; learned from the training samples, stored with the model |
//! | [fingerprint](Dataset::fingerprint) | sizes and a checksum that identify a data set |
//! | sample order | the order of the samples in an epoch, a function of (seed, epoch) only |
//! | gather | copy the samples of a shard into a buffer, converted to `f32` ([`Dataset::gather`]) |
//!
//! # Guarantees
//!
//! - Invalid file content is an error that names the file, the line or byte, the value found and
//!   the value expected. Nothing is skipped, filled in or clamped. Content that can be read in two
//!   ways is rejected, with the options that resolve the ambiguity; each decision that a reader
//!   makes without being asked is a [remark](Dataset::remarks).
//! - A header is never trusted before the file has been checked to hold the data that it declares:
//!   reading IDX and npy takes at most twice the size of the (decompressed) files plus 16 MiB, or
//!   five times the size for labels of one byte, and a row of a table has at most 262,144 columns
//!   and 4 MiB. A compressed file that decompresses to an implausible multiple of its size is
//!   rejected.
//! - The gathered bits depend only on the stored samples and on [`Standardize`]. Targets are
//!   gathered as stored; a model [standardizes them](crate::model::Mlp::standardize_targets) on
//!   request.
//!
//! # Trade-offs
//!
//! All samples are in memory: data sets larger than memory are out of scope. In return, a sample
//! order is a true permutation of all samples, and gathering is a copy.
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
