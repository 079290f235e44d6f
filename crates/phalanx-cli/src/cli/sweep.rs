//! `phalanx sweep`: flags, files and text around the library's sweeps.

mod lists;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use crate::numbers::{grouped, measured, short_number};
use crate::progress::{CountProgress, ProgressStyle};
use crate::sweep::{
    Findings, Record, Sweep, SweepError, SweepLog, SweepOptions, best_rate, csv, losses, page, to_the_goal,
};
use crate::text::{TextTable, shell_word};
use anyhow::anyhow;
use clap::Args;
use phalanx::internals::write_whole;
use phalanx::log::RunDir;
use phalanx::model::Mlp;
use phalanx::optim::Reduction;
use serde::{Deserialize, Serialize};

use super::auto::Auto;
use super::failure::Failure;
use super::flags::TrainFlags;
use super::input::{data_name, training_data, warn_of_scales};
use super::preview::layers;
use super::signals::Signals;
use super::{layers, like, output, settings};
use lists::Lists;

/// Train with many batch sizes and rates, and show how the best rate depends on the batch size
///
/// Every batch size is run with every rate, reduction and seed; the best rate is the one with the fewest steps to the goal, a loss of
/// the test samples. Without arguments the digits are swept. Flags not listed here are those of train; a --config file, and variables
/// such as PHALANX_EPOCHS, may be those of a run: their batch size, rate, reduction, seed and threads are not looked at.
#[derive(Args)]
#[command(
    after_help = "Results: sweep.json, what was asked for; runs.jsonl, the curve of each run, written as it ends; runs.csv, a line a \
run; results.json, best rates, laws and noise scale; report.html, all of it with figures; the figures as SVG.

Examples:
  phalanx sweep                                                   the digits, in seconds
  phalanx sweep data/mnist -b 16,64,256,1024,4096 --epochs 5      some minutes
  phalanx sweep --resume sweeps/1                                 go on after Ctrl-C
  phalanx sweep --resume sweeps/1 --goal 0.2                      another goal for the same runs"
)]
pub(super) struct SweepFlags {
    #[command(flatten)]
    lists: Lists,
    /// Runs at a time, each on one thread [default: auto, all cores]
    #[arg(short, long, value_name = "N|auto", help_heading = "Sweep")]
    jobs: Option<Auto<usize>>,
    /// Loss of the test samples that runs are to reach [default: 1.2 times the lowest that every batch size
    /// reaches]; with --resume, another goal for the same runs
    #[arg(long, value_name = "LOSS", help_heading = "Sweep")]
    goal: Option<f64>,
}

/// What is kept of a sweep beside its records.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    version: String,
    /// How it was begun.
    command: String,
    goal: Option<f64>,
    #[serde(flatten)]
    lists: Lists,
}

