//! `phalanx report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use phalanx::checkpoint::{CheckpointDir, ModelFile};
use phalanx::data::HeaderRow;
use phalanx::internals::write_whole;
use phalanx::train::{predict, score};

use crate::commands::predict::output_of_class;
use crate::numbers::grouped;
use crate::page::{RunRecord, TestPredictions, is_run_page, run_page};
use crate::run::data::{DataRequest, LabelUse, samples_for};
use crate::run::resume::numbered;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{info, results};
use crate::text::TextTable;

/// Write an HTML page about one or more runs
///
/// The page shows curves, phases, options, the confusion matrix and the worst samples, and compares
/// several runs. Runs may be in any state: running, killed, interrupted, diverged or complete. The
/// samples are those that the run was tested on, or trained on if it had no test samples; if they
/// can no longer be loaded, the page notes this. The page is a single self-contained HTML file for
/// any browser.
#[derive(Args)]
#[command(after_help = "Examples:
  phalanx report                     the last run in runs
  phalanx report runs/3 runs/5       two runs and their differences
  phalanx report runs/* -o all.html  all runs, including those still running")]
pub struct ReportFlags {
    /// Run directories [default: the newest in runs]
    runs: Vec<PathBuf>,
    /// Output file; only an older page is overwritten [default: report.html in the run directory,
    /// or, for several runs, in the folder that contains the first]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

/// Writes the page, and prints its path and suggestions for what to do next.
pub fn run(flags: &ReportFlags) -> Result<ExitCode, Failure> {
    let runs = if flags.runs.is_empty() { vec![newest()?] } else { flags.runs.clone() };
    // runs/* also matches the page of several runs, once there is one.
    let runs = runs.iter().filter(|run| !is_run_page(run));
    let mut runs = runs.map(|run| RunRecord::read(run)).collect::<Result<Vec<_>, _>>()?;
    if runs.is_empty() {
        return Err(usage!(
            "{} is a page of phalanx report, not a run; pass a run directory, such as runs/1",
            flags.runs[0].display()
        ));
    }
    let output = flags.output.clone().unwrap_or_else(|| place(&runs));
    if output.is_dir() {
        return Err(usage!(
            "{} is a folder; give a file in it, such as {}",
            output.display(),
            output.join("report.html").display()
        ));
    }
    if output.is_file() && !is_run_page(&output) {
        return Err(anyhow!(
            "{} exists and is not a page of phalanx report; give another file with -o, or remove it",
            output.display()
        )
        .into());
    }
    let tested: Vec<_> = runs.iter_mut().map(tested).collect();
    for (run, reason) in
        runs.iter().zip(&tested).filter_map(|(run, tested)| Some((run, tested.as_ref().err()?)))
    {
        info(format!("warning: the samples of {} are not shown: {reason}", run.name()));
    }
    write_whole(&output, run_page(&runs, &tested).as_bytes())?;
    results(|out| write!(out, "{}", table(&runs, &output)))?;
    Ok(ExitCode::SUCCESS)
}

fn newest() -> Result<PathBuf, Failure> {
    let is_run = |run: &&PathBuf| run.join("config.toml").exists() || run.join("metrics.jsonl").exists();
    Ok(numbered().iter().find(is_run).cloned().ok_or_else(|| {
        anyhow!("there is no run in runs, the default folder of phalanx train; give a run directory, or train a model first")
    })?)
}

/// Returns the path of the page: in the directory of a single run, or next to several.
fn place(runs: &[RunRecord]) -> PathBuf {
    match runs {
        [run] => run.path.join("report.html"),
        _ => runs[0].path.parent().unwrap_or(Path::new("")).join("report.html"),
    }
}

/// Tests the model of a run on its samples, or returns the reason why this is impossible; adds the
/// model's description of its data to the record.
fn tested(run: &mut RunRecord) -> Result<TestPredictions, String> {
    try_tested(run).map_err(|failure| failure.to_string())
}

fn try_tested(run: &mut RunRecord) -> Result<TestPredictions, Failure> {
    let (file, step) = model(run)?;
    run.data = Some((file.data.clone(), file.classes.clone()));
    let request = DataRequest {
        data: None,
        format: None,
        header: HeaderRow::Auto,
        label_column: None,
        labels: LabelUse::Needed,
    };
    let (name, data) = samples_for(&file, request)?;
    let model = file.model();
    let predictions = predict(&model, &file.params, &data)?;
    let mut tested = TestPredictions::new(&name, &data, &predictions, output_of_class(file.shape.loss))
        .ok_or_else(|| anyhow!("the samples have no labels to compare with"))?;
    if let Some((columns, names)) = data.columns().and_then(|columns| Some((columns, columns.names()?))) {
        tested.feature_names = columns.features().iter().map(|&column| names[column].clone()).collect();
    }
    if let Some(step) = step {
        tested.notes.push(format!("The model is that after step {}, the newest checkpoint.", grouped(step)));
    }
    let found = score(&model, &file.params, &data)?.accuracy();
    if let Some((found, then)) = found.zip(run.results().and_then(|results| results.test_accuracy))
        && (found - then).abs() > 1e-6
    {
        tested.notes.push(format!(
            "The accuracy on these samples is {:.2} %, but was {:.2} % when the run ended: the data has changed since, or the model has.",
            100.0 * found,
            100.0 * then
        ));
    }
    Ok(tested)
}

/// Returns the final model of a run, or, if it has not ended, the model of its newest checkpoint
/// and the step.
fn model(run: &RunRecord) -> Result<(ModelFile, Option<u64>), Failure> {
    if run.results().is_some() {
        return Ok((ModelFile::load(&run.path)?, None));
    }
    let newest = CheckpointDir::of_run(&run.path)
        .newest(|error| info(format!("warning: {error}; looking for an earlier checkpoint")))?;
    let (_, checkpoint) = newest.ok_or_else(|| anyhow!("the run has no checkpoint"))?;
    Ok((checkpoint.model(), Some(checkpoint.snapshot.position().step)))
}

fn table(runs: &[RunRecord], output: &Path) -> TextTable {
    let mut table = TextTable::default();
    for run in runs {
        table.row("run", format!("{}, {}", run.name(), run.state_in_words()));
    }
    table.row("page", output.display());
    if let [run] = runs {
        let plot = run.path.join("loss.svg");
        if plot.is_file() {
            table.row("plot", plot.display());
        }
        for (index, (command, _)) in run.next().into_iter().enumerate() {
            table.row(if index == 0 { "next" } else { "" }, command);
        }
    }
    table
}
