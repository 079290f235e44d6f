//! Text in tables: column names, kinds of fields, and excerpts for messages.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Selects a column of a table.
///
/// Text that is a whole number is parsed as a position; to select a column whose *name* is a
/// number, use its position.
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
    /// By number, from 0; negative numbers count from the end, -1 is the last.
    Number(i64),
    /// By name in the header row.
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

/// The kind of text in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Empty, or spaces only.
    Empty,
    /// Text that parses as a number, including infinities; `nan` is `Missing`.
    Number,
    /// A number not written as a plain number: `1,234`, `$5`, `12%`.
    NumberAsText,
    /// A word for a missing value: `?`, `NA`, `null`.
    Missing,
    /// `true`, `False`, ...
    Boolean,
    /// Anything else.
    Word,
}

/// Words for a missing value, in lower case: most of those that pandas recognizes by default, and
/// `?`, `-`, `--`, `.` and `nil` of other data sets.
const MISSING: [&str; 13] =
    ["?", "-", "--", ".", "na", "n/a", "#n/a", "<na>", "#na", "null", "none", "nil", "nan"];

impl FieldKind {
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        if text.is_empty() {
            Self::Empty
        } else if MISSING.contains(&lower.as_str()) {
            Self::Missing
        } else if text.parse::<f64>().is_ok() {
            Self::Number
        } else if is_number_as_text(text) {
            Self::NumberAsText
        } else if matches!(lower.as_str(), "true" | "false") {
            Self::Boolean
        } else {
            Self::Word
        }
    }
}

/// Returns whether only digits remain after signs, currency symbols, percent signs and the
/// separators of thousands and decimals are removed. A dash between digits indicates a range or a
/// date, so such text is not a number.
fn is_number_as_text(text: &str) -> bool {
    let is_affix =
        |c: char| matches!(c, '$' | '€' | '£' | '¥' | '%' | '(' | ')' | '+' | '-' | '−') || c.is_whitespace();
    let core = text.trim_matches(is_affix);
    let is_separator = |c: char| matches!(c, ',' | '.' | '\'' | '_') || c.is_whitespace();
    core.starts_with(|c: char| c.is_ascii_digit() || is_separator(c))
        && core.contains(|c: char| c.is_ascii_digit())
        && core.chars().all(|c| c.is_ascii_digit() || is_separator(c))
}

/// Returns the beginning of a text, for messages: in a damaged file, a field may be arbitrarily
/// long.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

/// Returns the first few texts, and the number of remaining ones.
pub(super) fn listed(texts: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 12;
    let more = texts.len().saturating_sub(MOST);
    let shown: Vec<String> = texts.take(MOST).map(|text| excerpt(&text)).collect();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// Returns the shortest text that parses as the same number; whole numbers have no decimal point.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
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

    #[test]
    fn numbers_written_as_text_are_distinguished_from_numbers_and_words() {
        use FieldKind::*;
        let kinds = [
            (
                NumberAsText,
                &["250,000", "2,5", "$3.5", "12%", "(5)", "1 000", "€ 7", "1'000", "-1,5", "1_000"][..],
            ),
            (Number, &["1", " -2.5 ", "1e3", "+7", "0123", "inf", "1."]),
            (Missing, &["?", "NA", "n/a", "NULL", "None", "NaN", "#N/A", "-"]),
            (Boolean, &["True", "false"]),
            (Empty, &["", "  "]),
            (Word, &["setosa", "20-30", "2020-01-02", "a1", "5kg", "0x1", "<=50K", "1/2", "$", "%", "+"]),
        ];
        for (kind, texts) in kinds {
            for text in texts {
                assert_eq!(FieldKind::of(text), kind, "{text:?}");
            }
        }
    }
}
