//! Samples: where they come from, how they are kept, in which order and shape they reach a step.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | [`Source`] | what the user names: `digits`, a folder in IDX, a CSV, npy or libsvm file, or standard input in an [`InputFormat`] |
//! | [`Dataset`] | samples with their targets and weights, in the type they are **stored** in (u8 images stay u8) |
//! | feature | one column of the inputs; an image of 28 × 28 pixels has 784, row by row |
//! | target | what a sample should map to: a class ([`Targets::Classes`]) or numbers ([`Targets::Values`]) |
//! | label | a target as it is written in a file: `7`, `-1`, `setosa` |
//! | [`Columns`] | the columns of a table: their names, and what each is for; kept with the model, so that later tables are read alike |
//! | [`Remark`] | what a reader decided on its own, or found odd, for the user to know |
//! | [`Classes`] | the names of the classes, by class index; learned from the training samples, kept with the model |
//! | [`Fingerprint`] | what tells one data set from another |
//! | sample order | the order of an epoch, from (seed, epoch) alone: [`sample_order`] |
//! | gather | to copy the samples of a shard, converted to `f32`, into a [`GatherBuffer`] |
//!
//! # Guarantees
//!
//! - What a file holds wrongly is an error that names the file, the line or byte, what was found and what was expected.
//!   Nothing is skipped, filled in or clamped. What may be read in two ways is refused, with the options that settle it; what a reader
//!   does decide is a [`Remark`].
//! - A header is never believed before the file can hold what it promises: reading IDX and npy takes at most twice the size
//!   of the (decompressed) file plus 16 MiB, and a row of a table has at most 262,144 columns and 4 MiB. A packed file that unpacks to
//!   absurdly more than its size is refused.
//! - The gathered bits depend on the stored samples and on [`Standardize`] alone. Targets are gathered as they are stored: a model
//!   [standardizes them](crate::model::Mlp::standardize_targets) if it is told to.
//!
//! # Trade-offs
//!
//! Samples live in memory, all of them: a data set larger than memory is out of scope. In return a sample order can be
//! a true permutation of all samples, and gathering is a copy.
//!
//! # Examples
//!
//! ```
//! use phalanx::data::{LoadOptions, Source};
//! use phalanx::internals::{GatherBuffer, sample_order};
//!
//! let source: Source = "digits".parse()?;
//! let train = source.load(&LoadOptions::default())?.train;
//! let mut order = vec![0; train.len()];
//! sample_order(42, 0, &mut order);
//!
//! let mut shard = GatherBuffer::new(64, train.features(), 0);
//! train.gather(&order[..64], &mut shard);
//! assert_eq!(shard.inputs().dim(), (64, 64));
//! assert_eq!(shard.labels().len(), 64);
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
mod summary;
mod table;
mod text;

pub(crate) use dataset::GatherBuffer;
pub use dataset::{Dataset, Loaded, Standardize};
pub use error::{DataError, Remark};
pub(crate) use features::AS_GATHERED;
pub use labels::{Classes, TargetKind, Targets};
pub use options::{Columns, HeaderRow, InputFormat, LoadOptions};
pub(crate) use order::sample_order;
pub use source::Source;
pub use summary::{DataSummary, Fingerprint};
pub use text::Column;
