//! Cells of the tables of measurements.

pub(super) use crate::numbers::counted;

/// A value rounded to a whole number, and written as the program writes every count: 9610, 1,234,567.
pub(super) fn grouped(value: f64) -> String {
    crate::numbers::grouped(value.round() as u64)
}

/// 0.873 as 87 %.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A dash where there is no value.
pub(super) fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// Names and rows as CSV; no cell needs quotes.
pub(super) fn csv(header: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let lines = rows.map(|cells| cells.join(","));
    [header.to_owned()].into_iter().chain(lines).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_and_grouped_as_all_counts_are() {
        assert_eq!([7.4, 999.6, 9_999.6, 1_234_567.0].map(grouped), ["7", "1000", "10,000", "1,234,567"]);
    }

    #[test]
    fn csv_has_a_line_a_row() {
        let rows = [["1", "2"], ["3", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(csv("a,b", rows.into_iter()), "a,b\n1,2\n3,\n");
    }
}
