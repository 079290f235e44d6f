//! What the user names, and what it is loaded with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::input::Input;
use super::{
    Classes, Column, Columns, DataError, Dataset, HeaderRow, InputFormat, Remark, digits, folder, libsvm,
    npy, table,
};

/// Where samples come from.
///
/// | text | source |
/// |---|---|
/// | `digits` | built in: 1,437 training and 360 test samples of 8 × 8 pixels; a folder of this name is `./digits` |
/// | a folder | IDX files under MNIST's names, plain or `.gz`; `t10k-...` is the test part |
/// | `FILE.csv`, `FILE.csv.gz` | a table, one sample a line |
/// | `X.npy,Y.npy`, `X.npy` | arrays of numpy: inputs and labels, or inputs alone |
/// | `FILE.libsvm`, `FILE.svm`, also `.gz` | sparse samples, `label index:value ...` |
///
/// Standard input, and files whose names do not say what they hold, are sources by [`in_format`](Self::in_format).
///
/// # Examples
///
/// ```
/// use phalanx::data::Source;
///
/// let source: Source = "x.npy,y.npy".parse()?;
/// assert_eq!(source.to_string(), "x.npy,y.npy");
/// # Ok::<(), phalanx::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Digits,
    Folder(PathBuf),
    Table(Origin),
    Npy { inputs: Origin, labels: Option<Origin> },
    Libsvm(Origin),
}

/// Where one stream of bytes comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Stdin,
}

impl From<&str> for Origin {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl Origin {
    fn input(&self) -> Result<Input, DataError> {
        match self {
            Self::File(path) => Input::of(path),
            Self::Stdin => Ok(Input::stdin()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// Reads the name of a source. Files are known by their ending, whether they exist or not; anything else must be a folder.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if nothing is there, [`DataError::UnknownKind`] if something of no known kind is.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let lower = text.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
        let kind = if text == "digits" {
            Kind::Digits
        } else if let Some(comma) = lower.find(".npy,").filter(|_| ends(&[".npy"])) {
            let (inputs, labels) = (&text[..comma + 4], &text[comma + 5..]);
            Kind::Npy { inputs: inputs.into(), labels: Some(labels.into()) }
        } else if ends(&[".npy"]) {
            Kind::Npy { inputs: text.into(), labels: None }
        } else if ends(&[".csv", ".csv.gz"]) {
            Kind::Table(text.into())
        } else if ends(&[".libsvm", ".svm", ".libsvm.gz", ".svm.gz"]) {
            Kind::Libsvm(text.into())
        } else {
            folder_kind(text)?
        };
        Ok(Source { kind })
    }
}

fn folder_kind(text: &str) -> Result<Kind, DataError> {
    let path = Path::new(text);
    if path.is_dir() {
        return Ok(Kind::Folder(path.to_path_buf()));
    }
    match path.extension() {
        None if !text.is_empty() && !path.exists() => Err(DataError::Missing { path: text.to_string() }),
        _ => Err(DataError::UnknownKind { source_text: text.to_string() }),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Digits => f.write_str("digits"),
            Kind::Folder(path) => write!(f, "{}", path.display()),
            Kind::Npy { inputs, labels: Some(labels) } => write!(f, "{inputs},{labels}"),
            Kind::Npy { inputs: origin, labels: None } | Kind::Table(origin) | Kind::Libsvm(origin) => {
                write!(f, "{origin}")
            }
        }
    }
}

/// What the labels are to be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetKind {
    /// Whole numbers and words are classes. Numbers of which one has a fraction are values, if there are more than 20 distinct ones, or
    /// more than half as many as samples; fewer are refused, as they may be either. So are more than 20 distinct labels if more than half
    /// of the samples have one of their own, numbers that are written as text (`$3.5`), and words for a missing value (`NA`). Rows of
    /// several numbers are values unless they are one-hot, which is refused.
    #[default]
    Auto,
    /// Classes, whatever the labels look like.
    Classes,
    /// Values, also if all labels are integers.
    Values,
    /// Nothing: labels may be absent, and are ignored where present.
    ///
    /// A table with the [`features`](LoadOptions::features) of the model has no label column; one with one column more
    /// has, and it is ignored. Without `features`, a table has one only if it is named. A label or weight column that is named
    /// and not there is no fault.
    None,
}

/// How to read a source. Options that a format has no use for (columns, outside of tables) are ignored by it.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The label column of a table; by default the last.
    pub label_column: Option<Column>,
    /// The column of a table with the samples' weights; by default none.
    pub weight_column: Option<Column>,
    /// Whether a table has a header row.
    pub header: HeaderRow,
    /// What the labels are to be read as.
    pub target: TargetKind,
    /// The features that the samples must have: the model's. Sparse samples may have fewer, the rest being 0.
    pub features: Option<usize>,
    /// The columns of the table that the model was trained on, or of the training samples. A table that names its columns is then read by
    /// these names, another one in their order, and the label and weight columns above are not looked at.
    pub columns: Option<Columns>,
    /// The classes of the model or the training samples, which every label must be one of.
    pub classes: Option<Classes>,
}

