//! What a reader of data had to decide on its own, for the user to know.

use std::fmt;

/// Something that a reader decided on its own, or that looks like a mistake; each is one sentence that names the file.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Remark, Source};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("indexed.csv");
/// std::fs::write(&path, ",width,kind\n0,1.5,rose\n1,3,iris\n")?;
/// let source: Source = path.to_str().expect("the path is text").parse()?;
/// let data = source.load(&LoadOptions::default())?.train;
/// assert_eq!(data.features(), 1);
/// assert!(matches!(&data.remarks()[0], Remark::Unnamed { columns, .. } if *columns == [0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum Remark {
    /// Columns without a name, in a table that names its columns, are ignored.
    Unnamed { file: String, columns: Vec<usize> },
    /// Named columns that the model has no use for are ignored.
    Extra { file: String, columns: Vec<String> },
    /// The columns are taken in the order of the training table, as the file has no names.
    NoNames { file: String, count: usize },
    /// The columns are taken in their order, as the model has no names to match those of the file with.
    ModelWithoutNames { file: String, count: usize },
    /// A feature counts the samples.
    Counts { file: String, column: String, first: u64 },
    /// A column that is not the label has the name of one.
    OtherLabel { file: String, label: String, other: String },
    /// Many distinct whole numbers were taken as classes.
    ManyClasses { file: String, classes: usize, samples: usize, least: String, most: String },
    /// The names are too many, or too long, to be kept with a model.
    NamesNotKept { file: String, columns: usize },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { file, columns } => {
                let (noun, verb) = if columns.len() == 1 { ("column", "has") } else { ("columns", "have") };
                let columns = listed(columns.iter().map(usize::to_string));
                write!(
                    f,
                    "{file}: {noun} {columns}, which {verb} no name in line 1, is ignored; name it to make it a feature"
                )
            }
            Self::Extra { file, columns } => {
                let noun = if columns.len() == 1 { "column" } else { "columns" };
                let columns = listed(columns.iter().map(|name| format!("{name:?}")));
                write!(f, "{file}: ignored {noun} {columns}, which the model has no use for")
            }
            Self::NoNames { file, count } => write!(
                f,
                "{file} names no columns: its {count} columns are taken in the order of the training data"
            ),
            Self::ModelWithoutNames { file, count } => write!(
                f,
                "the model was trained on columns without names: the {count} columns of {file} are taken in their order"
            ),
            Self::Counts { file, column, first } => write!(
                f,
                "{file}: feature {column} counts the samples ({first}, {}, {}, ...); if it is an index, remove the column",
                first + 1,
                first + 2
            ),
            Self::OtherLabel { file, label, other } => write!(
                f,
                "{file}: the label is {label}, the last column, and {other} is a feature; if that is the label, pass --label-column {}",
                other.trim_matches('"')
            ),
            Self::ManyClasses { file, classes, samples, least, most } => write!(
                f,
                "{file}: the labels of {samples} samples are {classes} distinct whole numbers from {least} to {most}, taken as classes; if \
                 they are numbers to predict, pass --loss mse (or --loss cross-entropy if they are classes)"
            ),
            Self::NamesNotKept { file, columns } => write!(
                f,
                "{file}: the names of its {columns} columns are too long to be kept with the model; later files are read by the order of \
                 their columns"
            ),
        }
    }
}

/// The first few, and how many more there are.
pub(super) fn listed(texts: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 12;
    let more = texts.len().saturating_sub(MOST);
    let shown: Vec<String> = texts.take(MOST).map(|text| super::error::excerpt(&text)).collect();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
