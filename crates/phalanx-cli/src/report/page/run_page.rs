//! The page of one run, or of several side by side.

use std::path::Path;

use super::html::{Html, opening};
use super::options::{self, Options};
use super::{RunRecord, RunState, Tested, figures, results, samples};
use crate::report::figure::{curve_class, escaped};
use crate::report::grouped;
use phalanx::log::Stopped;

/// What the page says that it was made by.
const GENERATOR: &str = "phalanx report";
/// Letters of what sets a run apart that a legend has room for.
const MOST_LETTERS: usize = 44;

/// Writes the page of one run, or of several beside one another: curves, phases, results, options and how they differ, and how the
/// model does on single samples, as far as `tested` has that of a run, or the reason why it has not.
///
/// The page is one file that asks for nothing from elsewhere.
///
/// # Panics
///
/// If there is no run, or not one of `tested` for each.
pub fn run_page(runs: &[RunRecord], tested: &[Result<Tested, String>]) -> String {
    assert!(!runs.is_empty() && runs.len() == tested.len(), "runs, and the samples of each");
    let options = Options::of(runs);
    let title = match runs {
        [run] => format!("Run {}", run.name()),
        _ => format!("{} runs beside one another", runs.len()),
    };
    let mut html = Html::new(GENERATOR, &title);
    html.put(format_args!("<h1>{}</h1>\n", escaped(&title)));
    match runs {
        [run] => one(&mut html, run),
        _ => several(&mut html, runs, &options),
    }
    curves(&mut html, runs, &options);
    of_samples(&mut html, runs, tested);
    table_of_options(&mut html, runs, &options);
    next(&mut html, runs);
    html.paragraph("quiet", &format!("Written by phalanx report {}.", env!("CARGO_PKG_VERSION")));
    html.finish()
}

/// Whether a file holds a page that was written by [`run_page`], and may be written again.
pub fn is_run_page(path: &Path) -> bool {
    path.is_file() && std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(opening(GENERATOR).as_bytes()))
}

fn one(html: &mut Html, run: &RunRecord) {
    html.put(format_args!("<p>{}</p>\n", state(run)));
    html.put(format_args!("<ul class=\"facts\">\n"));
    for (name, value) in results::facts(run).into_iter().filter(|(name, _)| !ELSEWHERE.contains(name)) {
        html.put(format_args!("<li><b>{}</b><span>{name}</span></li>\n", escaped(&value)));
    }
    html.put(format_args!("</ul>\n"));
    if let Some(results) = run.results() {
        let (params, hash) = (grouped(results.params as u64), escaped(&results.params_sha256));
        html.put(format_args!("<p class=\"quiet\">{params} params, sha256 <code>{hash}</code></p>\n"));
    }
    if let Some((data, classes)) = &run.data {
        let rows = data.rows(classes.as_ref()).into_iter().map(|(name, text)| vec![name.to_owned(), text]);
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            html.heading("Data");
            html.table("names data", "What the training samples were taken for", &[], &rows);
        }
        data.remarks.iter().for_each(|remark| html.paragraph("note", remark));
    }
    if let Some(rate) = constant_rate(run) {
        html.paragraph("quiet", &format!("The learning rate was {rate:?} in every step."));
    }
}

/// Facts of one run that stand in sentences.
const ELSEWHERE: [&str; 3] = ["state", "params", "sha256"];

/// How far a run has come, and what it says about it: HTML.
fn state(run: &RunRecord) -> String {
    let step = run.log.last_step().map_or("before the first step was logged".to_owned(), |step| {
        format!("after step {}", grouped(step))
    });
    match &run.state {
        RunState::UnderWay => format!("<b>Under way</b>, {step}."),
        RunState::Killed => format!("<b>Killed</b> {step}: nobody trains in it, and it has no results."),
        RunState::Ended(results) => {
            let steps = grouped(results.steps);
            match results.stopped {
                Stopped::Completed if results.stopped_early => {
                    format!("<b>Stopped early</b> after {steps} steps, as it got no better.")
                }
                Stopped::Completed => format!("<b>Completed</b>: all of its {steps} steps are done."),
                Stopped::Interrupted => {
                    format!("<b>Interrupted</b> after {steps} steps; it can be gone on with.")
                }
                Stopped::Diverged => {
                    let what =
                        results.divergence.as_deref().map_or_else(String::new, |what| format!(" ({what})"));
                    format!("<b>Diverged</b> in step {steps}: it met no finite number{}.", escaped(&what))
                }
            }
        }
    }
}

fn constant_rate(run: &RunRecord) -> Option<f64> {
    let first = run.log.steps.first()?.lr;
    run.log.steps.iter().all(|step| step.lr == first).then_some(first)
}

