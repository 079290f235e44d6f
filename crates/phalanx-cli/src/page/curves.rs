//! The curves of runs, and the time of their phases.

use phalanx::internals::{LogLine, Measure, RunLog};

use super::RunRecord;
use crate::figure::{Axis, Mark, Plot, PlotSeries, Scale, SeriesKind, StackedColumns};

type Points = Vec<(f64, f64)>;

/// Returns the loss curves of a run by step: the training loss, thinned to at most 160 points with
/// their range, and the test loss after each epoch. Marks show where the run was resumed.
///
/// NaN and infinite values are omitted; if no other values remain, the caption states it.
pub fn loss_figure(run: &RunRecord) -> Plot {
    let log = &run.log;
    let train = ThinnedCurve::new(training_loss(log));
    let (mut series, mut caption) = (Vec::new(), Vec::new());
    if !train.band.is_empty() {
        series.push(PlotSeries { kind: SeriesKind::Band, ..curve("minimum and maximum", 0, train.band) });
        caption.push(format!("Training loss: mean and range of every {} logged steps.", train.group));
    } else if log.steps.is_empty() && !log.epochs.is_empty() {
        caption.push("Training loss: mean of each epoch.".to_owned());
    }
    if train.means.is_empty() {
        caption = vec!["No finite loss was logged.".to_owned()];
    } else {
        series.push(curve("training loss", 0, train.means));
    }
    let test = by_step(&log.epochs, Measure::TestLoss);
    if !test.is_empty() {
        series.push(measured("test loss", 1, test));
    }
    Plot { caption, marks: marks(log), ..plot(format!("Loss of {}", run.name()), "step", "loss", series) }
}

/// Returns all curves for which the runs have values.
pub fn curves(runs: &[RunRecord]) -> Vec<Plot> {
    let mut plots = match runs {
        [run] => vec![Plot { title: "Loss by step".to_owned(), ..loss_figure(run) }],
        _ => vec![training_by_step(runs)],
    };
    plots.extend(over_epochs(runs));
    for (title, label, measure) in [
        ("Learning rate", "rate", Measure::Lr),
        ("Gradient norm before clipping", "norm", Measure::GradNorm),
        ("Gradient noise scale", "samples", Measure::NoiseScale),
    ] {
        plots.extend(over_steps(runs, title, label, measure));
    }
    plots
}

/// Returns the values of a measure by step.
fn by_step(lines: &[LogLine], measure: Measure) -> Points {
    lines.iter().filter_map(|line| Some((line.step as f64, line.value(measure)?))).collect()
}

/// Returns the values of a measure by epoch.
fn by_epoch(lines: &[LogLine], measure: Measure) -> Points {
    lines.iter().filter_map(|line| Some((line.epoch as f64, line.value(measure)?))).collect()
}

/// Returns the mean loss of each logged batch, or of each epoch if no batches were logged.
fn training_loss(log: &RunLog) -> Points {
    by_step(if log.steps.is_empty() { &log.epochs } else { &log.steps }, Measure::TrainLoss)
}

fn training_by_step(runs: &[RunRecord]) -> Plot {
    let of = |(colour, run): (usize, &RunRecord)| {
        let thin = ThinnedCurve::new(training_loss(&run.log));
        (thin.group, curve(&run.name(), colour, thin.means))
    };
    let (groups, series): (Vec<_>, Vec<_>) = runs.iter().enumerate().map(of).unzip();
    Plot { caption: means(&groups), ..plot("Training loss by step", "step", "loss", series) }
}

/// Returns the caption of curves whose points are means over several steps.
fn means(groups: &[usize]) -> Vec<String> {
    let (least, most) = (groups.iter().min().copied(), groups.iter().max().copied());
    match (least, most) {
        (Some(least), Some(most)) if most > 1 && least == most => {
            vec![format!("Mean of every {most} logged steps.")]
        }
        (Some(least), Some(most)) if most > 1 => {
            vec![format!("Mean of every {least} to {most} logged steps, depending on the length of the run.")]
        }
        _ => Vec::new(),
    }
}

