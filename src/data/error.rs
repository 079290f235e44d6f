//! Errors and remarks: what can be wrong with data, with the values found, and what a reader decided on its own.

use std::fmt;

use super::text::{Column, FieldKind, listed, number};

/// The sources that [`Source`](super::Source) accepts, for messages.
pub(super) const ACCEPTED: &str = "digits, a folder of IDX files, FILE.csv, X.npy,Y.npy, X.npy, FILE.libsvm or FILE.svm (.csv, .libsvm and .svm also as .gz)";

/// A place in a file. Lines, rows and columns given by number in text files count from 1 as editors do,
/// except columns, which count from 0 as [`Column::Number`] does; bytes count from 0.
///
/// # Examples
///
/// ```
/// use phalanx::data::{DataError, LoadOptions, Source};
/// use phalanx::internals::{LibsvmFault, Location};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("sparse.libsvm");
/// std::fs::write(&path, "1 1:0.5 3:2\n-1 3:1 2:7\n")?;
/// let source: Source = path.to_str().expect("the path is text").parse()?;
/// let error = source.load(&LoadOptions::default()).unwrap_err();
/// assert!(error.to_string().contains("line 2"), "{error}");
/// let DataError::Libsvm { line, fault, .. } = error else { panic!("{error}") };
/// assert_eq!(Location::Line(line), Location::Line(2));
/// assert!(matches!(fault, LibsvmFault::NotAscending { previous: 3, found: 2 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The line of a text file.
    Line(u64),
    /// A field of a table: the file's line and the column's name, or its number when there is no header.
    Field {
        /// Line of the file, from 1.
        line: u64,
        /// The column as the user would name it.
        column: String,
    },
    /// The byte of a binary file (of its decompressed content), from 0.
    Byte(u64),
    /// An entry of an array: its row from 1, its column from 0, its byte in the file.
    Entry {
        /// The sample, from 1.
        row: u64,
        /// The feature, from 0.
        column: u64,
        /// The byte where the entry starts.
        byte: u64,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Line(line) => write!(f, "line {line}"),
            Location::Field { line, column } => write!(f, "line {line}, column {column}"),
            Location::Byte(byte) => write!(f, "byte {byte}"),
            Location::Entry { row, column, byte } => write!(f, "row {row}, column {column} (byte {byte})"),
        }
    }
}

