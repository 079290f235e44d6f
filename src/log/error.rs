//! The errors of the files of a run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::checkpoint::{CheckpointError, remedy};

/// An error of writing or reading a file of a run.
#[derive(Debug, Error)]
pub enum LogError {
    /// The folder of the run exists already.
    #[error("output directory {} exists; runs are never overwritten: give another with -o, or remove it", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of the run cannot be made.
    #[error("cannot make the output directory {}: {source}; give one with -o in a folder that can be written", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another program trains in the folder.
    #[error("a run is under way in {}; wait for its end, or give another output directory with -o", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}; {} with -o", path.display(), remedy(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file that an earlier run has left cannot be read.
    #[error("cannot read {}: {source}; make it readable, or remove it", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file could not be replaced as a whole.
    #[error(transparent)]
    Whole(#[from] CheckpointError),
}

/// The fault of a line of a file of a run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub struct LineFault {
    /// Number of the line, from 1.
    pub line: usize,
    /// Its fault.
    pub fault: String,
}

impl LineFault {
    /// The fault without the place that serde appends to it, which counts from the beginning of the
    /// text that it was given.
    pub fn new(line: usize, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        Self { line, fault: text.split(" at line ").next().unwrap_or_default().to_owned() }
    }
}