/// A row a run, with the line it is drawn with.
fn several(html: &mut Html, runs: &[RunRecord], options: &Options) {
    let (names, rows) = results::table(runs);
    html.put(format_args!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Results of the runs\">\n<table class=\"runs\">\n\
         <thead><tr><th scope=\"col\">run</th>"
    ));
    names.iter().for_each(|name| html.put(format_args!("<th scope=\"col\">{name}</th>")));
    html.put(format_args!("</tr></thead>\n<tbody>\n"));
    for (colour, (run, row)) in runs.iter().zip(rows).enumerate() {
        let (key, name) = (key(colour), escaped(&run.name()));
        html.put(format_args!("<tr><th scope=\"row\">{key}{name}</th>"));
        row.iter().for_each(|cell| html.put(format_args!("<td>{}</td>", escaped(cell))));
        html.put(format_args!("</tr>\n"));
    }
    html.put(format_args!("</tbody>\n</table>\n</div>\n"));
    for group in results::same_bits(runs) {
        html.paragraph("", &format!("The params of {} have the same bits.", group.join(", ")));
    }
    if options.differ.is_empty() {
        html.paragraph("", "The runs have the same options.");
        return;
    }
    html.heading("Options that differ");
    let rows: Vec<_> = options.differ.iter().map(|name| options::row(name, runs)).collect();
    html.table("names options", "Options that differ", &head("option", runs), &rows);
}

/// The line of a run as the figures draw it.
fn key(colour: usize) -> String {
    format!(
        "<svg class=\"figure key\" viewBox=\"0 0 30 10\" width=\"30\" height=\"10\" aria-hidden=\"true\"><line class=\"{}\" \
         x1=\"0\" y1=\"5\" x2=\"30\" y2=\"5\"/></svg>",
        curve_class(colour)
    )
}

fn head(first: &str, runs: &[RunRecord]) -> Vec<String> {
    [first.to_owned()].into_iter().chain(runs.iter().map(RunRecord::name)).collect()
}

fn curves(html: &mut Html, runs: &[RunRecord], options: &Options) {
    html.heading("Curves");
    let named: Vec<_> = runs.iter().map(|run| (run.name(), run)).collect();
    html.put(format_args!("<div class=\"figures\">\n"));
    for (index, mut plot) in figures::curves(&named).into_iter().enumerate() {
        // What sets runs apart is said once, in the first figure.
        if let (0, [_, _, ..]) = (index, runs) {
            for (series, run) in plot.series.iter_mut().zip(runs) {
                series.name = legend(run, runs, options);
            }
        }
        html.plot(plot);
    }
    if let Some(columns) = figures::phases(&named) {
        html.columns(columns);
    }
    html.put(format_args!("</div>\n"));
    let resumed: Vec<String> = runs.iter().filter(|run| !run.log.resumed.is_empty()).map(resumed).collect();
    if !resumed.is_empty() {
        html.paragraph("quiet", &format!("{}.", resumed.join("; ")));
    }
}

fn resumed(run: &RunRecord) -> String {
    let steps: Vec<String> = run.log.resumed.iter().take(12).map(|step| grouped(*step)).collect();
    let more = if run.log.resumed.len() > 12 { " ..." } else { "" };
    format!("{} was resumed after step {}{more}", run.name(), steps.join(", "))
}

/// The name of a run, and what sets it apart.
fn legend(run: &RunRecord, runs: &[RunRecord], options: &Options) -> String {
    let apart = options.in_words(run, runs);
    if apart.is_empty() {
        return run.name();
    }
    let short = if apart.chars().count() <= MOST_LETTERS {
        apart
    } else {
        apart.chars().take(MOST_LETTERS - 1).chain(['…']).collect()
    };
    format!("{}: {short}", run.name())
}

fn of_samples(html: &mut Html, runs: &[RunRecord], tested: &[Result<Tested, String>]) {
    html.heading("Samples, one by one");
    for (run, tested) in runs.iter().zip(tested) {
        let is_one = runs.len() == 1;
        if !is_one {
            let name = escaped(&run.name());
            html.put(format_args!("<details><summary>{name}</summary>\n"));
        }
        match tested {
            Ok(tested) => samples::samples(html, tested),
            Err(reason) => html.paragraph("note", &format!("Not shown: {reason}")),
        }
        if !is_one {
            html.put(format_args!("</details>\n"));
        }
    }
}

/// All options of one run; of several those that are the same.
fn table_of_options(html: &mut Html, runs: &[RunRecord], options: &Options) {
    if options.same.is_empty() {
        return;
    }
    let (title, summary) = match runs {
        [_] => ("Options", "All options, as config.toml has them"),
        _ => ("Options that are the same", "Show them"),
    };
    html.heading(title);
    html.put(format_args!("<details><summary>{summary}</summary>\n"));
    let rows: Vec<_> = options.same.iter().map(|name| options::row(name, &runs[..1])).collect();
    html.table("names options", title, &[], &rows);
    html.put(format_args!("</details>\n"));
}

fn next(html: &mut Html, runs: &[RunRecord]) {
    html.heading("Next");
    html.put(format_args!("<ul>\n"));
    // Of several runs only what comes first: the pages of the runs have the rest.
    let most = if runs.len() == 1 { usize::MAX } else { 1 };
    for (command, what) in runs.iter().flat_map(|run| run.next().into_iter().take(most)) {
        html.put(format_args!("<li><code>{}</code><br>{what}</li>\n", escaped(&command)));
    }
    html.put(format_args!("</ul>\n"));
}
