//! The report of a sweep: its figures, and a self-contained HTML page.

use maud::html;
use phalanx::optim::Reduction;

use super::{BestRate, Findings, Setting, Sweep};
use crate::figure::{Axis, HeatCell, HeatMap, Mark, Plot, PlotSeries, Scale, SeriesKind};
use crate::numbers::{distinct_labels, grouped, short_number};
use crate::page::{document, heat_map, plots, table};

/// Returns the page. `about` lists names and values that describe the sweep, `command` repeats it.
pub fn page<M>(
    sweep: &Sweep<'_, M>,
    findings: &Findings,
    about: &[(String, String)],
    command: &str,
) -> String {
    let reductions = || sweep.options().reductions.iter();
    let rows: Vec<_> = findings.best.iter().map(best_row).collect();
    let about: Vec<_> = about.iter().map(|(name, value)| vec![name, value]).collect();
    let no_head: &[&str] = &[];
    let body = html! {
        h1 { "Sum or mean: should gradients be divided by the batch size?" }
        div.answer { @for sentence in &findings.answer { p { (sentence) } } }
        h2 { "The best rate in both conventions" }
        (plots(reductions().map(|reduction| best_rate(findings, *reduction)), None))
        h2 { "Steps and samples to the goal" }
        (plots(reductions().map(|reduction| to_the_goal(findings, *reduction)), None))
        (table("wide", "The best rate of each batch size", &BEST, &rows))
        h2 { "All runs" }
        @for reduction in reductions() { (heat_map(&losses(findings, *reduction))) }
        h2 { "Options of the sweep" }
        (table("names options", "Options of the sweep", no_head, &about))
        p { "To repeat the sweep: " code { (command) } }
        p.quiet { (NOTES) }
    };
    document("phalanx sweep", "Sum or mean: a sweep", &body)
}

const NOTES: &str = "The best rate takes the fewest steps to the goal (Shallue et al. 2019, arXiv:1811.03600), interpolated \
between the rates tried. The laws are those of McCandlish et al. 2018, arXiv:1812.06162, equations 2.6 and 2.11, fitted to \
logarithms by least squares; batch sizes whose best rate is the first or last one tried are excluded from the fits. Short last batches \
are excluded from training, so that a rate under mean is exactly equivalent to that rate divided by B under sum. Each run uses one \
thread; any number of threads gives the same bits.";

const BEST: [&str; 6] = ["reduction", "batch size", "best rate under mean", "under sum", "steps", "samples"];

fn best_row(best: &BestRate) -> Vec<String> {
    let [mean, sum, steps, samples] =
        [best.rate_under_mean, best.rate_under_sum, best.steps, best.samples].map(short_number);
    let end = if best.at_end { " (end of the range tried)" } else { "" };
    let (reduction, batch) = (best.cell.reduction.to_string(), best.cell.batch_size.to_string());
    vec![reduction, batch, mean + end, sum, steps, samples]
}

/// Returns the best rate over the batch size in both conventions, with the law and the noise scale.
pub fn best_rate(findings: &Findings, reduction: Reduction) -> Plot {
    let best = BestRateCurves { best: findings.best_of(reduction).collect() };
    let mut series = vec![
        best.measured("best rate under mean", 0, |best| best.rate_under_mean),
        best.measured("best rate under sum", 1, |best| best.rate_under_sum),
    ];
    let mut marks = Vec::new();
    if let Some(law) = findings.rate_law {
        let [max, noise] = [law.max_rate, law.noise_scale].map(short_number);
        series.push(best.fit(format!("fit {max}/(1 + {noise}/B)"), 0, |b| law.rate_under_mean(b)));
        series.push(best.fit(format!("fit {max}/(B + {noise})"), 1, |b| law.rate_under_sum(b)));
        marks.push(Mark { x: law.noise_scale, label: format!("fitted {noise}") });
    }
    if let Some(noise) = &findings.noise {
        marks.push(Mark { x: noise.value, label: format!("noise scale {}", short_number(noise.value)) });
    }
    let caption = "Small batches share one rate under sum, large ones one rate under mean.";
    let plot = best.plot("Best learning rate by batch size".to_owned(), caption, "learning rate");
    Plot { series, marks, ..plot }
}

