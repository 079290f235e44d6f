//! Everything around the data of a figure: axes with their numbers, the grid, the legend.

use super::canvas::{Canvas, Heading, shortened};
use crate::numbers::{exact, significant};

/// The spacing of values on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences have equal length.
    Linear,
    /// Equal ratios have equal length; values are above 0.
    Log,
}

/// One axis of a figure.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The label.
    pub label: String,
    /// The spacing of the values.
    pub scale: Scale,
    /// Values labelled on the axis; chosen automatically if empty.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// Returns an axis whose ticks are chosen automatically.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, ticks: Vec::new() }
    }

    /// Returns the axis with these ticks.
    pub fn with_ticks(self, ticks: Vec<f64>) -> Self {
        Self { ticks, ..self }
    }

    /// Places the axis between two positions, so that it covers all values that it can show.
    pub fn placed(&self, values: impl Iterator<Item = f64>, from: f64, to: f64) -> PlacedAxis {
        let shown = |value: &f64| value.is_finite() && (self.scale == Scale::Linear || *value > 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.chain(self.ticks.iter().copied()).filter(shown).map(|v| self.scale.place(v)) {
            // Differences of larger values may be infinite.
            let value = value.clamp(-1e300, 1e300);
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Huge values that are equal or nearly equal need a span in which ticks can be
        // distinguished.
        let least = if high > low { 0.0 } else { 0.5_f64 }.max(1e-6 * low.abs().max(high.abs()));
        let margin = (0.04 * (high - low)).max(least);
        PlacedAxis { scale: self.scale, low: low - margin, high: high + margin, from, to }
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
        }
    }
}

/// An axis with a position on the drawing.
#[derive(Clone, Copy, Debug)]
pub struct PlacedAxis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl PlacedAxis {
    pub fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (self.scale.place(value) - self.low) / (self.high - self.low)
    }

    /// Returns the values to label on the axis, each with its label: the given ones, or round ones.
    /// A label never rounds its value to a different one: 1024 is not labelled 1020, and ticks at
    /// 97.21 and 97.22 have different labels.
    pub fn ticks(&self, given: &[f64]) -> Vec<(f64, String)> {
        let chosen: Vec<(f64, String)> = match (given, self.scale) {
            ([], Scale::Linear) => self.round_linear(),
            ([], Scale::Log) => self.round_log().into_iter().map(|value| (value, exact(value))).collect(),
            _ => given.iter().map(|value| (*value, exact(*value))).collect(),
        };
        let within = |(value, _): &(f64, String)| (self.low..=self.high).contains(&self.scale.place(*value));
        chosen.into_iter().filter(within).collect()
    }

    /// Returns multiples of a round step, labelled up to the digit in which they differ.
    fn round_linear(&self) -> Vec<(f64, String)> {
        let step = round_step(self.high - self.low);
        let first = (self.low / step).ceil();
        let label = |value: f64| {
            let digits = 1.0 + value.abs().log10().floor() - (1.0001 * step).log10().floor();
            exact(significant(value, digits.clamp(1.0, 17.0) as usize))
        };
        (0..=MAX_STEPS)
            .map(|k| (first + f64::from(k)) * step)
            .take_while(|value| *value <= self.high)
            .map(|value| (value, label(value)))
            .collect()
    }

    /// Returns powers of ten, with 2 and 5 in between if there are few.
    fn round_log(&self) -> Vec<f64> {
        let digits: &[f64] = if self.high - self.low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power))).collect()
    }
}

const MAX_STEPS: u32 = 8;