/// An error of reading or using data. Each text names the place, what was found, what was expected, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum DataError {
    /// Nothing exists at the path.
    #[error("no file or folder {path:?}; data is {ACCEPTED}")]
    Missing { path: String },
    /// The text names no kind of data.
    #[error(
        "the name {source_text:?} does not tell what the file holds; expected {ACCEPTED}, or pass --input-format csv|npy|libsvm"
    )]
    UnknownKind { source_text: String },
    /// The system could not read the file.
    #[error("cannot read {file}: {cause}; check that it is a readable file")]
    Io { file: String, cause: std::io::Error },
    /// A file without samples.
    #[error("{file} holds no samples; expected at least one {expected}")]
    Empty { file: String, expected: &'static str },
    /// Samples of another width than the model or the training samples have.
    #[error("{file} has {found} features, expected {expected}; use samples like those of the training")]
    FeatureCount { file: String, found: usize, expected: usize },
    /// More samples than a sample number (u32) can name.
    #[error("{file} has {found} samples, expected at most 4294967295; split the file")]
    TooManySamples { file: String, found: u64 },
    /// A sample too wide to be gathered.
    #[error("{place} of {file}: feature {found}, expected at most 16777216; hash or renumber the features")]
    TooManyFeatures { file: String, place: Location, found: u64 },
    /// A table of more columns than rows are read with.
    #[error(
        "line {line} of {file} has more than {most} columns, the most that a table may have; give wider samples as npy or libsvm"
    )]
    WideRow { file: String, line: u64, most: usize },
    /// A row of more bytes than is read as one.
    #[error(
        "line {line} of {file} has more than {most} bytes, the most that a row may have; is a quote left open, or a line not ended?"
    )]
    LongRow { file: String, line: u64, most: usize },
    /// NaN or an infinity where a number is needed.
    #[error("{value:?} in {place} of {file}, expected a finite number; fill in or remove the sample")]
    NotFinite { file: String, place: Location, value: f64 },
    /// A number too large for f32.
    #[error("{text} in {place} of {file} is beyond the range of f32 (3.4e38); rescale the column")]
    OutOfRange { file: String, place: Location, text: String },
    /// An integer that f32 would round.
    #[error(
        "{value} in {place} of {file} is not exact in f32 (integers up to 16777216 are); store the features as f4 or f8"
    )]
    NotExact { file: String, place: Location, value: i128 },
    /// Labels were asked for, but the source holds none.
    #[error("{file} holds no labels, but {expected} are asked for; add them, for npy as X.npy,Y.npy")]
    NoLabels { file: String, expected: &'static str },

    /// The gzip stream is damaged or cut short.
    #[error(
        "{file} is no whole gzip file: {cause} after {decompressed} decompressed bytes; copy or download it again"
    )]
    Gzip { file: String, decompressed: u64, cause: String },
    /// The gzip stream unpacks to absurdly more than it is.
    #[error(
        "{file} unpacks to more than {decompressed} bytes from {compressed}, expected at most 256 times its size; if it is meant to, decompress it first"
    )]
    GzipBomb { file: String, compressed: u64, decompressed: u64 },

    /// A field of a binary header is wrong.
    #[error("{part} {found} at byte {byte} of {file}, expected {expected}")]
    Header { file: String, byte: u64, part: &'static str, found: String, expected: String },
    /// A file is shorter or longer than its header says.
    #[error("{file} holds {} {found} bytes, but its header promises {expected}; copy or download it again", if *.more { "at least" } else { "only" })]
    Length { file: String, found: u64, expected: u64, more: bool },
    /// A packed file too small for what its header says, however well it is packed.
    #[error(
        "the header of {file} promises {expected} bytes, but its {compressed} packed bytes hold at most {possible}; copy or download it again"
    )]
    PackedLength { file: String, compressed: u64, possible: u64, expected: u64 },
    /// Inputs and labels differ in number.
    #[error(
        "{labels} labels in {labels_file} for {samples} samples in {samples_file}, expected as many; the files do not belong together"
    )]
    Counts { samples_file: String, samples: usize, labels_file: String, labels: usize },
    /// A folder lacks one file of a pair.
    #[error("folder {folder} has {present} but not {absent} (nor {absent}.gz); add it")]
    FolderPair { folder: String, present: String, absent: String },
    /// A folder with no file of the expected names.
    #[error(
        "folder {folder} has none of MNIST's files; expected train-images-idx3-ubyte, train-labels-idx1-ubyte, and t10k-..., plain or .gz"
    )]
    FolderEmpty { folder: String },

    /// A field that should be a number.
    #[error(
        "{} in {place} of {file}, expected a number; {}{}",
        found_text(text),
        if *.may_be_name { "pass --header present if the line names the columns, or " } else { "" },
        advice_on_number(text)
    )]
    NotNumber { file: String, place: Location, text: String, may_be_name: bool },
    /// A line with more or fewer fields than the first.
    #[error("{found} field{} in line {line} of {file}, expected {expected} as in its first row; fix the line", if *.found == 1 { "" } else { "s" })]
    Ragged { file: String, line: u64, found: usize, expected: usize },
    /// No column of that name or number.
    #[error("{file} has no column {column}, expected {expected}; rename the column, or name another one")]
    NoColumn { file: String, column: Column, expected: String },
    /// A column given by name in a table without a header.
    #[error(
        "{file} has no header row to find column {column} in; give its number, from 0, or -1 for the last"
    )]
    NoHeader { file: String, column: Column },
    /// A number that is the position of one column, and the name of another.
    #[error(
        "column {number} of {file} may be that at position {number} or the one named {number}, at position {named}; pass {from_end} for the first, \
         a position from the end, or rename the columns"
    )]
    NumberIsName { file: String, number: usize, named: usize, from_end: i64 },
    /// A last column that has no name, but something in it: it may be the label.
    #[error(
        "column {column} of {file}, the last, has no name in line 1, but {text:?} in line {line}; name it, or name the label with --label-column"
    )]
    UnnamedLast { file: String, line: u64, column: usize, text: String },
    /// A label column that the model has another use for.
    #[error(
        "column {column} of {file} is a feature or the weight of the model, expected the label; name another column"
    )]
    LabelIsUsed { file: String, column: String },
    /// Quotes that are not those of a quoted field.
    #[error(
        "{what} in line {line} of {file}, expected quotes around whole fields, doubled within them; remove the quote, or quote the field"
    )]
    Quote { file: String, line: u64, what: &'static str },
    /// A name that two columns share.
    #[error("columns {} and {} of {file} are both named {name:?}; rename one of them", columns[0], columns[1])]
    SameName { file: String, name: String, columns: [usize; 2] },
    /// A first line that may name the columns as well as be a sample.
    #[error(
        "line {line} of {file} may name the columns or be a sample: {why}; pass --header present if it names them, or --header absent if it is \
         a sample"
    )]
    HeaderUnknown { file: String, line: u64, why: String },
    /// A table that lacks columns of the model.
    #[error(
        "{file} lacks the model's {missing} among its columns {found}; add the columns, or rename them as in the training data{remedy}"
    )]
    MissingColumns { file: String, missing: String, found: String, remedy: &'static str },
    /// A label column that is empty in a table without names, as where every line ends in a comma.
    #[error(
        "the label in line {line}, column {column} of {file} is empty, expected a class or a number; if every line ends in a comma, remove it, \
         or name the label column with --label-column"
    )]
    EmptyLabel { file: String, line: u64, column: usize },
    /// A table with another separator than commas.
    #[error(
        "line {line} of {file} is separated by {found}, expected commas; save the table as comma-separated values"
    )]
    Delimiter { file: String, line: u64, found: &'static str },
    /// A file of a kind that is not read.
    #[error("{file} is {found}, expected {expected}; {remedy}")]
    Foreign { file: String, found: &'static str, expected: &'static str, remedy: &'static str },
    /// A stream that is longer than is held.
    #[error(
        "{file} has more than {most} bytes, the most that are read from a stream; write them to a file, and give that"
    )]
    LongStream { file: String, most: u64 },
    /// One column asked to be both label and weight.
    #[error("column {column} of {file} is asked to be both label and weight; name two columns")]
    SameColumn { file: String, column: String },
    /// A table too narrow for features and a label.
    #[error(
        "{found} column{} in line {line} of {file}, expected at least {expected}: a feature{}, separated by commas",
        if *.found == 1 { "" } else { "s" },
        ["", " and the label", ", the label and the weight"][*.expected - 1]
    )]
    TooFewColumns { file: String, line: u64, found: usize, expected: usize },
    /// A table to predict from that fits neither with nor without a label column.
    #[error(
        "{found} column{} in {file}, expected the {features} feature{}, or all {all} columns of the training data; add or remove columns",
        if *.found == 1 { "" } else { "s" },
        if *.features == 1 { "" } else { "s" }
    )]
    Columns { file: String, found: usize, features: usize, all: usize },
    /// A weight that is negative, infinite or no number.
    #[error("weight {text:?} in {place} of {file}, expected a finite number of 0 or more; fix the field")]
    Weight { file: String, place: Location, text: String },
    /// Text that is not UTF-8.
    #[error("{place} of {file} is not UTF-8 text; save the file as UTF-8")]
    NotUtf8 { file: String, place: Location },

    /// A label that cannot be used.
    #[error("{} in row {row} of {file} ({place}), {}", .fault.found(), .fault.expected())]
    Label { file: String, row: usize, place: Location, fault: LabelFault },
    /// More classes than a classifier is meant for.
    #[error(
        "label {label} in row {row} of {file} is the {most}th distinct one, expected fewer classes; if the labels are numbers to predict, \
         pass --loss mse"
    )]
    TooManyClasses { file: String, label: String, row: usize, most: u64 },
    /// Nearly as many distinct labels as samples.
    #[error(
        "{classes} distinct labels such as {example:?} for the {samples} samples of {file}, expected classes that samples share; {}",
        if *.are_numbers {
            "if they are numbers to predict, pass --loss mse, if they are classes, --loss cross-entropy"
        } else {
            "name the label column with --label-column, or pass --loss cross-entropy if each is a class"
        }
    )]
    LabelsDiffer { file: String, classes: usize, samples: usize, example: String, are_numbers: bool },
    /// A few distinct numbers, of which one has a fraction: they may be classes or values.
    #[error(
        "the labels of the {samples} samples of {file} are {distinct} distinct numbers, of which {fraction} in row {row} has a fraction; if they \
         are numbers to predict, pass --loss mse, if they are classes, --loss cross-entropy"
    )]
    LabelsUnclear { file: String, samples: usize, distinct: usize, fraction: f64, row: usize },
    /// One class alone.
    #[error(
        "all {samples} labels of {file}{} are {label:?}, expected at least two classes; name the label column with --label-column, or add \
         samples of other classes",
        .column.as_ref().map_or_else(String::new, |column| format!(" (column {column})"))
    )]
    OneClass { file: String, samples: usize, label: String, column: Option<String> },
    /// Classes as rows of zeros and a one.
    #[error(
        "the labels of {file} are one-hot rows of {outputs} numbers, expected one class per sample; save Y.argmax(axis=1), or pass --loss mse to \
         predict the {outputs} numbers"
    )]
    OneHot { file: String, outputs: usize },
    /// A line that is not `label index:value ...`.
    #[error("{fault} in line {line} of {file}, expected {}", .fault.expected())]
    Libsvm { file: String, line: u64, fault: LibsvmFault },

    /// Arrays handed over by the program do not fit together.
    #[error("{found} {what} for {expected} samples, expected as many; pass one per sample")]
    ArrayLen { what: &'static str, found: usize, expected: usize },
    /// An array handed over by the program holds an unusable number.
    #[error("{what} {} of sample {sample}, expected {expected}", number(*value))]
    ArrayValue { what: &'static str, sample: usize, value: f64, expected: &'static str },

    /// Standardization for another number of features.
    #[error("standardization for {found} features, expected {expected}; learn it from these samples")]
    StandardizeLen { found: usize, expected: usize },
    /// Standardization that would make numbers unusable.
    #[error(
        "standardization of feature {feature} has mean {mean:?} and deviation {std:?}, expected a finite mean and a deviation above 0"
    )]
    StandardizeValue { feature: usize, mean: f32, std: f32 },
    /// No target values to learn a standardization from.
    #[error(
        "targets cannot be standardized: {found}, expected numbers to predict and at least one sample of a weight above 0"
    )]
    StandardizeTargets { found: &'static str },
    /// Nothing to learn from.
    #[error("standardization of 0 samples, expected at least one to learn from")]
    StandardizeEmpty,
    /// A share of the samples that is none.
    #[error("test share {share:?}, expected more than 0 and less than 1")]
    SplitShare { share: f64 },
    /// A split that leaves one side empty.
    #[error(
        "a test share of {share:?} of {samples} samples leaves the {side} part empty, expected at least one sample in each; choose another share"
    )]
    SplitEmpty { share: f64, samples: usize, side: &'static str },
}

