//! The folder of a run.

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Metrics, Results, TensorBoard};
use crate::checkpoint::{
    CheckpointDir, CheckpointError, PREFIX, make_folder, remedy, remove_leftovers, sync_folder_of,
    write_whole,
};
use crate::model::Tensor;
use crate::train::Position;

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
    /// Another program trains in the folder.
    #[error("a run is under way in {}; wait for its end, or give another output directory with -o", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot write {}: {source}; {} with -o", path.display(), remedy(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not give what a run has left.
    #[error("cannot read {}: {source}; make it readable, or remove it", path.display())]
    Read {
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
/// A run that goes on [reopens](Self::reopen) the one that it made before. While it has its log open, no other run can.
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
        let made = above.first().map_or(Ok(()), |parent| make_folder(parent));
        let path = path.to_owned();
        match made.and_then(|()| fs::create_dir(&path)) {
            Ok(()) => {
                let dir = Self { path, above, kept: false };
                match sync_folder_of(&dir.path) {
                    Ok(()) => Ok(dir),
                    Err(source) => Err(ReportError::Create { path: dir.path.clone(), source }),
                }
            }
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

    /// Whether a folder has no more than a run leaves there that was killed before it had written its options: a run can begin in it,
    /// [reopened](Self::reopen).
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::log::RunDir;
    ///
    /// let folder = tempfile::tempdir()?;
    /// assert!(RunDir::is_unbegun(folder.path()));
    /// std::fs::write(folder.path().join("config.toml"), "epochs = 2\n")?;
    /// assert!(!RunDir::is_unbegun(folder.path()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_unbegun(path: &Path) -> bool {
        let is_early = |entry: &DirEntry| match entry.file_name().to_str() {
            Some("metrics.jsonl") => fs::read_to_string(entry.path())
                .is_ok_and(|log| log.lines().all(|line| line.contains("\"event\":\"resume\""))),
            Some(name) => name == "metrics.csv" || name.starts_with(PREFIX),
            None => false,
        };
        fs::read_dir(path)
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| is_early(&entry))))
    }

    /// Takes the folder of a run that is gone on with.
    pub fn reopen(path: &Path) -> Self {
        Self { path: path.to_owned(), above: Vec::new(), kept: true }
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

    /// Where the checkpoints of the run are or will be.
    pub fn checkpoints(&self) -> CheckpointDir {
        CheckpointDir::of_run(&self.path)
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

    /// Begins `metrics.jsonl` and `metrics.csv`, with a line every so many steps; 0 for epochs only.
    ///
    /// # Errors
    ///
    /// [`ReportError::Write`]; [`ReportError::InUse`] if another run has begun in the folder meanwhile, whose it is then.
    pub fn metrics(&self, every: u64) -> Result<Metrics, ReportError> {
        let path = self.path.join("metrics.jsonl");
        let file = File::create_new(&path).map_err(|source| match source.kind() {
            // One that found the folder unbegun.
            io::ErrorKind::AlreadyExists => ReportError::InUse { path: self.path.clone() },
            _ => ReportError::Write { path: path.clone(), source },
        })?;
        self.lock(&file)?;
        Metrics::new((path, file), self.path.join("metrics.csv"), every)
    }

    /// Goes on with `metrics.jsonl` where the run stands, from the log of the run `before` if this is another directory, and makes
    /// `metrics.csv` anew from it. The results of the run that is not over any more are removed, and what it left if it was
    /// killed while it wrote a file.
    ///
    /// # Errors
    ///
    /// [`ReportError::InUse`], [`ReportError::Write`], [`ReportError::Whole`].
    pub fn resume_metrics(
        &self,
        every: u64,
        position: &Position,
        before: &Path,
    ) -> Result<Metrics, ReportError> {
        let path = self.path.join("metrics.jsonl");
        let failed = |source| ReportError::Write { path: path.clone(), source };
        let old = before.join("metrics.jsonl");
        if !path.exists() && old.exists() {
            fs::copy(&old, &path).map_err(failed)?;
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(failed)?;
        self.lock(&file)?;
        remove_leftovers(&self.path)?;
        remove_leftovers(self.checkpoints().path())?;
        let results = self.path.join("results.json");
        match fs::remove_file(&results) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ReportError::Write { path: results, source });
            }
            _ => {}
        }
        Metrics::resume((path, file), self.path.join("metrics.csv"), every, position)
    }

    /// Begins an event file for TensorBoard, with scalars every so many steps, 0 for epochs only, and histograms of these tensors: those of
    /// the model, or else it panics when it hears of the params.
    ///
    /// # Errors
    ///
    /// [`ReportError::Write`].
    pub fn tensor_board(&self, every: u64, tensors: Vec<Tensor>) -> Result<TensorBoard, ReportError> {
        TensorBoard::create(&self.path, every, tensors)
    }

    /// Goes on with the event file of the run `before`, which may be in this directory, where the run stands. It comes after
    /// [`resume_metrics`](Self::resume_metrics), which keeps other runs out.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`], [`ReportError::Write`], [`ReportError::Whole`].
    pub fn resume_tensor_board(
        &self,
        every: u64,
        tensors: Vec<Tensor>,
        position: &Position,
        before: &Path,
    ) -> Result<TensorBoard, ReportError> {
        TensorBoard::resume(&self.path, every, tensors, position, before)
    }

    /// Keeps other runs out until the file is closed, by whatever end; where the system has no locks, nobody is kept out.
    fn lock(&self, log: &File) -> Result<(), ReportError> {
        match log.try_lock() {
            Err(TryLockError::WouldBlock) => Err(ReportError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
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
