//! Errors of the data module, with the values found, and remarks on decisions that a reader made
//! without being asked.

use std::fmt;

use super::text::{Column, FieldKind, listed, number};

/// The sources that [`Source`](super::Source) accepts, for messages.
pub(super) const ACCEPTED: &str = "digits, a folder of IDX files, FILE.csv, X.npy,Y.npy, X.npy, FILE.libsvm or FILE.svm (.csv, .libsvm and .svm also as .gz)";

/// A position in a file. Lines and rows count from 1, as in editors; columns count from 0, as in
/// [`Column::Number`]; bytes count from 0.
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
    /// A field of a table: the line in the file, and the name of the column, or its number if there
    /// is no header.
    Field {
        /// Line of the file, from 1.
        line: u64,
        /// The column as a user would name it.
        column: String,
    },
    /// A value of a libsvm file.
    Index {
        /// Line of the file, from 1.
        line: u64,
        /// The index, from 1.
        index: u64,
    },
    /// A byte of a binary file (of its decompressed content), from 0.
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
            Location::Index { line, index } => write!(f, "line {line}, index {index}"),
            Location::Byte(byte) => write!(f, "byte {byte}"),
            Location::Entry { row, column, byte } => write!(f, "row {row}, column {column} (byte {byte})"),
        }
    }
}

