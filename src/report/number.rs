//! Numbers as people read them.

/// Writes a count, with groups of three digits from 10,000 on.
///
/// # Examples
///
/// ```
/// use phalanx::report::grouped;
///
/// assert_eq!([grouped(9610), grouped(60000), grouped(1234567)], ["9610", "60,000", "1,234,567"]);
/// ```
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
