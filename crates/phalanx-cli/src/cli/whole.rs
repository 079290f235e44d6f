//! Whole numbers as flags and keys of a file.

/// Reads a whole number that a TOML file can hold too, whose integers end at 2^63 - 1.
pub(super) fn whole<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let number = text.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_zero_and_beyond_a_file_are_refused() {
        assert_eq!(whole::<u64>("9223372036854775807"), Ok(i64::MAX as u64));
        for text in ["-1", "9223372036854775808", "1.5", "1e3", ""] {
            assert!(whole::<u64>(text).is_err(), "{text}");
        }
    }
}
