//! The figures: curves and points over two axes, stacked columns, heat maps.

use std::collections::BTreeSet;

use super::axes::{Axis, Frame, Legend, LegendEntry, PlacedAxis, PlotDecorations, Scale, WIDTH};
use super::canvas::{Canvas, Heading, curve_class, fill, shortened, stroke};
use crate::numbers::{brief, grouped, short_number};

/// A figure of curves and points.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The title.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The series, in the order in which they are drawn.
    pub series: Vec<PlotSeries>,
    /// Marked positions on the x axis.
    pub marks: Vec<Mark>,
    /// Texts at points.
    pub notes: Vec<Note>,
}

/// A series of points.
#[derive(Clone, Debug)]
pub struct PlotSeries {
    /// The name; not in the legend if empty.
    pub name: String,
    /// The style of the series.
    pub kind: SeriesKind,
    /// Index of the colour, from 0; from 6 on, the colours repeat with dashed lines.
    pub colour: usize,
    /// x and y of each point, in order; points that an axis cannot show are omitted.
    pub points: Vec<(f64, f64)>,
}

/// The style of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// Measured values: dots joined by a line, or the line alone if there are too many dots.
    Measured,
    /// A line without dots.
    Curve,
    /// Computed values: a dashed line.
    Fit,
    /// The area within the points, such as the range between minimum and maximum.
    Band,
    /// Dots without a line.
    Dots,
}

/// A marked position on the x axis.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The value on the axis.
    pub x: f64,
    /// The label; may be empty.
    pub label: String,
}

/// A text below a point, to its right, or to its left if there is no space.
#[derive(Clone, Debug)]
pub struct Note {
    /// x and y of the point.
    pub at: (f64, f64),
    /// The text.
    pub text: String,
}

/// Maximum number of points drawn as dots; more would overlap, so only the line is drawn.
const MAX_DOTS: usize = 60;

impl Plot {
    /// Returns an empty plot over two axes.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        let title = title.into();
        Self { title, caption: Vec::new(), x, y, series: Vec::new(), marks: Vec::new(), notes: Vec::new() }
    }

    /// Draws the figure.
    pub fn svg(&self) -> String {
        self.svg_of(WIDTH)
    }

    /// Draws the figure at this width in pixels; the narrower, the larger the letters in
    /// proportion.
    pub fn svg_of(&self, width: f64) -> String {
        let in_words = self.series.iter().filter_map(PlotSeries::in_words);
        let description: Vec<String> = self.caption.iter().cloned().chain(in_words).collect();
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let decorations = PlotDecorations {
            title: &self.title,
            caption: &self.caption,
            description: &description.join(" "),
            legend: Legend::new(self.series.iter().map(PlotSeries::entry), width),
            y: &self.y,
        };
        let (mut canvas, frame, y) = decorations.draw(width, points().map(|point| point.1));
        let marks = self.marks.iter().map(|mark| mark.x);
        let x = self.x.placed(points().map(|point| point.0).chain(marks), frame.left, frame.right);
        let ticks = x.ticks(&self.x.ticks).into_iter().map(|(tick, label)| (x.at(tick), label));
        frame.x_axis(&mut canvas, &self.x.label, ticks);
        self.marks(&mut canvas, &x, &frame);
        self.series.iter().for_each(|series| series.draw(&mut canvas, &x, &y));
        for Note { at, text } in &self.notes {
            let (x, y) = (x.at(at.0), y.at(at.1) + 18.0);
            let fits = x + 8.0 + LETTER * letters(text) < width;
            let (anchor, x) = if fits { ("start", x + 8.0) } else { ("end", x - 8.0) };
            canvas.text("strong", anchor, (x, y), text);
        }
        canvas.finish()
    }

    /// Draws the marks with stacked labels, so that marks may be close to each other.
    fn marks(&self, canvas: &mut Canvas, x: &PlacedAxis, frame: &Frame) {
        for (index, mark) in self.marks.iter().enumerate() {
            let (at, y) = (x.at(mark.x), frame.bottom - 10.0 - 17.0 * index as f64);
            let late = at > f64::midpoint(frame.left, frame.right);
            let (anchor, shift) = if late { ("end", -6.0) } else { ("start", 6.0) };
            canvas.line("mark", (at, frame.top), (at, frame.bottom));
            if mark.label.is_empty() {
                continue;
            }
            canvas.text("quiet", anchor, (at + shift, y), &mark.label);
        }
    }
}