/// Returns the smallest of 1, 2, 5 times a power of ten that fits into a span at most
/// [`MAX_STEPS`] times.
fn round_step(span: f64) -> f64 {
    let most = f64::from(MAX_STEPS);
    let power = 10_f64.powf((span / most).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    step.into_iter().find(|step| span / step <= most).unwrap_or(10.0 * power)
}

/// The area of a drawing that holds the data.
#[derive(Clone, Copy)]
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Width of a standalone figure.
pub const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
/// Width of the label of the left axis with the gaps on both sides of its numbers, and approximate
/// width of a digit.
const AXIS_LABEL: f64 = 34.0;
const LETTER: f64 = 8.0;
/// Height of the numbers and the label of the lower axis.
const BELOW: f64 = 56.0;

impl Frame {
    /// Returns the frame of a figure of this width, with this space above it; narrow frames are
    /// lower.
    fn new(width: f64, above: f64) -> Self {
        let height = if width < WIDTH { 0.8 * HEIGHT } else { HEIGHT };
        Self { left: LEFT, right: width - 20.0, top: above, bottom: above + height }
    }

    /// Moves the left edge to make space for the numbers of the axis.
    fn make_room(&mut self, axis: &Axis, placed: &PlacedAxis) {
        let letters = placed.ticks(&axis.ticks).iter().map(|(_, label)| label.chars().count()).max();
        self.left = self.left.max(AXIS_LABEL + LETTER * letters.unwrap_or(0) as f64);
    }

    /// Draws the grid lines and the numbers of the left axis.
    fn y_axis(&self, canvas: &mut Canvas, axis: &Axis, placed: &PlacedAxis) {
        for (tick, label) in placed.ticks(&axis.ticks) {
            canvas.line("grid", (self.left, placed.at(tick)), (self.right, placed.at(tick)));
            canvas.text("quiet", "end", (self.left - 8.0, placed.at(tick) + 4.5), &label);
        }
        canvas.text_upwards("quiet", (20.0, f64::midpoint(self.top, self.bottom)), &axis.label);
    }

    /// Draws the lower axis: ticks, and as many of their labels as fit.
    pub fn x_axis(&self, canvas: &mut Canvas, label: &str, ticks: impl Iterator<Item = (f64, String)>) {
        canvas.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let mut free = 0.0;
        for (at, text) in ticks {
            let half = 4.0 * text.chars().count() as f64;
            canvas.line("axis", (at, self.bottom), (at, self.bottom + 5.0));
            if at - half >= free {
                canvas.text("quiet", "middle", (at, self.bottom + 20.0), &text);
                free = at + half + 6.0;
            }
        }
        canvas.text("quiet", "middle", (f64::midpoint(self.left, self.right), self.bottom + 43.0), label);
    }
}

/// Height of a line of a legend or a caption.
const LINE: f64 = 18.0;
/// Left edge of the first column of a legend, and approximate width of a letter.
const LEGEND_LEFT: f64 = 16.0;
const LEGEND_LETTER: f64 = 7.0;
/// Width of a line sample, plus the gaps on both sides of its name.
const SAMPLE_AND_GAPS: f64 = 58.0;
/// Distance of a name from the left edge of its line sample.
const NAME: f64 = 34.0;

/// The legend: the names of series, each next to a sample of its line, in as many columns as fit.
pub struct Legend<'a> {
    entries: Vec<LegendEntry<'a>>,
    columns: usize,
    width: f64,
}

/// An entry of a legend.
pub struct LegendEntry<'a> {
    pub name: &'a str,
    /// Class of the line before the name; `None` for a box.
    pub line: Option<String>,
    /// Class of the dot on the line, or of the box.
    pub fill: Option<String>,
}

impl<'a> Legend<'a> {
    /// Lays out the entries that have a name, within the width of a figure.
    pub fn new(entries: impl Iterator<Item = LegendEntry<'a>>, width: f64) -> Self {
        let entries: Vec<_> = entries.filter(|entry| !entry.name.is_empty()).collect();
        let longest = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
        let room = width - 2.0 * LEGEND_LEFT;
        let columns = (room / (SAMPLE_AND_GAPS + LEGEND_LETTER * longest as f64)) as usize;
        Self { columns: columns.clamp(1, entries.len().max(1)), entries, width: room }
    }

    fn height(&self) -> f64 {
        LINE * self.entries.len().div_ceil(self.columns) as f64
    }

    fn draw(&self, canvas: &mut Canvas, top: f64) {
        for (index, entry) in self.entries.iter().enumerate() {
            let x = LEGEND_LEFT + self.width / self.columns as f64 * (index % self.columns) as f64;
            let y = top + LINE * (index / self.columns) as f64;
            match (&entry.line, &entry.fill) {
                (Some(line), fill) => {
                    canvas.path(line, &[(x, y), (x + 26.0, y)]);
                    fill.iter().for_each(|fill| canvas.dot(fill, (x + 13.0, y), 4.0));
                }
                (None, Some(fill)) => canvas.rect(fill, (x + 7.0, y - 6.0), (12.0, 12.0)),
                (None, None) => {}
            }
            let most = ((self.width / self.columns as f64 - NAME) / LEGEND_LETTER) as usize;
            canvas.text("", "start", (x + NAME, y + 4.5), &shortened(entry.name, most));
        }
    }
}

/// Everything around the data of a figure except its lower axis.
pub struct PlotDecorations<'a> {
    pub title: &'a str,
    pub caption: &'a [String],
    /// The content of the figure in words.
    pub description: &'a str,
    pub legend: Legend<'a>,
    /// The axis on the left.
    pub y: &'a Axis,
}

/// Height of the title, with the gap above the legend.
const TITLE: f64 = 68.0;