impl DataError {
    /// Returns whether the options are at fault, which no data could make good.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::SplitShare { .. })
    }
}

/// A field that is no number, for a message.
fn found_text(text: &str) -> String {
    if text.is_empty() { "an empty field".to_owned() } else { format!("{text:?}") }
}

/// Returns the advice about a field that is not a number.
fn advice_on_number(text: &str) -> &'static str {
    match FieldKind::of(text) {
        FieldKind::Empty | FieldKind::Missing => {
            "fill in the missing value, or remove the sample or the column"
        }
        FieldKind::NumberAsText => "write it as a plain number, such as 1234.5",
        FieldKind::Boolean => "write 0 for false and 1 for true",
        FieldKind::Number | FieldKind::Word => {
            "replace words by numbers, or, to train, name the label or weight column with --label-column or --weight-column"
        }
    }
}

/// The reason why a label cannot be used.
///
/// # Examples
///
/// ```
/// use phalanx::data::{DataError, LoadOptions, Source};
/// use phalanx::internals::LabelFault;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("prices.csv");
/// std::fs::write(&path, "1,2.5\n2,\n")?;
/// let source: Source = path.to_str().expect("the path is text").parse()?;
/// let error = source.load(&LoadOptions::default()).unwrap_err();
/// assert!(matches!(error, DataError::Label { fault: LabelFault::Empty, .. }), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum LabelFault {
    /// A class the model does not have; `known` tells those it has.
    Unknown { label: String, known: String },
    /// Nothing between two commas.
    Empty,
    /// NaN or an infinity.
    NotFinite { value: f64 },
    /// Text among targets that are numbers.
    NotNumber { text: String },
    /// A number that is not written as one, such as `$3.5`.
    NumberAsText { text: String },
    /// A word that stands for a missing value.
    Missing { text: String },
    /// A number too large for f32.
    OutOfRange { value: f64 },
    /// Text and fractions in one column: neither classes nor values.
    Mixed { text: String, number: f64 },
}