impl PlotSeries {
    fn class(&self) -> String {
        match self.kind {
            SeriesKind::Fit => format!("fit {}", stroke(self.colour)),
            SeriesKind::Band => format!("band {}", fill(self.colour)),
            _ => curve_class(self.colour),
        }
    }

    fn has_dots(&self) -> bool {
        self.kind == SeriesKind::Measured && self.points.len() <= MAX_DOTS
    }

    fn entry(&self) -> LegendEntry<'_> {
        let (line, fill) = match self.kind {
            SeriesKind::Band => (None, Some(self.class())),
            SeriesKind::Dots => (None, Some(fill(self.colour))),
            _ => (Some(self.class()), self.has_dots().then(|| fill(self.colour))),
        };
        LegendEntry { name: &self.name, line, fill }
    }

    /// Describes the ends of a curve in words, for screen readers.
    fn in_words(&self) -> Option<String> {
        let is_curve = matches!(self.kind, SeriesKind::Measured | SeriesKind::Curve);
        let ((x, first), (to, last)) = (*self.points.first()?, *self.points.last()?);
        let [x, first, to, last] = [x, first, to, last].map(short_number);
        let name = &self.name;
        (is_curve && !name.is_empty()).then(|| format!("{name}: {first} at {x}, {last} at {to}."))
    }

    fn draw(&self, canvas: &mut Canvas, x: &PlacedAxis, y: &PlacedAxis) {
        let at = |&(a, b): &(f64, f64)| (x.at(a), y.at(b));
        let shown = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let points: Vec<_> = self.points.iter().map(at).filter(shown).collect();
        match self.kind {
            SeriesKind::Band => canvas.area(&self.class(), &points),
            SeriesKind::Dots => {
                let class = format!("{} faint", fill(self.colour));
                points.iter().for_each(|point| canvas.dot(&class, *point, 2.5));
            }
            SeriesKind::Measured | SeriesKind::Curve | SeriesKind::Fit => {
                canvas.path(&self.class(), &points);
            }
        }
        // A curve of one point would be invisible.
        if self.has_dots() || (self.kind == SeriesKind::Curve && points.len() == 1) {
            points.iter().for_each(|point| canvas.dot(&fill(self.colour), *point, 4.0));
        }
    }
}

/// A figure of stacked columns.
#[derive(Clone, Debug)]
pub struct StackedColumns {
    /// The title.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// The label of the horizontal axis.
    pub label: String,
    /// The label of the vertical axis.
    pub height: String,
    /// The name of each column.
    pub names: Vec<String>,
    /// The parts, from the bottom up: the name of each, and its height in every column, 0 or more.
    pub parts: Vec<(String, Vec<f64>)>,
}

