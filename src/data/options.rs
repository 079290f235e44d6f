//! Options for reading a source, and the columns of a table.

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::labels::{Classes, TargetKind};
use super::text::Column;
use crate::num::names;

/// Options for reading a source. Options that a format does not use (such as columns, for formats
/// other than tables) are ignored.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The label column of a table; by default, the last column.
    pub label_column: Option<Column>,
    /// The column of a table that contains the sample weights; by default, samples have no weights.
    pub weight_column: Option<Column>,
    /// The presence of a header row in a table.
    pub header: HeaderRow,
    /// The interpretation of labels.
    pub target: TargetKind,
    /// The number of features that the samples must have: that of the model. Sparse samples may
    /// have fewer; the others are 0.
    pub features: Option<usize>,
    /// The columns of the table that the model was trained on, or of the training samples. If both
    /// tables have column names, columns are matched by name, otherwise by position. A
    /// `label_column` above replaces the label column of these; the `weight_column` is ignored.
    pub columns: Option<Columns>,
    /// The classes of the model or of the training samples; every label must be one of them.
    pub classes: Option<Classes>,
}

impl LoadOptions {
    /// Returns an error for samples of `file` with another number of features than expected.
    /// Readers that know it before they read labels check it first: the labels of other data would
    /// be unknown, too.
    pub(super) fn check_features(&self, file: &str, found: usize) -> Result<(), DataError> {
        match self.features {
            Some(expected) if expected != found => {
                Err(DataError::FeatureCount { file: file.to_owned(), found, expected })
            }
            _ => Ok(()),
        }
    }
}

/// The role of the first row of a table: column names or a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderRow {
    /// The first row is column names if a column is selected by name, if the row has the names of
    /// the model's features, or if all its features are words. A row of words and numbers, or of
    /// numbers that look like names, is rejected.
    #[default]
    Auto,
    /// The first row is column names.
    Present,
    /// The first row is a sample.
    Absent,
}

names!(HeaderRow, "choice", [Auto => "auto", Present => "present", Absent => "absent"]);

/// The format of samples if the file name does not determine it: on standard input, in a pipe, or
/// in a file with any extension.
///
/// A table or libsvm lines may be compressed with gzip; on standard input, this is detected from
/// the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// A table of comma-separated values, one sample per line.
    #[default]
    Csv,
    /// NumPy arrays: `X,Y` for inputs and labels, or inputs only.
    Npy,
    /// Sparse samples, `label index:value ...`.
    Libsvm,
}

names!(InputFormat, "format", [Csv => "csv", Npy => "npy", Libsvm => "libsvm"]);

/// The columns of a table: their names, if its first line has them, and their uses.
///
/// The columns of the training table are stored with the model, so that later tables are read the
/// same way: if both tables have names, columns are matched by name, in any order; otherwise, by
/// position.
///
/// # Examples
///
/// ```
/// use phalanx::data::{Columns, LoadOptions, Source};
///
/// let folder = tempfile::tempdir()?;
/// let write = |name: &str, text: &str| {
///     let path = folder.path().join(name);
///     std::fs::write(&path, text).map(|()| path.to_str().expect("the path is text").to_owned())
/// };
/// let source: Source = write("train.csv", "a,b,kind\n1,10,x\n2,20,y\n")?.parse()?;
/// let train = source.load(&LoadOptions::default())?.train;
/// let columns: &Columns = train.columns().expect("it is a table");
/// assert_eq!((columns.features(), columns.label()), (&[0, 1][..], Some(2)));
/// assert_eq!(columns.text(1), "\"b\"");
///
/// let other: Source = write("other.csv", "kind,id,b,a\ny,7,20,2\n")?.parse()?;
/// let options = LoadOptions { columns: train.columns().cloned(), ..LoadOptions::default() };
/// let other = other.load(&LoadOptions { classes: train.classes().cloned(), ..options })?.train;
/// assert_eq!(other.features_of(0), [2.0, 20.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedColumns")]
pub struct Columns {
    pub(super) names: Option<Vec<String>>,
    pub(super) count: usize,
    pub(super) features: Vec<usize>,
    pub(super) label: Option<usize>,
    pub(super) weight: Option<usize>,
}

/// [`Columns`] as stored in a file, before validation.
#[derive(Deserialize)]
struct UncheckedColumns {
    names: Option<Vec<String>>,
    count: usize,
    features: Vec<usize>,
    label: Option<usize>,
    weight: Option<usize>,
}

impl TryFrom<UncheckedColumns> for Columns {
    type Error = String;

    fn try_from(found: UncheckedColumns) -> Result<Self, String> {
        let UncheckedColumns { names, count, features, label, weight } = found;
        if let Some(names) = names.as_ref().filter(|names| names.len() != count) {
            return Err(format!("{} names for {count} columns", names.len()));
        }
        match features.iter().chain(&label).chain(&weight).find(|column| **column >= count) {
            Some(column) => Err(format!("column {column} of {count}")),
            None => Ok(Self { names, count, features, label, weight }),
        }
    }
}

impl Columns {
    /// Returns the trimmed names of all columns, if the first line of the table has them.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Returns the number of columns of the table, including ignored ones.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the column of each feature, from 0, in the order of the features.
    pub fn features(&self) -> &[usize] {
        &self.features
    }

    /// Returns the column of the label, from 0.
    pub fn label(&self) -> Option<usize> {
        self.label
    }

    /// Returns the column of the sample weights, from 0.
    pub fn weight(&self) -> Option<usize> {
        self.weight
    }

    /// Returns the columns that are neither a feature nor the label nor the weight, ascending.
    pub fn ignored(&self) -> Vec<usize> {
        let mut is_used = vec![false; self.count];
        self.used().for_each(|column| is_used[column] = true);
        (0..self.count).filter(|&column| !is_used[column]).collect()
    }

    /// Returns a column as shown in messages: its name in quotes, or its number if it has no name.
    pub fn text(&self, column: usize) -> String {
        match self.name(column).filter(|name| !name.is_empty()) {
            Some(name) => format!("{name:?}"),
            None => column.to_string(),
        }
    }

    pub(super) fn name(&self, column: usize) -> Option<&str> {
        self.names.as_ref().and_then(|names| names.get(column)).map(String::as_str)
    }

    pub(super) fn used(&self) -> impl Iterator<Item = usize> {
        self.features.iter().copied().chain(self.label).chain(self.weight)
    }

    /// Drops the column names if they exceed what a model file can store; returns whether it did.
    pub(super) fn drop_long_names(&mut self) -> bool {
        let is_long = |names: &Vec<String>| {
            names.len() > MAX_NAMES || names.iter().map(String::len).sum::<usize>() > MAX_NAME_BYTES
        };
        self.names.take_if(|names| is_long(names)).is_some()
    }
}

/// The maximum number of column names, and the maximum of their total bytes, that are stored:
/// headers of model files are bounded.
const MAX_NAMES: usize = 1 << 13;
const MAX_NAME_BYTES: usize = 1 << 20;
