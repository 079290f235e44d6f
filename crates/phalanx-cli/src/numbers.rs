//! Formatting of numbers for people.

use std::collections::BTreeSet;

/// Formats a measured value, such as a loss or a rate, with four decimals, or with an exponent
/// below 0.001 and from 1,000,000 on (0 is 0.0000).
pub fn measured(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// Formats a count, in groups of three digits from 10,000 on.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    if count < 10_000 {
        return digits;
    }
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three significant digits, but keeps all digits before the decimal point:
/// whole numbers below a million are unchanged. For measured and computed values; a number chosen
/// by a person is written exactly.
pub fn short_number(value: f64) -> String {
    exact(if (100.0..1e6).contains(&value.abs()) { value.round() } else { significant(value, 3) })
}

/// Returns labels with at least three significant digits, and with enough to distinguish all of the
/// values.
pub fn distinct_labels(values: &[f64]) -> Vec<String> {
    let labels = |digits| -> Vec<String> {
        let written =
            |value: &f64| if digits == 3 { short_number(*value) } else { exact(significant(*value, digits)) };
        values.iter().map(written).collect()
    };
    let are_distinct = |labels: &Vec<String>| labels.iter().collect::<BTreeSet<_>>().len() == values.len();
    (3..=16).map(labels).find(are_distinct).unwrap_or_else(|| labels(17))
}

/// Returns the nearest number with this many significant digits.
pub fn significant(value: f64, digits: usize) -> f64 {
    format!("{value:.0$e}", digits - 1).parse().expect("a number was written")
}

/// Formats a number with all of its digits, in groups of three if it is whole, and with an exponent
/// if it is long.
pub fn exact(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    match value.abs() {
        size if size < 1e6 && size.fract() == 0.0 => sign.to_owned() + &grouped(size as u64),
        1e-4..1e6 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// Formats a number briefly, for a cell of a figure.
pub fn brief(value: f64) -> String {
    match value {
        0.01..10.0 => format!("{value:.2}"),
        10.0..1e4 => format!("{value:.0}"),
        _ => short_number(significant(value, 1)),
    }
}

/// Formats a count with its noun: 1 thread, 2 threads.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_value_has_four_decimals_unless_they_would_all_be_zero() {
        let values = [0.0, 0.25, -12.5, 2e-7, 1e300].map(measured);
        assert_eq!(values, ["0.0000", "0.2500", "-12.5000", "2.000e-7", "1.000e300"]);
    }

    #[test]
    fn a_count_is_grouped_from_ten_thousand_on() {
        assert_eq!([9610, 60_000, 1_234_567].map(grouped), ["9610", "60,000", "1,234,567"]);
    }

    #[test]
    fn labels_of_close_values_have_enough_digits_to_distinguish_them() {
        assert_eq!(distinct_labels(&[0.1767766, 0.25]), ["0.177", "0.25"]);
        assert_eq!(distinct_labels(&[0.1001, 0.1002, 0.3]), ["0.1001", "0.1002", "0.3"]);
        assert_eq!(distinct_labels(&[1_048_576.0, 1_048_577.0]), ["1.048576e6", "1.048577e6"]);
        assert_eq!(distinct_labels(&[0.5, 0.5]).len(), 2);
    }

    #[test]
    fn a_short_number_keeps_every_digit_before_the_decimal_point() {
        let exact = [0.25, 1234.0, 60_000.0, 0.00002, 1e7].map(short_number);
        assert_eq!(exact, ["0.25", "1234", "60,000", "2e-5", "1e7"]);
        let rounded = [0.12345, 1023.6, -12_345.6, 1_234_567.0].map(short_number);
        assert_eq!(rounded, ["0.123", "1024", "-12,346", "1.23e6"]);
    }
}
