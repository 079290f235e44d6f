//! Columns that line up.

use std::fmt;

/// A header and rows of as many cells, all aligned to the right.
pub(super) struct Grid {
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "a cell for each column");
        self.rows.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.rows[0].len()).map(|column| self.width(column)).collect();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            writeln!(f, "{}", cells.join("  "))?;
        }
        Ok(())
    }
}

/// A value rounded to a whole number, and written as the program writes every count: 9610, 1,234,567.
pub(super) fn grouped(value: f64) -> String {
    crate::report::grouped(value.round() as u64)
}

/// 1 thread, 2 threads.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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
    fn cells_end_where_their_column_ends() {
        let mut grid = Grid::new(&["n", "time µs"]);
        grid.row(vec!["16".to_owned(), "1.5".to_owned()]);
        assert_eq!(grid.to_string(), " n  time µs\n16      1.5\n");
    }

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
