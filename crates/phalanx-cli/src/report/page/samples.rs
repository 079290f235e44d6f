//! The part of a page on single samples: which classes are confused, and what is predicted worst.

use super::html::Html;
use super::{Confusion, ShownSample, Tested, TestedTargets, WorstClass, WorstValue};
use crate::report::figure::{Axis, Plot, Scale, Series, SeriesKind, escaped, short_number};
use crate::report::grouped;

/// More classes than this would make a matrix that nobody can read.
const MOST_CLASSES: usize = 30;
/// Pairs of classes that are listed in its place.
const MOST_PAIRS: usize = 20;

/// Writes all that there is to say of some samples.
pub(super) fn samples(html: &mut Html, tested: &Tested) {
    let weighted = if tested.weighted { " They have weights; here each counts as one." } else { "" };
    let count = grouped(tested.samples as u64);
    html.paragraph("", &format!("{}: {count} samples.{weighted}", tested.name));
    tested.notes.iter().for_each(|note| html.paragraph("note", note));
    match &tested.targets {
        TestedTargets::Classes { names, confusion, worst } => {
            classes(html, names, confusion);
            worst_classes(html, names, worst, &tested.feature_names);
        }
        TestedTargets::Values { points, worst } => {
            predicted_over_true(html, points);
            worst_values(html, worst, &tested.feature_names);
        }
    }
}

fn classes(html: &mut Html, names: &[String], confusion: &Confusion) {
    let (right, all) = (confusion.right(), confusion.samples());
    let share = 100.0 * right as f64 / all.max(1) as f64;
    html.paragraph(
        "",
        &format!("{} of {} samples are classified right, {share:.2} %.", grouped(right), grouped(all)),
    );
    if names.len() <= MOST_CLASSES {
        html.put(format_args!("<div class=\"beside\">\n"));
        html.heat_map(&confusion.figure(names));
    } else {
        html.put(format_args!("<div class=\"beside\">\n"));
        pairs(html, names, confusion);
    }
    let open = if names.len() <= 10 { " open" } else { "" };
    html.put(format_args!("<details{open}><summary>Each class</summary>\n"));
    let row = |(class, name): (usize, &String)| {
        let percent = |share: Option<f64>| {
            share.map_or("–".to_owned(), |share| format!("{:.1}\u{a0}%", 100.0 * share))
        };
        vec![
            name.clone(),
            grouped(confusion.of_class(class)),
            percent(confusion.recall(class)),
            percent(confusion.precision(class)),
        ]
    };
    let rows: Vec<_> = names.iter().enumerate().map(row).collect();
    html.table(
        "",
        "Recall and precision of each class",
        &head(&["class", "samples", "recall", "precision"]),
        &rows,
    );
    html.put(format_args!(
        "<p class=\"quiet\">Recall: share of the class that is predicted as it. Precision: share of what is predicted as the class \
         that is of it.</p>\n</details>\n</div>\n"
    ));
}

fn pairs(html: &mut Html, names: &[String], confusion: &Confusion) {
    let pairs = confusion.worst_pairs(MOST_PAIRS);
    let row = |&(truth, predicted, count): &(usize, usize, u64)| {
        let share = 100.0 * count as f64 / confusion.of_class(truth).max(1) as f64;
        vec![names[truth].clone(), names[predicted].clone(), grouped(count), format!("{share:.1}\u{a0}%")]
    };
    html.put(format_args!("<div><h3>The classes that are confused most</h3>\n"));
    let rows: Vec<_> = pairs.iter().map(row).collect();
    html.table(
        "",
        "The classes that are confused most",
        &head(&["true class", "taken for", "samples", "of the class"]),
        &rows,
    );
    html.put(format_args!("</div>\n"));
}

