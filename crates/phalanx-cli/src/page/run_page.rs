//! The page of one run, or of several side by side.

use std::path::Path;

use maud::{Markup, html};
use phalanx::internals::Measure;
use phalanx::log::Conventions;
use phalanx::train::StopReason;

use super::curves::{curves, phases};
use super::html::{document, is_made_by, plots, table};
use super::results::{OptionNames, facts, facts_of_runs, option_rows, same_bits};
use super::run_record::{RunRecord, RunState};
use super::samples::samples;
use super::test_predictions::TestPredictions;
use crate::figure::curve_class;
use crate::numbers::{exact, grouped, significant};

/// The generator named in the page.
const GENERATOR: &str = "phalanx report";
/// Maximum number of letters for the options of a run in a legend.
const MAX_LETTERS: usize = 44;

/// Returns the page of one run, or of several side by side: curves, phases, results, options and
/// their differences, and the predictions of the model for individual samples, or the reason why
/// they are missing.
///
/// The page is a single file that loads nothing external.
///
/// # Panics
///
/// If there is no run, or `tested` does not have one entry per run.
pub fn run_page(runs: &[RunRecord], tested: &[Result<TestPredictions, String>]) -> String {
    assert!(
        !runs.is_empty() && runs.len() == tested.len(),
        "at least one run, and one entry of `tested` per run"
    );
    let options = OptionNames::of(runs);
    let title = match runs {
        [run] => format!("Run {}", run.name()),
        _ => format!("{} runs side by side", runs.len()),
    };
    let body = html! {
        h1 { (title) }
        @if let [run] = runs { (one(run)) } @else { (several(runs, &options)) }
        (of_curves(runs, &options))
        (of_samples(runs, tested))
        (same_options(runs, &options))
        (next(runs))
        p.quiet { "Written by phalanx report " (env!("CARGO_PKG_VERSION")) "." }
    };
    document(GENERATOR, &title, &body)
}

/// Returns whether a file holds a page that was written by [`run_page`], and may be replaced.
pub fn is_run_page(path: &Path) -> bool {
    path.is_file() && std::fs::read(path).is_ok_and(|bytes| is_made_by(GENERATOR, &bytes))
}

fn one(run: &RunRecord) -> Markup {
    html! {
        p { (state(run)) }
        ul.facts {
            @for (name, value) in facts(run).filter(|(name, _)| !IN_SENTENCES.contains(name)) {
                li { b { (value) } span { (name) } }
            }
        }
        @if let Some(results) = run.results() {
            p.quiet { (grouped(results.params as u64)) " params, sha256 " code { (results.params_sha256) } }
        }
        @if let Some((data, classes)) = &run.data {
            @let rows: Vec<_> =
                data.rows(classes.as_ref()).into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
            @if !rows.is_empty() {
                h2 { "Data" }
                (table("names data", "Interpretation of the training data", NO_HEAD, &rows))
            }
            @for remark in &data.remarks { p.note { (remark) } }
        }
        @if let Some(rate) = constant_rate(run) {
            p.quiet { "The learning rate was " (format!("{rate:?}")) " in every step." }
        }
        @if let Some(conventions) = run.results().and_then(|results| results.conventions.as_ref()) {
            h2 { "What a paper must state" }
            (table("names data", "The conventions of the run", NO_HEAD, &convention_rows(conventions)))
        }
    }
}

/// Results of one run that its sentences already state.
const IN_SENTENCES: [&str; 3] = ["state", "params", "sha256"];

/// For a table without a header.
const NO_HEAD: &[&str] = &[];

/// The state of a run, with its reason.
fn state(run: &RunRecord) -> Markup {
    let step = run.log.last_step().map_or("before the first step was logged".to_owned(), |step| {
        format!("after step {}", grouped(step))
    });
    let results = match &run.state {
        RunState::Running => return html! { b { "Running" } ", " (step) "." },
        RunState::Killed => {
            return html! { b { "Killed" } " " (step) ": no program is training it, and it has no results." };
        }
        RunState::Ended(results) => results,
    };
    let steps = grouped(results.steps);
    match results.stopped {
        StopReason::Completed if results.stopped_early => {
            html! { b { "Stopped early" } " after " (steps) " steps: no further improvement." }
        }
        StopReason::Completed | StopReason::StoppedEarly => {
            html! { b { "Completed" } ": all " (steps) " steps are done." }
        }
        StopReason::Interrupted => {
            html! { b { "Interrupted" } " after " (steps) " steps; it can be resumed." }
        }
        StopReason::Diverged => html! {
            b { "Diverged" } " after " (steps) " completed steps"
            @if let Some(what) = &results.divergence { ": " (what) }
            "."
        },
    }
}