impl StackedColumns {
    /// Draws the figure at this width in pixels.
    ///
    /// # Panics
    ///
    /// If a part does not have one height per column.
    pub fn svg_of(&self, width: f64) -> String {
        assert!(
            self.parts.iter().all(|(_, heights)| heights.len() == self.names.len()),
            "one height per column"
        );
        let entries = self.parts.iter().enumerate();
        let entries =
            entries.map(|(index, (name, _))| LegendEntry { name, line: None, fill: Some(fill(index)) });
        let y_axis = Axis::new(self.height.as_str(), Scale::Linear);
        let decorations = PlotDecorations {
            title: &self.title,
            caption: &self.caption,
            description: &self.description(),
            legend: Legend::new(entries, width),
            y: &y_axis,
        };
        let tops = (0..self.names.len()).map(|column| self.parts.iter().map(|(_, h)| h[column]).sum());
        let (mut canvas, frame, y) = decorations.draw(width, tops.chain([0.0]));
        let each = (frame.right - frame.left) / self.names.len().max(1) as f64;
        let left = |column: usize| frame.left + each * column as f64;
        let names = self.names.iter().enumerate();
        frame.x_axis(
            &mut canvas,
            &self.label,
            names.map(|(column, name)| (left(column) + each / 2.0, name.clone())),
        );
        let (wide, gap) = ((0.7 * each).min(90.0), (each - (0.7 * each).min(90.0)) / 2.0);
        for (column, name) in self.names.iter().enumerate() {
            let mut below = 0.0;
            for (index, (part, heights)) in self.parts.iter().enumerate() {
                let (from, to) = (y.at(below), y.at(below + heights[column]));
                let tip = format!("{} {name}, {part}: {}", self.label, short_number(heights[column]));
                canvas.rect_with_tooltip(&fill(index), (left(column) + gap, to), (wide, from - to), &tip);
                below += heights[column];
            }
        }
        canvas.finish()
    }

    /// Describes the shares of the parts in words, for screen readers.
    fn description(&self) -> String {
        let sum = |heights: &[f64]| heights.iter().sum::<f64>();
        let total = self.parts.iter().map(|(_, heights)| sum(heights)).sum::<f64>().max(f64::MIN_POSITIVE);
        let share = |(name, heights): &(String, Vec<f64>)| {
            format!("{name}: {:.0} % of the total.", 100.0 * sum(heights) / total)
        };
        let sentences: Vec<String> =
            self.caption.iter().cloned().chain(self.parts.iter().map(share)).collect();
        sentences.join(" ")
    }
}

/// A heat map: a table of values as colours, from dark for the lowest to light for the highest.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// The title.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// The label of the columns, and the name of each.
    pub columns: (String, Vec<String>),
    /// The label of the rows, and the name of each.
    pub rows: (String, Vec<String>),
    /// The cells, row by row: one per row and column.
    pub cells: Vec<HeatCell>,
}

/// One cell of a heat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeatCell {
    /// A value above 0.
    Value(f64),
    /// A count above 0.
    Count(u64),
    /// A highlighted value.
    Best(f64),
    /// No value, because the run diverged.
    Lost,
    /// Not measured.
    Empty,
}

/// Space for the names of rows: the minimum, the width of a letter, and the maximum number of
/// letters.
const LEFT: f64 = 78.0;
const LETTER: f64 = 7.2;
const MAX_LETTERS: usize = 18;
const CELL: (f64, f64) = (42.0, 28.0);

impl HeatMap {
    /// Draws the figure.
    ///
    /// # Panics
    ///
    /// If the number of cells is not rows times columns.
    pub fn svg(&self) -> String {
        self.draw(&self.title, &self.caption)
    }

    /// Draws the figure without title and caption, for a page that adds them itself.
    pub fn svg_without_title(&self) -> String {
        self.draw("", &[])
    }

