//! The log of a run, for programs and for tables.

mod csv_log;
mod json_log;
mod line;

use std::fs::File;
use std::path::PathBuf;

use self::csv_log::CsvLog;
use self::json_log::JsonLog;
pub use self::line::Line;
pub(super) use self::line::Lines;
use super::ReportError;
use crate::train::{Event, Position, Subscriber, SubscriberError};

/// Writes `metrics.jsonl` and `metrics.csv`, a subscriber of the run: a line every so many steps and one each epoch.
///
/// `metrics.jsonl` has a JSON object a line. `metrics.csv` is the same as a table, with a header and a row for each of these lines;
/// its columns are the keys, in this order, and a field is empty where a key is missing or null.
///
/// | key | of | meaning |
/// |---|---|---|
/// | `event` | all | `step`, `epoch`, `diverged` instead of `step` for every one whose loss or gradient was no finite number and which changed nothing, `partial_epoch` instead of `epoch` for the part of one that a run ended with, or `resume` where a run was gone on with; lines after that point were cut off |
/// | `step`, `epoch` | all | steps done; epoch counted from 1 |
/// | `train_loss` | both | mean loss of the step's, or of the epoch's samples, before their update; null if no number |
/// | `lr` | step | learning rate of the step |
/// | `grad_norm` | step | global norm before clipping, where it was computed |
/// | `noise_scale`, `noise_scale_error` | both | gradient noise scale as last measured, in samples, and its standard error; left out if it is not measured, null while it is not known |
/// | `test_loss`, `test_accuracy` | epoch | on the test samples, null without |
/// | `samples_per_sec`, `epoch_secs` | epoch | speed and time, evaluation left out |
/// | `compute_secs`, `wait_secs`, `reduce_update_secs` | epoch | where rank 0 spent that time |
///
/// # Cost
///
/// Each line is handed to the system whole as soon as it is heard of: who follows the files sees no half lines, and a program that
/// is killed leaves none. That takes 5 µs a line of processor time, 1.7 µs more than a buffer of one second and one file did (Zen 4):
/// of a run of the digits, whose steps are the shortest at 50 µs, a hundredth with a line every 10 steps.
pub struct Metrics {
    lines: Lines,
    json: JsonLog,
    csv: CsvLog,
}

impl Metrics {
    /// Begins two files, the first of which is there and empty.
    pub(super) fn new((path, file): (PathBuf, File), csv: PathBuf, every: u64) -> Result<Self, ReportError> {
        let lines = Lines::new(every, &Position::default());
        Ok(Self { lines, json: JsonLog::new(path, file), csv: CsvLog::create(csv)? })
    }

    /// Goes on with the log of a run: cuts off what came after it was saved, and marks the point.
    pub(super) fn resume(
        (path, file): (PathBuf, File),
        csv: PathBuf,
        every: u64,
        position: &Position,
    ) -> Result<Self, ReportError> {
        let json = JsonLog::resume(path, file, position)?;
        let csv = CsvLog::resume(csv, json.path())?;
        let mut metrics = Self { lines: Lines::new(every, position), json, csv };
        metrics.write(&Line::of_resume(position))?;
        Ok(metrics)
    }

    /// Where in `metrics.jsonl` of a run that is gone on with is the first line that cannot be read, counted from 1. It stays, but is
    /// no row of `metrics.csv`.
    pub fn unreadable(&self) -> Option<u64> {
        self.json.unreadable()
    }

    fn write(&mut self, line: &Line) -> Result<(), ReportError> {
        let text = self.json.write(line)?;
        self.csv.write(&text)
    }
}

impl Subscriber for Metrics {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match self.lines.of(event) {
            Some(line) => Ok(self.write(&line)?),
            None => Ok(()),
        }
    }
}
