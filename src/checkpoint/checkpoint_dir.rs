//! The folder of a run's checkpoints.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint_file::Checkpoint;
use super::error::CheckpointError;
use super::whole_file::PREFIX;

/// The folder `checkpoints` of a run, with files `step-00000500.safetensors`, named after the
/// number of completed steps.
///
/// # Examples
///
/// ```
/// use phalanx::checkpoint::CheckpointDir;
/// use phalanx::internals::remove_leftovers;
///
/// let run = tempfile::tempdir()?;
/// let dir = CheckpointDir::of_run(run.path());
/// assert!(dir.newest(|damaged| eprintln!("{damaged}"))?.is_none());
///
/// std::fs::create_dir(dir.path())?;
/// std::fs::write(dir.path_of(500), "the disk was pulled out")?;
/// std::fs::write(dir.path().join(".writing-x"), "the program was killed")?;
/// remove_leftovers(dir.path())?;
/// assert_eq!(dir.steps()?, [500]);
/// assert!(dir.newest_before(500, |damaged| eprintln!("{damaged}"))?.is_none());
/// let mut warnings = Vec::new();
/// assert!(dir.newest(|damaged| warnings.push(damaged.to_string())).is_err());
/// assert!(warnings[0].contains("step-00000500.safetensors"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDir {
    path: PathBuf,
}

impl CheckpointDir {
    /// Returns the checkpoint folder of a run directory, which need not exist.
    pub fn of_run(run: &Path) -> Self {
        Self { path: run.join("checkpoints") }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the checkpoint after `step` steps, which need not exist.
    pub fn path_of(&self, step: u64) -> PathBuf {
        self.path.join(format!("step-{step:08}.safetensors"))
    }

    /// Returns the steps of the available checkpoints, ascending; empty if the folder does not
    /// exist.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Folder`].
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        let mut steps: Vec<u64> = names(&self.path)?.iter().filter_map(|name| step_of(name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns the newest undamaged checkpoint, with its path. Calls `damaged` with the error of
    /// each damaged checkpoint and falls back to the previous one.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Folder`]; [`CheckpointError::AllDamaged`] if there are checkpoints, but
    /// all are damaged.
    pub fn newest(
        &self,
        damaged: impl FnMut(&CheckpointError),
    ) -> Result<Option<(PathBuf, Checkpoint)>, CheckpointError> {
        self.newest_before(u64::MAX, damaged)
    }

    /// Returns the [newest](Self::newest) undamaged checkpoint before a step.
    ///
    /// # Errors
    ///
    /// Those of [`newest`](Self::newest).
    pub fn newest_before(
        &self,
        end: u64,
        mut damaged: impl FnMut(&CheckpointError),
    ) -> Result<Option<(PathBuf, Checkpoint)>, CheckpointError> {
        let mut steps = self.steps()?;
        steps.retain(|step| *step < end);
        let mut newest = None;
        for step in steps.iter().rev() {
            let path = self.path_of(*step);
            match Checkpoint::load(&path) {
                Ok(checkpoint) => return Ok(Some((path, checkpoint))),
                Err(error) => {
                    damaged(&error);
                    newest.get_or_insert(error);
                }
            }
        }
        let (path, count) = (self.path.clone(), steps.len());
        newest.map_or(Ok(None), |newest| {
            Err(CheckpointError::AllDamaged { path, count, newest: Box::new(newest) })
        })
    }
}

/// Removes the temporary files that a killed program has left in a folder.
///
/// # Errors
///
/// [`CheckpointError::Folder`], [`CheckpointError::Remove`].
pub fn remove_leftovers(folder: &Path) -> Result<(), CheckpointError> {
    let leftovers = names(folder)?.into_iter().filter(|name| name.starts_with(PREFIX));
    leftovers.map(|name| folder.join(name)).try_for_each(|path| remove(&path))
}

/// Returns the names in a folder; empty if the folder does not exist.
fn names(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let failed = |source| CheckpointError::Folder { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect::<io::Result<_>>().map_err(failed)
}

/// Removes a file, if it exists.
pub(super) fn remove(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| CheckpointError::Remove { path: path.to_owned(), source }),
    }
}

/// Returns the step in the name of a checkpoint.
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    let step = digits.parse().ok()?;
    (digits == format!("{step:08}")).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_the_written_form_are_steps() {
        assert_eq!(step_of("step-00000500.safetensors"), Some(500));
        assert_eq!(step_of("step-123456789.safetensors"), Some(123_456_789));
        for name in ["step-500.safetensors", "step-+0000500.safetensors", "step-00000500", ".writing-abc"] {
            assert_eq!(step_of(name), None, "{name}");
        }
    }
}
