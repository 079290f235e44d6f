//! `--resume`: the run that is resumed, its checkpoint, and its options.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use phalanx::checkpoint::{Checkpoint, CheckpointDir};
use phalanx::internals::{Fingerprint, RunFacts};
use phalanx::log::RunDir;
use phalanx::train::{Plan, Position, Snapshot};
use serde_json::Value;

use super::data::flags_of;
use super::settings;
use crate::args::flags::TrainFlags;
use crate::args::layers::{self, Layers};
use crate::args::parser::keys;
use crate::args::suggest::nearest;
use crate::numbers::{counted, grouped};
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{info, warn};

/// The start of a run.
pub enum Beginning {
    New,
    Resumed(Box<ResumedRun>),
    /// The run in this directory is complete.
    Complete(PathBuf),
}

/// A resumed run.
pub struct ResumedRun {
    /// The directory of the run.
    pub run: PathBuf,
    /// True if the run continues in the same directory.
    pub in_place: bool,
    /// The checkpoint; `None` for a run that was killed before its first one and starts again.
    from: Option<(PathBuf, Checkpoint)>,
    /// The step of the last checkpoint, if the run is resumed from the previous one.
    end: Option<u64>,
    /// The options of the run.
    recorded: TrainFlags,
}

/// Flags that do not affect the result. The data may have moved: its fingerprint is compared
/// instead of its name.
const FREE: &str = "data test input-format threads timeout output-dir log-every tensorboard save-every keep resume allow-changed \
                    quiet log-format no-progress";

/// Flags that define the params, or which samples are trained on: they cannot change, even if
/// `--allow-changed` names them.
const FIXED: [&str; 4] = ["hidden", "init", "test-split", "batch-size"];

/// The condition for another optimizer or momentum.
const SAME_STATE: &str =
    " (the optimizer and momentum only if the state stays the same, as from adam to adamw)";

/// The text that must be the same in all processes.
impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("start a new run"),
            Self::Complete(run) => write!(f, "the run in {} is complete", run.display()),
            Self::Resumed(resumed) => write!(f, "resume a run after step {}", resumed.position().step),
        }
    }
}

/// Finds the run that `--resume` refers to.
pub fn beginning(flags: &TrainFlags) -> Result<Beginning, Failure> {
    let output = flags.output_dir.as_deref();
    let is_auto = |path: &Path| path == Path::new("auto");
    let resumed = match (flags.resume.as_deref(), output) {
        (None, _) if flags.allow_changed.is_some() => {
            return Err(usage!("--allow-changed is for a resumed run; give --resume too, or drop it",));
        }
        (None, _) => return Ok(Beginning::New),
        (Some(path), Some(run)) if is_auto(path) && !run.exists() => {
            info(format!("{} does not exist yet: starting a new run", run.display()));
            return Ok(Beginning::New);
        }
        (Some(path), Some(run)) if is_auto(path) && is_complete(run) => {
            return Ok(Beginning::Complete(run.to_owned()));
        }
        (Some(path), Some(run)) if is_auto(path) && RunDir::is_unbegun(run) => {
            return Ok(begin_in(run, flags));
        }
        (Some(path), Some(run)) if is_auto(path) => of_run(run)?,
        (Some(path), None) if is_auto(path) => of_run(&newest()?)?,
        (Some(path), _) if !path.exists() => {
            return Err(anyhow!(
                "cannot resume from {}, which does not exist; pass a run directory, a file in its folder checkpoints, or auto",
                path.display()
            )
            .into());
        }
        (Some(path), _) if path.is_dir() => of_run(path)?,
        (Some(path), _) => of_checkpoint(path)?,
    };
    let same = |output: &Path| fs::canonicalize(output).ok() == fs::canonicalize(&resumed.run).ok();
    let in_place = output.is_none_or(|output| output.exists() && same(output));
    if in_place && !resumed.run.join("config.toml").exists() {
        return Err(usage!(
            "{} is not in a run directory, so there is no directory to resume in; pass a new one with -o",
            flags.resume.as_deref().unwrap_or(Path::new("it")).display()
        ));
    }
    Ok(Beginning::Resumed(Box::new(ResumedRun { in_place, ..resumed })))
}

/// Starts a run again, with the options given now, if it was killed before it had written its
/// options.
fn begin_in(run: &Path, flags: &TrainFlags) -> Beginning {
    info(format!("the run in {} was stopped before it started: starting again", run.display()));
    let (run, recorded) = (run.to_owned(), flags.clone());
    Beginning::Resumed(Box::new(ResumedRun { run, in_place: true, from: None, end: None, recorded }))
}