impl LabelFault {
    fn found(&self) -> String {
        match self {
            LabelFault::Unknown { label, .. } => format!("label {label}"),
            LabelFault::Empty => "an empty label".to_string(),
            LabelFault::NotFinite { value } | LabelFault::OutOfRange { value } => {
                format!("label {}", number(*value))
            }
            LabelFault::NotNumber { text }
            | LabelFault::NumberAsText { text }
            | LabelFault::Missing { text } => {
                format!("label {text:?}")
            }
            LabelFault::Mixed { text, number: value } => {
                format!("labels {text:?} and {} meet", number(*value))
            }
        }
    }

    fn expected(&self) -> String {
        match self {
            LabelFault::Unknown { known, .. } => {
                format!("but the model has {known}; fix the row, or train with samples of this class")
            }
            LabelFault::Empty => "expected a class or a number; fill in or remove the row".to_string(),
            LabelFault::NotFinite { .. } => "expected a finite number; fix or remove the row".to_string(),
            LabelFault::NotNumber { text } => match FieldKind::of(text) {
                FieldKind::Word => "expected a plain number such as 1234.5; fix the row, or pass --loss cross-entropy for classes".to_string(),
                _ => format!("expected a plain number such as 1234.5; {}", advice_on_number(text)),
            },
            LabelFault::NumberAsText { .. } => "expected a class or a plain number; if the labels are numbers to predict, write them as \
                1234.5 and pass --loss mse, if they are classes, pass --loss cross-entropy"
                .to_string(),
            LabelFault::Missing { .. } => "expected a class or a number; fill in or remove the row, or pass --loss cross-entropy if it is \
                the name of a class"
                .to_string(),
            LabelFault::OutOfRange { .. } => "expected a number within f32 (3.4e38); rescale it".to_string(),
            LabelFault::Mixed { .. } => {
                "expected either text or numbers; fix the row, or pass --loss cross-entropy for classes".to_string()
            }
        }
    }
}