fn convention_rows(conventions: &Conventions) -> Vec<Vec<String>> {
    let Conventions { loss_reduction, all_reduce, l2, momentum, clipping, last_batch, .. } = conventions;
    let [mean, sum] =
        [conventions.rate_under_mean, conventions.rate_under_sum].map(|rate| exact(significant(rate, 6)));
    [
        ("loss reduction", loss_reduction),
        ("all-reduce", all_reduce),
        ("L2", l2),
        ("momentum", momentum),
        ("clipping", clipping),
        ("last batch", last_batch),
        ("learning rate", &format!("{mean} under mean, {sum} under sum")),
    ]
    .map(|(name, text)| vec![name.to_owned(), text.clone()])
    .to_vec()
}

fn constant_rate(run: &RunRecord) -> Option<f64> {
    let first = run.log.steps.first()?.value(Measure::Lr);
    run.log.steps.iter().all(|step| step.value(Measure::Lr) == first).then_some(first).flatten()
}

/// Returns a row for each run, with a sample of its line.
fn several(runs: &[RunRecord], options: &OptionNames) -> Markup {
    let (names, rows) = facts_of_runs(runs);
    let head = [&["run"], &names[..]].concat();
    let row = |(colour, (run, row)): (usize, (&RunRecord, Vec<String>))| {
        let first = html! { (key(colour)) (run.name()) };
        [first].into_iter().chain(row.into_iter().map(|cell| html! { (cell) })).collect()
    };
    let rows: Vec<Vec<Markup>> = runs.iter().zip(rows).enumerate().map(row).collect();
    html! {
        (table("runs", "Results of the runs", &head, &rows))
        @for group in same_bits(runs) { p { "The params of " (group.join(", ")) " are bit-identical." } }
        @if options.differ.is_empty() {
            p { "The runs have the same options." }
        } @else {
            @let names = runs.iter().map(RunRecord::name);
            @let head: Vec<_> = ["option".to_owned()].into_iter().chain(names).collect();
            h2 { "Options that differ" }
            (table("names options", "Options that differ", &head, &option_rows(&options.differ, runs)))
        }
    }
}

/// Draws a sample of the line that represents a run in the figures.
fn key(colour: usize) -> Markup {
    html! {
        svg.figure.key viewBox="0 0 30 10" width="30" height="10" aria-hidden="true" {
            line class=(curve_class(colour)) x1="0" y1="5" x2="30" y2="5" {}
        }
    }
}

fn of_curves(runs: &[RunRecord], options: &OptionNames) -> Markup {
    let mut curves = curves(runs);
    if let ([_, _, ..], Some(first)) = (runs, curves.first_mut()) {
        // The options that distinguish the runs appear only in the first figure.
        first.series.iter_mut().zip(runs).for_each(|(series, run)| series.name = legend(run, runs, options));
    }
    let resumed: Vec<String> = runs.iter().filter(|run| !run.log.resumed.is_empty()).map(resumed).collect();
    html! {
        h2 { "Curves" }
        (plots(curves, phases(runs)))
        @if !resumed.is_empty() { p.quiet { (resumed.join("; ")) "." } }
    }
}

fn resumed(run: &RunRecord) -> String {
    let steps: Vec<String> = run.log.resumed.iter().take(12).map(|step| grouped(*step)).collect();
    let more = if run.log.resumed.len() > 12 { " ..." } else { "" };
    format!("{} was resumed after step {}{more}", run.name(), steps.join(", "))
}

/// The name of a run, and the options that distinguish it.
fn legend(run: &RunRecord, runs: &[RunRecord], options: &OptionNames) -> String {
    let apart = options.in_words(run, runs);
    if apart.is_empty() {
        return run.name();
    }
    let short = if apart.chars().count() <= MAX_LETTERS {
        apart
    } else {
        apart.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
    };
    format!("{}: {short}", run.name())
}

fn of_samples(runs: &[RunRecord], tested: &[Result<TestPredictions, String>]) -> Markup {
    let of = |tested: &Result<TestPredictions, String>| match tested {
        Ok(tested) => samples(tested),
        Err(reason) => html! { p.note { "Not shown: " (reason) } },
    };
    html! {
        h2 { "Predictions" }
        @if let [tested] = tested {
            (of(tested))
        } @else {
            @for (run, tested) in runs.iter().zip(tested) {
                details { summary { (run.name()) } (of(tested)) }
            }
        }
    }
}

/// Returns all options of one run, or the options that several runs share.
fn same_options(runs: &[RunRecord], options: &OptionNames) -> Markup {
    let (title, summary) = match runs {
        [_] => ("Options", "All options, as in config.toml"),
        _ => ("Options in common", "Show"),
    };
    html! {
        @if !options.same.is_empty() {
            h2 { (title) }
            details {
                summary { (summary) }
                (table("names options", title, NO_HEAD, &option_rows(&options.same, &runs[..1])))
            }
        }
    }
}

fn next(runs: &[RunRecord]) -> Markup {
    // For several runs, only the first command of each: the pages of the single runs have the
    // others.
    let most = if runs.len() == 1 { usize::MAX } else { 1 };
    html! {
        h2 { "Next" }
        ul {
            @for (command, what) in runs.iter().flat_map(|run| run.next().into_iter().take(most)) {
                li { code { (command) } br; (what) }
            }
        }
    }
}