/// Returns the run directories with a number as name, the newest first.
pub fn numbered() -> Vec<PathBuf> {
    let entries = fs::read_dir("runs").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.iter().rev().map(|number| Path::new("runs").join(number.to_string())).collect()
}

/// Returns the newest numbered run that has started and is not complete. Diverged runs are skipped,
/// because they would diverge again.
fn newest() -> Result<PathBuf, Failure> {
    let mut runs = numbered();
    runs.retain(|run| !RunDir::is_unbegun(run));
    let found = runs.iter().find(|run| !matches!(stopped(run).as_deref(), Some("completed" | "diverged")));
    Ok(found.cloned().ok_or_else(|| {
        anyhow!(
            "there is no run to resume in runs (found {}, none of them unfinished); pass one, or start a new run without --resume",
            counted(runs.len() as u64, "run")
        )
    })?)
}

fn is_complete(run: &Path) -> bool {
    stopped(run).as_deref() == Some("completed")
}

/// Returns the reason why a run ended, if it has results.
fn stopped(run: &Path) -> Option<String> {
    let results = fs::read(run.join("results.json")).ok()?;
    let results = serde_json::from_slice::<Value>(&results).ok()?;
    results["stopped"].as_str().map(str::to_owned)
}

/// Resumes from the newest intact checkpoint of a run.
fn of_run(run: &Path) -> Result<ResumedRun, Failure> {
    let dir = CheckpointDir::of_run(run);
    let from = dir.newest(|error| warn(format!("{error}; looking for an earlier checkpoint")))?;
    let recorded = match &from {
        Some((_, checkpoint)) => recorded_flags(checkpoint)?,
        None if run.join("config.toml").exists() && !run.join("results.json").exists() => {
            info(format!(
                "the run in {} was stopped before its first checkpoint: starting again",
                run.display()
            ));
            let mut flags = layers::file(&run.join("config.toml"))?.flags;
            settings::as_recorded(&mut flags);
            flags
        }
        None if stopped(run).as_deref() == Some("diverged") => {
            let run = run.display();
            return Err(anyhow!(
                "the run in {run} diverged before its first checkpoint; train again with a lower rate: \
                 phalanx train --config {run}/config.toml --lr RATE"
            )
            .into());
        }
        None => {
            let path = dir.path().display();
            return Err(anyhow!(
                "there are no checkpoints in {path}; give the directory of a run with checkpoints"
            )
            .into());
        }
    };
    Ok(ResumedRun { run: run.to_owned(), in_place: true, from, end: None, recorded })
}

/// Returns the flags of the run that wrote a checkpoint.
fn recorded_flags(checkpoint: &Checkpoint) -> Result<TrainFlags, Failure> {
    let mut flags = flags_of(&checkpoint.facts.options)?;
    // Classes are never standardized.
    if checkpoint.facts.classes.is_none() {
        settings::as_recorded(&mut flags);
    }
    Ok(flags)
}

fn of_checkpoint(path: &Path) -> Result<ResumedRun, Failure> {
    let checkpoint = Checkpoint::load(path)?;
    let recorded = recorded_flags(&checkpoint)?;
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "checkpoints"));
    let run = match folder.and_then(Path::parent) {
        Some(run) if run.as_os_str().is_empty() => Path::new(".").to_owned(),
        Some(run) => run.to_owned(),
        None => path.with_file_name(""),
    };
    Ok(ResumedRun { run, in_place: true, from: Some((path.to_owned(), checkpoint)), end: None, recorded })
}

