//! Text for terminals and shells: aligned tables and quoted words.

use std::fmt;

/// Rows of cells in aligned columns, two spaces apart.
#[derive(Clone, Debug, Default)]
pub struct TextTable {
    rows: Vec<Vec<String>>,
    /// True if cells are aligned to the right.
    is_right: bool,
}

impl TextTable {
    /// Returns a table of numbers with right-aligned cells. The header contains the names of the
    /// columns, separated by commas.
    pub fn of_numbers(header: &str) -> Self {
        Self { is_right: true, ..Self::of_texts(header) }
    }

    /// Returns a table of texts with such a header and left-aligned cells.
    pub fn of_texts(header: &str) -> Self {
        Self { rows: vec![header.split(", ").map(str::to_owned).collect()], is_right: false }
    }

    /// Drops the first column.
    pub fn drop_first_column(&mut self) {
        self.rows.iter_mut().for_each(|row| _ = row.remove(0));
    }

    /// Adds a row with a name and a value.
    pub fn row(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.cells(vec![name.into(), value.to_string()]);
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// If it has more or fewer cells than the first row.
    pub fn cells(&mut self, cells: Vec<String>) {
        assert!(self.rows.first().is_none_or(|first| first.len() == cells.len()), "a cell for each column");
        self.rows.push(cells);
    }

    /// Returns the names and values of a table with two columns, including the first row.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().map(|cells| (cells[0].as_str(), cells[1].as_str()))
    }
}

impl fmt::Display for TextTable {
    /// Writes one line per row. In a left-aligned table, lines have no trailing spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let last = if self.is_right {
                columns - 1
            } else {
                row.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0)
            };
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate().take(last + 1) {
                match (self.is_right, column == last) {
                    (true, true) => write!(f, "{cell:>width$}")?,
                    (true, false) => write!(f, "{cell:>width$}  ")?,
                    (false, true) => f.write_str(cell)?,
                    (false, false) => write!(f, "{cell:width$}  ")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Quotes a text so that a shell parses it as one word.
pub fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@%".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_after_the_longest_name() {
        let mut table = TextTable::default();
        table.row("data", "digits");
        table.row("threads", 2);
        assert_eq!(table.to_string(), "data     digits\nthreads  2\n");
    }

    #[test]
    fn numbers_are_right_aligned() {
        let mut table = TextTable::of_numbers("n, time µs");
        table.cells(vec!["16".to_owned(), "1.5".to_owned()]);
        assert_eq!(table.to_string(), " n  time µs\n16      1.5\n");
    }

    #[test]
    fn rows_of_text_have_no_trailing_spaces() {
        let mut table = TextTable::default();
        ["a,b,c", "dd,,", ",,e"]
            .iter()
            .for_each(|row| table.cells(row.split(',').map(str::to_owned).collect()));
        assert_eq!(table.to_string(), "a   b  c\ndd\n       e\n");
    }

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(["runs/1", "my run's", ""].map(shell_word), ["runs/1", r"'my run'\''s'", "''"]);
    }
}
