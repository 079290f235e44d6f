//! The chart of speed-up: one self-contained SVG, written by hand.
//!
//! Both axes are linear and begin at 0, so that what is missing to the ideal is as long as it is. Colours follow the
//! reader's light or dark scheme; the background is part of the drawing, which makes it legible on any page.

use std::fmt::Write;

use super::warning::counted;
use super::{ScalingPoint, ScalingReport};
use crate::report::grouped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 464.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 600.0;
const TOP: f64 = 108.0;
const BOTTOM: f64 = 408.0;

/// Labels of an axis that are nearer than this run into each other.
const LABEL_GAP: f64 = 22.0;

/// Letters of the caption that fit into a line, and lines that fit above the chart.
const CAPTION_LETTERS: usize = 76;
const CAPTION_LINES: usize = 2;

const STYLE: &str = "
    text { font: 13px system-ui, sans-serif; fill: #24292f; stroke: #ffffff; stroke-width: 4px; paint-order: stroke; }
    .title { font-size: 17px; font-weight: 600; }
    .quiet { fill: #57606a; }
    .page { fill: #ffffff; }
    .grid { stroke: #d8dee4; }
    .axis { stroke: #57606a; }
    .cores { stroke: #9a6700; stroke-dasharray: 2 4; }
    .ideal { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 6 5; }
    .line, .spread { stroke: #0969da; fill: none; stroke-width: 2; }
    .point { fill: #0969da; }
    .value { font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; stroke: #0d1117; }
      .quiet { fill: #9da7b3; }
      .page { fill: #0d1117; }
      .grid { stroke: #2b323b; }
      .axis, .ideal { stroke: #9da7b3; }
      .cores { stroke: #d29922; }
      .line, .spread { stroke: #58a6ff; }
      .point { fill: #58a6ff; }
    }
  ";

/// Draws the speed-up of each thread count with its spread, beside the ideal line; `caption` says what was trained.
///
/// # Panics
///
/// If the report has no points.
pub fn speed_up_chart(report: &ScalingReport, caption: &str) -> String {
    let frame = Frame::around(report);
    let mut svg = String::new();
    head(&mut svg, report, caption);
    frame.grid(&mut svg, report);
    frame.cores(&mut svg, report.machine.cores);
    frame.ideal(&mut svg, report);
    frame.measured(&mut svg, report);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, report: &ScalingReport, caption: &str) {
    let title = format!("Speed-up of training, {} scaling", report.growth);
    let description = escaped(caption);
    put(
        svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\">\n  <title>{title}</title>\n  <desc>{description}</desc>\n  \
         <style>{STYLE}</style>\n  <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
        ),
    );
    text(svg, (LEFT, 34.0), "title", "start", &title);
    for (index, line) in wrapped(caption).iter().enumerate() {
        text(svg, (LEFT, 55.0 + 18.0 * index as f64), "quiet", "start", &escaped(line));
    }
}

/// Where values lie on the drawing.
struct Frame {
    /// Threads at the right edge.
    threads: f64,
    /// Speed-up at the upper edge.
    speed_up: f64,
    /// Threads of the smallest count, whose speed-up is 1.
    smallest: f64,
}

impl Frame {
    fn around(report: &ScalingReport) -> Self {
        let (first, last) = (&report.points[0], &report.points[report.points.len() - 1]);
        let (smallest, threads) = (first.threads as f64, last.threads as f64);
        let highest = |point: &ScalingPoint| speed_ups(report, point).1;
        let highest = report.points.iter().map(highest).fold(threads / smallest, f64::max);
        Self { threads: 1.06 * threads, speed_up: 1.06 * highest, smallest }
    }

    fn x(&self, threads: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * threads / self.threads
    }

    fn y(&self, speed_up: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * speed_up / self.speed_up
    }

    /// Lines and numbers of both axes.
    fn grid(&self, svg: &mut String, report: &ScalingReport) {
        let step = step(self.speed_up);
        let mut level = 0.0;
        while level <= self.speed_up {
            let y = self.y(level);
            line(svg, "grid", (LEFT, y), (RIGHT, y));
            text(svg, (LEFT - 10.0, y + 4.5), "quiet", "end", &level.to_string());
            level += step;
        }
        line(svg, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        let mut free = LEFT;
        for point in &report.points {
            let x = self.x(point.threads as f64);
            line(svg, "axis", (x, BOTTOM), (x, BOTTOM + 5.0));
            if x >= free {
                text(svg, (x, BOTTOM + 21.0), "quiet", "middle", &point.threads.to_string());
                free = x + LABEL_GAP;
            }
        }
        text(svg, (f64::midpoint(LEFT, RIGHT), BOTTOM + 43.0), "quiet", "middle", "threads");
        let (smallest, speed) = (report.points[0].threads, report.points[0].samples_per_sec.median);
        let base =
            format!("speed of {}, {} samples/s, = 1", counted(smallest, "thread"), grouped(speed as u64));
        text(svg, (LEFT, TOP - 10.0), "quiet", "start", &base);
    }

    /// Beyond this line threads share cores.
    fn cores(&self, svg: &mut String, cores: usize) {
        let x = self.x(cores as f64);
        if x <= RIGHT {
            line(svg, "cores", (x, TOP), (x, BOTTOM));
            text(svg, (x - 6.0, BOTTOM - 8.0), "quiet", "end", &counted(cores, "core"));
        }
    }

    fn ideal(&self, svg: &mut String, report: &ScalingReport) {
        let threads = report.points[report.points.len() - 1].threads as f64;
        let end = (self.x(threads), self.y(threads / self.smallest));
        line(svg, "ideal", (self.x(0.0), self.y(0.0)), end);
        text(svg, (end.0 - 12.0, end.1 + 2.0), "quiet", "end", "ideal");
    }

    fn measured(&self, svg: &mut String, report: &ScalingReport) {
        let at = |point: &ScalingPoint| (self.x(point.threads as f64), self.y(point.speed_up));
        let path: Vec<String> = report.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(svg, format_args!("  <polyline class=\"line\" points=\"{}\"/>\n", path.join(" ")));
        for point in &report.points {
            let ((x, y), (low, high)) = (at(point), speed_ups(report, point));
            line(svg, "spread", (x, self.y(low)), (x, self.y(high)));
            put(svg, format_args!("  <circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\n"));
            text(svg, (x + 8.0, y + 18.0), "value", "start", &format!("{:.2}", point.speed_up));
        }
    }
}

/// The least and the greatest speed-up over the takes of a thread count.
fn speed_ups(report: &ScalingReport, point: &ScalingPoint) -> (f64, f64) {
    let base = report.points[0].samples_per_sec.median;
    (point.samples_per_sec.min / base, point.samples_per_sec.max / base)
}

/// The least of 0.25, 0.5, 1, 2, 5, 10, 20, 50 ... of which at most 8 fit.
fn step(height: f64) -> f64 {
    let decades = (0..).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    [0.25, 0.5].into_iter().chain(decades).find(|step| height / step <= 8.0).expect("steps grow without end")
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    put(
        svg,
        format_args!(
            "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
        ),
    );
}

/// `content` must be escaped.
fn text(svg: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, content: &str) {
    put(
        svg,
        format_args!(
            "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>\n"
        ),
    );
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes what is written to it");
}

/// Cuts a text between words into as many lines as there is room for; what does not fit ends in an ellipsis.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        let space = usize::from(!line.is_empty());
        if line.chars().count() + space + word.chars().count() > CAPTION_LETTERS && space > 0 {
            lines.push(word.to_owned());
        } else {
            line.push_str(&" "[..space]);
            line.push_str(word);
        }
    }
    let fits = lines.len() <= CAPTION_LINES;
    lines.truncate(CAPTION_LINES);
    if let (false, Some(last)) = (fits, lines.last_mut()) {
        last.push_str(" …");
    }
    lines.iter().map(|line| cut(line)).collect()
}

/// A line without what does not fit: a path may be longer than any line.
fn cut(line: &str) -> String {
    if line.chars().count() <= CAPTION_LETTERS + 2 {
        return line.to_owned();
    }
    line.chars().take(CAPTION_LETTERS).chain(['…']).collect()
}

/// As XML allows it between tags. Control characters, which XML has no way to write, become spaces.
fn escaped(text: &str) -> String {
    let plain = text.replace(|letter: char| letter.is_control(), " ");
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::{Growth, Machine, ProductRate, Spread};
    use super::*;

    fn report(speeds: &[(usize, f64)]) -> ScalingReport {
        let point = |&(threads, speed): &(usize, f64)| ScalingPoint {
            threads,
            batch_size: 64,
            shards: 4,
            steps: 1,
            samples_per_sec: Spread { median: 1000.0 * speed, min: 900.0 * speed, max: 1100.0 * speed },
            takes_samples_per_sec: vec![1000.0 * speed],
            speed_up: speed,
            efficiency: speed / threads as f64,
            gflop_per_sec: None,
            share_of_limit: None,
            ranks: Vec::new(),
            params_sha256: String::new(),
        };
        ScalingReport {
            growth: Growth::Strong,
            machine: Machine { cores: 2, load_average: None },
            limit: ProductRate { side: 8, threads: 2, gflop_per_sec: 1.0 },
            flops_per_sample: None,
            points: speeds.iter().map(point).collect(),
            same_params: true,
            warnings: Vec::new(),
        }
    }

    /// Checks that tags close in the order in which they opened and attributes are quoted, and returns the names.
    fn tags(xml: &str) -> Vec<&str> {
        let (mut open, mut all) = (Vec::new(), Vec::new());
        for tag in xml.split('<').skip(1) {
            let (inside, text) = tag.split_once('>').expect("every < has its >");
            assert!(!text.contains('>') && inside.matches('"').count() % 2 == 0, "{tag}");
            let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap();
            if inside.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "closed in order");
                continue;
            }
            all.push(name);
            if !inside.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
        all
    }

    #[test]
    fn the_chart_is_well_formed_and_has_a_point_a_count_and_the_ideal_line() {
        for counts in [&[(1, 1.0)][..], &[(1, 1.0), (2, 1.9), (8, 1.7)], &[(3, 1.0), (4, 0.4)]] {
            let svg = speed_up_chart(&report(counts), "a < b & c > \u{1} d");
            let tags = tags(&svg);
            assert_eq!(tags.iter().filter(|tag| **tag == "circle").count(), counts.len());
            assert_eq!(svg.matches("class=\"ideal\"").count(), 1);
            assert!(
                svg.contains("a &lt; b &amp; c &gt;   d") && !svg.contains("NaN") && !svg.contains("inf")
            );
        }
    }

    #[test]
    fn everything_drawn_lies_within_the_frame() {
        let svg = speed_up_chart(&report(&[(1, 1.0), (2, 2.6), (64, 3.0)]), "");
        for (name, most) in
            [("cx", WIDTH), ("x1", WIDTH), ("x2", WIDTH), ("cy", HEIGHT), ("y1", HEIGHT), ("y2", HEIGHT)]
        {
            for value in svg.split(&format!(" {name}=\"")).skip(1) {
                let value: f64 = value.split('"').next().unwrap().parse().unwrap();
                assert!((0.0..=most).contains(&value), "{name} {value}");
            }
        }
    }

    #[test]
    fn the_measured_point_of_twice_the_speed_lies_on_the_ideal_line() {
        let svg = speed_up_chart(&report(&[(1, 1.0), (2, 2.0)]), "");
        let ideal = svg.lines().find(|line| line.contains("class=\"ideal\"")).unwrap();
        let point = svg.lines().rfind(|line| line.contains("<circle")).unwrap();
        let of = |line: &str, name: &str| {
            line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        assert_eq!((of(ideal, "x2"), of(ideal, "y2")), (of(point, "cx"), of(point, "cy")));
    }

    #[test]
    fn a_caption_is_wrapped_and_no_line_is_longer_than_the_chart_is_wide() {
        assert_eq!(wrapped("digits; 64 -> 10"), ["digits; 64 -> 10"]);
        let long = wrapped(&["word"; 60].join(" "));
        assert_eq!((long.len(), long[1].ends_with(" …")), (2, true));
        let path = wrapped(&format!("/{} and more", "a".repeat(200)));
        assert!(path.iter().all(|line| line.chars().count() <= CAPTION_LETTERS + 2), "{path:?}");
    }

    #[test]
    fn steps_of_the_axis_leave_at_most_eight_numbers() {
        assert_eq!([1.0, 2.1, 8.5, 17.0, 68.0, 200.0].map(step), [0.25, 0.5, 2.0, 5.0, 10.0, 50.0]);
    }
}
