//! How a source is read, and the columns of a table.

use serde::{Deserialize, Serialize};

use super::labels::{Classes, TargetKind};
use super::text::Column;
use crate::num::names;

/// Options for reading a source. Those that a format has no use for (columns, outside of tables) are ignored by it.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The label column of a table; by default the last.
    pub label_column: Option<Column>,
    /// The column of a table with the samples' weights; by default none.
    pub weight_column: Option<Column>,
    /// The presence of a header row in a table.
    pub header: HeaderRow,
    /// The interpretation of labels.
    pub target: TargetKind,
    /// The features that the samples must have: the model's. Sparse samples may have fewer, the rest being 0.
    pub features: Option<usize>,
    /// The columns of the table that the model was trained on, or of the training samples. A table that names its columns is then read by
    /// these names, another one in their order, and the label and weight columns above are not looked at.
    pub columns: Option<Columns>,
    /// The classes of the model or the training samples, which every label must be one of.
    pub classes: Option<Classes>,
}

/// The presence of names of columns in the first row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderRow {
    /// It does if a column is asked for by name, if it has the names of the model's features, or if all its features are words. A row of
    /// words and numbers, or of numbers that look like names, is refused.
    #[default]
    Auto,
    /// It does.
    Present,
    /// It is a sample.
    Absent,
}

names!(HeaderRow, "choice", [Auto => "auto", Present => "present", Absent => "absent"]);

/// The format of samples where no file name determines it: on standard input, in a pipe, in a file of any ending.
///
/// A table or libsvm lines may be packed with gzip; on standard input that is seen by how the bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// A table of comma-separated values, one sample a line.
    #[default]
    Csv,
    /// An array of numpy: inputs alone.
    Npy,
    /// Sparse samples, `label index:value ...`.
    Libsvm,
}

names!(InputFormat, "format", [Csv => "csv", Npy => "npy", Libsvm => "libsvm"]);

/// The columns of a table: their names, if its first line has them, and what each is for.
///
/// Those of the training table are kept with the model, so that later tables are read alike: columns that both name are matched by
/// name, whatever their order; otherwise they are taken in the order of the training table.
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

/// [`Columns`] as a file has them, before they are checked.
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
    /// Returns the names of all columns, without the spaces around them, if the first line of the table has them.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Returns the number of columns of the table, ignored ones included.
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

    /// Returns the column of the samples' weights, from 0.
    pub fn weight(&self) -> Option<usize> {
        self.weight
    }

    /// Returns the columns that are neither a feature nor the label nor the weight, ascending.
    pub fn ignored(&self) -> Vec<usize> {
        let mut is_used = vec![false; self.count];
        self.used().for_each(|column| is_used[column] = true);
        (0..self.count).filter(|&column| !is_used[column]).collect()
    }

    /// Returns a column as a message names it: its name in quotes, or its number where it has no name.
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

    /// Drops the names of the columns if they are more than a model file takes; returns whether it did.
    pub(super) fn drop_long_names(&mut self) -> bool {
        let is_long = |names: &Vec<String>| {
            names.len() > MOST_NAMES || names.iter().map(String::len).sum::<usize>() > MOST_NAME_BYTES
        };
        self.names.take_if(|names| is_long(names)).is_some()
    }
}

/// Most names of columns, and most bytes in them, that are kept: headers of model files are bounded.
const MOST_NAMES: usize = 1 << 13;
const MOST_NAME_BYTES: usize = 1 << 20;