impl ResumedRun {
    /// Returns the options of the run, overridden by those given now if they may differ.
    pub fn flags(&self, given: Layers) -> Result<Layers, Failure> {
        let allowed = allowed(&given.flags)?;
        let mut changes = given.changes_from(&self.recorded);
        changes.retain(|change| FREE.split(' ').all(|name| name != change.name));
        let (named, refused): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| allowed.contains(&change.name) && !FIXED.contains(&change.name.as_str()));
        if !refused.is_empty() {
            let list: Vec<String> = refused.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = refused.iter().map(|change| change.name.as_str()).collect();
            let fixed: Vec<&str> = names.iter().copied().filter(|name| FIXED.contains(name)).collect();
            if !fixed.is_empty() {
                return Err(usage!(
                    "options differ from those of the run in {}: {}; {} cannot change when a run is resumed; drop it, or start a new run",
                    self.run.display(),
                    list.join("; "),
                    fixed.join(" and ")
                ));
            }
            return Err(usage!(
                "options differ from those of the run in {}: {}; drop them, or allow the changes with --allow-changed {}{}",
                self.run.display(),
                list.join("; "),
                names.join(","),
                if names.iter().any(|name| ["optimizer", "momentum"].contains(name)) {
                    SAME_STATE
                } else {
                    ""
                }
            ));
        }
        named.iter().for_each(|change| info(format!("changed: {change}")));
        Ok(given.over(Layers::new(self.recorded.clone(), |_| "the resumed run".to_owned())))
    }

    /// Falls back to the previous checkpoint, or to the beginning if this is the first; does
    /// nothing if the run has its results.
    pub fn step_back(&mut self) -> Result<(), Failure> {
        if !self.in_place || self.run.join("results.json").exists() {
            return Ok(());
        }
        let end = self.position().step;
        let dir = CheckpointDir::of_run(&self.run);
        let before = dir.newest_before(end, |error| {
            warn(format!("{error}; looking for an earlier checkpoint"));
        })?;
        (self.from, self.end) = (before, Some(end));
        info(format!("the run was stopped before its results were written: resuming {self}"));
        Ok(())
    }

    /// Returns the recorded options of the run.
    pub fn recorded(&self) -> &TrainFlags {
        &self.recorded
    }

    /// Returns the facts of the run; `None` if it starts again.
    pub fn facts(&self) -> Option<&RunFacts> {
        self.from.as_ref().map(|(_, checkpoint)| &*checkpoint.facts)
    }

    /// Returns the snapshot that the run is resumed from; `None` if it starts again.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.from.as_ref().map(|(_, checkpoint)| &*checkpoint.snapshot)
    }

    /// Returns the position that the run is resumed at.
    pub fn position(&self) -> Position {
        self.snapshot().map(|snapshot| *snapshot.position()).unwrap_or_default()
    }

    /// Returns the step of the last checkpoint of this run, which is kept until it is rewritten.
    pub fn last_step(&self) -> u64 {
        self.end.unwrap_or(self.position().step)
    }

    /// Returns the checkpoint that the run is resumed from; `None` if it starts again.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.from.as_ref().map(|(_, checkpoint)| checkpoint)
    }

    /// Returns an error if the data differs from that of the run.
    pub fn check_data(&self, train: &Fingerprint, test: Option<&Fingerprint>) -> Result<(), Failure> {
        let Some((_, checkpoint)) = &self.from else { return Ok(()) };
        let facts = &checkpoint.facts;
        let parts = [("training", Some(train), Some(&facts.train)), ("test", test, facts.test.as_ref())];
        for (part, found, expected) in parts {
            if found != expected {
                return Err(anyhow!(
                    "the {part} samples differ from those of the run in {}: found {}, expected {}; give the data that the run was \
                     trained on, with the same --loss and options of tables",
                    self.run.display(),
                    described(found),
                    described(expected)
                )
                .into());
            }
        }
        Ok(())
    }

    /// Warns if the rate differs from what the run would have used at this step.
    pub fn warn_of_rate(&self, before: &Plan, now: &Plan) {
        let step = self.position().step;
        // After its last step a schedule keeps its final rate.
        let (was, rate) = (before.rate_at(step.min(before.total_steps())), now.rate_at(step));
        if was != rate {
            warn(format!(
                "the run resumes with the rate {rate:?} instead of {was:?}, because of the changed options"
            ));
        }
    }
}

/// Returns the names in `--allow-changed`; each must be the name of a flag.
fn allowed(given: &TrainFlags) -> Result<Vec<String>, Failure> {
    let named = given.allow_changed.iter().flatten();
    let names: Vec<String> =
        named.map(|name| name.trim().trim_start_matches("--").replace('_', "-")).collect();
    let known: Vec<String> = keys().map(|(name, _)| name).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => {
            let meant = nearest(name, known.iter().map(String::as_str));
            let meant =
                meant.map_or_else(|| "see its --help".to_owned(), |meant| format!("did you mean '{meant}'?"));
            Err(usage!("--allow-changed contains '{name}', which is not a flag of phalanx train; {meant}"))
        }
        None => Ok(names),
    }
}

fn described(data: Option<&Fingerprint>) -> String {
    data.map_or_else(
        || "none".to_owned(),
        |data| {
            format!(
                "{} samples of {} features, checksum {}",
                grouped(data.samples as u64),
                data.features,
                data.crc32c
            )
        },
    )
}

/// The position and the file that the run is resumed from.
impl fmt::Display for ResumedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { step, epoch, batch, .. } = self.position();
        match &self.from {
            Some((path, _)) => {
                write!(
                    f,
                    "after step {} ({epoch} epochs and {batch} steps), {}",
                    grouped(step),
                    path.display()
                )
            }
            None => write!(f, "from the beginning, {}", self.run.display()),
        }
    }
}