    fn draw(&self, title: &str, caption: &[String]) -> String {
        let (columns, rows) = (self.columns.1.len(), self.rows.1.len());
        assert_eq!(self.cells.len(), columns * rows, "one cell per row and column");
        let (row_names, column_names) = (labels(&self.rows.1), labels(&self.columns.1));
        let vertical = are_vertical(&column_names);
        let left = LEFT.max(44.0 + label_space(&row_names));
        let below = if vertical { 14.0 + label_space(&column_names) } else { 24.0 };
        let above = if title.is_empty() { 16.0 } else { 58.0 + 18.0 * caption.len() as f64 };
        // The labels of the axes may need more space than a few rows or columns take.
        let top = above + (0.5 * (LETTER * letters(&self.rows.0) - CELL.1 * rows as f64)).max(0.0);
        let (right, bottom) = (left + CELL.0 * columns as f64, top + CELL.1 * rows as f64);
        let half = 0.5 * LETTER * letters(&self.columns.0);
        let middle = f64::midpoint(left, right).max(half + 30.0);
        let width = (right + 20.0).max(middle + half + 8.0).max(if title.is_empty() { 0.0 } else { 480.0 });
        let description = self.caption.join(" ");
        let heading = Heading { name: &self.title, title, caption, description: &description };
        let mut canvas = Canvas::new((width, bottom + below + 32.0), &heading);
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
        draw_columns(&mut canvas, &column_names, (left, bottom), vertical);
        canvas.text("quiet", "middle", (middle, bottom + below + 19.0), &self.columns.0);
        canvas.text_upwards("quiet", (20.0, f64::midpoint(top, bottom)), &self.rows.0);
        canvas.finish()
    }

    fn cell(&self, canvas: &mut Canvas, (x, y): (f64, f64), cell: HeatCell, name: &str) {
        let (corner, size) = ((x + 1.0, y + 1.0), (CELL.0 - 2.0, CELL.1 - 2.0));
        let middle = (x + CELL.0 / 2.0, y + 18.0);
        let mut filled = |value: f64, whole: String, short: String| {
            let shade = self.shade(value);
            canvas.filled(&colour(shade), corner, size, &format!("{name}: {whole}"));
            canvas.text(if shade < 0.48 { "on-dark" } else { "on-light" }, "middle", middle, &short);
        };
        match cell {
            HeatCell::Empty => {}
            HeatCell::Lost => {
                canvas.rect("lost", corner, size);
                canvas.text("quiet", "middle", middle, "×");
            }
            HeatCell::Value(value) => filled(value, format!("{value:?}"), brief(value)),
            HeatCell::Best(value) => {
                filled(value, format!("{value:?}"), brief(value));
                canvas.rect("best", corner, size);
            }
            HeatCell::Count(count) => {
                let short = if count < 100_000 { grouped(count) } else { format!("{:.1e}", count as f64) };
                filled(count as f64, grouped(count), short);
            }
        }
    }

