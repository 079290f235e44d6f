//! Numbers as people read them.

/// Writes a measured value, such as a loss or a rate, with four decimals, or with a power of ten where these would say nothing or
/// run to hundreds of digits.
pub fn measured(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// Writes a count, with groups of three digits from 10,000 on.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_value_has_four_decimals_unless_they_would_say_nothing() {
        let values = [0.0, 0.25, -12.5, 2e-7, 1e300].map(measured);
        assert_eq!(values, ["0.0000", "0.2500", "-12.5000", "2.000e-7", "1.000e300"]);
    }

    #[test]
    fn a_count_is_grouped_from_ten_thousand_on() {
        assert_eq!([9610, 60_000, 1_234_567].map(grouped), ["9610", "60,000", "1,234,567"]);
    }
}
