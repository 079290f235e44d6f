//! The chart of speed-up: one self-contained SVG.
//!
//! Both axes are linear and begin at 0, so that what is missing to the ideal is as long as it is.

use super::warning::counted;
use super::{ScalingPoint, ScalingReport};
use crate::report::figure::Canvas;
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

/// Draws the speed-up of each thread count with its spread, beside the ideal line; `caption` says what was trained.
///
/// # Panics
///
/// If the report has no points.
pub fn speed_up_chart(report: &ScalingReport, caption: &str) -> String {
    let frame = Frame::around(report);
    let title = format!("Speed-up of training, {} scaling", report.growth);
    let mut canvas = Canvas::new(WIDTH, HEIGHT, &title, &wrapped(caption));
    frame.grid(&mut canvas, report);
    frame.cores(&mut canvas, report.machine.cores);
    frame.ideal(&mut canvas, report);
    frame.measured(&mut canvas, report);
    canvas.finish()
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
        let (smallest, threads) = (first.world_size() as f64, last.world_size() as f64);
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
    fn grid(&self, canvas: &mut Canvas, report: &ScalingReport) {
        let step = step(self.speed_up);
        let mut level = 0.0;
        while level <= self.speed_up {
            let y = self.y(level);
            canvas.line("grid", (LEFT, y), (RIGHT, y));
            canvas.text("quiet", "end", (LEFT - 10.0, y + 4.5), &level.to_string());
            level += step;
        }
        canvas.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        let mut free = LEFT;
        for point in &report.points {
            let x = self.x(point.world_size() as f64);
            canvas.line("axis", (x, BOTTOM), (x, BOTTOM + 5.0));
            if x >= free {
                canvas.text("quiet", "middle", (x, BOTTOM + 21.0), &point.world_size().to_string());
                free = x + LABEL_GAP;
            }
        }
        let several = report.points.iter().any(|point| point.processes > 1);
        let name = if several { "threads of all processes" } else { "threads" };
        canvas.text("quiet", "middle", (f64::midpoint(LEFT, RIGHT), BOTTOM + 43.0), name);
        let (smallest, speed) = (report.points[0].world_size(), report.points[0].samples_per_sec.median);
        let base =
            format!("speed of {}, {} samples/s, = 1", counted(smallest, "thread"), grouped(speed as u64));
        canvas.text("quiet", "start", (LEFT, TOP - 10.0), &base);
    }

    /// Beyond this line threads share cores.
    fn cores(&self, canvas: &mut Canvas, cores: usize) {
        let x = self.x(cores as f64);
        if x <= RIGHT {
            canvas.line("mark", (x, TOP), (x, BOTTOM));
            canvas.text("quiet", "end", (x - 6.0, BOTTOM - 8.0), &counted(cores, "core"));
        }
    }

    fn ideal(&self, canvas: &mut Canvas, report: &ScalingReport) {
        let threads = report.points[report.points.len() - 1].world_size() as f64;
        let end = (self.x(threads), self.y(threads / self.smallest));
        canvas.line("fit c5", (self.x(0.0), self.y(0.0)), end);
        canvas.text("quiet", "end", (end.0 - 12.0, end.1 + 2.0), "ideal");
    }

    fn measured(&self, canvas: &mut Canvas, report: &ScalingReport) {
        let at = |point: &ScalingPoint| (self.x(point.world_size() as f64), self.y(point.speed_up));
        canvas.path("curve c0", &report.points.iter().map(at).collect::<Vec<_>>());
        for point in &report.points {
            let ((x, y), (low, high)) = (at(point), speed_ups(report, point));
            canvas.line("curve c0", (x, self.y(low)), (x, self.y(high)));
            canvas.dot("f0", (x, y), 4.5);
            canvas.text("strong", "start", (x + 8.0, y + 18.0), &format!("{:.2}", point.speed_up));
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

#[cfg(test)]
mod tests {
    use super::super::{Growth, Machine, ProductRate, Spread};
    use super::*;

    fn report(speeds: &[(usize, f64)]) -> ScalingReport {
        let point = |&(threads, speed): &(usize, f64)| ScalingPoint {
            processes: 1,
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
            assert_eq!(svg.matches("class=\"fit c5\"").count(), 1);
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
        let ideal = svg.lines().find(|line| line.contains("class=\"fit c5\"")).unwrap();
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