impl PlotDecorations<'_> {
    /// Draws the decorations at this width, with a left axis that covers `values`; returns the
    /// canvas, the frame for the data and the left axis.
    pub fn draw(&self, width: f64, values: impl Iterator<Item = f64>) -> (Canvas, Frame, PlacedAxis) {
        let Self { title, caption, description, legend, y } = self;
        let mut frame = Frame::new(width, TITLE + LINE * caption.len() as f64 + legend.height());
        let placed = y.placed(values, frame.bottom, frame.top);
        frame.make_room(y, &placed);
        let heading = Heading { name: title, title, caption, description };
        let mut canvas = Canvas::new((width, frame.bottom + BELOW), &heading);
        legend.draw(&mut canvas, frame.top - 14.0 - legend.height());
        frame.y_axis(&mut canvas, y, &placed);
        (canvas, frame, placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_within_the_drawing_in_their_order() {
        for scale in [Scale::Linear, Scale::Log] {
            let placed = Axis::new("", scale).placed([1.0, 10.0, 1000.0].into_iter(), 0.0, 100.0);
            let at = [1.0, 10.0, 1000.0].map(|value| placed.at(value));
            assert!(at[0] > 0.0 && at[0] < at[1] && at[1] < at[2] && at[2] < 100.0, "{at:?}");
        }
    }

    #[test]
    fn equal_ratios_have_equal_length_on_a_log_axis() {
        let placed = Axis::new("", Scale::Log).placed([1.0, 16.0].into_iter(), 0.0, 100.0);
        assert!((placed.at(4.0) - f64::midpoint(placed.at(1.0), placed.at(16.0))).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_few_and_round() {
        let placed = |scale, low, high| Axis::new("", scale).placed([low, high].into_iter(), 0.0, 1.0);
        let labels = |placed: PlacedAxis, given: &[f64]| -> Vec<String> {
            placed.ticks(given).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(placed(Scale::Linear, 0.0, 1.0), &[]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            labels(placed(Scale::Log, 1.0, 1e5), &[]),
            ["1", "10", "100", "1000", "10,000", "100,000"]
        );
        assert_eq!(labels(placed(Scale::Log, 1.0, 9.0), &[]), ["1", "2", "5"]);
        assert_eq!(labels(placed(Scale::Log, 1.0, 9.0), &[3.0, 30.0]), ["3"]);
    }

    #[test]
    fn a_label_is_the_exact_value_of_its_tick() {
        for given in [1024.0, 4096.0, 1023.5, 65_536.0, 1_048_576.0, -1250.0, -20_000.0, 0.0009765625, 1e300]
        {
            let placed = Axis::new("", Scale::Linear).placed([given].into_iter(), 0.0, 1.0);
            let [(value, label)] = &placed.ticks(&[given])[..] else { panic!("{given}") };
            assert_eq!((label.replace(',', "").parse(), *value), (Ok(given), given), "{label}");
        }
        for (low, high) in [
            (0.0, 0.7),
            (97.21, 97.24),
            (1_000_000.0, 1_020_000.0),
            (-1020.0, -1005.0),
            (-40_000.0, -10_000.0),
            (12_345.0, 12_345.6),
            (1e-9, 3e-9),
            (1e300, 3e300),
        ] {
            let placed = Axis::new("", Scale::Linear).placed([low, high].into_iter(), 0.0, 1.0);
            let ticks = placed.ticks(&[]);
            assert!(ticks.len() >= 3, "{ticks:?}");
            for (value, label) in ticks {
                let read: f64 = label.replace(',', "").parse().unwrap();
                assert!((read - value).abs() <= 1e-9 * (high - low), "{value} is labelled {label}");
            }
        }
    }

    #[test]
    fn values_of_any_size_have_a_few_ticks() {
        for value in [0.0, 1e-320, 9e15, 2.9e34, -1e20, 1e300, f64::MAX, f64::MIN] {
            for values in
                [vec![value], vec![value, value * (1.0 - 1e-16)], vec![value, 0.0], vec![f64::MIN, value]]
            {
                let placed = Axis::new("", Scale::Linear).placed(values.iter().copied(), 0.0, 1.0);
                let ticks = placed.ticks(&[]);
                assert!((1..=9).contains(&ticks.len()), "{values:?}: {ticks:?}");
                assert!(
                    ticks.iter().all(|(tick, _)| (0.0..=1.0).contains(&placed.at(*tick))),
                    "{values:?}: {ticks:?}"
                );
            }
        }
    }

    #[test]
    fn one_value_or_no_value_gives_a_valid_axis() {
        assert!((Axis::new("", Scale::Log).placed([5.0].into_iter(), 0.0, 1.0).at(5.0) - 0.5).abs() < 1e-12);
        assert!(Axis::new("", Scale::Log).placed([-5.0, f64::NAN].into_iter(), 0.0, 1.0).at(2.0).is_finite());
    }
}