fn worst_classes(html: &mut Html, names: &[String], worst: &[WorstClass], feature_names: &[String]) {
    html.heading("Worst-classified samples");
    html.paragraph(
        "quiet",
        &format!(
            "The {} samples with the lowest probability of their class, that of the lowest first.",
            worst.len()
        ),
    );
    if worst.iter().all(|worst| worst.sample.picture.is_none()) {
        let row = |worst: &WorstClass| {
            let [truth, predicted] = [worst.truth, worst.predicted].map(|class| names[class].clone());
            let [p, of_predicted] = [worst.probability, worst.of_predicted].map(probability);
            let about = [worst.sample.index.to_string(), truth, p, predicted, of_predicted];
            about.into_iter().chain(features(&worst.sample)).collect()
        };
        let rows: Vec<_> = worst.iter().map(row).collect();
        let names = ["sample", "true class", "probability", "predicted class", "probability"];
        html.table(
            "names wide",
            "Worst-classified samples",
            &with_features(&names, feature_names, &rows),
            &rows,
        );
        return;
    }
    html.put(format_args!("<ul class=\"samples\">\n"));
    for WorstClass { sample, truth, predicted, probability: p, of_predicted } in worst {
        let [truth, predicted] = [truth, predicted].map(|class| escaped(&names[*class]));
        let (p, of_predicted) = (probability(*p), probability(*of_predicted));
        let index = sample.index;
        let picture = sample.picture.iter().map(|picture| {
            let ((width, height), address) = (picture.size(), picture.address());
            format!(
                "<img src=\"{address}\" width=\"{width}\" height=\"{height}\" alt=\"Sample {index}: {truth}, predicted as \
                 {predicted}\">"
            )
        });
        let picture: String = picture.collect();
        html.put(format_args!(
            "<li>{picture}true <b>{truth}</b>: {p}<br>taken for <b>{predicted}</b>: {of_predicted}<br>\
             <span class=\"quiet\">sample {index}</span></li>\n"
        ));
    }
    html.put(format_args!("</ul>\n"));
    html.paragraph("quiet", "Black is the least and white the greatest value of all the pictures shown.");
}

/// Regression: dots on a line of 45 degrees would be right.
fn predicted_over_true(html: &mut Html, points: &[Vec<(f64, f64)>]) {
    let name = |output: usize| if points.len() == 1 { String::new() } else { format!("output {output}") };
    let dots = points.iter().enumerate().map(|(output, points)| Series {
        name: name(output),
        kind: SeriesKind::Dots,
        colour: output,
        points: points.clone(),
    });
    let all = || points.iter().flatten().map(|point| point.0);
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let exact = Series {
        name: "exact".to_owned(),
        kind: SeriesKind::Fit,
        colour: 5,
        points: vec![(low, low), (high, high)],
    };
    let axis = |label: &str| Axis::new(label, Scale::Linear);
    let plot = Plot {
        title: "Predicted over true values".to_owned(),
        caption: vec!["A dot for each sample, of at most a thousand.".to_owned()],
        x: axis("true value"),
        y: axis("predicted value"),
        series: dots.chain([exact]).collect(),
        marks: Vec::new(),
    };
    html.put(format_args!("<div class=\"figures\">\n"));
    html.plot(plot);
    html.put(format_args!("</div>\n"));
}

fn worst_values(html: &mut Html, worst: &[WorstValue], feature_names: &[String]) {
    html.heading("Worst-predicted samples");
    html.paragraph(
        "quiet",
        &format!(
            "The {} samples with the greatest error (root of the mean square over outputs).",
            worst.len()
        ),
    );
    let row = |worst: &WorstValue| {
        let [truth, predicted] = [&worst.truth, &worst.predicted].map(|values| numbers(values));
        let about = [worst.sample.index.to_string(), truth, predicted, short_number(worst.error)];
        about.into_iter().chain(features(&worst.sample)).collect()
    };
    let rows: Vec<_> = worst.iter().map(row).collect();
    let head = with_features(&["sample", "true", "predicted", "error"], feature_names, &rows);
    html.table("wide", "Worst-predicted samples", &head, &rows);
}

fn features(sample: &ShownSample) -> impl Iterator<Item = String> {
    sample.features.iter().map(|value| short_number(f64::from(*value)))
}

/// The names of the columns, and behind them one for each feature that the rows show: its name, or its number.
fn with_features(names: &[&str], feature_names: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(names.len());
    let name = |index: usize| feature_names.get(index).cloned().unwrap_or_else(|| format!("feature {index}"));
    head(names).into_iter().chain((0..columns - names.len()).map(name)).collect()
}

fn numbers(values: &[f32]) -> String {
    values.iter().map(|value| short_number(f64::from(*value))).collect::<Vec<_>>().join(" · ")
}

fn probability(value: f64) -> String {
    match value {
        _ if value.is_nan() => "no number".to_owned(),
        ..0.0001 => "<\u{a0}0.01\u{a0}%".to_owned(),
        _ => format!("{:.2}\u{a0}%", 100.0 * value),
    }
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