    /// Returns the position of a value between minimum and maximum on a logarithmic scale, from 0
    /// to 1.
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

/// True if a name is wider than its column. Numbers do not count, because readers can infer omitted
/// ones.
fn are_vertical(labels: &[String]) -> bool {
    let is_name = |label: &String| label.parse::<f64>().is_err() && !label.contains(',');
    labels.iter().any(|label| is_name(label) && LETTER * letters(label) > CELL.0)
}

fn draw_columns(canvas: &mut Canvas, labels: &[String], (left, bottom): (f64, f64), vertical: bool) {
    let mut free = 0.0;
    for (column, label) in labels.iter().enumerate() {
        let (at, half) = (left + CELL.0 * (column as f64 + 0.5), 4.0 * letters(label));
        if vertical {
            canvas.text_upwards_to("quiet", (at + 4.5, bottom + 8.0), label);
        } else if at - half >= free {
            canvas.text("quiet", "middle", (at, bottom + 18.0), label);
            free = at + half + 4.0;
        }
    }
}

/// Returns the space that labels need next to or below the cells.
fn label_space(labels: &[String]) -> f64 {
    LETTER * labels.iter().map(|label| letters(label)).fold(0.0, f64::max)
}

fn letters(text: &str) -> f64 {
    text.chars().count() as f64
}

/// Shortens names to fit; names that would look the same are numbered from 0.
fn labels(names: &[String]) -> Vec<String> {
    let short: Vec<String> = names.iter().map(|name| shortened(name, MAX_LETTERS)).collect();
    if short.iter().collect::<BTreeSet<_>>().len() == names.iter().collect::<BTreeSet<_>>().len() {
        return short;
    }
    let numbered = names.iter().enumerate();
    numbered.map(|(index, name)| shortened(&format!("{index}: {name}"), MAX_LETTERS)).collect()
}

/// The colours of the map viridis (S. van der Walt, N. Smith, CC0) at 0, 1/4 .. 1; its lightness
/// increases evenly.
const VIRIDIS: [[f64; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];

fn colour(shade: f64) -> String {
    let place = 4.0 * shade.clamp(0.0, 1.0);
    let (index, part) = ((place as usize).min(3), place - (place as usize).min(3) as f64);
    let mix = |channel: usize| VIRIDIS[index][channel] * (1.0 - part) + VIRIDIS[index + 1][channel] * part;
    format!("rgb({:.0} {:.0} {:.0})", mix(0), mix(1), mix(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let series = PlotSeries { name: "a < b".into(), kind: SeriesKind::Measured, colour: 7, points };
        Plot {
            caption: vec!["\"c\"".into()],
            series: vec![series],
            marks: vec![Mark { x: 10.0, label: "here".into() }],
            ..Plot::new("a & b", Axis::new("x", Scale::Log), Axis::new("y", Scale::Log))
        }
    }

    #[test]
    fn points_that_an_axis_cannot_show_are_omitted_and_the_others_are_drawn() {
        let svg = plot(vec![(1.0, 1.0), (2.0, f64::INFINITY), (3.0, f64::NAN), (4.0, 0.0), (5.0, 2.0)]).svg();
        assert_eq!(svg.matches("<circle").count(), 2 + 1, "two points and the one in the legend");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_curve_of_one_point_and_a_very_long_one_are_drawn() {
        let many: Vec<_> = (1..200).map(|x| (f64::from(x), 1.0)).collect();
        assert_eq!(plot(many).svg().matches("<circle").count(), 0);
        let mut one = plot(vec![(1.0, 1.0)]);
        one.series[0].kind = SeriesKind::Curve;
        assert_eq!(one.svg().matches("<circle").count(), 1);
    }

    #[test]
    fn the_ends_of_a_curve_are_described_in_words() {
        let svg = plot(vec![(1.0, 2.5), (3.0, 0.125)]).svg();
        assert!(svg.contains("<desc>&quot;c&quot; a &lt; b: 2.5 at 1, 0.125 at 3.</desc>"), "{svg}");
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let svg = plot(vec![(1.0, 1.0)]).svg();
        for text in ["a &lt; b", "a &amp; b", "&quot;c&quot;"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_fit_and_a_mark_are_drawn_with_their_names() {
        let mut plot = plot(vec![(1.0, 1.2), (2.0, 0.4), (3.0, 0.2)]);
        let points = vec![(1.0, 1.1), (3.0, 0.2)];
        plot.series.push(PlotSeries { name: "fitted".into(), kind: SeriesKind::Fit, colour: 0, points });
        plot.title = "Test loss".into();
        let svg = plot.svg();
        assert!(svg.starts_with("<svg") && svg.contains("Test loss"), "{svg}");
        assert!(svg.contains(">fitted</text>") && svg.contains(">here</text>"), "{svg}");
    }

    #[test]
    fn every_part_of_every_column_is_drawn_and_described() {
        let part = |name: &str, heights: [f64; 2]| (name.to_owned(), heights.to_vec());
        let columns = StackedColumns {
            title: "t".into(),
            caption: Vec::new(),
            label: "epoch".into(),
            height: "seconds".into(),
            names: vec!["1".into(), "2".into()],
            parts: vec![part("a", [1.0, 2.0]), part("b", [0.0, 1.0])],
        };
        let svg = columns.svg_of(480.0);
        assert!(svg.contains("epoch 2, a: 2</title>") && svg.contains("epoch 1, b: 0</title>"), "{svg}");
        assert!(svg.contains("a: 75 % of the total"), "{svg}");
    }

    #[test]
    fn every_kind_of_cell_is_drawn() {
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
    fn long_names_of_columns_are_vertical_and_none_is_omitted() {
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
    fn long_names_that_differ_in_the_middle_are_numbered() {
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
