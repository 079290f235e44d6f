//! `metrics.jsonl`: a JSON object a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::ReportError;
use super::line::Line;
use crate::train::Position;

/// A log that grows by whole lines.
pub(super) struct JsonLog {
    path: PathBuf,
    file: File,
    /// Where the first line is that cannot be read, counted from 1.
    unreadable: Option<u64>,
}

/// What of a line says whether it stays.
#[derive(Deserialize)]
struct Place {
    event: String,
    step: u64,
    epoch: u64,
}

impl Place {
    /// Whether it belongs to the run as it stood. The end of an epoch that was cut short does not: its whole one comes. Older versions
    /// logged it as an epoch.
    fn is_before(&self, position: &Position) -> bool {
        let ends_an_epoch = matches!(self.event.as_str(), "epoch" | "partial_epoch");
        self.step <= position.step && (!ends_an_epoch || self.epoch <= position.epoch)
    }
}

impl JsonLog {
    /// Begins an empty file.
    pub(super) fn new(path: PathBuf, file: File) -> Self {
        Self { path, file, unreadable: None }
    }

    /// Goes on with the log of a run: cuts off what came after `position`.
    pub(super) fn resume(path: PathBuf, mut file: File, position: &Position) -> Result<Self, ReportError> {
        match cut(&mut file, position) {
            Ok(unreadable) => Ok(Self { path, file, unreadable }),
            Err(source) => Err(ReportError::Write { path, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unreadable(&self) -> Option<u64> {
        self.unreadable
    }

    /// Writes a line, whole, and returns it.
    pub(super) fn write(&mut self, line: &Line) -> Result<String, ReportError> {
        let mut text = serde_json::to_string(line).expect("a line is plain data");
        text.push('\n');
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => Ok(text),
            Err(source) => Err(ReportError::Write { path: self.path.clone(), source }),
        }
    }
}

/// Leaves the lines before a position, and the file at its end. A line that was not finished is none; one that is damaged stays if
/// others come after it, and the number of the first is returned.
fn cut(file: &mut File, position: &Position) -> io::Result<Option<u64>> {
    file.rewind()?;
    let (mut kept, mut seen, mut number, mut damaged, mut unreadable) = (0, 0, 0, None, None);
    let (mut lines, mut line) = (BufReader::new(&*file), Vec::new());
    loop {
        line.clear();
        seen += lines.read_until(b'\n', &mut line)? as u64;
        if !line.ends_with(b"\n") {
            break;
        }
        number += 1;
        match serde_json::from_slice::<Place>(&line) {
            Ok(place) if place.is_before(position) => (kept, unreadable) = (seen, damaged),
            Ok(_) => break,
            Err(_) => damaged = damaged.or(Some(number)),
        }
    }
    file.set_len(kept)?;
    file.seek(SeekFrom::End(0))?;
    Ok(unreadable)
}
