//! The figures of a sweep.

use super::{BestRate, Findings, Setting};
use crate::report::figure::{
    Axis, HeatCell, HeatMap, Mark, Plot, Scale, Series, SeriesKind, distinct_labels, short_number,
};
use crate::report::grouped;
use phalanx::optim::Reduction;

/// The best rate over the batch size in both conventions, with the law and the noise scale.
pub fn best_rate(findings: &Findings, reduction: Reduction) -> Plot {
    let best: Vec<&BestRate> = findings.best_of(reduction).collect();
    let measured = |name: &str, colour, rate: fn(&BestRate) -> f64| Series {
        name: name.to_owned(),
        kind: SeriesKind::Measured,
        colour,
        points: best.iter().map(|best| (best.cell.batch_size as f64, rate(best))).collect(),
    };
    let mut series = vec![
        measured("best rate under mean", 0, |best| best.rate_under_mean),
        measured("the same under sum", 1, |best| best.rate_under_sum),
    ];
    let mut marks = Vec::new();
    if let Some(law) = findings.rate_law {
        let [max, noise] = [law.max_rate, law.noise_scale].map(short_number);
        let fit = |name, colour, points| Series { name, kind: SeriesKind::Fit, colour, points };
        let curve = |rate: &dyn Fn(f64) -> f64| between(&best).map(|b| (b, rate(b))).collect();
        series.push(fit(format!("fit {max}/(1 + {noise}/B)"), 0, curve(&|b| law.rate_under_mean(b))));
        series.push(fit(format!("fit {max}/(B + {noise})"), 1, curve(&|b| law.rate_under_sum(b))));
        marks.push(Mark { x: law.noise_scale, label: format!("fitted {noise}") });
    }
    if let Some(noise) = &findings.noise {
        marks.push(Mark { x: noise.value, label: format!("noise scale {}", short_number(noise.value)) });
    }
    Plot {
        title: "The best learning rate against the batch size".to_owned(),
        caption: vec!["Small batches want one rate under sum, large ones one rate under mean.".to_owned()],
        x: Axis::new("batch size B", Scale::Log).with_ticks(sizes(&best)),
        y: Axis::new("learning rate", Scale::Log),
        series,
        marks,
    }
}

/// Steps and samples to the goal over the batch size.
pub fn to_the_goal(findings: &Findings, reduction: Reduction) -> Plot {
    let best: Vec<&BestRate> = findings.best_of(reduction).collect();
    let measured = |name: &str, colour, value: fn(&BestRate) -> f64| Series {
        name: name.to_owned(),
        kind: SeriesKind::Measured,
        colour,
        points: best.iter().map(|best| (best.cell.batch_size as f64, value(best))).collect(),
    };
    let mut series =
        vec![measured("steps", 2, |best| best.steps), measured("samples", 3, |best| best.samples)];
    let mut marks = Vec::new();
    if let Some(law) = findings.trade_off {
        let [steps, samples, batch] = [law.min_steps, law.min_samples, law.critical_batch].map(short_number);
        let fit = |name, colour, points| Series { name, kind: SeriesKind::Fit, colour, points };
        let curve = |value: &dyn Fn(f64) -> f64| between(&best).map(|b| (b, value(b))).collect();
        series.push(fit(format!("fit {steps}·(1 + {batch}/B)"), 2, curve(&|b| law.steps(b))));
        series.push(fit(format!("fit {samples}·(1 + B/{batch})"), 3, curve(&|b| b * law.steps(b))));
        marks.push(Mark { x: law.critical_batch, label: format!("B_crit {batch}") });
    }
    let goal = findings
        .goal
        .map_or_else(|| "the goal".to_owned(), |goal| format!("a test loss of {}", short_number(goal)));
    Plot {
        title: format!("Steps and samples to {goal}"),
        caption: vec![
            "Each batch size with its best rate; below B_crit steps are saved, above it samples are wasted."
                .to_owned(),
        ],
        x: Axis::new("batch size B", Scale::Log).with_ticks(sizes(&best)),
        y: Axis::new("steps, samples", Scale::Log),
        series,
        marks,
    }
}

