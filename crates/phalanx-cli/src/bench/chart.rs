//! The chart of speed-up: one self-contained SVG.
//!
//! Both axes are linear and start at 0, so that the gap to the ideal line is drawn to scale.

use super::{ScalingPoint, ScalingReport};
use crate::figure::{Axis, Mark, Note, Plot, PlotSeries, Scale, SeriesKind};
use crate::numbers::{counted, grouped};

/// Maximum number of letters of a line of the caption, and of lines of its first part.
const CAPTION_LETTERS: usize = 92;
const CAPTION_LINES: usize = 2;

/// Draws the speed-up of each thread count with its range, compared with the ideal line; `caption`
/// describes the training.
///
/// # Panics
///
/// If the report has no points.
pub fn speed_up_chart(report: &ScalingReport, caption: &str) -> String {
    let (first, last) = (&report.points[0], &report.points[report.points.len() - 1]);
    let at = |point: &ScalingPoint| (point.world_size() as f64, point.speed_up);
    let series =
        |name: &str, kind, colour, points| PlotSeries { name: name.to_owned(), kind, colour, points };
    let most = last.world_size() as f64;
    let ideal = vec![(0.0, 0.0), (most, most / first.world_size() as f64)];
    let measured = report.points.iter().map(at).collect();
    let range = |point: &ScalingPoint| {
        let (low, high) = speed_ups(report, point);
        series("", SeriesKind::Curve, 0, vec![(at(point).0, low), (at(point).0, high)])
    };
    let cores = report.machine.cores;
    let cores = Mark { x: cores as f64, label: counted(cores as u64, "core") };
    let several = report.points.iter().any(|point| point.processes > 1);
    let x = Axis::new(if several { "threads of all processes" } else { "threads" }, Scale::Linear);
    let ticks = report.points.iter().map(|point| at(point).0).collect();
    let title = format!("Speed-up of training, {} scaling", report.growth);
    let base = format!(
        "Speed-up 1 is the speed of {}, {} samples/s; vertical lines are the range of the takes.",
        counted(first.world_size() as u64, "thread"),
        grouped(first.samples_per_sec.median as u64)
    );
    let note = |point| Note { at: at(point), text: format!("{:.2}", point.speed_up) };
    Plot {
        caption: wrapped(caption).into_iter().chain([base]).collect(),
        series: [
            series("ideal", SeriesKind::Fit, 5, ideal),
            series("measured", SeriesKind::Measured, 0, measured),
        ]
        .into_iter()
        .chain(report.points.iter().map(range))
        .collect(),
        // Beyond this line threads share cores.
        marks: [cores].into_iter().filter(|mark| mark.x <= most).collect(),
        notes: report.points.iter().map(note).collect(),
        ..Plot::new(title, x.with_ticks(ticks), Axis::new("speed-up", Scale::Linear))
    }
    .svg()
}

/// Returns the minimum and the maximum speed-up over the takes of a thread count.
fn speed_ups(report: &ScalingReport, point: &ScalingPoint) -> (f64, f64) {
    let base = report.points[0].samples_per_sec.median;
    (point.samples_per_sec.min / base, point.samples_per_sec.max / base)
}

/// Wraps a text into lines between words; the last line ends in an ellipsis if the rest does not
/// fit.
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

/// Truncates a line that does not fit: a path may be longer than any line.
fn cut(line: &str) -> String {
    if line.chars().count() <= CAPTION_LETTERS + 2 {
        return line.to_owned();
    }
    line.chars().take(CAPTION_LETTERS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Growth, Machine, ProductRate, Statistics};
    use super::*;

    fn report(speeds: &[(usize, f64)]) -> ScalingReport {
        let point = |&(threads, speed): &(usize, f64)| ScalingPoint {
            processes: 1,
            threads,
            batch_size: 64,
            shards: 4,
            steps: 1,
            samples_per_sec: Statistics { median: 1000.0 * speed, min: 900.0 * speed, max: 1100.0 * speed },
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
            machine: Machine { cores: 2, instructions: "avx2", load_average: None },
            limit: ProductRate { side: 8, threads: 2, gflop_per_sec: 1.0 },
            flops_per_sample: None,
            points: speeds.iter().map(point).collect(),
            same_params: true,
            warnings: Vec::new(),
        }
    }

    /// Checks that tags close in the order in which they opened and attributes are quoted, and
    /// returns the names.
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
    fn the_chart_is_well_formed_and_has_one_point_per_count_and_the_ideal_line() {
        for counts in [&[(1, 1.0)][..], &[(1, 1.0), (2, 1.9), (8, 1.7)], &[(3, 1.0), (4, 0.4)]] {
            let svg = speed_up_chart(&report(counts), "a < b & c > \u{1} d");
            let tags = tags(&svg);
            let circles = tags.iter().filter(|tag| **tag == "circle").count();
            assert_eq!(circles, counts.len() + 1, "one per count, and the one in the legend");
            assert_eq!(
                svg.matches("class=\"fit c5\"").count(),
                2,
                "the ideal line, and the one in the legend"
            );
            assert!(
                svg.contains("a &lt; b &amp; c &gt;   d") && !svg.contains("NaN") && !svg.contains("inf")
            );
        }
    }

    #[test]
    fn everything_is_drawn_within_the_image() {
        let svg = speed_up_chart(&report(&[(1, 1.0), (2, 2.6), (64, 3.0)]), "");
        let size = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split('"').next().unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        let [width, height]: [f64; 2] = [width, height].map(|length| length.parse().unwrap());
        for (name, most) in
            [("cx", width), ("x1", width), ("x2", width), ("cy", height), ("y1", height), ("y2", height)]
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
        let ideal = svg.lines().rfind(|line| line.contains("class=\"fit c5\"")).unwrap();
        let point = svg.lines().rfind(|line| line.contains("<circle")).unwrap();
        let of = |name: &str| point.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        let end = format!("{},{}\"/>", of("cx"), of("cy"));
        assert!(ideal.ends_with(&end), "{ideal} {end}");
    }

    #[test]
    fn a_caption_is_wrapped_and_no_line_is_longer_than_the_chart_is_wide() {
        assert_eq!(wrapped("digits; 64 -> 10"), ["digits; 64 -> 10"]);
        let long = wrapped(&["word"; 60].join(" "));
        assert_eq!((long.len(), long[1].ends_with(" …")), (2, true));
        let path = wrapped(&format!("/{} and more", "a".repeat(200)));
        assert!(path.iter().all(|line| line.chars().count() <= CAPTION_LETTERS + 2), "{path:?}");
    }
}
