//! The log of the records of many runs, from which the command that made them is resumed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use phalanx::internals::remedy;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A fault of a log.
#[derive(Debug, thiserror::Error)]
pub enum RecordLogError {
    /// The log cannot be read.
    #[error("{}: {reason}; start again with another -o", path.display())]
    Bad {
        /// The log.
        path: PathBuf,
        /// The fault and its position.
        reason: String,
    },
    /// The log cannot be written.
    #[error("cannot write {}: {source}; {}, then continue", path.display(), remedy(source))]
    Write {
        /// The log.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
}

/// A file of records, one per line, each of which is completely written when
/// [`append`](Self::append) returns.
#[derive(Debug)]
pub struct RecordLog<R> {
    path: PathBuf,
    file: File,
    records: PhantomData<R>,
}

impl<R: Serialize + DeserializeOwned> RecordLog<R> {
    /// Opens or creates the log, and returns its records. A last line that is incomplete, because
    /// the program was stopped while it wrote the line, is removed; its run has to be repeated.
    ///
    /// # Errors
    ///
    /// [`RecordLogError::Bad`] with the number of a line that is not a record;
    /// [`RecordLogError::Write`].
    pub fn open(path: &Path) -> Result<(Self, Vec<R>), RecordLogError> {
        let path = path.to_owned();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(RecordLogError::Bad { path, reason: error.to_string() }),
            Ok(text) => text,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let records =
            records(&text[..whole]).map_err(|reason| RecordLogError::Bad { path: path.clone(), reason })?;
        let file = File::options().create(true).append(true).open(&path).and_then(|file| {
            file.set_len(whole as u64)?;
            Ok(file)
        });
        match file {
            Ok(file) => Ok((Self { path, file, records: PhantomData }, records)),
            Err(source) => Err(RecordLogError::Write { path, source }),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`RecordLogError::Write`].
    pub fn append(&mut self, record: &R) -> Result<(), RecordLogError> {
        let line = serde_json::to_string(record).expect("a record can always be serialized") + "\n";
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| RecordLogError::Write { path: self.path.clone(), source })
    }
}

fn records<R: DeserializeOwned>(text: &str) -> Result<Vec<R>, String> {
    let record = |(index, line)| {
        serde_json::from_str(line)
            .map_err(|error| format!("line {} is not a record of a run: {error}", index + 1))
    };
    text.lines().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Record {
        seed: u64,
        loss: f64,
    }

    fn of_seed(seed: u64) -> Record {
        Record { seed, loss: 0.1 + 0.2 }
    }

    #[test]
    fn records_are_read_back_and_an_incomplete_line_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        let (mut log, none) = RecordLog::<Record>::open(&path).unwrap();
        assert_eq!(none, []);
        [1, 2].iter().for_each(|seed| log.append(&of_seed(*seed)).unwrap());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (mut log, found) = RecordLog::open(&path).unwrap();
        assert_eq!(found, [of_seed(1)]);
        log.append(&of_seed(2)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_line_that_is_not_a_record_is_reported_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        RecordLog::open(&path).unwrap().0.append(&of_seed(1)).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{}\n").unwrap();
        let error = RecordLog::<Record>::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("runs.jsonl"), "{error}");
    }
}