/// An error when reading or using data. Each message states the position, the value found, the
/// value expected, and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the values in each variant's message")]
pub enum DataError {
    /// Nothing exists at the path.
    #[error("no file or folder {path:?}; expected {ACCEPTED}")]
    Missing { path: String },
    /// The name does not identify a kind of data.
    #[error(
        "cannot infer the data format from the name {source_text:?}; expected {ACCEPTED}, or pass --input-format csv|npy|libsvm"
    )]
    UnknownKind { source_text: String },
    /// The operating system could not read the file.
    #[error("cannot read {file}: {cause}; check that it is a readable file")]
    Io { file: String, cause: std::io::Error },
    /// A file without samples.
    #[error("{file} holds no samples; expected at least one {expected}")]
    Empty { file: String, expected: &'static str },
    /// Samples with a different number of features than the model or the training samples.
    #[error(
        "{file} has {found} features, expected {expected}; use samples with the features of the training data"
    )]
    FeatureCount { file: String, found: usize, expected: usize },
    /// More samples than a sample number (u32) can represent.
    #[error("{file} has {found} samples, expected at most 4294967295; split the file")]
    TooManySamples { file: String, found: u64 },
    /// A sample too wide to be gathered.
    #[error("{file} has {found} features, expected at most 16777216; remove or combine some of them")]
    TooManyFeatures { file: String, found: u64 },
    /// A table with more columns than the maximum.
    #[error(
        "line {line} of {file} has more than {most} columns, the maximum for a table; save wider samples as npy or libsvm"
    )]
    WideRow { file: String, line: u64, most: usize },
    /// A row with more bytes than the maximum.
    #[error(
        "line {line} of {file} has more than {most} bytes, the maximum for a row; check for an unclosed quote or a missing line break"
    )]
    LongRow { file: String, line: u64, most: usize },
    /// NaN or an infinity where a number is needed.
    #[error(
        "{value:?} in {place} of {file}, expected a finite number; fill in the value, or remove the sample"
    )]
    NotFinite { file: String, place: Location, value: f64 },
    /// A number too large for f32.
    #[error("{text} in {place} of {file} is beyond the range of f32 (3.4e38); rescale the column")]
    OutOfRange { file: String, place: Location, text: String },
    /// An integer that f32 would round.
    #[error(
        "{value} in {place} of {file} is not exactly representable in f32 (integers up to 16777216 are); store the array as f4 or f8"
    )]
    NotExact { file: String, place: Location, value: i128 },
    /// Labels are required, but the source has none.
    #[error("{file} has no labels, but {expected} are required; add them (for npy as X.npy,Y.npy)")]
    NoLabels { file: String, expected: &'static str },

    /// The gzip stream is damaged or truncated.
    #[error(
        "{file} is not a complete gzip file: {cause} after {decompressed} decompressed bytes; copy or download it again, or remove .gz from its name if it is not compressed"
    )]
    Gzip { file: String, decompressed: u64, cause: String },
    /// The gzip stream decompresses to an implausible multiple of its size.
    #[error(
        "{file} decompresses from {compressed} to more than {decompressed} bytes, expected at most 256 times its size; if this is intended, decompress it first"
    )]
    GzipBomb { file: String, compressed: u64, decompressed: u64 },

    /// A field of a binary header is wrong.
    #[error("{part} {found} at byte {byte} of {file}, expected {expected}")]
    Header { file: String, byte: u64, part: &'static str, found: String, expected: String },
    /// A file that is shorter or longer than its header declares.
    #[error(
        "{file} {}; copy or download it again",
        match (*.found, *.more) {
            (0, _) => "is empty".to_owned(),
            (found, true) => format!("holds at least {found} bytes, expected {expected}"),
            (found, false) => format!("holds only {found} bytes, expected {expected}"),
        }
    )]
    Length { file: String, found: u64, expected: u64, more: bool },
    /// A compressed file too small for the size in its header, whatever its compression ratio.
    #[error(
        "the header of {file} declares {expected} bytes, but its {compressed} compressed bytes hold at most {possible}; copy or download it again"
    )]
    PackedLength { file: String, compressed: u64, possible: u64, expected: u64 },
    /// The numbers of inputs and labels differ.
    #[error(
        "the number of labels in {labels_file} is {labels}, expected {samples}, the number of samples in {samples_file}; the files do not belong together"
    )]
    Counts { samples_file: String, samples: usize, labels_file: String, labels: usize },
    /// A folder that lacks one file of a pair.
    #[error("folder {folder} has {present} but not {absent} (nor {absent}.gz); add it")]
    FolderPair { folder: String, present: String, absent: String },
    /// A folder without any file of the expected names.
    #[error(
        "folder {folder} contains no MNIST files; expected train-images-idx3-ubyte, train-labels-idx1-ubyte, and t10k-..., plain or .gz"
    )]
    FolderEmpty { folder: String },

    /// A field that should be a number but is not.
    #[error(
        "{} in {place} of {file}, expected a number; {}{}",
        found_text(text),
        if *.may_be_name { "pass --header present if the line names the columns, or " } else { "" },
        advice_on_number(text, matches!(place, Location::Field { .. }))
    )]
    NotNumber { file: String, place: Location, text: String, may_be_name: bool },
    /// A line with more or fewer fields than the first.
    #[error("{found} field{} in line {line} of {file}, expected {expected} as in its first row; fix the line", if *.found == 1 { "" } else { "s" })]
    Ragged { file: String, line: u64, found: usize, expected: usize },
    /// No column of that name or number.
    #[error("{file} has no column {column}, expected {expected}; choose another column, or add it")]
    NoColumn { file: String, column: Column, expected: String },
    /// A column selected by name in a table without a header.
    #[error(
        "{file} has no header row, so column {column} cannot be found by name; pass its number, counted from 0, or -1 for the last"
    )]
    NoHeader { file: String, column: Column },
    /// A number that is both the position of one column and the name of another.
    #[error(
        "column {number} of {file} may be the one at position {number} or the one named {number}, at position {named}; pass {from_end} for the \
         first (a position from the end), or rename the columns"
    )]
    NumberIsName { file: String, number: usize, named: usize, from_end: i64 },
    /// A last column without a name that contains a value: it may be the label.
    #[error(
        "the last column of {file} (column {column}) has no name in line 1, but contains {text:?} in line {line}; name it, or pass the label with --label-column"
    )]
    UnnamedLast { file: String, line: u64, column: usize, text: String },
    /// A label column that the model uses for something else.
    #[error(
        "column {column} of {file} is a feature or the weight of the model, expected the label; choose another column"
    )]
    LabelIsUsed { file: String, column: String },
    /// A quote that is not one of a quoted field.
    #[error(
        "{what} in line {line} of {file}, expected quotes only around whole fields, and doubled within them; remove the quote, or quote the field"
    )]
    Quote { file: String, line: u64, what: &'static str },
    /// A name that two columns share.
    #[error("columns {} and {} of {file} are both named {name:?}; rename one of them", columns[0], columns[1])]
    SameName { file: String, name: String, columns: [usize; 2] },
    /// A first line that may be column names or a sample.
    #[error(
        "line {line} of {file} may be column names or a sample: {why}; pass --header present if it is column names, or --header absent if it is \
         a sample"
    )]
    HeaderUnknown { file: String, line: u64, why: String },
    /// A table that lacks columns of the model.
    #[error(
        "{file} lacks {missing}, which the model needs; its columns are {found}; add the columns, or rename them as in the training data{remedy}"
    )]
    MissingColumns { file: String, missing: String, found: String, remedy: &'static str },
    /// An empty label field in the first row of a table without names, as when every line ends with
    /// a comma.
    #[error(
        "the label in line {line}, column {column} of {file} is empty, expected a class or a number; if every line ends with a comma, remove it, \
         or pass the label column with --label-column"
    )]
    EmptyLabel { file: String, line: u64, column: usize },
    /// A table with a separator other than commas.
    #[error(
        "line {line} of {file} is separated by {found}, expected commas; save the table as comma-separated values"
    )]
    Delimiter { file: String, line: u64, found: &'static str },
    /// A file of an unsupported kind.
    #[error("{file} is {found}, expected {expected}; {remedy}")]
    Foreign { file: String, found: &'static str, expected: &'static str, remedy: &'static str },
    /// A stream longer than the maximum.
    #[error(
        "{file} has more than {most} bytes, the maximum for a stream; write the data to a file, and pass the file"
    )]
    LongStream { file: String, most: u64 },
    /// One column selected as both label and weight.
    #[error("column {column} of {file} is selected as both label and weight; choose two columns")]
    SameColumn { file: String, column: String },
    /// A table too narrow for features and a label.
    #[error(
        "{found} column{} in line {line} of {file}, expected at least {expected}: a feature{}, separated by commas",
        if *.found == 1 { "" } else { "s" },
        ["", " and the label", ", the label and the weight"][*.expected - 1]
    )]
    TooFewColumns { file: String, line: u64, found: usize, expected: usize },
    /// A table to predict from whose width matches neither with nor without a label column.
    #[error(
        "{found} column{} in {file}, expected all {all} columns of the training data, or, to predict, only the {features} feature{}; add or \
         remove columns",
        if *.found == 1 { "" } else { "s" },
        if *.features == 1 { "" } else { "s" }
    )]
    Columns { file: String, found: usize, features: usize, all: usize },
    /// A weight that is negative, infinite or not a number.
    #[error("weight {text:?} in {place} of {file}, expected a finite number of 0 or more; fix the field")]
    Weight { file: String, place: Location, text: String },
    /// Text that is not UTF-8.
    #[error("{place} of {file} is not UTF-8 text; save the file as UTF-8")]
    NotUtf8 { file: String, place: Location },

    /// An unusable label.
    #[error("{} in row {row} of {file} ({place}), {}", .fault.found(), .fault.expected())]
    Label { file: String, row: usize, place: Location, fault: LabelFault },
    /// More classes than a classifier supports.
    #[error(
        "label {label} in row {row} of {file} is the {most}th distinct label, expected fewer classes; if the labels are numbers to predict, \
         pass --loss mse"
    )]
    TooManyClasses { file: String, label: String, row: usize, most: u64 },
    /// More than half as many distinct labels as samples.
    #[error(
        "{classes} distinct labels such as {example:?} for the {samples} samples of {file}, expected several samples per class; {}",
        if *.are_numbers {
            "pass --loss mse if they are numbers to predict, or --loss cross-entropy if they are classes"
        } else {
            "pass --loss cross-entropy if each is a class, or, for a table, pass the label column with --label-column"
        }
    )]
    LabelsDiffer { file: String, classes: usize, samples: usize, example: String, are_numbers: bool },
    /// A few distinct numbers, at least one with a fraction: they may be classes or values.
    #[error(
        "the labels of the {samples} samples of {file} are {distinct} distinct numbers, and {fraction} in row {row} has a fractional part; pass \
         --loss mse if they are numbers to predict, or --loss cross-entropy if they are classes"
    )]
    LabelsUnclear { file: String, samples: usize, distinct: usize, fraction: f64, row: usize },
    /// All labels are the same class.
    #[error(
        "the only label of {file}{} is {label:?}, expected at least two classes; {}add samples of other classes",
        .column.as_ref().map_or_else(String::new, |column| format!(" (column {column})")),
        if .column.is_some() { "pass the label column with --label-column, or " } else { "" }
    )]
    OneClass { file: String, label: String, column: Option<String> },
    /// Classes as one-hot rows.
    #[error(
        "the labels of {file} are one-hot rows of {outputs} numbers, expected one class per sample; save Y.argmax(axis=1), or pass --loss mse to \
         predict the {outputs} numbers"
    )]
    OneHot { file: String, outputs: usize },
    /// A line that is not `label index:value ...`.
    #[error("{fault} in line {line} of {file}, expected {}", .fault.expected())]
    Libsvm { file: String, line: u64, fault: LibsvmFault },

    /// Arrays passed by the program have inconsistent lengths.
    #[error("the number of {what} is {found}, expected {expected}, the number of samples")]
    ArrayLen { what: &'static str, found: usize, expected: usize },
    /// An array passed by the program contains an unusable number.
    #[error("{what} {} of sample {sample}, expected {expected}", number(*value))]
    ArrayValue { what: &'static str, sample: usize, value: f64, expected: &'static str },

    /// Standardization for a different number of features.
    #[error("standardization for {found} features, expected {expected}; compute it from these samples")]
    StandardizeLen { found: usize, expected: usize },
    /// Standardization that would produce unusable numbers.
    #[error(
        "standardization of feature {feature} has mean {mean:?} and deviation {std:?}, expected a finite mean and a deviation above 0"
    )]
    StandardizeValue { feature: usize, mean: f32, std: f32 },
    /// There are no target values to learn a standardization from.
    #[error(
        "targets cannot be standardized: {found}, expected numbers to predict and at least one sample with a weight above 0"
    )]
    StandardizeTargets { found: &'static str },
    /// There are no samples to learn a standardization from.
    #[error("standardization needs at least one sample, but there are 0")]
    StandardizeEmpty,
    /// An invalid test share.
    #[error("the test fraction is {share:?}; it must be above 0 and below 1")]
    SplitShare { share: f64 },
    /// A split in which one part would be empty.
    #[error(
        "a test fraction of {share:?} of {samples} samples leaves the {side} part empty; choose a fraction and data that leave at least one sample in each"
    )]
    SplitEmpty { share: f64, samples: usize, side: &'static str },
}

