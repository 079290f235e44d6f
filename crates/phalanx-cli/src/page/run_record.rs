//! A run read from its directory.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use phalanx::data::Classes;
use phalanx::internals::{DataSummary, LineFault, LogEvent, RunLog};
use phalanx::log::Results;
use phalanx::train::StopReason;
use thiserror::Error;

use crate::numbers::significant;
use crate::text::shell_word;

/// A run read from its directory, whether running or ended.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// The directory, as the user wrote it.
    pub path: PathBuf,
    /// The options by flag, as written in `config.toml`.
    pub options: BTreeMap<String, String>,
    /// The log.
    pub log: RunLog,
    /// The state.
    pub state: RunState,
    /// The summary of the samples, and the classes; `None` until its model has been read.
    pub data: Option<(DataSummary, Option<Classes>)>,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// The run is training.
    Running,
    /// The run was killed: no program is training it, and there are no results.
    Killed,
    /// The run has ended, whether completed or not.
    Ended(Box<Results>),
}

/// An error while reading a run.
#[derive(Debug, Error)]
pub enum RecordError {
    /// No file or directory has this name.
    #[error("run directory {} does not exist; give one, such as runs/1", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path is another file or directory.
    #[error("{} is not a run directory: it has neither config.toml nor metrics.jsonl{advice}", path.display())]
    NoRun {
        /// The path.
        path: PathBuf,
        /// The kind of path, if known, and a remedy.
        advice: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}; make it readable, or omit the run", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A line is damaged.
    #[error("{}, {fault}; correct the line, or restore the file", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line and its fault.
        fault: LineFault,
    },
}

impl RunRecord {
    /// Reads the files of a run. Files that a run writes only at its end may be missing; only the
    /// options or the log are required.
    ///
    /// A training run holds a lock on its log; the lock is tested and released immediately.
    ///
    /// # Errors
    ///
    /// [`RecordError`], naming the file, and the line if it is damaged.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let path = path.to_owned();
        if !path.exists() {
            return Err(RecordError::Missing { path });
        }
        let [config, metrics, results] =
            ["config.toml", "metrics.jsonl", "results.json"].map(|name| path.join(name));
        if !config.is_file() && !metrics.is_file() {
            return Err(RecordError::NoRun { advice: advice(&path), path });
        }
        let results_text = text(&results)?;
        let state = match &results_text {
            // Resuming a run removes its results first.
            Some(text) => RunState::Ended(Box::new(parse_results(&results, text)?)),
            None if is_locked(&metrics) => RunState::Running,
            None => RunState::Killed,
        };
        let log = text(&metrics)?.unwrap_or_default();
        let mut log = RunLog::parse(&log).map_err(|fault| RecordError::Line { path: metrics, fault })?;
        if let (RunState::Ended(results), Some(last)) = (&state, log.epochs.last_mut()) {
            // Logs of older versions do not distinguish partial epochs from whole ones.
            if last.epoch > results.epochs {
                last.event = LogEvent::PartialEpoch;
            }
        }
        let options = parse_options(&config, &text(&config)?.unwrap_or_default())?;
        Ok(Self { path, options, log, state, data: None })
    }

    /// Returns the results, if the run has ended.
    pub fn results(&self) -> Option<&Results> {
        match &self.state {
            RunState::Ended(results) => Some(results),
            RunState::Running | RunState::Killed => None,
        }
    }

    /// Returns the name of the run: its path as given.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the state in a few words.
    pub fn state_in_words(&self) -> &'static str {
        match &self.state {
            RunState::Running => "running",
            RunState::Killed => "killed",
            RunState::Ended(results) => match results.stopped {
                StopReason::Completed if results.stopped_early => "stopped early",
                StopReason::Completed | StopReason::StoppedEarly => "completed",
                StopReason::Interrupted => "interrupted",
                StopReason::Diverged => "diverged",
            },
        }
    }

    /// Returns the commands to run next, each with its effect.
    pub fn next(&self) -> Vec<(String, &'static str)> {
        let run = shell_word(&self.name());
        let resume = format!("phalanx train --resume {run}");
        match &self.state {
            RunState::Running => vec![(format!("phalanx report {run}"), "write this page again")],
            RunState::Killed => vec![(resume, "resume it")],
            RunState::Ended(results) => match results.stopped {
                StopReason::Interrupted => vec![(resume, "resume it")],
                StopReason::Diverged => {
                    let again = format!("phalanx train --config {run}/config.toml --lr ");
                    let rate = self.options.get("lr").and_then(|rate| rate.parse::<f64>().ok());
                    let lower = rate.map_or_else(
                        || "RATE".to_owned(),
                        |rate| format!("{:?}", significant(rate / 10.0, 15)),
                    );
                    vec![(again + &lower, "train again with a lower rate")]
                }
                StopReason::Completed | StopReason::StoppedEarly => {
                    self.after_the_end(results, &run, &resume)
                }
            },
        }
    }

    fn after_the_end(&self, results: &Results, run: &str, resume: &str) -> Vec<(String, &'static str)> {
        let patience = self.options.get("early-stop").and_then(|epochs| epochs.parse().ok());
        let (flag, length) = match (patience.filter(|_| results.stopped_early), self.options.get("max-steps"))
        {
            (Some(epochs), _) => ("early-stop", epochs),
            (None, Some(_)) => ("max-steps", results.steps),
            (None, None) => ("epochs", results.epochs),
        };
        let longer = format!("{resume} --{flag} {} --allow-changed {flag}", 2 * length.max(1));
        let what =
            if results.stopped_early { "resume with twice the patience" } else { "train twice as long" };
        vec![
            (
                // Data that came from a stream cannot be read again.
                match self.options.get("data").map(String::as_str) {
                    Some(data) if data == "-" || data.starts_with("/dev/") => {
                        format!("phalanx predict {run} DATA")
                    }
                    _ => format!("phalanx predict {run}"),
                },
                "predict the class or value of each test sample, or of other data given after the run",
            ),
            (longer, what),
            (
                format!("phalanx train --config {run}/config.toml --lr RATE"),
                "start a new run with another learning rate",
            ),
        ]
    }
}

