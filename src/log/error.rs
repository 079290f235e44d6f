//! Errors about the files of a run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::checkpoint::{CheckpointError, remedy};

/// An error of writing or reading a file of a run.
#[derive(Debug, Error)]
pub enum LogError {
    /// The folder of the run already exists.
    #[error("output directory {} exists, and runs are never overwritten; give another with -o, or remove it", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder of the run cannot be created.
    #[error("cannot create the output directory {}: {source}; give one with -o in a writable folder", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another run is in progress in the folder.
    #[error("another run is in progress in {}; wait until it ends, or give another output directory with -o", path.display())]
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
    /// A file of an earlier run cannot be read.
    #[error("cannot read {}: {source}; make it readable, or remove it", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file could not be replaced atomically.
    #[error(transparent)]
    Whole(#[from] CheckpointError),
}

/// An invalid line in a file of a run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub struct LineFault {
    /// The line number, counted from 1.
    pub line: usize,
    /// The reason why it is invalid.
    pub fault: String,
}

impl LineFault {
    /// Creates a fault from a serde error, without the position that serde appends to the text,
    /// which is relative to the parsed line.
    pub fn new(line: usize, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        Self { line, fault: text.split(" at line ").next().unwrap_or_default().to_owned() }
    }
}
