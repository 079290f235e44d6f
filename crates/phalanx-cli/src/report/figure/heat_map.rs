//! A value for each pair of two lists, as colours.

use std::collections::BTreeSet;

use super::{Canvas, short_number, shortened};
use crate::report::grouped;

/// A table of values as colours, the least dark and the greatest light.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// What it shows.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// What columns are, and the name of each.
    pub columns: (String, Vec<String>),
    /// What rows are, and the name of each.
    pub rows: (String, Vec<String>),
    /// Row by row; as many as rows times columns.
    pub cells: Vec<HeatCell>,
}

/// One cell of a heat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeatCell {
    /// A value above 0.
    Value(f64),
    /// A number of things above 0.
    Count(u64),
    /// A value to point out.
    Best(f64),
    /// There is no value, as what was measured diverged.
    Lost,
    /// Nothing was measured.
    Empty,
}

/// Room for the names of rows: at least this, and so much for each letter, but only so many letters.
const LEFT: f64 = 78.0;
const LETTER: f64 = 7.2;
const MOST_LETTERS: usize = 18;
const CELL: (f64, f64) = (42.0, 28.0);

impl HeatMap {
    /// Draws it.
    ///
    /// # Panics
    ///
    /// If there are not as many cells as rows times columns.
    pub fn svg(&self) -> String {
        self.draw(&self.title, &self.caption)
    }

    /// Draws it for a page that sets the title and the caption itself.
    pub(crate) fn svg_without_title(&self) -> String {
        self.draw("", &[])
    }

    fn draw(&self, title: &str, caption: &[String]) -> String {
        let (columns, rows) = (self.columns.1.len(), self.rows.1.len());
        assert_eq!(self.cells.len(), columns * rows, "a cell for each pair");
        let (row_names, column_names) = (labels(&self.rows.1), labels(&self.columns.1));
        let hangs = hangs(&column_names);
        let left = LEFT.max(44.0 + room(&row_names));
        let below = if hangs { 14.0 + room(&column_names) } else { 24.0 };
        let above = if title.is_empty() { 16.0 } else { 58.0 + 18.0 * caption.len() as f64 };
        // What the rows are may need more room than few rows have, and so may what the columns are.
        let top = above + (0.5 * (LETTER * letters(&self.rows.0) - CELL.1 * rows as f64)).max(0.0);
        let (right, bottom) = (left + CELL.0 * columns as f64, top + CELL.1 * rows as f64);
        let half = 0.5 * LETTER * letters(&self.columns.0);
        let middle = f64::midpoint(left, right).max(half + 30.0);
        let width = (right + 20.0).max(middle + half + 8.0).max(if title.is_empty() { 0.0 } else { 480.0 });
        let mut canvas = Canvas::described(
            (width, bottom + below + 32.0),
            (&self.title, title),
            caption,
            &self.caption.join(" "),
        );
        let at = |row: usize, column: usize| (left + CELL.0 * column as f64, top + CELL.1 * row as f64);
        for (index, cell) in self.cells.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let name = format!(
                "{} {}, {} {}",
                self.rows.0, self.rows.1[row], self.columns.0, self.columns.1[column]
            );
            self.cell(&mut canvas, at(row, column), *cell, &name);
        }
        for (row, name) in row_names.iter().enumerate() {
            canvas.text("quiet", "end", (left - 8.0, at(row, 0).1 + 18.5), name);
        }
        draw_columns(&mut canvas, &column_names, (left, bottom), hangs);
        canvas.text("quiet", "middle", (middle, bottom + below + 19.0), &self.columns.0);
        canvas.text_upwards("quiet", (20.0, f64::midpoint(top, bottom)), &self.rows.0);
        canvas.finish()
    }

    fn cell(&self, canvas: &mut Canvas, (x, y): (f64, f64), cell: HeatCell, name: &str) {
        let inner = ((x + 1.0, y + 1.0), (CELL.0 - 2.0, CELL.1 - 2.0));
        let middle = (x + CELL.0 / 2.0, y + 18.0);
        match cell {
            HeatCell::Empty => {}
            HeatCell::Lost => {
                canvas.rect("lost", inner.0, inner.1);
                canvas.text("quiet", "middle", middle, "×");
            }
            HeatCell::Value(value) | HeatCell::Best(value) => {
                self.filled(canvas, inner, value, (name, format!("{value:?}"), brief(value)));
                if matches!(cell, HeatCell::Best(_)) {
                    canvas.rect("best", inner.0, inner.1);
                }
            }
            HeatCell::Count(count) => {
                let short = if count < 100_000 { grouped(count) } else { format!("{:.1e}", count as f64) };
                self.filled(canvas, inner, count as f64, (name, grouped(count), short));
            }
        }
    }

    fn filled(
        &self,
        canvas: &mut Canvas,
        ((x, y), size): ((f64, f64), (f64, f64)),
        value: f64,
        (name, whole, short): (&str, String, String),
    ) {
        let shade = self.shade(value);
        canvas.filled(&colour(shade), (x, y), size, &format!("{name}: {whole}"));
        let class = if shade < 0.48 { "on-dark" } else { "on-light" };
        canvas.text(class, "middle", (x - 1.0 + CELL.0 / 2.0, y - 1.0 + 18.0), &short);
    }

    /// Where a value lies between the least and the greatest, by its logarithm.
    fn shade(&self, value: f64) -> f64 {
        let values = self.cells.iter().filter_map(|cell| match cell {
            HeatCell::Value(value) | HeatCell::Best(value) => Some(value.ln()),
            HeatCell::Count(count) => Some((*count as f64).ln()),
            HeatCell::Lost | HeatCell::Empty => None,
        });
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if high > low { (value.ln() - low) / (high - low) } else { 0.0 }
    }
}

