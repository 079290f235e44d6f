//! Curves and points over two axes.

use super::axis::PlacedAxis;
use super::style::COLOURS;
use super::{Axis, Canvas, short_number};

/// A figure of curves and points.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// From left to right.
    pub x: Axis,
    /// From below.
    pub y: Axis,
    /// What is drawn, in this order.
    pub series: Vec<Series>,
    /// Places on the x axis that are pointed out.
    pub marks: Vec<Mark>,
}

/// Points of one kind.
#[derive(Clone, Debug)]
pub struct Series {
    /// What they are; not in the legend if empty.
    pub name: String,
    /// How they are drawn.
    pub kind: SeriesKind,
    /// Number of the colour, from 0.
    pub colour: usize,
    /// x and y of each, in order; what an axis cannot show is left out.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// Dots that a line joins: measured.
    Measured,
    /// A line alone.
    Curve,
    /// A dashed line: computed.
    Fit,
}

/// A place on the x axis.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// What is there.
    pub label: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 700.0;
/// Height of a line of the legend, or of the caption.
const LINE: f64 = 18.0;

impl Plot {
    /// Draws it.
    pub fn svg(&self) -> String {
        let named = self.series.iter().filter(|series| !series.name.is_empty()).count();
        let top = 68.0 + LINE * (self.caption.len() as f64 + named.div_ceil(2) as f64);
        let bottom = top + HEIGHT;
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let marks = self.marks.iter().map(|mark| mark.x);
        let x = self.x.placed(points().map(|point| point.0).chain(marks), LEFT, RIGHT);
        let y = self.y.placed(points().map(|point| point.1), bottom, top);
        let mut canvas = Canvas::new(WIDTH, bottom + 56.0, &self.title, &self.caption);
        self.legend(&mut canvas, top - 14.0 - LINE * named.div_ceil(2) as f64);
        self.grid(&mut canvas, (&x, &y), (top, bottom));
        self.marks(&mut canvas, &x, (top, bottom));
        for series in &self.series {
            series.draw(&mut canvas, &x, &y);
        }
        canvas.finish()
    }

    fn legend(&self, canvas: &mut Canvas, top: f64) {
        let named = self.series.iter().filter(|series| !series.name.is_empty());
        for (index, series) in named.enumerate() {
            let x = 16.0 + 340.0 * (index % 2) as f64;
            let y = top + LINE * (index / 2) as f64;
            canvas.path(&series.class(), &[(x, y), (x + 26.0, y)]);
            if series.kind == SeriesKind::Measured {
                canvas.dot(&format!("f{}", series.colour % COLOURS), (x + 13.0, y), 4.0);
            }
            canvas.text("", "start", (x + 34.0, y + 4.5), &series.name);
        }
    }

    fn grid(&self, canvas: &mut Canvas, (x, y): (&PlacedAxis, &PlacedAxis), (top, bottom): (f64, f64)) {
        for tick in y.ticks(&self.y.ticks) {
            canvas.line("grid", (LEFT, y.at(tick)), (RIGHT, y.at(tick)));
            canvas.text("quiet", "end", (LEFT - 8.0, y.at(tick) + 4.5), &short_number(tick));
        }
        canvas.line("axis", (LEFT, bottom), (RIGHT, bottom));
        let mut free = 0.0;
        for tick in x.ticks(&self.x.ticks) {
            let (at, text) = (x.at(tick), short_number(tick));
            let half = 4.0 * text.len() as f64;
            canvas.line("axis", (at, bottom), (at, bottom + 5.0));
            if at - half >= free {
                canvas.text("quiet", "middle", (at, bottom + 20.0), &text);
                free = at + half + 6.0;
            }
        }
        canvas.text("quiet", "middle", (f64::midpoint(LEFT, RIGHT), bottom + 43.0), &self.x.label);
        canvas.text_upwards("quiet", (20.0, f64::midpoint(top, bottom)), &self.y.label);
    }

    /// Labels stand one below the other, so that marks may be near each other.
    fn marks(&self, canvas: &mut Canvas, x: &PlacedAxis, (top, bottom): (f64, f64)) {
        for (index, mark) in self.marks.iter().enumerate() {
            let (at, y) = (x.at(mark.x), bottom - 10.0 - 17.0 * index as f64);
            let late = at > f64::midpoint(LEFT, RIGHT);
            let (anchor, shift) = if late { ("end", -6.0) } else { ("start", 6.0) };
            canvas.line("mark", (at, top), (at, bottom));
            canvas.text("quiet", anchor, (at + shift, y), &mark.label);
        }
    }
}

impl Series {
    fn class(&self) -> String {
        let kind = if self.kind == SeriesKind::Fit { "fit" } else { "curve" };
        format!("{kind} c{}", self.colour % COLOURS)
    }

    fn draw(&self, canvas: &mut Canvas, x: &PlacedAxis, y: &PlacedAxis) {
        let at = |&(a, b): &(f64, f64)| (x.at(a), y.at(b));
        let shown = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let points: Vec<_> = self.points.iter().map(at).filter(shown).collect();
        canvas.path(&self.class(), &points);
        if self.kind == SeriesKind::Measured {
            let class = format!("f{}", self.colour % COLOURS);
            points.iter().for_each(|point| canvas.dot(&class, *point, 4.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scale;
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot {
        let series = Series { name: "a < b".into(), kind: SeriesKind::Measured, colour: 7, points };
        Plot {
            title: "a & b".into(),
            caption: vec!["\"c\"".into()],
            x: Axis::new("x", Scale::Log),
            y: Axis::new("y", Scale::Log),
            series: vec![series],
            marks: vec![Mark { x: 10.0, label: "here".into() }],
        }
    }

    #[test]
    fn a_point_that_an_axis_cannot_show_is_left_out_and_the_others_are_drawn() {
        let svg = plot(vec![(1.0, 1.0), (2.0, f64::INFINITY), (3.0, f64::NAN), (4.0, 0.0), (5.0, 2.0)]).svg();
        assert_eq!(svg.matches("<circle").count(), 2 + 1, "two points and that of the legend");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let svg = plot(vec![(1.0, 1.0)]).svg();
        for text in ["a &lt; b", "a &amp; b", "&quot;c&quot;"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
