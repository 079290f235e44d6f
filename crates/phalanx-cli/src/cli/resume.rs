//! Which run `--resume` goes on with, from where, and with which options.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::numbers::grouped;
use anyhow::anyhow;
use phalanx::checkpoint::{Checkpoint, CheckpointDir, History};
use phalanx::data::{Classes, Fingerprint};
use phalanx::log::RunDir;
use phalanx::train::{Plan, Position, Snapshot};
use serde_json::Value;

use super::failure::Failure;
use super::flags::TrainFlags;
use super::input::flags_of;
use super::layers::Layers;
use super::nearest::nearest;
use super::output::{tell, warn};
use super::runs::numbered;
use super::{config, flags, settings};

/// What a run begins with.
pub(super) enum Beginning {
    New,
    Resumed(Box<Resumed>),
    /// The run in this directory has nothing left to do.
    Complete(PathBuf),
}

/// A run that is gone on with.
pub(super) struct Resumed {
    /// Its directory.
    pub(super) run: PathBuf,
    /// Whether the run goes on in its directory.
    pub(super) in_place: bool,
    /// The checkpoint; a run that was killed before its first begins again.
    from: Option<(PathBuf, Checkpoint)>,
    /// The step of its last checkpoint, if it goes on from the one before.
    end: Option<u64>,
    /// Its options.
    recorded: TrainFlags,
}

/// Flags that change no result. Data may be somewhere else by now: that it is the same is checked by its fingerprint.
const FREE: [&str; 15] = [
    "data",
    "test",
    "input-format",
    "threads",
    "timeout",
    "output-dir",
    "log-every",
    "tensorboard",
    "save-every",
    "keep",
    "resume",
    "allow-changed",
    "quiet",
    "log-format",
    "no-progress",
];

/// What processes must find alike.
impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("a new run begins"),
            Self::Complete(run) => write!(f, "the run in {} is complete", run.display()),
            Self::Resumed(resumed) => write!(f, "a run goes on after step {}", resumed.position().step),
        }
    }
}

/// Finds what `--resume` asks for.
pub(super) fn beginning(flags: &TrainFlags) -> Result<Beginning, Failure> {
    let output = flags.output_dir.as_deref();
    let is_auto = |path: &Path| path == Path::new("auto");
    let resumed = match (flags.resume.as_deref(), output) {
        (None, _) if flags.allow_changed.is_some() => {
            return Err(Failure::usage(
                "--allow-changed is about a resumed run; give --resume too, or drop it",
            ));
        }
        (None, _) => return Ok(Beginning::New),
        (Some(path), Some(run)) if is_auto(path) && !run.exists() => {
            tell(format!("{} is not there yet: a new run begins", run.display()));
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
        (Some(path), _) if path.is_dir() => of_run(path)?,
        (Some(path), _) => of_checkpoint(path)?,
    };
    let same = |output: &Path| fs::canonicalize(output).ok() == fs::canonicalize(&resumed.run).ok();
    let in_place = output.is_none_or(|output| output.exists() && same(output));
    if in_place && !resumed.run.join("config.toml").exists() {
        return Err(Failure::usage(format!(
            "{} is not in a run directory to go on in; name a new one with -o",
            flags.resume.as_deref().unwrap_or(Path::new("it")).display()
        )));
    }
    Ok(Beginning::Resumed(Box::new(Resumed { in_place, ..resumed })))
}

/// A run that was killed before it had written its options begins again with those given now.
fn begin_in(run: &Path, flags: &TrainFlags) -> Beginning {
    tell(format!("{} was stopped before it began: it begins again", run.display()));
    let (run, recorded) = (run.to_owned(), flags.clone());
    Beginning::Resumed(Box::new(Resumed { run, in_place: true, from: None, end: None, recorded }))
}

/// The newest of the runs that have a number, have begun, are not complete and have not diverged, which they would do again.
fn newest() -> Result<PathBuf, Failure> {
    let mut runs = numbered();
    runs.retain(|run| !RunDir::is_unbegun(run));
    let found = runs.iter().find(|run| !matches!(stopped(run).as_deref(), Some("completed" | "diverged")));
    Ok(found.cloned().ok_or_else(|| {
        anyhow!(
            "there is no run in runs to go on with (of {} each is complete or has diverged); name one, or train anew without --resume",
            runs.len()
        )
    })?)
}

fn is_complete(run: &Path) -> bool {
    stopped(run).as_deref() == Some("completed")
}

/// Why a run ended, as its results say, if it has any.
fn stopped(run: &Path) -> Option<String> {
    let results = fs::read(run.join("results.json")).ok()?;
    let results = serde_json::from_slice::<Value>(&results).ok()?;
    results["stopped"].as_str().map(str::to_owned)
}

/// Goes on from the newest checkpoint of a run that is whole.
fn of_run(run: &Path) -> Result<Resumed, Failure> {
    let dir = CheckpointDir::of_run(run);
    let from = dir.newest(|error| warn(format!("{error}; trying the one before")))?;
    let mut recorded = match &from {
        Some((_, checkpoint)) => flags_of(&checkpoint.facts.options)?,
        None if run.join("config.toml").exists() && !run.join("results.json").exists() => {
            tell(format!("{} was stopped before its first checkpoint: it begins again", run.display()));
            config::read(&run.join("config.toml"))?.flags
        }
        None => {
            let path = dir.path().display();
            return Err(anyhow!(
                "there are no checkpoints in {path}; give the directory of a run that has some"
            )
            .into());
        }
    };
    settings::as_recorded(&mut recorded);
    Ok(Resumed { run: run.to_owned(), in_place: true, from, end: None, recorded })
}

fn of_checkpoint(path: &Path) -> Result<Resumed, Failure> {
    let checkpoint = Checkpoint::load(path)?;
    let mut recorded = flags_of(&checkpoint.facts.options)?;
    settings::as_recorded(&mut recorded);
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "checkpoints"));
    let run = match folder.and_then(Path::parent) {
        Some(run) if run.as_os_str().is_empty() => Path::new(".").to_owned(),
        Some(run) => run.to_owned(),
        None => path.with_file_name(""),
    };
    Ok(Resumed { run, in_place: true, from: Some((path.to_owned(), checkpoint)), end: None, recorded })
}