/// Returns steps and samples to the goal over the batch size.
pub fn to_the_goal(findings: &Findings, reduction: Reduction) -> Plot {
    let best = BestRateCurves { best: findings.best_of(reduction).collect() };
    let mut series =
        vec![best.measured("steps", 2, |best| best.steps), best.measured("samples", 3, |best| best.samples)];
    let mut marks = Vec::new();
    if let Some(law) = findings.trade_off {
        let [steps, samples, batch] = [law.min_steps, law.min_samples, law.critical_batch].map(short_number);
        series.push(best.fit(format!("fit {steps}·(1 + {batch}/B)"), 2, |b| law.steps(b)));
        series.push(best.fit(format!("fit {samples}·(1 + B/{batch})"), 3, |b| b * law.steps(b)));
        marks.push(Mark { x: law.critical_batch, label: format!("B_crit {batch}") });
    }
    let goal = findings
        .goal
        .map_or_else(|| "the goal".to_owned(), |goal| format!("a test loss of {}", short_number(goal)));
    let caption = "Each batch size at its best rate. Larger batches save steps below B_crit and waste samples above it.";
    let plot = best.plot(format!("Steps and samples to {goal}"), caption, "steps, samples");
    Plot { series, marks, ..plot }
}

/// The best rates of a reduction, drawn over the batch size.
struct BestRateCurves<'a> {
    best: Vec<&'a BestRate>,
}

impl BestRateCurves<'_> {
    fn plot(&self, title: String, caption: &str, y: &str) -> Plot {
        let x = Axis::new("batch size B", Scale::Log).with_ticks(self.sizes());
        Plot { caption: vec![caption.to_owned()], ..Plot::new(title, x, Axis::new(y, Scale::Log)) }
    }

    fn measured(&self, name: &str, colour: usize, value: fn(&BestRate) -> f64) -> PlotSeries {
        let points = self.sizes().into_iter().zip(self.best.iter().map(|best| value(best))).collect();
        PlotSeries { name: name.to_owned(), kind: SeriesKind::Measured, colour, points }
    }

    /// Returns a smooth curve from the smallest to the largest batch size.
    fn fit(&self, name: String, colour: usize, value: impl Fn(f64) -> f64) -> PlotSeries {
        let ends = self.sizes();
        let (low, high) = (ends.first().copied().unwrap_or(1.0), ends.last().copied().unwrap_or(1.0));
        let between = (0..=80).map(|index| low * (high / low).powf(f64::from(index) / 80.0));
        let points = between.map(|size| (size, value(size))).collect();
        PlotSeries { name, kind: SeriesKind::Fit, colour, points }
    }

    fn sizes(&self) -> Vec<f64> {
        self.best.iter().map(|best| best.cell.batch_size as f64).collect()
    }
}

