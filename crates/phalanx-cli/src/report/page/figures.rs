//! The curves of runs.

use super::thinned::{Thinned, thinned};
use super::{LoggedEpoch, LoggedStep, RunLog, RunRecord};
use crate::report::figure::{Axis, Columns, Mark, Plot, Scale, Series, SeriesKind};

/// A run with what it is called in a legend.
pub(super) type Named<'a> = (String, &'a RunRecord);

/// The loss over the steps of a run: of training samples, thinned to a few hundred points with their spread, and of test
/// samples after each epoch. Where it was resumed is marked.
///
/// What is no finite number is left out; a run that logged none has a figure without curves, which says so.
pub fn loss_figure(run: &RunRecord) -> Plot {
    let log = &run.log;
    let train = thinned(training_loss(log));
    let mut series = Vec::new();
    let mut caption = Vec::new();
    if !train.band.is_empty() {
        series.push(band(&train, 0, "least and greatest"));
        caption.push(format!("Training loss: mean of each {} logged steps, and its range.", train.group));
    } else if log.steps.is_empty() && !log.epochs.is_empty() {
        caption.push("Training loss: mean of each epoch.".to_owned());
    }
    if train.means.is_empty() {
        caption = vec!["No finite loss was logged.".to_owned()];
    } else {
        series.push(curve("training loss", 0, train.means));
    }
    let test = epochs(log, |epoch| Some((epoch.step as f64, epoch.test_loss?)));
    if !test.is_empty() {
        series.push(Series { kind: SeriesKind::Measured, ..curve("test loss", 1, test) });
    }
    plot(format!("Loss of {}", run.name()), caption, ("step", "loss"), series, marks(log))
}

/// All curves that runs have something for.
pub(super) fn curves(runs: &[Named<'_>]) -> Vec<Plot> {
    let mut plots = match runs {
        [(_, run)] => vec![Plot { title: "Loss by step".to_owned(), ..loss_figure(run) }],
        _ => vec![training_by_step(runs)],
    };
    plots.extend(by_epoch(runs));
    let steps: [(&str, &str, OfStep); 3] = [
        ("Learning rate", "rate", |step| Some(step.lr)),
        ("Gradient norm before clipping", "norm", |step| step.grad_norm),
        ("Gradient noise scale", "samples", |step| step.noise_scale),
    ];
    for (title, label, value) in steps {
        plots.extend(by_step(runs, title, label, value));
    }
    plots
}

/// The mean of every batch that was logged; of a run that logged none, that of each epoch.
fn training_loss(log: &RunLog) -> impl Iterator<Item = (f64, f64)> + '_ {
    let steps = log.steps.iter().filter_map(|step| Some((step.step as f64, step.train_loss?)));
    let epochs = log.epochs.iter().filter(|_| log.steps.is_empty());
    steps.chain(epochs.filter_map(|epoch| Some((epoch.step as f64, epoch.train_loss?))))
}