/// Sweeps, reports and saves.
pub(super) fn run(mut flags: SweepFlags) -> Result<ExitCode, Failure> {
    flags.lists.check()?;
    // In a variable or a file it is about a run.
    let resume = flags.lists.train.resume.take();
    flags.lists.train = layers::given(flags.lists.train)?.flags;
    let (quiet, jobs) = (flags.lists.train.quiet == Some(true), settings::threads(flags.jobs)?);
    let style = progress_style(&flags.lists.train);
    let mut asked = match &resume {
        Some(dir) => {
            let asked = read_asked(dir)?;
            Asked { goal: flags.goal.or(asked.goal), ..asked }
        }
        None => asked(flags)?,
    };
    let data = training_data(&asked.lists.train, None)?;
    settings::record_targets(&mut asked.lists.train, &data);
    let train = &asked.lists.train;
    let test = data.test.as_ref().ok_or_else(|| {
        anyhow!("a sweep scores test samples, and {} has none; set some aside with --test-split 0.2, or name some with --test", data_name(train))
    })?;
    warn_of_scales(train, &data.train)?;
    let base = settings::options(train)?;
    let model = settings::model(train, &data, &base)?;
    let sweep = Sweep::new(&model, &data.train, test, base, options(&asked, jobs)).map_err(failure)?;

    let signals = Signals::listen()?;
    let mut made = None;
    let dir = match &resume {
        Some(dir) => dir.to_path_buf(),
        None => made.insert(new_dir(train, &asked)?).path().to_owned(),
    };
    let (mut log, done) = SweepLog::open(&dir.join("runs.jsonl"))?;
    let about = about(&asked, &model, &sweep, test.len());
    if !quiet {
        output::tell(table(&about, &dir));
    }
    let mut progress = CountProgress::new(style, "runs", done.len() as u64, sweep.runs().len() as u64);
    let mut failed = None;
    let records = sweep.run(&done, &signals.stop, |record| {
        progress.one(said(record));
        if let (Err(error), None) = (log.append(record), &failed) {
            failed = Some(error);
            signals.stop.store(true, Ordering::Relaxed);
        }
    });
    progress.finish();
    if let Some(dir) = made.as_mut().filter(|_| records.is_ok()) {
        dir.keep();
    }
    failed.map_or(Ok(()), Err)?;
    let records = records?;
    if records.len() < sweep.runs().len() {
        let (done, all, dir) = (records.len(), sweep.runs().len(), dir.display());
        output::tell(format!("stopped after {done} of {all} runs; go on with: phalanx sweep --resume {dir}"));
        return Ok(signals.exit_code(false));
    }
    let findings = Findings::new(&sweep, &records)?;
    save(&dir, &sweep, &findings, &records, (&about, &asked.command))?;
    if !quiet {
        output::results(|out| write!(out, "{}", summary(&findings, &dir)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn progress_style(train: &TrainFlags) -> ProgressStyle {
    let hidden = train.quiet == Some(true) || train.no_progress == Some(true);
    if hidden { ProgressStyle::Hidden } else { ProgressStyle::automatic() }
}

/// The flags with all that is left to the program filled in.
fn asked(flags: SweepFlags) -> Result<Asked, Failure> {
    let mut lists = flags.lists;
    let standard = SweepOptions::default();
    let merged = TrainFlags { reduction: None, resume: None, ..lists.train };
    if let (Some(framework), false) = (merged.like, lists.reductions.is_empty()) {
        return Err(Failure::usage(format!(
            "--like {framework} means a reduction of its own; drop --reduction, or --like"
        )));
    }
    let train = like::resolve(merged)?;
    if lists.reductions.is_empty() {
        lists.reductions.extend(train.reduction);
    }
    let train = settings::complete(train);
    lists.train = TrainFlags {
        threads: None,
        batch_size: None,
        lr: None,
        reduction: None,
        seed: None,
        log_every: None,
        save_every: None,
        keep: None,
        drop_last: None,
        ..train
    };
    if lists.reductions.is_empty() {
        lists.reductions = standard.reductions;
    }
    if lists.seeds.is_empty() {
        lists.seeds = standard.seeds;
    }
    let given = std::env::args_os().skip(1).map(|argument| shell_word(&argument.to_string_lossy()));
    let command = format!("phalanx {}", given.collect::<Vec<_>>().join(" "));
    Ok(Asked { version: env!("CARGO_PKG_VERSION").to_owned(), command, goal: flags.goal, lists })
}

fn read_asked(dir: &Path) -> Result<Asked, Failure> {
    let path = dir.join("sweep.json");
    let name = path.display();
    let text = fs::read_to_string(&path)
        .map_err(|error| anyhow!("cannot read {name}: {error}; give the folder of a sweep"))?;
    let mut asked: Asked = serde_json::from_str(&text)
        .map_err(|error| anyhow!("{name} does not say what was swept: {error}; start the sweep anew"))?;
    settings::as_recorded(&mut asked.lists.train);
    Ok(asked)
}

fn options(asked: &Asked, jobs: usize) -> SweepOptions {
    let Lists { batch_sizes, rates, reductions, seeds, .. } = asked.lists.clone();
    SweepOptions { batch_sizes, rates, reductions, seeds, goal: asked.goal, jobs }
}

fn new_dir(train: &TrainFlags, asked: &Asked) -> Result<RunDir, Failure> {
    let dir = match &train.output_dir {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_next(Path::new("sweeps"))?,
    };
    let text = serde_json::to_string_pretty(asked).expect("flags are plain data") + "\n";
    write_whole(&dir.path().join("sweep.json"), text.as_bytes())?;
    Ok(dir)
}

/// What is swept, in words.
fn about(asked: &Asked, model: &Mlp, sweep: &Sweep<'_, Mlp>, test_samples: usize) -> Vec<(String, String)> {
    let train = &asked.lists.train;
    let count = |n: usize| grouped(n as u64);
    let (samples, test) = (count(sweep.train_samples()), count(test_samples));
    let length = match (train.max_steps, train.epochs) {
        (Some(steps), _) => format!("{} steps", grouped(steps)),
        (None, epochs) => format!("{} epochs", epochs.unwrap_or(10)),
    };
    let optimizer = sweep.base().optimizer;
    let momentum = optimizer.momentum.map_or_else(String::new, |momentum| format!(", momentum {momentum:?}"));
    let mut sizes: Vec<usize> = sweep.runs().iter().map(|run| run.cell.batch_size).collect();
    sizes.dedup();
    let rates = sweep.runs().iter().map(|run| run.cell.rate);
    let (low, high) =
        rates.fold((f64::INFINITY, 0.0), |(low, high), rate| (f64::min(low, rate), f64::max(high, rate)));
    let reductions: Vec<String> = asked.lists.reductions.iter().map(Reduction::to_string).collect();
    let rows = [
        ("data", format!("{}: {samples} training samples, {test} test samples", data_name(train))),
        ("model", layers(model.shape())),
        ("length", length),
        ("optimizer", format!("{}{momentum}", optimizer.kind)),
        ("reductions", reductions.join(", ")),
        ("batch sizes", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
        ("rates", format!("{} to {}", short_number(low), short_number(high))),
        ("seeds", asked.lists.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ("runs", count(sweep.runs().len())),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn table(about: &[(String, String)], dir: &Path) -> TextTable {
    let mut table = TextTable::default();
    about.iter().for_each(|(name, value)| table.row(name.clone(), value));
    table.row("output", dir.display());
    table
}

/// What a run came to, in a few words.
fn said(record: &Record) -> String {
    let cell = record.run.cell;
    let end = record
        .final_loss()
        .map_or_else(|| "diverged".to_owned(), |loss| format!("test loss {}", measured(loss)));
    format!("{} B {} rate {}  {end}", cell.reduction, cell.batch_size, short_number(cell.rate))
}

fn save(
    dir: &Path,
    sweep: &Sweep<'_, Mlp>,
    findings: &Findings,
    records: &[Record],
    (about, command): (&[(String, String)], &str),
) -> Result<(), Failure> {
    let results = serde_json::to_string_pretty(findings).expect("findings are plain data") + "\n";
    let mut files = vec![
        ("runs.csv".to_owned(), csv(records, findings.goal)),
        ("results.json".to_owned(), results),
        ("report.html".to_owned(), page(sweep, findings, about, command)),
    ];
    for &reduction in &sweep.options().reductions {
        files.push((format!("best-rate-{reduction}.svg"), best_rate(findings, reduction).svg()));
        files.push((format!("to-the-goal-{reduction}.svg"), to_the_goal(findings, reduction).svg()));
        files.push((format!("losses-{reduction}.svg"), losses(findings, reduction).svg()));
    }
    files.iter().try_for_each(|(name, text)| Ok(write_whole(&dir.join(name), text.as_bytes())?))
}

fn summary(findings: &Findings, dir: &Path) -> String {
    let mut grid = TextTable::of_numbers(&[
        "reduction",
        "batch",
        "best rate under mean",
        "under sum",
        "steps",
        "samples",
        "lr tried",
    ]);
    for best in &findings.best {
        let end = if best.at_end { " (end of those tried)" } else { "" };
        let numbers = [best.rate_under_mean, best.rate_under_sum, best.steps, best.samples].map(short_number);
        let names = [best.cell.reduction.to_string(), best.cell.batch_size.to_string()];
        grid.cells([names.to_vec(), numbers.to_vec(), vec![short_number(best.cell.rate) + end]].concat());
    }
    let goal = findings.goal.map_or_else(String::new, |goal| {
        format!("steps and samples to a test loss of {}\n\n", short_number(goal))
    });
    let answer = findings.answer.join("\n");
    format!("{goal}{grid}\n{answer}\n\nreport  {}\n", dir.join("report.html").display())
}

/// What no sweep could be made of is wrong usage; the rest is as it is elsewhere.
fn failure(error: SweepError) -> Failure {
    match error {
        SweepError::Train(error) => error.into(),
        error @ (SweepError::BadList { .. }
        | SweepError::TooManyRuns { .. }
        | SweepError::NotPositive { .. }
        | SweepError::LargeBatch { .. }) => Failure::usage(error),
        error => error.into(),
    }
}