/// Returns the final loss over batch size and rate.
pub fn losses(findings: &Findings, reduction: Reduction) -> HeatMap {
    let of: Vec<&Setting> =
        findings.settings.iter().filter(|setting| setting.cell.reduction == reduction).collect();
    // Chosen rates under sum differ between batch sizes, but are the same under mean.
    let own: Vec<f64> = distinct(of.iter().map(|setting| setting.cell.rate));
    let by_mean = distinct(of.iter().map(|setting| setting.rate_under_mean));
    let as_mean = by_mean.len() < own.len();
    let (name, rates) = if as_mean {
        ("rate under mean".to_owned(), by_mean)
    } else {
        (format!("rate under {reduction}"), own)
    };
    let sizes = distinct(of.iter().map(|setting| setting.cell.batch_size as f64));
    let cell = |size: f64, rate: f64| {
        let here = |setting: &&&Setting| {
            let rate_here = if as_mean { setting.rate_under_mean } else { setting.cell.rate };
            setting.cell.batch_size as f64 == size && same(rate_here, rate)
        };
        of.iter().find(here).map_or(HeatCell::Empty, |setting| heat(findings, setting))
    };
    HeatMap {
        title: format!("Final test loss by batch size and rate, {reduction}"),
        caption: vec![
            "Mean over the seeds. A cross: a run diverged, or ended above its initial loss.".to_owned(),
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

fn same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}

/// Returns the values in ascending order, without those that differ only by rounding.
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

    use phalanx::data::{LoadOptions, Source};
    use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    use phalanx::train::Options;

    use super::super::SweepOptions;
    use super::*;

    /// The sweep that the chapter "Sum or mean" names, as it saved its findings: the figures are
    /// drawn again without training. To measure it again, run the sweep, copy its results.json to
    /// book.json, draw the figures with UPDATE_FIGURES=1, and state the new numbers in the chapter.
    fn recorded() -> Findings {
        serde_json::from_str(include_str!("book.json")).expect("it is the results.json of a sweep")
    }

    /// A file of the book, which is not in this package.
    fn chapter(name: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src").join(name);
        if !path.exists() {
            eprintln!("skipped: {} does not exist, as in a packaged crate", path.display());
        }
        path.exists().then_some(path)
    }

    #[test]
    fn the_figures_of_the_book_are_those_of_its_recorded_sweep() {
        let (findings, mean) = (recorded(), Reduction::Mean);
        for (name, svg) in [
            ("best-rate-mean.svg", best_rate(&findings, mean).svg()),
            ("to-the-goal-mean.svg", to_the_goal(&findings, mean).svg()),
            ("losses-mean.svg", losses(&findings, mean).svg()),
        ] {
            let Some(path) = chapter(&format!("images/{name}")) else { return };
            if std::env::var_os("UPDATE_FIGURES").is_some() {
                fs::write(&path, &svg).unwrap();
            }
            let is_current = fs::read_to_string(&path).is_ok_and(|drawn| drawn == svg);
            assert!(
                is_current,
                "{name} is out of date; run UPDATE_FIGURES=1 cargo test -p phalanx-cli figures_of_the_book"
            );
        }
    }

    #[test]
    fn the_book_states_the_numbers_of_its_recorded_sweep() {
        let findings = recorded();
        let (law, trade_off) = (findings.rate_law.unwrap(), findings.trade_off.unwrap());
        let noise = findings.noise.unwrap().value;
        let Some(path) = chapter("sum-or-mean.md") else { return };
        let text = fs::read_to_string(path).unwrap().replace('\n', " ");
        for stated in [
            format!("{noise:.0} samples"),
            format!("bend at {:.0}", law.noise_scale),
            format!("critical batch is {:.0}", trade_off.critical_batch),
        ] {
            assert!(text.contains(&stated), "sum-or-mean.md does not contain {stated:?}");
        }
    }

    #[test]
    fn every_batch_size_is_labelled_in_each_figure() {
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

    #[test]
    fn every_figure_of_the_sweep_is_on_the_page() {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
        let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
        let mlp = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        let test = digits.test.as_ref().unwrap();
        let sweep =
            Sweep::new(&mlp, &digits.train, test, Options::default(), SweepOptions::default()).unwrap();
        // The page takes the reductions from the sweep, and everything else from the recorded
        // findings of another.
        let findings: Findings = serde_json::from_str(include_str!("book.json")).unwrap();
        let (html, mean) = (page(&sweep, &findings, &[], "phalanx sweep"), Reduction::Mean);
        for plot in [best_rate(&findings, mean), to_the_goal(&findings, mean)] {
            assert!(html.contains(&plot.title), "{}", plot.title);
        }
        assert!(html.contains(&losses(&findings, mean).title));
    }
}
