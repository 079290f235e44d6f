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
    /// The columns are taken in the order of the training data, as the file has no names, or the model has none to match them with.
    /// `label` is the column that is taken for the label, if one is.
    ByPosition { file: String, count: usize, file_has_names: bool, label: Option<String> },
    /// A feature counts the samples.
    Counts { file: String, column: String, first: u64 },
    /// A column that is not the label has the name of one.
    OtherLabel { file: String, label: String, other: String },
    /// Many distinct whole numbers were taken as classes.
    ManyClasses { file: String, classes: usize, samples: usize, least: String, most: String },
    /// Labels that are written in several ways, and are the same number.
    Respelled { file: String, label: String, other: String },
    /// A whole number that f32 rounds to another; `what` is the feature or the labels.
    Rounded { file: String, what: String, text: String },
    /// The names are too many, or too long, to be kept with a model.
    NamesNotKept { file: String, columns: usize },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { file, columns } => {
                let is_one = columns.len() == 1;
                let columns = listed(columns.iter().map(usize::to_string));
                let (noun, has, is) =
                    if is_one { ("column", "has", "is") } else { ("columns", "have", "are") };
                let them = if is_one { "it to make it a feature" } else { "them to make them features" };
                write!(
                    f,
                    "{file}: {noun} {columns}, which {has} no name in line 1, {is} ignored; name {them}"
                )
            }
            Self::Extra { file, columns } => {
                let noun = if columns.len() == 1 { "column" } else { "columns" };
                let columns = listed(columns.iter().map(|name| format!("{name:?}")));
                write!(f, "{file}: ignored {noun} {columns}, which the model has no use for")
            }
            Self::ByPosition { file, count, file_has_names, label } => {
                let why = if *file_has_names {
                    "the model was trained without names of columns"
                } else {
                    "no names of columns"
                };
                let columns = if *count == 1 { "column" } else { "columns" };
                write!(
                    f,
                    "{file}: {why}; its {count} {columns} are taken in the order of the training data"
                )?;
                match label {
                    Some(label) => write!(f, ", column {label} as the label"),
                    None => Ok(()),
                }
            }
            Self::Respelled { file, label, other } => write!(
                f,
                "{file}: the labels {label} and {other} are the same number, and one class, named as it is written first"
            ),
            Self::Rounded { file, what, text } => write!(
                f,
                "{file}: {text} in {what} becomes another number in f32, which holds all whole numbers up to 16777216 only; subtract a constant from \
                 all of them, or remove a column of ids"
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