/// The fault in a line of a libsvm file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum LibsvmFault {
    /// A ranking file's query number.
    #[error("{text:?}")]
    QueryId { text: String },
    /// An index that does not follow the one before.
    #[error("index {found} after index {previous}")]
    NotAscending { previous: u64, found: u64 },
    /// An index given twice.
    #[error("index {index} twice")]
    Twice { index: u64 },
    /// Several labels.
    #[error("the labels {text:?}")]
    MultiLabel { text: String },
    /// Indices that count from 0.
    #[error("index 0")]
    IndexZero,
    /// A word without a colon, or with nothing to its left or right.
    #[error("{text:?}")]
    NoPair { text: String },
    /// An index that is no number.
    #[error("index {text:?}")]
    BadIndex { text: String },
    /// A line that begins with a pair.
    #[error("{text:?} in place of a label")]
    NoLabel { text: String },
}

impl LibsvmFault {
    fn expected(&self) -> &'static str {
        match self {
            LibsvmFault::QueryId { .. } => "no query numbers (ranking is not supported); remove qid:",
            LibsvmFault::NotAscending { .. } => "indices in ascending order; sort the pairs of the line",
            LibsvmFault::Twice { .. } => "each index once; keep one of the pairs",
            LibsvmFault::MultiLabel { .. } => {
                "one label (samples of several classes are not supported); keep one of them"
            }
            LibsvmFault::IndexZero => "indices from 1; add 1 to every index of the file",
            LibsvmFault::NoPair { .. } => "index:value; fix the pair",
            LibsvmFault::BadIndex { .. } => "a whole number from 1; fix the pair",
            LibsvmFault::NoLabel { .. } => {
                "the line to begin with a label; add it, or only predict from this file"
            }
        }
    }
}

/// A decision that a reader made on its own, or a possible mistake that it found; each is one sentence that names the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Remark {
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