fn training_by_step(runs: &[Named<'_>]) -> Plot {
    let of = |(colour, (name, run)): (usize, &Named<'_>)| {
        let thin = thinned(training_loss(&run.log));
        (thin.group, curve(name, colour, thin.means))
    };
    let (groups, series): (Vec<_>, Vec<_>) = runs.iter().enumerate().map(of).unzip();
    plot("Training loss by step".to_owned(), means(&groups), ("step", "loss"), series, Vec::new())
}

/// Says that points are means, if they are.
fn means(groups: &[usize]) -> Vec<String> {
    let (least, most) = (groups.iter().min().copied(), groups.iter().max().copied());
    match (least, most) {
        (Some(least), Some(most)) if most > 1 && least == most => {
            vec![format!("Mean of each {most} logged steps.")]
        }
        (Some(least), Some(most)) if most > 1 => {
            vec![format!("Mean of each {least} to {most} logged steps, the more the longer the run.")]
        }
        _ => Vec::new(),
    }
}

/// Curves over the epochs; of runs that have one epoch there is no more to see than by step.
fn by_epoch(runs: &[Named<'_>]) -> Vec<Plot> {
    if runs.iter().all(|(_, run)| run.log.epochs.len() < 2) {
        return Vec::new();
    }
    let train = |epoch: &LoggedEpoch| Some((epoch.epoch as f64, epoch.train_loss?));
    let test = |epoch: &LoggedEpoch| Some((epoch.epoch as f64, epoch.test_loss?));
    let accuracy = |epoch: &LoggedEpoch| Some((epoch.epoch as f64, 100.0 * epoch.test_accuracy?));
    let mut note = "Training loss: mean of the epoch, each sample before its update.".to_owned();
    if runs.iter().any(|(_, run)| run.log.ends_within_an_epoch()) {
        note += " The last point of a run that ended within an epoch is of the part that was done.";
    }
    let mut plots = Vec::new();
    if let [(_, run)] = runs {
        let series = [
            measured("training loss", 0, epochs(&run.log, train)),
            measured("test loss", 1, epochs(&run.log, test)),
        ];
        plots.push(plot(
            "Loss by epoch".to_owned(),
            vec![note],
            ("epoch", "loss"),
            series.into(),
            Vec::new(),
        ));
    } else {
        let of = |value: Point| each(runs, |log| epochs(log, value));
        plots.push(plot(
            "Test loss by epoch".to_owned(),
            Vec::new(),
            ("epoch", "loss"),
            of(test),
            Vec::new(),
        ));
        plots.push(plot(
            "Training loss by epoch".to_owned(),
            vec![note],
            ("epoch", "loss"),
            of(train),
            Vec::new(),
        ));
    }
    let mut series = each(runs, |log| epochs(log, accuracy));
    if runs.len() == 1 {
        series.iter_mut().for_each(|series| "test accuracy".clone_into(&mut series.name));
    }
    let of_accuracy =
        plot("Test accuracy by epoch".to_owned(), Vec::new(), ("epoch", "%"), series, Vec::new());
    plots.push(Plot { y: Axis::new("%", Scale::Linear), ..of_accuracy });
    plots.retain(|plot| !plot.series.is_empty());
    plots
}

type OfStep = fn(&LoggedStep) -> Option<f64>;
type Point = fn(&LoggedEpoch) -> Option<(f64, f64)>;

/// A value over the steps, if it changes in any run.
fn by_step(runs: &[Named<'_>], title: &str, label: &str, value: OfStep) -> Option<Plot> {
    let points = |log: &RunLog| -> Vec<(f64, f64)> {
        log.steps.iter().filter_map(|step| Some((step.step as f64, value(step)?))).collect()
    };
    let changes = |log: &RunLog| {
        let points = points(log);
        points.iter().any(|point| point.1 != points[0].1)
    };
    runs.iter().any(|(_, run)| changes(&run.log)).then_some(())?;
    let mut groups = Vec::new();
    let mut series = each(runs, |log| {
        let thin = thinned(points(log).into_iter());
        groups.push(thin.group);
        thin.means
    });
    for series in &mut series {
        series.kind = SeriesKind::Curve;
        if runs.len() == 1 {
            series.name.clear();
        }
    }
    if label != "rate" {
        return Some(plot(title.to_owned(), means(&groups), ("step", label), series, Vec::new()));
    }
    // A rate goes down to 0: what counts is how far those of the runs lie apart at their height.
    let heights = series.iter().map(|series| series.points.iter().map(|point| point.1).fold(0.0, f64::max));
    let y = Axis::new(label, scale(heights));
    Some(Plot { y, ..plot(title.to_owned(), Vec::new(), ("step", label), series, Vec::new()) })
}

/// A curve for each run that has points.
fn each(runs: &[Named<'_>], mut points: impl FnMut(&RunLog) -> Vec<(f64, f64)>) -> Vec<Series> {
    let curves = runs.iter().enumerate();
    let curves = curves.map(|(colour, (name, run))| measured(name, colour, points(&run.log)));
    curves.filter(|series| !series.points.is_empty()).collect()
}

fn epochs(log: &RunLog, value: impl Fn(&LoggedEpoch) -> Option<(f64, f64)>) -> Vec<(f64, f64)> {
    log.epochs.iter().filter_map(value).collect()
}

/// Where a run was resumed; many places have one label.
fn marks(log: &RunLog) -> Vec<Mark> {
    let many = log.resumed.len() > 3;
    let label = |index: usize| match (index, many) {
        (0, true) => format!("resumed {} times", log.resumed.len()),
        (_, true) => String::new(),
        (_, false) => "resumed".to_owned(),
    };
    log.resumed
        .iter()
        .enumerate()
        .map(|(index, &step)| Mark { x: step as f64, label: label(index) })
        .collect()
}

fn measured(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series { kind: SeriesKind::Measured, ..curve(name, colour, points) }
}

fn curve(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.to_owned(), kind: SeriesKind::Curve, colour, points }
}

fn band(thin: &Thinned, colour: usize, name: &str) -> Series {
    Series { name: name.to_owned(), kind: SeriesKind::Band, colour, points: thin.band.clone() }
}

/// A figure whose upper axis is logarithmic where values lie far apart.
fn plot(
    title: String,
    caption: Vec<String>,
    (x, y): (&str, &str),
    series: Vec<Series>,
    marks: Vec<Mark>,
) -> Plot {
    let values = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
    let y = Axis::new(y, scale(values));
    let last = series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).fold(0.0, f64::max);
    // Between a few epochs round numbers would be fractions.
    let ticks =
        if x == "epoch" && last < 9.0 { (1..=last as u32).map(f64::from).collect() } else { Vec::new() };
    Plot { title, caption, x: Axis::new(x, Scale::Linear).with_ticks(ticks), y, series, marks }
}

/// Logarithmic for values that lie far apart.
fn scale(values: impl Iterator<Item = f64>) -> Scale {
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(l, h), v| (f64::min(l, v), f64::max(h, v)));
    if low > 0.0 && high > 10.0 * low { Scale::Log } else { Scale::Linear }
}

/// Most columns of epochs in one figure; neighbours share one beyond.
const MOST_COLUMNS: usize = 60;
const PHASES: [&str; 3] = ["computing", "waiting", "reducing and updating"];

/// Where rank 0 spent its time: epoch by epoch for one run, for several run by run.
pub(super) fn phases(runs: &[Named<'_>]) -> Option<Columns> {
    let (label, caption, columns) = match runs {
        [(_, run)] if run.log.epochs.iter().any(|epoch| epoch.compute_secs.is_some()) => {
            let epochs = &run.log.epochs;
            let group = epochs.len().div_ceil(MOST_COLUMNS).max(1);
            let columns: Vec<_> =
                epochs.chunks(group).map(|group| (group[0].epoch.to_string(), mean(group))).collect();
            let mut caption = if group > 1 { format!("Mean of each {group} epochs.") } else { String::new() };
            if run.log.ends_within_an_epoch() {
                caption += " The last is a part of an epoch.";
            }
            ("epoch", caption, columns)
        }
        _ => {
            let column = |(_, run): &Named<'_>| {
                let name = run.path.file_name().unwrap_or(run.path.as_os_str());
                Some((name.to_string_lossy().into_owned(), whole(run)?))
            };
            ("run", "The whole run.".to_owned(), runs.iter().filter_map(column).collect())
        }
    };
    if columns.is_empty() {
        return None;
    }
    let highest = columns.iter().map(|(_, phases)| phases.iter().sum()).fold(0.0, f64::max);
    let (unit, factor) = if highest < 0.5 { ("milliseconds", 1000.0) } else { ("seconds", 1.0) };
    let part = |index: usize| columns.iter().map(|(_, phases)| factor * phases[index]).collect();
    Some(Columns {
        title: "Where the time goes".to_owned(),
        caption: vec![format!("{caption} The time of rank 0.").trim().to_owned()],
        label: label.to_owned(),
        height: unit.to_owned(),
        names: columns.iter().map(|(name, _)| name.clone()).collect(),
        parts: PHASES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), part(index))).collect(),
    })
}

fn mean(epochs: &[LoggedEpoch]) -> [f64; 3] {
    sums(epochs).map(|sum| sum / epochs.len() as f64)
}

fn sums(epochs: &[LoggedEpoch]) -> [f64; 3] {
    let sum = |secs: fn(&LoggedEpoch) -> Option<f64>| epochs.iter().filter_map(secs).sum::<f64>();
    [sum(|epoch| epoch.compute_secs), sum(|epoch| epoch.wait_secs), sum(|epoch| epoch.reduce_update_secs)]
}

/// Seconds of the whole run as far as it has come.
fn whole(run: &RunRecord) -> Option<[f64; 3]> {
    let phases = run.results().map(|results| results.phase_secs);
    let phases = phases.map(|phases| [phases.compute, phases.wait, phases.reduce_update]);
    phases.or_else(|| Some(sums(&run.log.epochs))).filter(|phases| phases.iter().sum::<f64>() > 0.0)
}