/// Returns the kind of a path that is not a run, and a remedy.
fn advice(path: &Path) -> &'static str {
    if path.join("sweep.json").is_file() {
        "; it is the directory of a sweep, whose page is report.html in it"
    } else {
        "; give a directory that phalanx train created, such as runs/1"
    }
}

/// Reads the text of a file; `None` if it does not exist. Invalid UTF-8 is replaced, which makes
/// its line a damaged one.
fn text(path: &Path) -> Result<Option<String>, RecordError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::Read { path: path.to_owned(), source }),
    }
}

fn parse_results(path: &Path, text: &str) -> Result<Results, RecordError> {
    serde_json::from_str(text).map_err(|error| {
        let fault = LineFault::new(error.line().max(1), &error);
        RecordError::Line { path: path.to_owned(), fault }
    })
}

fn parse_options(path: &Path, text: &str) -> Result<BTreeMap<String, String>, RecordError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start].matches('\n').count() + 1;
        let fault = LineFault { line, fault: error.message().replace('\n', " ") };
        RecordError::Line { path: path.to_owned(), fault }
    })?;
    let written = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        toml::Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    };
    Ok(table.into_iter().map(|(name, value)| (name, written(value))).collect())
}

/// Returns whether a training program holds the lock of the log.
fn is_locked(log: &Path) -> bool {
    File::open(log).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let read = || RunRecord::read(folder.path());
        let error = read().unwrap_err();
        assert!(matches!(error, RecordError::NoRun { .. }));
        assert!(error.to_string().contains("neither config.toml nor metrics.jsonl"), "{error}");
        write("config.toml", "lr = 0.5\ndata = \"a b\"\n");
        let record = read().unwrap();
        assert_eq!((record.options["data"].as_str(), record.options["lr"].as_str()), ("a b", "0.5"));
        assert_eq!((record.state, record.log), (RunState::Killed, RunLog::default()));
        write("config.toml", "lr = 0.5\ndata = \n");
        assert!(read().unwrap_err().to_string().contains("config.toml, line 2"));
        write("config.toml", "");
        write("metrics.jsonl", "{}\n");
        assert!(read().unwrap_err().to_string().contains("metrics.jsonl, line 1: missing field `event`"));
        write("metrics.jsonl", "");
        write("results.json", "{\n\"params\": \n}");
        let error = read().unwrap_err().to_string();
        assert!(error.contains("results.json, line 3") && error.ends_with("restore the file"), "{error}");
    }

    #[test]
    fn a_tenth_of_a_rate_has_the_digits_of_the_rate() {
        let tenth = |rate: f64| format!("{:?}", significant(rate / 10.0, 15));
        assert_eq!([1e-5, 0.3, 100.0].map(tenth), ["1e-6", "0.03", "10.0"]);
    }

    #[test]
    fn a_run_whose_log_is_locked_is_running() {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("metrics.jsonl")).unwrap();
        log.lock().unwrap();
        assert_eq!(RunRecord::read(folder.path()).unwrap().state, RunState::Running);
        drop(log);
        assert_eq!(RunRecord::read(folder.path()).unwrap().state, RunState::Killed);
    }
}
