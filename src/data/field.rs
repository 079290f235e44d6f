//! What the text of a field may be, other than a number.

/// What the text of a field looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Nothing, or spaces.
    Empty,
    /// Text that parses as a number, NaN and infinities included.
    Number,
    /// A number that is not written as one: `1,234`, `$5`, `12%`.
    NumberAsText,
    /// A word that stands for a missing value: `?`, `NA`, `null`.
    Missing,
    /// `true`, `False`, ...
    Boolean,
    /// Anything else.
    Word,
}

/// Words that stand for a missing value, in lower case: those that pandas reads as such by default, and the `?` and `-` of older
/// data sets.
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

/// True if nothing but digits is left once signs, currency, percent and the separators of thousands and decimals are taken away. A
/// dash between digits is that of a range or a date, and makes no number.
fn is_number_as_text(text: &str) -> bool {
    let is_affix =
        |c: char| matches!(c, '$' | '€' | '£' | '¥' | '%' | '(' | ')' | '+' | '-' | '−') || c.is_whitespace();
    let core = text.trim_matches(is_affix);
    let is_separator = |c: char| matches!(c, ',' | '.' | '\'' | '_') || c.is_whitespace();
    core.starts_with(|c: char| c.is_ascii_digit() || is_separator(c))
        && core.contains(|c: char| c.is_ascii_digit())
        && core.chars().all(|c| c.is_ascii_digit() || is_separator(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_written_as_text_are_told_from_numbers_and_from_words() {
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