/// The final loss over batch size and rate.
pub fn losses(findings: &Findings, reduction: Reduction) -> HeatMap {
    let of: Vec<&Setting> =
        findings.settings.iter().filter(|setting| setting.cell.reduction == reduction).collect();
    // Chosen rates of a sum differ from batch to batch, and are the same once the mean says them.
    let said: Vec<f64> = distinct(of.iter().map(|setting| setting.cell.rate));
    let by_mean = distinct(of.iter().map(|setting| setting.rate_under_mean));
    let as_mean = by_mean.len() < said.len();
    let (name, rates) = if as_mean {
        ("rate under mean".to_owned(), by_mean)
    } else {
        (format!("rate under {reduction}"), said)
    };
    let sizes = distinct(of.iter().map(|setting| setting.cell.batch_size as f64));
    let cell = |size: f64, rate: f64| {
        let here = |setting: &&&Setting| {
            let said = if as_mean { setting.rate_under_mean } else { setting.cell.rate };
            setting.cell.batch_size as f64 == size && same(said, rate)
        };
        of.iter().find(here).map_or(HeatCell::Empty, |setting| heat(findings, setting))
    };
    HeatMap {
        title: format!("Test loss at the end over batch size and rate, {reduction}"),
        caption: vec![
            "Mean over the seeds. A cross: a run diverged, or ended above the loss it began with.".to_owned(),
            "Framed: the rate with the fewest steps to the goal.".to_owned(),
        ],
        columns: (name, distinct_labels(&rates)),
        rows: ("batch size".to_owned(), sizes.iter().map(|size| grouped(*size as u64)).collect()),
        cells: sizes.iter().flat_map(|&size| rates.iter().map(move |&rate| cell(size, rate))).collect(),
    }
}

fn heat(findings: &Findings, setting: &Setting) -> HeatCell {
    let is_best = findings.best.iter().any(|best| best.cell == setting.cell);
    match setting.test_loss {
        Some(loss) if is_best => HeatCell::Best(loss),
        Some(loss) => HeatCell::Value(loss),
        None => HeatCell::Lost,
    }
}

fn sizes(best: &[&BestRate]) -> Vec<f64> {
    best.iter().map(|best| best.cell.batch_size as f64).collect()
}

/// Batch sizes between the ends, close enough for a smooth curve.
fn between(best: &[&BestRate]) -> impl Iterator<Item = f64> + use<> {
    let ends = sizes(best);
    let (low, high) = (ends.first().copied().unwrap_or(1.0), ends.last().copied().unwrap_or(1.0));
    (0..=80).map(move |index| low * (high / low).powf(f64::from(index) / 80.0))
}

fn same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}

/// The values without those that differ by rounding alone, ascending.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| same(*a, *b));
    values
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The sweep that the guide names, as it saved its findings: the figures are drawn again without training.
    fn recorded() -> Findings {
        serde_json::from_str(include_str!("guide.json")).expect("it is the results.json of a sweep")
    }

    /// A file of the guide, which is part of the library's docs and not of this package.
    fn guide(name: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/guide").join(name);
        if !path.exists() {
            eprintln!("skipped: {} is not there, as in a packed crate", path.display());
        }
        path.exists().then_some(path)
    }

    #[test]
    fn the_figures_of_the_guide_are_those_of_its_recorded_sweep() {
        let (findings, mean) = (recorded(), Reduction::Mean);
        for (name, svg) in [
            ("best-rate-mean.svg", best_rate(&findings, mean).svg()),
            ("to-the-goal-mean.svg", to_the_goal(&findings, mean).svg()),
            ("losses-mean.svg", losses(&findings, mean).svg()),
        ] {
            let Some(path) = guide(name) else { return };
            if std::env::var_os("UPDATE_GUIDE").is_some() {
                fs::write(&path, &svg).unwrap();
            }
            let is_current = fs::read_to_string(&path).is_ok_and(|drawn| drawn == svg);
            assert!(
                is_current,
                "{name} is out of date; run UPDATE_GUIDE=1 cargo test -p phalanx-cli figures_of_the_guide"
            );
        }
    }

    #[test]
    fn the_guide_states_the_numbers_of_its_recorded_sweep() {
        let findings = recorded();
        let (law, trade_off) = (findings.rate_law.unwrap(), findings.trade_off.unwrap());
        let noise = findings.noise.unwrap().value;
        let Some(path) = guide("guide.md") else { return };
        let guide = fs::read_to_string(path).unwrap().replace('\n', " ");
        for stated in [
            format!("{noise:.0} samples"),
            format!("bend at {:.0}", law.noise_scale),
            format!("critical batch is {:.0}", trade_off.critical_batch),
        ] {
            assert!(guide.contains(&stated), "the guide does not say {stated:?}");
        }
    }

    #[test]
    fn every_batch_size_has_its_own_number_in_each_figure() {
        let (findings, mean) = (recorded(), Reduction::Mean);
        let with_best = ["16", "64", "256", "1024"];
        for (svg, sizes) in [
            (best_rate(&findings, mean).svg(), &with_best[..]),
            (to_the_goal(&findings, mean).svg(), &with_best),
            (losses(&findings, mean).svg(), &["16", "64", "256", "1024", "4096"]),
        ] {
            let missing = sizes.iter().find(|size| !svg.contains(&format!(">{size}</text>")));
            assert_eq!(missing, None);
        }
    }
}
