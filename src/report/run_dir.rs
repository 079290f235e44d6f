//! The folder of a run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Metrics, Results};
use crate::checkpoint::{CheckpointError, write_whole};

/// Why something could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The folder of the run is there already.
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
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot write {}: {source}; make room, or give another output directory with -o", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A whole file could not be written.
    #[error(transparent)]
    Whole(#[from] CheckpointError),
}

/// The folder of a run, made by it and by nobody else.
///
/// Until it is [kept](Self::keep) it goes away with this value, so that a run that could not begin leaves nothing behind.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Folders above `path` that had to be made, the innermost first.
    above: Vec<PathBuf>,
    kept: bool,
}

impl RunDir {
    /// Makes `path` and the folders above it.
    ///
    /// # Errors
    ///
    /// [`ReportError::Exists`] if there is something of that name, [`ReportError::Create`] if the system refuses.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        let above: Vec<PathBuf> = parents.take_while(|parent| !parent.exists()).map(Path::to_owned).collect();
        let made = above.first().map_or(Ok(()), fs::create_dir_all);
        let path = path.to_owned();
        match made.and_then(|()| fs::create_dir(&path)) {
            Ok(()) => Ok(Self { path, above, kept: false }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
                Err(ReportError::Exists { path })
            }
            Err(source) => Err(ReportError::Create { path, source }),
        }
    }

    /// Makes the first of `1`, `2`, `3` ... in `folder` that is not there yet. Two runs at once get different ones.
    ///
    /// # Errors
    ///
    /// [`ReportError::Create`].
    pub fn create_next(folder: &Path) -> Result<Self, ReportError> {
        let taken = fs::read_dir(folder).into_iter().flatten().flatten();
        let last =
            taken.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max().unwrap_or(0);
        let mut next = u64::from(last) + 1;
        loop {
            match Self::create(&folder.join(next.to_string())) {
                Err(ReportError::Exists { .. }) => next += 1,
                made => return made,
            }
        }
    }

    /// Has it stay.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the model of the run is or will be.
    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    ///
    /// [`ReportError::Whole`].
    pub fn write_config(&self, text: &str) -> Result<(), ReportError> {
        Ok(write_whole(&self.path.join("config.toml"), text.as_bytes())?)
    }

    /// Writes `results.json`.
    ///
    /// # Errors
    ///
    /// [`ReportError::Whole`].
    pub fn write_results(&self, results: &Results) -> Result<(), ReportError> {
        let mut text = serde_json::to_string_pretty(results).expect("results are plain data");
        text.push('\n');
        Ok(write_whole(&self.path.join("results.json"), text.as_bytes())?)
    }

    /// Begins `metrics.jsonl`, with a line every so many steps; 0 for epochs only.
    ///
    /// # Errors
    ///
    /// [`ReportError::Write`].
    pub fn metrics(&self, every: u64) -> Result<Metrics, ReportError> {
        let path = self.path.join("metrics.jsonl");
        match File::create_new(&path) {
            Ok(file) => Ok(Metrics::new(path, file, every)),
            Err(source) => Err(ReportError::Write { path, source }),
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.kept || fs::remove_dir_all(&self.path).is_err() {
            return;
        }
        // Another run may have come into a folder above meanwhile: it is not empty then, and stays.
        self.above.iter().try_for_each(fs::remove_dir).unwrap_or_default();
    }
}
