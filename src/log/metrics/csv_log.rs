//! `metrics.csv`: the lines of `metrics.jsonl` as a table.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::ReportError;
use crate::checkpoint::write_whole_with;

/// The header: every key that a line may have.
pub(super) const COLUMNS: [&str; 15] = [
    "event",
    "step",
    "epoch",
    "train_loss",
    "lr",
    "grad_norm",
    "noise_scale",
    "noise_scale_error",
    "test_loss",
    "test_accuracy",
    "samples_per_sec",
    "epoch_secs",
    "compute_secs",
    "wait_secs",
    "reduce_update_secs",
];

/// A table that grows by whole rows.
pub(super) struct CsvLog {
    path: PathBuf,
    rows: csv::Writer<File>,
}

impl CsvLog {
    /// Begins a table.
    pub(super) fn create(path: PathBuf) -> Result<Self, ReportError> {
        let mut log = match File::create_new(&path) {
            Ok(file) => Self { path, rows: csv::Writer::from_writer(file) },
            Err(source) => return Err(ReportError::Write { path, source }),
        };
        log.hand_over(|rows| Ok(rows.write_record(COLUMNS)?))?;
        Ok(log)
    }

    /// Goes on with a table, which is made anew from the lines of `metrics.jsonl`: so it is cut where they are, and a run of an
    /// older version gets one.
    pub(super) fn resume(path: PathBuf, lines: &Path) -> Result<Self, ReportError> {
        let log = File::open(lines).map_err(|source| ReportError::Read { path: lines.to_owned(), source })?;
        write_whole_with(&path, |file| {
            let mut rows = csv::Writer::from_writer(file);
            rows.write_record(COLUMNS)?;
            for line in BufReader::new(log).split(b'\n') {
                match serde_json::from_slice(&line?) {
                    Ok(line) => write_row(&mut rows, &line)?,
                    // Damaged: told by the reader of that file, and no row.
                    Err(_) => continue,
                }
            }
            rows.flush()
        })?;
        match OpenOptions::new().append(true).open(&path) {
            Ok(file) => Ok(Self { path, rows: csv::Writer::from_writer(file) }),
            Err(source) => Err(ReportError::Write { path, source }),
        }
    }

    /// Writes the row of a line of `metrics.jsonl`, whole.
    pub(super) fn write(&mut self, line: &str) -> Result<(), ReportError> {
        self.hand_over(|rows| write_row(rows, &serde_json::from_str(line)?))
    }

    /// Hands the system what is written, at once.
    fn hand_over(
        &mut self,
        write: impl FnOnce(&mut csv::Writer<File>) -> io::Result<()>,
    ) -> Result<(), ReportError> {
        let written = write(&mut self.rows).and_then(|()| self.rows.flush());
        written.map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

/// Writes what a line has of each column, in the digits that it has.
fn write_row(rows: &mut csv::Writer<impl Write>, line: &Map<String, Value>) -> io::Result<()> {
    let fields = COLUMNS.iter().map(|column| match line.get(*column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    });
    Ok(rows.write_record(fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::metrics::Line;
    use crate::train::{EpochEnd, NoiseScale, PhaseTimes, StepEnd};

    fn step(loss: f64) -> Line {
        let end = StepEnd {
            step: 30,
            epoch: 1,
            samples: 64,
            weight: 64.0,
            loss,
            rate: 1e-7,
            grad_norm: Some(0.1 + 0.2),
            noise_scale: None,
            diverged: false,
        };
        Line::of_step(&end, Some(NoiseScale::default()))
    }

    fn epoch() -> Line {
        let end = EpochEnd {
            epoch: 1,
            step: 46,
            samples: 1437,
            train_loss: 0.25,
            test: None,
            is_whole: true,
            elapsed: std::time::Duration::from_millis(125),
            phases: PhaseTimes::default(),
        };
        Line::of_epoch(&end, Some(NoiseScale::default()))
    }

    fn row(line: &Line) -> String {
        let mut rows = csv::Writer::from_writer(Vec::new());
        let line = serde_json::to_string(line).unwrap();
        write_row(&mut rows, &serde_json::from_str(&line).unwrap()).unwrap();
        String::from_utf8(rows.into_inner().unwrap()).unwrap()
    }

    #[test]
    fn every_key_has_a_column() {
        for line in [step(0.5), epoch()] {
            let keys = line.facts.iter().map(|(key, _)| key);
            assert!(keys.clone().all(|key| COLUMNS.contains(key)), "{keys:?}");
        }
    }

    #[test]
    fn a_row_has_the_digits_of_the_line_and_nothing_where_that_says_null() {
        assert_eq!(row(&step(0.5)), "step,30,2,0.5,1e-7,0.30000000000000004,,,,,,,,,\n");
        assert_eq!(row(&step(f64::NAN)), "step,30,2,,1e-7,0.30000000000000004,,,,,,,,,\n");
        assert_eq!(row(&epoch()), "epoch,46,2,0.25,,,,,,,11496.0,0.125,0.0,0.0,0.0\n");
    }
}
