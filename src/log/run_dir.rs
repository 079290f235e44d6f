//! The folder of a run.

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::metrics::LogFile;
use super::{LogError, Metrics, Results, TensorBoard};
use crate::checkpoint::{CheckpointDir, PREFIX, make_folder, remove_leftovers, sync_folder_of, write_whole};
use crate::model::Tensor;
use crate::train::Position;

/// The folder of a run, created exclusively for it.
///
/// A resumed run [reopens](Self::reopen) its folder. While a run has its log open, other runs
/// cannot open it.
///
/// Unless [`keep`](Self::keep) is called, the folder is removed when this value is dropped, so that
/// a run that could not start leaves no files.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Folders above `path` that had to be created, the innermost first.
    above: Vec<PathBuf>,
    kept: bool,
}

impl RunDir {
    /// Creates `path` and its missing parents.
    ///
    /// # Errors
    ///
    /// [`LogError::Exists`] if `path` already exists, [`LogError::Create`] if it cannot be created.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        let above: Vec<PathBuf> = parents.take_while(|parent| !parent.exists()).map(Path::to_owned).collect();
        let made = above.first().map_or(Ok(()), |parent| make_folder(parent));
        let path = path.to_owned();
        match made.and_then(|()| fs::create_dir(&path)) {
            Ok(()) => {
                let dir = Self { path, above, kept: false };
                match sync_folder_of(&dir.path) {
                    Ok(()) => Ok(dir),
                    Err(source) => Err(LogError::Create { path: dir.path.clone(), source }),
                }
            }
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
                Err(LogError::Exists { path })
            }
            Err(source) => Err(LogError::Create { path, source }),
        }
    }

    /// Creates a folder in `folder` whose name is the number after the largest one there, counted
    /// from 1. Two simultaneous runs get different folders.
    ///
    /// # Errors
    ///
    /// [`LogError::Create`].
    pub fn create_next(folder: &Path) -> Result<Self, LogError> {
        let taken = fs::read_dir(folder).into_iter().flatten().flatten();
        let last =
            taken.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max().unwrap_or(0);
        let mut next = u64::from(last) + 1;
        loop {
            match Self::create(&folder.join(next.to_string())) {
                Err(LogError::Exists { .. }) => next += 1,
                made => return made,
            }
        }
    }

    /// Returns whether a folder has only files of a run that was killed before it had written its
    /// options, so that a new run can start in it after [`reopen`](Self::reopen).
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

    /// Opens the folder of a run to resume it.
    pub fn reopen(path: &Path) -> Self {
        Self { path: path.to_owned(), above: Vec::new(), kept: true }
    }

    /// Keeps the folder when this value is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the run's model, which is written when the run ends.
    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// Returns the folder of its checkpoints, which may not exist yet.
    pub fn checkpoints(&self) -> CheckpointDir {
        CheckpointDir::of_run(&self.path)
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    ///
    /// [`LogError::Whole`].
    pub fn write_config(&self, text: &str) -> Result<(), LogError> {
        Ok(write_whole(&self.path.join("config.toml"), text.as_bytes())?)
    }

    /// Writes `results.json`.
    ///
    /// # Errors
    ///
    /// [`LogError::Whole`].
    pub fn write_results(&self, results: &Results) -> Result<(), LogError> {
        let mut text = serde_json::to_string_pretty(results).expect("results are plain data");
        text.push('\n');
        Ok(write_whole(&self.path.join("results.json"), text.as_bytes())?)
    }

    /// Starts `metrics.jsonl` and `metrics.csv`, with a line every `every` steps; 0 for epochs
    /// only.
    ///
    /// # Errors
    ///
    /// [`LogError::Write`]; [`LogError::InUse`] if another run has started in the folder meanwhile.
    pub fn metrics(&self, every: u64) -> Result<Metrics, LogError> {
        let path = self.path.join("metrics.jsonl");
        let file = File::create_new(&path).map_err(|source| match source.kind() {
            // Another run, for which `is_unbegun` was also true.
            io::ErrorKind::AlreadyExists => LogError::InUse { path: self.path.clone() },
            _ => LogError::Write { path: path.clone(), source },
        })?;
        self.lock(&file)?;
        Metrics::new(LogFile { path, file }, self.path.join("metrics.csv"), every)
    }

    /// Resumes `metrics.jsonl` at a position, from the log of the run `before` if that is another
    /// directory, and rewrites `metrics.csv` from it. Removes the results of the run, which is no
    /// longer complete, and the temporary files of a killed run.
    ///
    /// # Errors
    ///
    /// [`LogError::InUse`], [`LogError::Read`], [`LogError::Write`], [`LogError::Whole`].
    pub fn resume_metrics(
        &self,
        every: u64,
        position: &Position,
        before: &Path,
    ) -> Result<Metrics, LogError> {
        let path = self.path.join("metrics.jsonl");
        let failed = |source| LogError::Write { path: path.clone(), source };
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
                return Err(LogError::Write { path: results, source });
            }
            _ => {}
        }
        Metrics::resume(LogFile { path, file }, self.path.join("metrics.csv"), every, position)
    }

    /// Starts an event file for TensorBoard, with scalars every `every` steps (0 for epochs only)
    /// and histograms of `tensors`. These must be the tensors of the model, otherwise the
    /// subscriber panics at the end of an epoch, or its histograms are wrong.
    ///
    /// # Errors
    ///
    /// [`LogError::Write`].
    pub fn tensor_board(&self, every: u64, tensors: Vec<Tensor>) -> Result<TensorBoard, LogError> {
        TensorBoard::create(&self.path, every, tensors)
    }

    /// Resumes the event file of the run `before`, which may be in this directory, at a position.
    /// Call it after [`resume_metrics`](Self::resume_metrics), which locks out other runs.
    ///
    /// # Errors
    ///
    /// [`LogError::Read`], [`LogError::Write`], [`LogError::Whole`].
    pub fn resume_tensor_board(
        &self,
        every: u64,
        tensors: Vec<Tensor>,
        position: &Position,
        before: &Path,
    ) -> Result<TensorBoard, LogError> {
        TensorBoard::resume(&self.path, every, tensors, position, before)
    }

    /// Locks out other runs until the file is closed, even if the program is killed. Has no effect
    /// if the system does not support file locks.
    fn lock(&self, log: &File) -> Result<(), LogError> {
        match log.try_lock() {
            Err(TryLockError::WouldBlock) => Err(LogError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.kept || fs::remove_dir_all(&self.path).is_err() {
            return;
        }
        // Another run may have been created in a parent folder meanwhile; it is then not empty and
        // cannot be removed.
        self.above.iter().try_for_each(fs::remove_dir).unwrap_or_default();
    }
}
