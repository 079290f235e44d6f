//! Columns of a table: how the user names one, and whether the first row does.

use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Names a column of a table.
///
/// Text that is a whole number is a number; a column whose *name* is a number is found by its position.
///
/// # Examples
///
/// ```
/// use phalanx::data::{Column, HeaderRow, LoadOptions, Source, TargetKind, Targets};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("flowers.csv");
/// std::fs::write(&path, "kind,length,width\nrose,1.5,2\niris,3,4\n")?;
/// let source: Source = path.to_str().expect("the path is text").parse()?;
/// let load = |options: LoadOptions| source.load(&options);
///
/// let kinds = load(LoadOptions { label_column: Some(Column::Number(0)), ..LoadOptions::default() })?.train;
/// assert!(matches!(kinds.targets(), Targets::Classes { count: 2, .. }));
/// let widths = LoadOptions {
///     label_column: Some("width".parse()?),
///     header: HeaderRow::Present,
///     target: TargetKind::Values,
///     ..LoadOptions::default()
/// };
/// assert!(load(widths).unwrap_err().to_string().contains("rose"), "a feature must be a number");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By its number, from 0; negative numbers count from the end, -1 being the last.
    Number(i64),
    /// By its name in the header row.
    Name(String),
}

impl FromStr for Column {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(number) => Column::Number(number),
            Err(_) => Column::Name(text.to_string()),
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Column::Name(name) => write!(f, "{name:?}"),
            Column::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Whether the first row of a table names its columns.
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

impl FromStr for HeaderRow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(HeaderRow::Auto),
            "present" => Ok(HeaderRow::Present),
            "absent" => Ok(HeaderRow::Absent),
            _ => Err(format!("unknown choice '{text}', expected auto, present or absent")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_a_position_and_anything_else_a_name() {
        assert_eq!("-1".parse(), Ok(Column::Number(-1)));
        assert_eq!("class".parse(), Ok(Column::Name("class".into())));
        assert_eq!("1.5".parse(), Ok(Column::Name("1.5".into())));
    }
}