/// Returns the curves by epoch; none if no run has more than one epoch, as the curves by step
/// already show everything.
fn over_epochs(runs: &[RunRecord]) -> Vec<Plot> {
    if runs.iter().all(|run| run.log.epochs.len() < 2) {
        return Vec::new();
    }
    let mut note =
        "Training loss: mean over the epoch, with each sample scored before its update.".to_owned();
    if runs.iter().any(|run| run.log.ends_within_an_epoch()) {
        note += " If a run ended within an epoch, its last point covers the completed part.";
    }
    let caption = vec![note];
    let of = |measure| of_each(runs, |log| by_epoch(&log.epochs, measure));
    let mut plots = Vec::new();
    if let [run] = runs {
        let series = vec![
            measured("training loss", 0, by_epoch(&run.log.epochs, Measure::TrainLoss)),
            measured("test loss", 1, by_epoch(&run.log.epochs, Measure::TestLoss)),
        ];
        plots.push(Plot { caption, ..plot("Loss by epoch", "epoch", "loss", series) });
    } else {
        plots.push(plot("Test loss by epoch", "epoch", "loss", of(Measure::TestLoss)));
        let train = plot("Training loss by epoch", "epoch", "loss", of(Measure::TrainLoss));
        plots.push(Plot { caption, ..train });
    }
    let mut accuracies = of(Measure::TestAccuracy);
    for series in &mut accuracies {
        series.points.iter_mut().for_each(|(_, share)| *share *= 100.0);
        if runs.len() == 1 {
            "test accuracy".clone_into(&mut series.name);
        }
    }
    let accuracy = plot("Test accuracy by epoch", "epoch", "%", accuracies);
    plots.push(Plot { y: Axis::new("%", Scale::Linear), ..accuracy });
    plots.retain(|plot| !plot.series.is_empty());
    plots
}

/// Returns the curves of a measure by step, if it changes in any run.
fn over_steps(runs: &[RunRecord], title: &str, label: &str, measure: Measure) -> Option<Plot> {
    let changes = |run: &RunRecord| {
        let points = by_step(&run.log.steps, measure);
        points.iter().any(|point| point.1 != points[0].1)
    };
    runs.iter().any(changes).then_some(())?;
    let mut groups = Vec::new();
    let mut series = of_each(runs, |log| {
        let thin = ThinnedCurve::new(by_step(&log.steps, measure));
        groups.push(thin.group);
        thin.means
    });
    for series in &mut series {
        series.kind = SeriesKind::Curve;
        if runs.len() == 1 {
            series.name.clear();
        }
    }
    if measure != Measure::Lr {
        return Some(Plot { caption: means(&groups), ..plot(title, "step", label, series) });
    }
    // Rates decay to 0, so the scale depends on how far apart the peak rates of the runs are.
    let heights = series.iter().map(|series| series.points.iter().map(|point| point.1).fold(0.0, f64::max));
    Some(Plot { y: Axis::new(label, scale(heights)), ..plot(title, "step", label, series) })
}

/// Returns a curve for each run that has points.
fn of_each(runs: &[RunRecord], mut points: impl FnMut(&RunLog) -> Points) -> Vec<PlotSeries> {
    let curves = runs.iter().enumerate();
    let curves = curves.map(|(colour, run)| measured(&run.name(), colour, points(&run.log)));
    curves.filter(|series| !series.points.is_empty()).collect()
}

/// Returns marks where a run was resumed; more than three share one label.
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

fn measured(name: &str, colour: usize, points: Points) -> PlotSeries {
    PlotSeries { kind: SeriesKind::Measured, ..curve(name, colour, points) }
}

fn curve(name: &str, colour: usize, points: Points) -> PlotSeries {
    PlotSeries { name: name.to_owned(), kind: SeriesKind::Curve, colour, points }
}

/// Returns a plot over steps or epochs; its y axis is logarithmic if the values are far apart.
fn plot(title: impl Into<String>, x: &str, y: &str, series: Vec<PlotSeries>) -> Plot {
    let points = || series.iter().flat_map(|series| &series.points);
    let y = Axis::new(y, scale(points().map(|point| point.1)));
    let last = points().map(|point| point.0).fold(0.0, f64::max);
    // With few epochs, round numbers would be fractions.
    let ticks =
        if x == "epoch" && last < 9.0 { (1..=last as u32).map(f64::from).collect() } else { Vec::new() };
    let x = Axis::new(x, Scale::Linear).with_ticks(ticks);
    Plot { series, ..Plot::new(title, x, y) }
}

/// Returns a logarithmic scale if the values are far apart, a linear one otherwise.
fn scale(values: impl Iterator<Item = f64>) -> Scale {
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(l, h), v| (f64::min(l, v), f64::max(h, v)));
    if low > 0.0 && high > 10.0 * low { Scale::Log } else { Scale::Linear }
}

/// Maximum number of columns in one figure; with more epochs, neighbouring epochs share a column.
const MAX_COLUMNS: usize = 60;
const PHASES: [&str; 3] = ["computing", "waiting", "reducing and updating"];

