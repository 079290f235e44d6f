//! `phalanx reproduce`: published numbers, and what comes out here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::anyhow;
use clap::Args;
use phalanx::internals::write_whole;

use crate::args::suggest::{did_you_mean, nearest};
use crate::args::values::{Auto, auto, whole};
use crate::numbers::short_number;
use crate::progress::{CountProgress, ProgressStyle};
use crate::record_log::RecordLog;
use crate::reproduce::{
    CLAIMS, Claim, ClaimData, ClaimFindings, ClaimRuns, HEAD, ReadingRecord, Work, cells, page,
};
use crate::run::settings;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output;
use crate::terminal::signals::Signals;
use crate::text::{TextTable, shell_word};

/// Reproduce a published number, with the right and with a wrong reading of its paper
///
/// Without a name, lists the claims. Each setting of a claim is trained with several seeds under
/// both readings, one thread per run. A run that is in the log of the output folder is not
/// repeated, so the same command resumes after Ctrl-C.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{RESULTS}\n\n{EXAMPLES}"))]
pub struct ReproduceFlags {
    /// Name of a claim, or all
    name: Option<String>,
    /// Folder with MNIST's files, for claims about MNIST
    data: Option<String>,
    /// Number of seeds [default: that of the claim, usually 5]
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    seeds: Option<u64>,
    /// Number of concurrent runs [default: auto, all cores]
    #[arg(short, long, value_name = "N|auto", value_parser = auto::<usize>)]
    jobs: Option<Auto<usize>>,
    /// Folder for the results, with a folder for each claim
    #[arg(short, long, value_name = "DIR", default_value = "reproductions")]
    output_dir: PathBuf,
    /// Print errors only
    #[arg(long)]
    quiet: bool,
}

const RESULTS: &str = "Results, in a folder for each claim: runs.jsonl, the value and the curve of each run, written as it ends; results.json, the \
means and the verdict; report.html, a page with everything and curves. The exit code is 0 whatever the verdict.";

const EXAMPLES: &str = "Examples:
  phalanx reproduce                               list the claims
  phalanx reproduce theano-logistic data/mnist    softmax regression of the Theano tutorial
  phalanx reproduce all data/mnist                everything, a few hours on two cores";

