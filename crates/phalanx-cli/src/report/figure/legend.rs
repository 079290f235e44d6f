//! The names of what is drawn, beside a sample of each.

use super::{Canvas, shortened};

/// Height of a line.
pub(super) const LINE: f64 = 18.0;
/// Where the first begins.
const LEFT: f64 = 16.0;
/// About what a letter takes.
const LETTER: f64 = 7.0;
/// The sample, and what is between it, the name and the next one.
const BESIDE: f64 = 58.0;

/// Where a name begins, behind its sample.
const NAME: f64 = 34.0;

/// Names in as many columns as there is room for.
pub(super) struct Legend<'a> {
    entries: Vec<Entry<'a>>,
    columns: usize,
    width: f64,
}

/// One name.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// Class of the line before it; none for a box.
    pub(super) line: Option<String>,
    /// Class of the dot on the line, or of the box.
    pub(super) fill: Option<String>,
}

impl<'a> Legend<'a> {
    /// Lays out what has a name, within the width of a figure.
    pub(super) fn new(entries: impl Iterator<Item = Entry<'a>>, width: f64) -> Self {
        let entries: Vec<_> = entries.filter(|entry| !entry.name.is_empty()).collect();
        let longest = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
        let room = width - 2.0 * LEFT;
        let columns = (room / (BESIDE + LETTER * longest as f64)) as usize;
        Self { columns: columns.clamp(1, entries.len().max(1)), entries, width: room }
    }

    pub(super) fn height(&self) -> f64 {
        LINE * self.entries.len().div_ceil(self.columns) as f64
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, top: f64) {
        for (index, entry) in self.entries.iter().enumerate() {
            let x = LEFT + self.width / self.columns as f64 * (index % self.columns) as f64;
            let y = top + LINE * (index / self.columns) as f64;
            match (&entry.line, &entry.fill) {
                (Some(line), fill) => {
                    canvas.path(line, &[(x, y), (x + 26.0, y)]);
                    fill.iter().for_each(|fill| canvas.dot(fill, (x + 13.0, y), 4.0));
                }
                (None, Some(fill)) => canvas.rect(fill, (x + 7.0, y - 6.0), (12.0, 12.0)),
                (None, None) => {}
            }
            let most = ((self.width / self.columns as f64 - NAME) / LETTER) as usize;
            canvas.text("", "start", (x + NAME, y + 4.5), &shortened(entry.name, most));
        }
    }
}