/// Returns the time of rank 0 by phase: per epoch for one run, per run for several.
pub fn phases(runs: &[RunRecord]) -> Option<StackedColumns> {
    let (label, caption, columns) = match runs {
        [run] if run.log.epochs.iter().any(|epoch| epoch.value(Measure::ComputeSecs).is_some()) => {
            let epochs = &run.log.epochs;
            let group = epochs.len().div_ceil(MAX_COLUMNS).max(1);
            let columns: Vec<_> =
                epochs.chunks(group).map(|group| (group[0].epoch.to_string(), mean(group))).collect();
            let mut caption =
                if group > 1 { format!("Mean of every {group} epochs.") } else { String::new() };
            if run.log.ends_within_an_epoch() {
                caption += " The last column covers a partial epoch.";
            }
            ("epoch", caption, columns)
        }
        _ => {
            let column = |run: &RunRecord| {
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
    Some(StackedColumns {
        title: "Time by phase".to_owned(),
        caption: vec![format!("{caption} Measured on rank 0.").trim().to_owned()],
        label: label.to_owned(),
        height: unit.to_owned(),
        names: columns.iter().map(|(name, _)| name.clone()).collect(),
        parts: PHASES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), part(index))).collect(),
    })
}

fn mean(epochs: &[LogLine]) -> [f64; 3] {
    sums(epochs).map(|sum| sum / epochs.len() as f64)
}

fn sums(epochs: &[LogLine]) -> [f64; 3] {
    [Measure::ComputeSecs, Measure::WaitSecs, Measure::ReduceUpdateSecs]
        .map(|phase| epochs.iter().filter_map(|epoch| epoch.value(phase)).sum())
}

/// Returns the seconds by phase of the whole run so far.
fn whole(run: &RunRecord) -> Option<[f64; 3]> {
    let phases = run.results().map(|results| results.phases);
    let phases = phases
        .map(|phases| [phases.compute, phases.wait, phases.reduce_update].map(|time| time.as_secs_f64()));
    phases.or_else(|| Some(sums(&run.log.epochs))).filter(|phases| phases.iter().sum::<f64>() > 0.0)
}

/// Maximum number of points of a curve on a page: one for every three pixels.
const MAX_POINTS: usize = 160;

/// A curve reduced to the means of groups of neighbouring points, with the minimum and maximum of
/// each group.
#[derive(Clone, Debug, Default, PartialEq)]
struct ThinnedCurve {
    /// Points per group; the last group may have fewer.
    group: usize,
    /// Mean x and mean y of each group.
    means: Points,
    /// Outline of the range: the maxima of the groups from left to right, then the minima from
    /// right to left; empty if each group is a single point.
    band: Points,
}

impl ThinnedCurve {
    /// Groups neighbours so that at most [`MAX_POINTS`] remain; NaN and infinite values are
    /// omitted.
    fn new(mut points: Points) -> Self {
        points.retain(|(_, y)| y.is_finite());
        let group = points.len().div_ceil(MAX_POINTS).max(1);
        let groups = || points.chunks(group);
        let mean = |values: &dyn Fn(&(f64, f64)) -> f64, group: &[(f64, f64)]| {
            group.iter().map(values).sum::<f64>() / group.len() as f64
        };
        let middle = |group: &[(f64, f64)]| mean(&|point| point.0, group);
        let most = |group: &[(f64, f64)]| group.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let least = |group: &[(f64, f64)]| group.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let means = groups().map(|group| (middle(group), mean(&|point| point.1, group))).collect();
        let upper = groups().map(|group| (middle(group), most(group)));
        let lower = groups().rev().map(|group| (middle(group), least(group)));
        let band = if group > 1 { upper.chain(lower).collect() } else { Vec::new() };
        Self { group, means, band }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_curve_is_unchanged() {
        let points = vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)];
        let found = ThinnedCurve::new(points);
        assert_eq!(found, ThinnedCurve { group: 1, means: vec![(1.0, 2.0), (3.0, 1.0)], band: Vec::new() });
        assert_eq!(ThinnedCurve::new(Vec::new()).means, []);
    }

    #[test]
    fn a_long_curve_keeps_its_mean_and_its_extremes() {
        let points: Vec<_> = (0..9_600).map(|x| (f64::from(x), f64::from(x % 60))).collect();
        let found = ThinnedCurve::new(points);
        assert_eq!((found.group, found.means.len(), found.band.len()), (60, MAX_POINTS, 2 * MAX_POINTS));
        assert!(found.means.iter().all(|(_, y)| *y == 29.5));
        assert_eq!((found.band[0], found.band[2 * MAX_POINTS - 1]), ((29.5, 59.0), (29.5, 0.0)));
    }
}