impl Resumed {
    /// The options of the run, with what was given now where it may differ.
    pub(super) fn flags(&self, given: Layers) -> Result<Layers, Failure> {
        let allowed = allowed(&given.flags)?;
        let mut changes = given.changes_from(&self.recorded);
        changes.retain(|change| !FREE.contains(&change.name.as_str()));
        let (named, refused): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| allowed.contains(&change.name));
        if !refused.is_empty() {
            let list: Vec<String> = refused.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = refused.iter().map(|change| change.name.as_str()).collect();
            return Err(Failure::usage(format!(
                "options differ from those of the run in {}: {}; drop them, or name them: --allow-changed {}",
                self.run.display(),
                list.join("; "),
                names.join(",")
            )));
        }
        named.iter().for_each(|change| tell(format!("changed: {change}")));
        Ok(given.over(Layers::new(self.recorded.clone(), |_| "the resumed run".to_owned())))
    }

    /// Goes on from the checkpoint before this one, or from the beginning if it is the first; but not if the run has its results.
    pub(super) fn step_back(&mut self) -> Result<(), Failure> {
        if !self.in_place || self.run.join("results.json").exists() {
            return Ok(());
        }
        let end = self.position().step;
        let dir = CheckpointDir::of_run(&self.run);
        let before = dir.newest_before(end, |error| warn(format!("{error}; trying the one before")))?;
        (self.from, self.end) = (before, Some(end));
        tell(format!("the run was ended before it had its results: it goes on {self}"));
        Ok(())
    }

    /// The options that the run had.
    pub(super) fn recorded(&self) -> &TrainFlags {
        &self.recorded
    }

    /// The classes of the run, if it has some.
    pub(super) fn classes(&self) -> Option<&Classes> {
        self.from.as_ref().and_then(|(_, checkpoint)| checkpoint.facts.classes.as_ref())
    }

    /// What the run goes on from; none if it begins again.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.from.as_ref().map(|(_, checkpoint)| &*checkpoint.snapshot)
    }

    /// Where the run stands.
    pub(super) fn position(&self) -> Position {
        self.snapshot().map(|snapshot| *snapshot.position()).unwrap_or_default()
    }

    /// The last step whose checkpoint is of its course, and stays until it is written anew.
    pub(super) fn last_step(&self) -> u64 {
        self.end.unwrap_or(self.position().step)
    }

    /// Times of the epochs that are done.
    pub(super) fn history(&self) -> History {
        self.from.as_ref().map(|(_, checkpoint)| checkpoint.history.clone()).unwrap_or_default()
    }

    /// Refuses other data than that of the run.
    pub(super) fn check_data(&self, train: &Fingerprint, test: Option<&Fingerprint>) -> Result<(), Failure> {
        let Some((_, checkpoint)) = &self.from else { return Ok(()) };
        let facts = &checkpoint.facts;
        let parts = [("training", Some(train), Some(&facts.train)), ("test", test, facts.test.as_ref())];
        for (part, found, expected) in parts {
            if found != expected {
                return Err(anyhow!(
                    "the {part} samples are not those of the run in {}: {}, expected {}; give the data that it was trained on",
                    self.run.display(),
                    described(found),
                    described(expected)
                )
                .into());
            }
        }
        Ok(())
    }

    /// Says how the rate goes on, if it is another than it was to be.
    pub(super) fn tell_of_rate(&self, before: &Plan, now: &Plan) {
        let step = self.position().step;
        // After its last step a schedule still says what it tends to.
        let (was, rate) = (before.rate_at(step.min(before.total_steps())), now.rate_at(step));
        if was != rate {
            warn(format!(
                "the rate goes on at {rate:?}, where that of the run as it was would be {was:?}: the changed options move it"
            ));
        }
    }
}

/// The names in `--allow-changed`, each of which must be that of a flag.
fn allowed(given: &TrainFlags) -> Result<Vec<String>, Failure> {
    let named = given.allow_changed.iter().flatten();
    let names: Vec<String> =
        named.map(|name| name.trim().trim_start_matches("--").replace('_', "-")).collect();
    let known = flags::names();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => {
            let meant = nearest(name, known.iter().map(String::as_str));
            let meant =
                meant.map_or_else(|| "see its --help".to_owned(), |meant| format!("did you mean '{meant}'?"));
            Err(Failure::usage(format!(
                "--allow-changed names '{name}', which is no flag of phalanx train; {meant}"
            )))
        }
        None => Ok(names),
    }
}

fn described(data: Option<&Fingerprint>) -> String {
    data.map_or_else(
        || "none".to_owned(),
        |data| {
            format!(
                "{} of {} features, checksum {}",
                grouped(data.samples as u64),
                data.features,
                data.crc32c
            )
        },
    )
}

/// Where the run goes on from, in words.
impl fmt::Display for Resumed {
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
