//! Curves and points over two axes.

use super::axis::PlacedAxis;
use super::frame::{Frame, WIDTH};
use super::legend::{Entry, LINE, Legend};
use super::style::{COLOURS, curve_class};
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
    /// Number of the colour, from 0; the seventh is the first again, dashed.
    pub colour: usize,
    /// x and y of each, in order; what an axis cannot show is left out.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// Dots that a line joins, unless they are very many: measured.
    Measured,
    /// A line alone.
    Curve,
    /// A dashed line: computed.
    Fit,
    /// The area within its points, such as that between the least and the greatest of several values.
    Band,
    /// Dots that nothing joins.
    Dots,
}

/// A place on the x axis.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// What is there; nothing is written if empty.
    pub label: String,
}

/// Above so many points dots would hide one another, and the line is drawn alone.
const MOST_DOTS: usize = 60;
/// What is above the legend.
const TITLE: f64 = 68.0;

impl Plot {
    /// Draws it.
    pub fn svg(&self) -> String {
        self.svg_of(WIDTH)
    }

    /// Draws it in this width, in pixels; in a narrow one letters are larger beside the rest.
    pub fn svg_of(&self, width: f64) -> String {
        let legend = Legend::new(self.series.iter().map(Series::entry), width);
        let mut frame = Frame::new(width, TITLE + LINE * self.caption.len() as f64 + legend.height());
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let marks = self.marks.iter().map(|mark| mark.x);
        let y = self.y.placed(points().map(|point| point.1), frame.bottom, frame.top);
        frame.make_room(&self.y, &y);
        let x = self.x.placed(points().map(|point| point.0).chain(marks), frame.left, frame.right);
        let said = self.series.iter().filter_map(Series::said);
        let description: Vec<String> = self.caption.iter().cloned().chain(said).collect();
        let (size, titles) = ((width, frame.height()), (self.title.as_str(), self.title.as_str()));
        let mut canvas = Canvas::described(size, titles, &self.caption, &description.join(" "));
        legend.draw(&mut canvas, frame.top - 14.0 - legend.height());
        frame.y_axis(&mut canvas, &self.y, &y);
        let ticks = x.ticks(&self.x.ticks).into_iter().map(|(tick, label)| (x.at(tick), label));
        frame.x_axis(&mut canvas, &self.x.label, ticks);
        self.marks(&mut canvas, &x, &frame);
        self.series.iter().for_each(|series| series.draw(&mut canvas, &x, &y));
        canvas.finish()
    }

    /// Labels stand one below the other, so that marks may be near each other.
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

impl Series {
    fn class(&self) -> String {
        let colour = self.colour % COLOURS;
        match self.kind {
            SeriesKind::Fit => format!("fit c{colour}"),
            SeriesKind::Band => format!("band f{colour}"),
            _ => curve_class(self.colour),
        }
    }

    fn fill(&self) -> String {
        format!("f{}", self.colour % COLOURS)
    }

    fn has_dots(&self) -> bool {
        self.kind == SeriesKind::Measured && self.points.len() <= MOST_DOTS
    }

    fn entry(&self) -> Entry<'_> {
        let (line, fill) = match self.kind {
            SeriesKind::Band => (None, Some(self.class())),
            SeriesKind::Dots => (None, Some(self.fill())),
            _ => (Some(self.class()), self.has_dots().then(|| self.fill())),
        };
        Entry { name: &self.name, line, fill }
    }

    /// The ends of a curve in words, for those who cannot see it.
    fn said(&self) -> Option<String> {
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
                let class = format!("{} faint", self.fill());
                points.iter().for_each(|point| canvas.dot(&class, *point, 2.5));
            }
            SeriesKind::Measured | SeriesKind::Curve | SeriesKind::Fit => {
                canvas.path(&self.class(), &points);
            }
        }
        // A curve of one point would not be seen.
        if self.has_dots() || (self.kind == SeriesKind::Curve && points.len() == 1) {
            points.iter().for_each(|point| canvas.dot(&self.fill(), *point, 4.0));
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
    fn a_curve_of_one_point_and_a_very_long_one_are_drawn() {
        let many: Vec<_> = (1..200).map(|x| (f64::from(x), 1.0)).collect();
        assert_eq!(plot(many).svg().matches("<circle").count(), 0);
        let mut one = plot(vec![(1.0, 1.0)]);
        one.series[0].kind = SeriesKind::Curve;
        assert_eq!(one.svg().matches("<circle").count(), 1);
    }

    #[test]
    fn the_ends_of_a_curve_are_said_in_words() {
        let svg = plot(vec![(1.0, 2.5), (3.0, 0.125)]).svg();
        assert!(svg.contains("<desc>&quot;c&quot; a &lt; b: 2.5 at 1, 0.125 at 3.</desc>"), "{svg}");
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let svg = plot(vec![(1.0, 1.0)]).svg();
        for text in ["a &lt; b", "a &amp; b", "&quot;c&quot;"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_fit_and_a_mark_are_drawn_with_their_names() {
        let mut plot = plot(vec![(1.0, 1.2), (2.0, 0.4), (3.0, 0.2)]);
        let points = vec![(1.0, 1.1), (3.0, 0.2)];
        plot.series.push(Series { name: "fitted".into(), kind: SeriesKind::Fit, colour: 0, points });
        plot.title = "Test loss".into();
        let svg = plot.svg();
        assert!(svg.starts_with("<svg") && svg.contains("Test loss"), "{svg}");
        assert!(svg.contains(">fitted</text>") && svg.contains(">here</text>"), "{svg}");
    }
}