/// Lists the claims, or reproduces one or all of them.
pub fn run(flags: &ReproduceFlags) -> Result<ExitCode, Failure> {
    let claims: Vec<&'static Claim> = match flags.name.as_deref() {
        None => {
            output::results(|out| write!(out, "{}", list()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some("all") => CLAIMS.iter().collect(),
        Some(name) => vec![claim(name)?],
    };
    if flags.seeds == Some(0) {
        return Err(usage!("--seeds is 0, but at least 1 seed is needed; give --seeds 1"));
    }
    let needs_mnist = |claim: &&&Claim| {
        matches!(claim.work, Work::Trained { data: ClaimData::Mnist(_) | ClaimData::MnistValidated(_), .. })
    };
    if let (Some(claim), None) = (claims.iter().find(needs_mnist), &flags.data) {
        return Err(usage!(
            "{} is about MNIST; give the folder with its four IDX files, as in phalanx reproduce {} data/mnist",
            claim.name,
            flags.name.as_deref().unwrap_or("all")
        ));
    }
    if let (Some(data), false) = (&flags.data, claims.iter().any(|claim| needs_mnist(&claim))) {
        return Err(usage!("{} needs no data; drop {data}", flags.name.as_deref().unwrap_or_default()));
    }
    if flags.jobs == Some(Auto::Given(0)) {
        return Err(usage!("--jobs is 0, but at least 1 run at a time is needed; give --jobs 1, or auto"));
    }
    let signals = Signals::register()?;
    for claim in claims {
        if !reproduce(claim, flags, &signals)? {
            return Ok(signals.exit_code(false));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn claim(name: &str) -> Result<&'static Claim, Failure> {
    CLAIMS.iter().find(|claim| claim.name == name).ok_or_else(|| {
        let hint = did_you_mean(nearest(name, CLAIMS.iter().map(|claim| claim.name)));
        usage!("unknown claim '{name}'{hint}; phalanx reproduce lists all claims")
    })
}

fn list() -> TextTable {
    let mut table = TextTable::of_texts("name, time, claim");
    for claim in CLAIMS {
        let time = match claim.minutes {
            minutes if minutes < 1.0 => format!("{:.0} s", (60.0 * minutes).max(1.0)),
            minutes => format!("{minutes:.0} min"),
        };
        table.cells(vec![claim.name.to_owned(), time, claim.says.to_owned()]);
        table.cells(vec![String::new(), String::new(), claim.source.to_owned()]);
    }
    table
}

/// Reproduces one claim and saves the results; returns false if it was stopped.
fn reproduce(claim: &'static Claim, flags: &ReproduceFlags, signals: &Signals) -> Result<bool, Failure> {
    let seeds = flags.seeds.unwrap_or(claim.seeds);
    let runs = ClaimRuns::load(claim, seeds, flags.data.as_deref())?;
    let dir = flags.output_dir.join(claim.name);
    std::fs::create_dir_all(&dir)
        .map_err(|error| anyhow!("cannot create {}: {error}; give another -o", dir.display()))?;
    let (mut log, done) = RecordLog::<ReadingRecord>::open(&dir.join("runs.jsonl"))?;
    let keys = runs.keys();
    let known = keys.iter().filter(|key| done.iter().any(|record| record.key == **key)).count();
    if !flags.quiet {
        output::info(about(claim, &dir, known, keys.len()));
    }
    let style = if flags.quiet { ProgressStyle::Hidden } else { ProgressStyle::automatic() };
    let mut progress = CountProgress::new(style, "runs", known as u64, keys.len() as u64);
    let mut failed = None;
    let records = runs.run(settings::threads(flags.jobs)?, &done, &signals.stop, |record| {
        let value = record.value.map_or_else(|| "no result".to_owned(), short_number);
        progress.one(format!("{}: {value}", runs.name(&record.key)));
        if let (Err(error), None) = (log.append(record), &failed) {
            failed = Some(error);
            signals.stop.store(true, Ordering::Relaxed);
        }
    });
    progress.finish();
    failed.map_or(Ok(()), Err)?;
    let records = records?;
    if records.len() < keys.len() {
        output::info(format!(
            "stopped after {} of {} runs; the same command resumes it",
            records.len(),
            keys.len()
        ));
        return Ok(false);
    }
    let findings = ClaimFindings::new(&runs, seeds, &records);
    let results = serde_json::to_string_pretty(&findings).expect("findings are plain data") + "\n";
    write_whole(&dir.join("results.json"), results.as_bytes())?;
    write_whole(
        &dir.join("report.html"),
        page(claim, &findings, flags.data.as_deref().unwrap_or_default(), &command()).as_bytes(),
    )?;
    if !flags.quiet {
        output::results(|out| write!(out, "{}", summary(claim, &findings, &dir)))?;
    }
    Ok(true)
}

fn command() -> String {
    let given = std::env::args_os().skip(1).map(|argument| shell_word(&argument.to_string_lossy()));
    format!("phalanx {}", given.collect::<Vec<_>>().join(" "))
}

fn about(claim: &Claim, dir: &Path, known: usize, all: usize) -> TextTable {
    let mut table = TextTable::default();
    table.row("claim", format!("{}: {}", claim.name, claim.says));
    table.row("source", claim.source);
    table.row("convention", claim.convention);
    table.row("wrong reading", claim.mistake);
    let known = if known == 0 { String::new() } else { format!(", {known} of them done before") };
    table.row("runs", format!("{all}{known}"));
    table.row("output", dir.display());
    table
}

fn summary(claim: &Claim, findings: &ClaimFindings, dir: &Path) -> String {
    let mut table = TextTable::of_texts(&HEAD.join(", "));
    findings.settings.iter().for_each(|finding| table.cells(cells(finding)));
    let remark = if claim.remark.is_empty() { String::new() } else { format!("{}\n", claim.remark) };
    format!(
        "{}\n\n{table}\n{}\n{remark}\npage  {}\n",
        claim.measure.name(),
        findings.verdict,
        dir.join("report.html").display()
    )
}