/// Whether a name is wider than its column. Numbers stay as they are: the reader finds those that are left out.
fn hangs(labels: &[String]) -> bool {
    let is_name = |label: &String| label.parse::<f64>().is_err() && !label.contains(',');
    labels.iter().any(|label| is_name(label) && LETTER * letters(label) > CELL.0)
}

fn draw_columns(canvas: &mut Canvas, labels: &[String], (left, bottom): (f64, f64), hangs: bool) {
    let mut free = 0.0;
    for (column, label) in labels.iter().enumerate() {
        let (at, half) = (left + CELL.0 * (column as f64 + 0.5), 4.0 * letters(label));
        if hangs {
            canvas.text_hanging("quiet", (at + 4.5, bottom + 8.0), label);
        } else if at - half >= free {
            canvas.text("quiet", "middle", (at, bottom + 18.0), label);
            free = at + half + 4.0;
        }
    }
}

/// What some labels take next to or below the cells.
fn room(labels: &[String]) -> f64 {
    LETTER * labels.iter().map(|label| letters(label)).fold(0.0, f64::max)
}

fn letters(text: &str) -> f64 {
    text.chars().count() as f64
}

/// As much of each name as there is room for; names that would look the same are numbered from 0.
fn labels(names: &[String]) -> Vec<String> {
    let short: Vec<String> = names.iter().map(|name| shortened(name, MOST_LETTERS)).collect();
    if short.iter().collect::<BTreeSet<_>>().len() == names.iter().collect::<BTreeSet<_>>().len() {
        return short;
    }
    let numbered = names.iter().enumerate();
    numbered.map(|(index, name)| shortened(&format!("{index}: {name}"), MOST_LETTERS)).collect()
}

/// As much of a number as a cell has room for.
fn brief(value: f64) -> String {
    match value {
        0.01..10.0 => format!("{value:.2}"),
        10.0..1e4 => format!("{value:.0}"),
        _ => short_number(format!("{value:.0e}").parse().expect("a number was written")),
    }
}

/// The colours of the map viridis (S. van der Walt, N. Smith, CC0) at 0, 1/4 .. 1, whose lightness grows evenly.
const COLOURS: [[f64; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];

fn colour(shade: f64) -> String {
    let place = 4.0 * shade.clamp(0.0, 1.0);
    let (index, part) = ((place as usize).min(3), place - (place as usize).min(3) as f64);
    let mix = |channel: usize| COLOURS[index][channel] * (1.0 - part) + COLOURS[index + 1][channel] * part;
    format!("rgb({:.0} {:.0} {:.0})", mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_drawn_as_what_it_is() {
        let cells = vec![HeatCell::Value(1.0), HeatCell::Best(0.5), HeatCell::Lost, HeatCell::Empty];
        let names = |name: &str| (name.to_owned(), vec!["1".to_owned(), "2".to_owned()]);
        let map = HeatMap {
            title: String::new(),
            caption: Vec::new(),
            columns: names("x"),
            rows: names("y"),
            cells,
        };
        let svg = map.svg();
        assert_eq!(svg.matches("<rect style").count(), 2);
        assert_eq!(svg.matches("class=\"best\"").count(), 1);
        assert_eq!(svg.matches("class=\"lost\"").count(), 1);
    }

    #[test]
    fn long_names_of_columns_hang_and_none_is_left_out() {
        let names = |what: &str| {
            (what.to_owned(), vec!["setosa".to_owned(), "a-very-long-name-of-a-class".to_owned()])
        };
        let map = HeatMap {
            title: String::new(),
            caption: Vec::new(),
            columns: names("predicted"),
            rows: names("true"),
            cells: vec![HeatCell::Count(12), HeatCell::Empty, HeatCell::Count(1), HeatCell::Count(1234)],
        };
        let svg = map.svg();
        assert_eq!(svg.matches(">setosa</text>").count(), 2);
        assert_eq!(svg.matches(">a-very-lo…-a-class</text>").count(), 2);
        assert!(svg.contains(
            "true a-very-long-name-of-a-class, predicted a-very-long-name-of-a-class: 1234</title>"
        ));
    }

    #[test]
    fn long_names_that_differ_in_the_middle_are_told_apart_by_their_numbers() {
        let names = ["a-class-of-one-kind-or-other", "a-class-of-two-kind-or-other"].map(str::to_owned);
        assert_eq!(labels(&names), ["0: a-clas…or-other", "1: a-clas…or-other"]);
        assert_eq!(labels(&names[..1]), ["a-class-o…or-other"]);
    }

    #[test]
    fn colours_run_from_the_first_to_the_last() {
        assert_eq!(
            [0.0, 0.25, 1.0, 2.0].map(colour),
            ["rgb(68 1 84)", "rgb(59 82 139)", "rgb(253 231 37)", "rgb(253 231 37)"]
        );
    }
}