impl DataError {
    /// Returns whether the error is in the options, so that no other data could fix it.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::SplitShare { .. })
    }
}

/// Returns a description of a field that is not a number, for a message.
fn found_text(text: &str) -> String {
    if text.is_empty() { "an empty field".to_owned() } else { format!("{text:?}") }
}

/// Returns advice on text that is not a number, which may be in a feature of a table.
fn advice_on_number(text: &str, is_in_table: bool) -> &'static str {
    match FieldKind::of(text) {
        FieldKind::Empty | FieldKind::Missing => "fill in the missing value, or remove the sample",
        FieldKind::NumberAsText => "write it as a plain number, such as 1234.5",
        FieldKind::Boolean => "write 0 for false and 1 for true",
        FieldKind::Number | FieldKind::Word if !is_in_table => "replace words with numbers",
        FieldKind::Number | FieldKind::Word => {
            "replace words with numbers, or, for training, pass the label or weight column with --label-column or --weight-column"
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
#[allow(missing_docs, reason = "the fields are the values in each variant's message")]
pub enum LabelFault {
    /// A class that the model does not have; `known` lists the classes of the model.
    Unknown { label: String, known: String },
    /// An empty field.
    Empty,
    /// NaN or an infinity.
    NotFinite { value: f64 },
    /// Text in targets that are numbers.
    NotNumber { text: String },
    /// A number that is not written as a plain number, such as `$3.5`.
    NumberAsText { text: String },
    /// A word that stands for a missing value.
    Missing { text: String },
    /// A number too large for f32.
    OutOfRange { value: f64 },
    /// Text and fractions in one column: the labels are neither classes nor values.
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
                format!("labels {text:?} and {} conflict", number(*value))
            }
        }
    }

    fn expected(&self) -> String {
        match self {
            LabelFault::Unknown { known, .. } => {
                format!("but the model has {known}; fix the row, or train on samples of this class")
            }
            LabelFault::Empty => "expected a class or a number; fill in the label, or remove the row".to_string(),
            LabelFault::NotFinite { .. } => "expected a finite number; fix or remove the row".to_string(),
            LabelFault::NotNumber { text } => match FieldKind::of(text) {
                FieldKind::Word => "expected a plain number such as 1234.5; fix the row, or train with --loss cross-entropy for classes".to_string(),
                _ => format!("expected a plain number such as 1234.5; {}", advice_on_number(text, false)),
            },
            LabelFault::NumberAsText { .. } => "expected a class or a plain number; write numbers to predict as \
                1234.5 and pass --loss mse, or pass --loss cross-entropy if they are classes"
                .to_string(),
            LabelFault::Missing { .. } => "expected a class or a number; fill in the label, or remove the row, or pass --loss cross-entropy if it is \
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
#[allow(missing_docs, reason = "the fields are the values in each variant's message")]
pub enum LibsvmFault {
    /// The query number of a ranking file.
    #[error("{text:?}")]
    QueryId { text: String },
    /// An index not greater than the previous one.
    #[error("index {found} after index {previous}")]
    NotAscending { previous: u64, found: u64 },
    /// An index given twice.
    #[error("index {index} twice")]
    Twice { index: u64 },
    /// Several labels.
    #[error("the labels {text:?}")]
    MultiLabel { text: String },
    /// Indices that count from 0, not from 1.
    #[error("index 0")]
    IndexZero,
    /// A word without a colon, or with nothing to the left or right of it.
    #[error("{text:?}")]
    NoPair { text: String },
    /// An index that is not a number, or is above the maximum number of features.
    #[error("index {text:?}")]
    BadIndex { text: String },
    /// A line that begins with a pair instead of a label.
    #[error("{text:?} instead of a label")]
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
            LibsvmFault::BadIndex { .. } => {
                "a whole number from 1 to 16777216; fix the pair, or renumber or hash the features"
            }
            LibsvmFault::NoLabel { .. } => {
                "the line to begin with a label; add it, or only predict from this file"
            }
        }
    }
}

