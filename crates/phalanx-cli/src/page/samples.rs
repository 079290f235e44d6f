//! The part of a page about individual samples: confused classes and the worst predictions.

use maud::{Markup, html};

use super::html::{heat_map, plots, table};
use super::test_predictions::{Confusion, ShownSample, TestPredictions, TestTargets, WorstClass, WorstValue};
use crate::figure::{Axis, HeatCell, HeatMap, Plot, PlotSeries, Scale, SeriesKind};
use crate::numbers::{grouped, short_number};

/// Maximum number of classes of a confusion matrix; a larger one would be unreadable.
const MAX_CLASSES: usize = 30;
/// Maximum number of confused pairs of classes, which are listed in its place.
const MAX_PAIRS: usize = 20;

/// Returns the section about individual samples.
pub fn samples(tested: &TestPredictions) -> Markup {
    let weighted = if tested.weighted { " They have weights; here each sample counts once." } else { "" };
    html! {
        p { (tested.name) ": " (grouped(tested.samples as u64)) " samples." (weighted) }
        @for note in &tested.notes { p.note { (note) } }
        @match &tested.targets {
            TestTargets::Classes { names, confusion, worst } => {
                (classes(names, confusion))
                h2 { "Worst-classified samples" }
                p.quiet {
                    "The " (worst.len()) " samples with the lowest " (tested.output) " of their true class, lowest first."
                }
                @if worst.iter().any(|worst| worst.sample.picture.is_some()) {
                    (pictures(tested, names, worst))
                } @else {
                    (worst_classes(tested, names, worst))
                }
            }
            TestTargets::Values { points, worst } => {
                (plots([predicted_over_true(points)], None))
                (worst_values(worst, &tested.feature_names))
            }
        }
    }
}

fn classes(names: &[String], confusion: &Confusion) -> Markup {
    let (right, all) = (confusion.right(), confusion.samples());
    let share = 100.0 * right as f64 / all.max(1) as f64;
    let percent =
        |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.1}\u{a0}%", 100.0 * share));
    let row = |(class, name): (usize, &String)| {
        let (recall, precision) = (confusion.recall(class), confusion.precision(class));
        vec![name.clone(), grouped(confusion.of_class(class)), percent(recall), percent(precision)]
    };
    let rows: Vec<_> = names.iter().enumerate().map(row).collect();
    html! {
        p {
            (grouped(right)) " of " (grouped(all)) " samples are classified correctly, " (format!("{share:.2}")) " %."
        }
        div.columns {
            @if names.len() <= MAX_CLASSES {
                (heat_map(&matrix(confusion, names)))
            } @else {
                (pairs(names, confusion))
            }
            details open[names.len() <= 10] {
                summary { "Each class" }
                (table("", "Recall and precision of each class", &["class", "samples", "recall", "precision"], &rows))
                p.quiet {
                    "Recall: share of the class's samples that are predicted as the class. Precision: share of the \
                     samples predicted as the class that belong to it."
                }
            }
        }
    }
}

fn matrix(confusion: &Confusion, names: &[String]) -> HeatMap {
    let cell = |count: &u64| if *count == 0 { HeatCell::Empty } else { HeatCell::Count(*count) };
    HeatMap {
        title: "Confusion matrix".to_owned(),
        caption: vec![
            "Samples by true and predicted class, correct ones on the diagonal. The colour scale is logarithmic."
                .to_owned(),
        ],
        columns: ("predicted class".to_owned(), names.to_vec()),
        rows: ("true class".to_owned(), names.to_vec()),
        cells: confusion.counts.iter().map(cell).collect(),
    }
}

fn pairs(names: &[String], confusion: &Confusion) -> Markup {
    let row = |(truth, predicted, count): (usize, usize, u64)| {
        let share = 100.0 * count as f64 / confusion.of_class(truth).max(1) as f64;
        vec![names[truth].clone(), names[predicted].clone(), grouped(count), format!("{share:.1}\u{a0}%")]
    };
    let rows: Vec<_> = confusion.worst_pairs(MAX_PAIRS).into_iter().map(row).collect();
    let title = "Most confused classes";
    html! {
        div {
            h3 { (title) }
            (table("", title, &["true class", "predicted class", "samples", "share of the class"], &rows))
        }
    }
}

