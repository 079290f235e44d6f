//! The report of a sweep: one HTML page that needs nothing else.

use super::figures::{best_rate, losses, to_the_goal};
use super::{BestRate, Findings, Sweep};
use crate::report::figure::{Plot, escaped, short_number};
use crate::report::page::Html;

/// Writes the page. `about` are names and values of what was swept, `command` is how to do it again.
pub fn page<M>(
    sweep: &Sweep<'_, M>,
    findings: &Findings,
    about: &[(String, String)],
    command: &str,
) -> String {
    let reductions = &sweep.options().reductions;
    let mut html = Html::new("phalanx sweep", "Sum or mean: a sweep");
    html.put(format_args!(
        "<h1>Sum or mean: does one divide by the batch size?</h1>\n<div class=\"answer\">\n"
    ));
    findings.answer.iter().for_each(|sentence| html.paragraph("", sentence));
    html.put(format_args!("</div>\n"));
    html.heading("The best rate in both conventions");
    plots(&mut html, reductions.iter().map(|&reduction| best_rate(findings, reduction)));
    html.heading("Steps and samples to the goal");
    plots(&mut html, reductions.iter().map(|&reduction| to_the_goal(findings, reduction)));
    let rows: Vec<_> = findings.best.iter().map(best_row).collect();
    html.table("wide", "The best rate of each batch size", &BEST.map(str::to_owned), &rows);
    html.heading("All runs");
    reductions.iter().for_each(|&reduction| html.heat_map(&losses(findings, reduction)));
    html.heading("What was run");
    let rows: Vec<_> = about.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    html.table("names options", "What was run", &[], &rows);
    html.put(format_args!("<p>Again: <code>{}</code></p>\n", escaped(command)));
    html.paragraph("quiet", NOTES);
    html.finish()
}

fn plots(html: &mut Html, plots: impl Iterator<Item = Plot>) {
    html.put(format_args!("<div class=\"figures\">\n"));
    plots.for_each(|plot| html.plot(plot));
    html.put(format_args!("</div>\n"));
}

const NOTES: &str = "A rate is good if it takes few steps to the goal (Shallue et al. 2019, arXiv:1811.03600); between the rates \
tried the best is interpolated. The laws are those of McCandlish et al. 2018, arXiv:1812.06162, equations 2.6 and 2.11, fitted to \
logarithms by least squares; batch sizes whose best rate is the first or last tried are left out of the fits. Short last batches are \
left out of training, so that a rate under mean is exactly the same rate over B under sum. Each run is one thread's; the bits are \
those of any number.";

const BEST: [&str; 6] = ["reduction", "batch size", "best rate under mean", "under sum", "steps", "samples"];

fn best_row(best: &BestRate) -> Vec<String> {
    let [mean, sum, steps, samples] =
        [best.rate_under_mean, best.rate_under_sum, best.steps, best.samples].map(short_number);
    let end = if best.at_end { " (end of those tried)" } else { "" };
    let (reduction, batch) = (best.cell.reduction.to_string(), best.cell.batch_size.to_string());
    vec![reduction, batch, mean + end, sum, steps, samples]
}

#[cfg(test)]
mod tests {
    use super::super::SweepOptions;
    use super::*;
    use phalanx::data::{LoadOptions, Source};
    use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    use phalanx::optim::Reduction;
    use phalanx::train::Options;

    #[test]
    fn every_figure_of_the_sweep_is_on_the_page() {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
        let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
        let mlp = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        let test = digits.test.as_ref().unwrap();
        let sweep =
            Sweep::new(&mlp, &digits.train, test, Options::default(), SweepOptions::default()).unwrap();
        // The page takes the reductions from the sweep, and everything else from the recorded findings of another.
        let findings: Findings = serde_json::from_str(include_str!("guide.json")).unwrap();
        let (html, mean) = (page(&sweep, &findings, &[], "phalanx sweep"), Reduction::Mean);
        for plot in [best_rate(&findings, mean), to_the_goal(&findings, mean)] {
            assert!(html.contains(&plot.title), "{}", plot.title);
        }
        assert!(html.contains(&losses(&findings, mean).title));
    }
}