/// The samples of a source.
///
/// # Examples
///
/// ```
/// use phalanx::data::{Fingerprint, LoadOptions, Loaded, Source};
///
/// let digits: Source = "digits".parse()?;
/// let Loaded { train, test } = digits.load(&LoadOptions::default())?;
/// let Fingerprint { samples, features, .. } = train.fingerprint();
/// assert_eq!((samples, features), (1437, 64));
/// assert_ne!(Some(train.fingerprint()), test.map(|test| test.fingerprint()));
/// # Ok::<(), phalanx::data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The training samples, or all samples of a source that has no test part. **Empty** for a folder that has nothing but
    /// t10k files, which serves evaluation: whoever trains must check.
    pub train: Dataset,
    /// The test samples, if the source has some of its own. Their labels are read with the training samples' classes.
    pub test: Option<Dataset>,
}

impl Source {
    /// Names what holds samples in a format, whatever its name says: `-` is standard input, anything else a file or a pipe.
    ///
    /// Standard input and pipes can be loaded once; errors call the first `stdin`.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::data::{InputFormat, Source};
    ///
    /// assert_eq!(Source::in_format("-", InputFormat::Csv).to_string(), "stdin");
    /// assert_eq!(Source::in_format("table.txt", InputFormat::Csv).to_string(), "table.txt");
    /// ```
    pub fn in_format(text: &str, format: InputFormat) -> Self {
        let origin = if text == "-" { Origin::Stdin } else { text.into() };
        let kind = match format {
            InputFormat::Csv => Kind::Table(origin),
            InputFormat::Npy => Kind::Npy { inputs: origin, labels: None },
            InputFormat::Libsvm => Kind::Libsvm(origin),
        };
        Source { kind }
    }

    /// Reads all samples.
    ///
    /// # Errors
    ///
    /// [`DataError`], naming file, place, finding and expectation.
    ///
    /// # Cost
    ///
    /// Memory: what the samples take as stored ([`Dataset::storage_bytes`]), and while reading no more than twice the size of
    /// the decompressed file plus 16 MiB for the formats with a header (IDX, npy). Time: MNIST's four `.gz` files take about
    /// 0.25 s on two cores. What comes from standard input or a pipe, at most 1 GiB of it, is held in addition to its samples while they
    /// are read; a fault ends the reading where it is found.
    pub fn load(&self, options: &LoadOptions) -> Result<Loaded, DataError> {
        let mut loaded = match &self.kind {
            Kind::Digits => digits::load(options)?,
            Kind::Folder(path) => folder::load(path, options)?,
            Kind::Table(origin) => Loaded { train: table::load(&origin.input()?, options)?, test: None },
            Kind::Npy { inputs, labels } => {
                let labels = labels.as_ref().map(Origin::input).transpose()?;
                Loaded { train: npy::load(&inputs.input()?, labels.as_ref(), options)?, test: None }
            }
            Kind::Libsvm(origin) => Loaded { train: libsvm::load(&origin.input()?, options)?, test: None },
        };
        let names = options.columns.as_ref().and_then(Columns::names);
        if names.is_some() && !matches!(self.kind, Kind::Table(_)) {
            let (file, count) = (self.to_string(), loaded.train.features());
            let (file_has_names, label) = (false, None);
            loaded.train.add_remark(Remark::ByPosition { file, count, file_has_names, label });
        }
        match options.features {
            Some(expected) if expected != loaded.train.features() => Err(DataError::FeatureCount {
                file: self.to_string(),
                found: loaded.train.features(),
                expected,
            }),
            _ => Ok(loaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_gives_back_what_was_read() {
        for text in
            ["digits", "a.csv", "A.CSV", "b.csv.gz", "x.npy,y.npy", "x.npy", "c.libsvm", "d/e.svm", "."]
        {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_missing_and_what_is_unknown_are_told_apart() {
        let error = |text: &str| text.parse::<Source>().unwrap_err();
        assert!(matches!(error("no-such-folder"), DataError::Missing { .. }));
        assert!(matches!(error("picture.png"), DataError::UnknownKind { .. }));
        assert!(matches!(error(""), DataError::UnknownKind { .. }));
        assert!(error("picture.png").to_string().contains("FILE.csv"));
        let missing = "no-such.csv".parse::<Source>().unwrap().load(&LoadOptions::default());
        assert!(matches!(missing, Err(DataError::Missing { .. })));
    }
}