fn worst_classes(tested: &TestPredictions, names: &[String], worst: &[WorstClass]) -> Markup {
    let row = |worst: &WorstClass| {
        let [truth, predicted] = [worst.truth, worst.predicted].map(|class| names[class].clone());
        let [p, of_predicted] = [worst.probability, worst.of_predicted].map(|value| shown(tested, value));
        let about = [worst.sample.index.to_string(), truth, p, predicted, of_predicted];
        about.into_iter().chain(features(&worst.sample)).collect()
    };
    let rows: Vec<_> = worst.iter().map(row).collect();
    let head = ["sample", "true class", tested.output, "predicted class", tested.output];
    table(
        "names wide",
        "Worst-classified samples",
        &with_features(&head, &tested.feature_names, &rows),
        &rows,
    )
}

fn pictures(tested: &TestPredictions, names: &[String], worst: &[WorstClass]) -> Markup {
    html! {
        ul.samples {
            @for WorstClass { sample, truth, predicted, probability: p, of_predicted } in worst {
                @let (truth, predicted) = (&names[*truth], &names[*predicted]);
                li {
                    @if let Some(picture) = &sample.picture {
                        @let (width, height) = picture.size();
                        @let text = format!("Sample {}: {truth}, predicted as {predicted}", sample.index);
                        img src=(picture.address()) width=(width) height=(height) alt=(text);
                    }
                    "true " b { (truth) } ": " (shown(tested, *p)) br;
                    "predicted " b { (predicted) } ": " (shown(tested, *of_predicted)) br;
                    span.quiet { "sample " (sample.index) }
                }
            }
        }
        p.quiet { "Black and white are the lowest and the highest value of these pictures." }
    }
}

/// Plots predictions of values; exact ones lie on a line of 45 degrees.
fn predicted_over_true(points: &[Vec<(f64, f64)>]) -> Plot {
    let name = |output: usize| if points.len() == 1 { String::new() } else { format!("output {output}") };
    let dots = points.iter().enumerate().map(|(output, points)| PlotSeries {
        name: name(output),
        kind: SeriesKind::Dots,
        colour: output,
        points: points.clone(),
    });
    let all = || points.iter().flatten().map(|point| point.0);
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let (name, points) = ("exact".to_owned(), vec![(low, low), (high, high)]);
    let exact = PlotSeries { name, kind: SeriesKind::Fit, colour: 5, points };
    let [x, y] = ["true value", "predicted value"].map(|label| Axis::new(label, Scale::Linear));
    Plot {
        caption: vec!["One dot per sample, for at most a thousand samples.".to_owned()],
        series: dots.chain([exact]).collect(),
        ..Plot::new("Predicted against true values", x, y)
    }
}

fn worst_values(worst: &[WorstValue], feature_names: &[String]) -> Markup {
    let row = |worst: &WorstValue| {
        let [truth, predicted] = [&worst.truth, &worst.predicted].map(|values| numbers(values));
        let about = [worst.sample.index.to_string(), truth, predicted, short_number(worst.error)];
        about.into_iter().chain(features(&worst.sample)).collect()
    };
    let rows: Vec<_> = worst.iter().map(row).collect();
    let head = with_features(&["sample", "true", "predicted", "error"], feature_names, &rows);
    html! {
        h2 { "Worst-predicted samples" }
        p.quiet {
            "The " (worst.len()) " samples with the largest error (root mean square over outputs)."
        }
        (table("wide", "Worst-predicted samples", &head, &rows))
    }
}

fn features(sample: &ShownSample) -> impl Iterator<Item = String> {
    sample.features.iter().map(|value| short_number(f64::from(*value)))
}

/// Returns the names of the columns, followed by the name or number of each feature that the rows
/// show.
fn with_features(names: &[&str], feature_names: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(names.len());
    let name = |index: usize| feature_names.get(index).cloned().unwrap_or_else(|| format!("feature {index}"));
    let names = names.iter().map(|name| (*name).to_owned());
    names.clone().chain((0..columns - names.len()).map(name)).collect()
}

fn numbers(values: &[f32]) -> String {
    values.iter().map(|value| short_number(f64::from(*value))).collect::<Vec<_>>().join(" · ")
}

/// Writes a probability in percent, or another output as a number.
fn shown(tested: &TestPredictions, value: f64) -> String {
    match value {
        _ if value.is_nan() => "not a number".to_owned(),
        _ if tested.output != "probability" => short_number(value),
        ..0.0001 => "<\u{a0}0.01\u{a0}%".to_owned(),
        _ => format!("{:.2}\u{a0}%", 100.0 * value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_were_never_confused_have_no_cell() {
        let figure = matrix(&Confusion::new(2, [(0, 0)].into_iter()), &["a".into(), "b".into()]);
        assert_eq!(figure.cells, [HeatCell::Count(1), HeatCell::Empty, HeatCell::Empty, HeatCell::Empty]);
    }
}