/// A decision that a reader made without being asked, or a possible mistake that it found; each
/// message is one sentence that names the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Remark {
    /// Columns without a name, in a table that names its columns, are ignored.
    Unnamed { file: String, columns: Vec<usize> },
    /// Named columns that the model does not use are ignored.
    Extra { file: String, columns: Vec<String> },
    /// The columns are assumed to be in the order of the training data, because the file or the
    /// model has no column names. `label` is the column that is read as the label, if any.
    ByPosition { file: String, count: usize, file_has_names: bool, label: Option<String> },
    /// A feature numbers the samples.
    Counts { file: String, column: String, first: u64 },
    /// A column other than the label has a name that suggests a label.
    OtherLabel { file: String, label: String, other: String },
    /// Many distinct whole numbers are treated as classes.
    ManyClasses { file: String, classes: usize, samples: usize, least: String, most: String },
    /// Labels with different spellings are the same number.
    Respelled { file: String, label: String, other: String },
    /// A whole number that is not exact in f32; `what` is the feature or the labels.
    Rounded { file: String, what: String, text: String },
    /// The column names are too many, or too long, to be stored with a model.
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
                write!(f, "{file}: ignored {noun} {columns}, which the model does not use")
            }
            Self::ByPosition { file, count, file_has_names, label } => {
                let why = if *file_has_names {
                    "the model was trained without column names"
                } else {
                    "no column names"
                };
                let columns = if *count == 1 { "column" } else { "columns" };
                write!(
                    f,
                    "{file}: {why}; its {count} {columns} are assumed to be in the order of the training data"
                )?;
                match label {
                    Some(label) => write!(f, ", with column {label} as the label"),
                    None => Ok(()),
                }
            }
            Self::Respelled { file, label, other } => write!(
                f,
                "{file}: the labels {label} and {other} are the same number and thus one class, named after the first spelling"
            ),
            Self::Rounded { file, what, text } => write!(
                f,
                "{file}: {text} in {what} is rounded in f32, in which whole numbers are exact only up to 16777216; subtract a constant from \
                 all values, or remove the column if it contains ids"
            ),
            Self::Counts { file, column, first } => write!(
                f,
                "{file}: feature {column} numbers the samples ({first}, {}, {}, ...); if it is an index, remove the column",
                first + 1,
                first + 2
            ),
            Self::OtherLabel { file, label, other } => write!(
                f,
                "{file}: the label is {label}, the last column, and {other} is a feature; if {other} is the label, pass --label-column {}",
                other.trim_matches('"')
            ),
            Self::ManyClasses { file, classes, samples, least, most } => write!(
                f,
                "{file}: the labels of {samples} samples are {classes} distinct whole numbers from {least} to {most}, treated as classes; if \
                 they are numbers to predict, pass --loss mse (or --loss cross-entropy if they are classes)"
            ),
            Self::NamesNotKept { file, columns } => write!(
                f,
                "{file}: the names of its {columns} columns are too long to be stored with the model; later files are read by the position of \
                 their columns"
            ),
        }
    }
}
