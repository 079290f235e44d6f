//! The records of a sweep on disk, one line each, written as they come.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Record, SweepError};

/// A file of records, of which each is there whole once [`append`](Self::append) returns.
#[derive(Debug)]
pub struct SweepLog {
    path: PathBuf,
    file: File,
}

impl SweepLog {
    /// Opens the log, or begins it, and returns the records that it has. A last line that was cut off while it was written is taken
    /// away: its run is to be done again.
    ///
    /// # Errors
    ///
    /// [`SweepError::BadLog`] if a line is no record, with its number; [`SweepError::WriteLog`] if the system refuses.
    pub fn open(path: &Path) -> Result<(Self, Vec<Record>), SweepError> {
        let path = path.to_owned();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(SweepError::BadLog { path, reason: error.to_string() }),
            Ok(text) => text,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let records =
            records(&text[..whole]).map_err(|reason| SweepError::BadLog { path: path.clone(), reason })?;
        let file = File::options().create(true).append(true).open(&path).and_then(|file| {
            file.set_len(whole as u64)?;
            Ok(file)
        });
        match file {
            Ok(file) => Ok((Self { path, file }, records)),
            Err(source) => Err(SweepError::WriteLog { path, source }),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`SweepError::WriteLog`].
    pub fn append(&mut self, record: &Record) -> Result<(), SweepError> {
        let line = serde_json::to_string(record).expect("records are plain data") + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| SweepError::WriteLog { path: self.path.clone(), source })
    }
}

fn records(text: &str) -> Result<Vec<Record>, String> {
    let record = |(index, line)| {
        serde_json::from_str(line)
            .map_err(|error| format!("line {} is no record of a sweep: {error}", index + 1))
    };
    text.lines().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, CurvePoint, Run};
    use super::*;
    use phalanx::optim::Reduction;

    fn record(seed: u64) -> Record {
        let cell = Cell { reduction: Reduction::Sum, batch_size: 4, rate: 0.1 };
        let curve = vec![CurvePoint { step: 1, loss: 0.1 + 0.2, accuracy: Some(0.5) }];
        Record { run: Run { cell, seed }, diverged: false, secs: 0.5, curve }
    }

    #[test]
    fn what_was_written_is_read_back_and_a_line_cut_off_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        let (mut log, none) = SweepLog::open(&path).unwrap();
        assert_eq!(none, []);
        [1, 2].iter().for_each(|seed| log.append(&record(*seed)).unwrap());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (mut log, found) = SweepLog::open(&path).unwrap();
        assert_eq!(found, [record(1)]);
        log.append(&record(2)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_line_that_is_no_record_is_told_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        SweepLog::open(&path).unwrap().0.append(&record(1)).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{}\n").unwrap();
        let error = SweepLog::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("runs.jsonl"), "{error}");
    }
}
