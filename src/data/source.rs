//! Sources of samples: their names, and how they are loaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::dataset::LoadedData;
use super::error::{DataError, Remark};
use super::options::{Columns, InputFormat, LoadOptions};
use super::stream::Input;
use super::{digits, idx, libsvm, npy, table};

/// The source of samples.
///
/// | text | source |
/// |---|---|
/// | `digits` | the built-in data set: 1,437 training and 360 test samples of 8 × 8 pixels; for a folder of this name, pass `./digits`  |
/// | a folder | IDX files with MNIST's names, plain or `.gz`; `t10k-...` is the test part |
/// | `FILE.csv`, `FILE.csv.gz` | a table, one sample per line |
/// | `X.npy,Y.npy`, `X.npy` | NumPy arrays: inputs and labels, or inputs only |
/// | `FILE.libsvm`, `FILE.svm`, also `.gz` | sparse samples, `label index:value ...` |
///
/// For standard input, and for files whose names do not identify the format, use
/// [`in_format`](Self::in_format).
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
    kind: SourceKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SourceKind {
    Digits,
    Folder(PathBuf),
    Table(Origin),
    Npy { inputs: Origin, labels: Option<Origin> },
    Libsvm(Origin),
}

/// The origin of a stream of bytes.
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

impl Source {
    /// Creates a source in a given format, whatever its name: `-` is standard input, anything else
    /// a file or a pipe, or, for npy, two of them, separated by a comma: inputs and labels.
    ///
    /// Standard input and pipes can be loaded only once. Error messages call standard input
    /// `stdin`.
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
            InputFormat::Csv => SourceKind::Table(origin),
            InputFormat::Npy => match text.split_once(',') {
                Some((inputs, labels)) => {
                    SourceKind::Npy { inputs: inputs.into(), labels: Some(labels.into()) }
                }
                None => SourceKind::Npy { inputs: origin, labels: None },
            },
            InputFormat::Libsvm => SourceKind::Libsvm(origin),
        };
        Source { kind }
    }

    /// Reads all samples.
    ///
    /// # Errors
    ///
    /// [`DataError`], with the file, the position, the value found and the value expected.
    ///
    /// # Cost
    ///
    /// Memory: the size of the stored samples
    /// ([`Dataset::storage_bytes`](super::Dataset::storage_bytes)); while reading a format with a
    /// header (IDX, npy), at most twice the size of the decompressed files plus 16 MiB, or five
    /// times the size for labels of one byte. Time: the four `.gz` files of MNIST take about 0.25 s
    /// on two cores. Data from standard input or a pipe, at most 1 GiB, is held in memory in
    /// addition to its samples while it is read; reading stops at the first error.
    pub fn load(&self, options: &LoadOptions) -> Result<LoadedData, DataError> {
        let mut loaded = match &self.kind {
            SourceKind::Digits => digits::load(options)?,
            SourceKind::Folder(path) => idx::load(path, options)?,
            SourceKind::Table(origin) => {
                LoadedData { train: table::load(&origin.input()?, options)?, test: None }
            }
            SourceKind::Npy { inputs, labels } => {
                let labels = labels.as_ref().map(Origin::input).transpose()?;
                LoadedData { train: npy::load(&inputs.input()?, labels.as_ref(), options)?, test: None }
            }
            SourceKind::Libsvm(origin) => {
                LoadedData { train: libsvm::load(&origin.input()?, options)?, test: None }
            }
        };
        let names = options.columns.as_ref().and_then(Columns::names);
        if names.is_some() && !matches!(self.kind, SourceKind::Table(_)) {
            let (file, count) = (self.to_string(), loaded.train.features());
            let (file_has_names, label) = (false, None);
            loaded.train.add_remark(Remark::ByPosition { file, count, file_has_names, label });
        }
        options.check_features(&self.to_string(), loaded.train.features())?;
        Ok(loaded)
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// Parses the name of a source. Files are recognized by their extension, whether they exist or
    /// not; anything else must be a folder.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if the text has no extension and nothing exists at this path;
    /// [`DataError::UnknownKind`] if it is empty, or neither a folder nor a file with one of the
    /// extensions of a [`Source`].
    fn from_str(text: &str) -> Result<Self, DataError> {
        let lower = text.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
        let kind = if text == "digits" {
            SourceKind::Digits
        } else if let Some(comma) = lower.find(".npy,").filter(|_| ends(&[".npy"])) {
            let (inputs, labels) = (&text[..comma + 4], &text[comma + 5..]);
            SourceKind::Npy { inputs: inputs.into(), labels: Some(labels.into()) }
        } else if ends(&[".npy"]) {
            SourceKind::Npy { inputs: text.into(), labels: None }
        } else if ends(&[".csv", ".csv.gz"]) {
            SourceKind::Table(text.into())
        } else if ends(&[".libsvm", ".svm", ".libsvm.gz", ".svm.gz"]) {
            SourceKind::Libsvm(text.into())
        } else {
            folder_kind(text)?
        };
        Ok(Source { kind })
    }
}

fn folder_kind(text: &str) -> Result<SourceKind, DataError> {
    let path = Path::new(text);
    if path.is_dir() {
        return Ok(SourceKind::Folder(path.to_path_buf()));
    }
    match path.extension() {
        None if !text.is_empty() && !path.exists() => Err(DataError::Missing { path: text.to_string() }),
        _ => Err(DataError::UnknownKind { source_text: text.to_string() }),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SourceKind::Digits => f.write_str("digits"),
            SourceKind::Folder(path) => write!(f, "{}", path.display()),
            SourceKind::Npy { inputs, labels: Some(labels) } => write!(f, "{inputs},{labels}"),
            SourceKind::Npy { inputs: origin, labels: None }
            | SourceKind::Table(origin)
            | SourceKind::Libsvm(origin) => {
                write!(f, "{origin}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_round_trips() {
        for text in
            ["digits", "a.csv", "A.CSV", "b.csv.gz", "x.npy,y.npy", "x.npy", "c.libsvm", "d/e.svm", "."]
        {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn missing_and_unknown_sources_are_distinguished() {
        let error = |text: &str| text.parse::<Source>().unwrap_err();
        assert!(matches!(error("no-such-folder"), DataError::Missing { .. }));
        assert!(matches!(error("picture.png"), DataError::UnknownKind { .. }));
        assert!(matches!(error(""), DataError::UnknownKind { .. }));
        assert!(error("picture.png").to_string().contains("FILE.csv"));
        let missing = "no-such.csv".parse::<Source>().unwrap().load(&LoadOptions::default());
        assert!(matches!(missing, Err(DataError::Missing { .. })));
    }
}
