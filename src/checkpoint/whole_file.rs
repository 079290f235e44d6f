//! Atomic file writes: a file is either complete or absent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CheckpointError;

/// The prefix of the names of temporary files.
pub(crate) const PREFIX: &str = ".writing-";

/// Writes `content` to `path` atomically: to a temporary file in the same folder, fsync, rename,
/// fsync of the folder. At any time, `path` has either its old content or the new one. A symbolic
/// link is followed; a device or a pipe is written to directly.
///
/// # Errors
///
/// [`CheckpointError::Write`], which names `path`; the temporary file is removed.
/// [`CheckpointError::NotSynced`] if only the fsync of the folder fails: the new content is in
/// place, but may be lost in a power failure.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    write_whole_with(path, |file| file.write_all(content))
}

/// Writes a file as [`write_whole`] does, but with content that `write` writes to the temporary
/// file piece by piece.
///
/// # Errors
///
/// Those of [`write_whole`], including a failure of `write`.
///
/// # Examples
///
/// ```
/// use std::io::{BufWriter, Write};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("squares.txt");
/// phalanx::internals::write_whole_with(&path, |file| {
///     let mut out = BufWriter::new(file);
///     (0..3).try_for_each(|x| writeln!(out, "{}", x * x))?;
///     out.flush()
/// })?;
/// assert_eq!(std::fs::read_to_string(&path)?, "0\n1\n4\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Write { path: path.to_owned(), source };
    let file = match path.metadata() {
        // A device or a pipe has no content to preserve, and must not be replaced by a file.
        Ok(found) if !found.is_file() && !found.is_dir() => {
            return File::options()
                .write(true)
                .open(path)
                .and_then(|mut file| write(&mut file))
                .map_err(failed);
        }
        // Write the target of a symbolic link, not the link.
        Ok(_) => path.canonicalize().map_err(failed)?,
        Err(_) => path.to_owned(),
    };
    replace(&file, write).map_err(failed)?;
    sync_folder_of(&file).map_err(|source| CheckpointError::NotSynced { path: path.to_owned(), source })
}

/// Creates a folder and its missing parents, and syncs them to disk.
///
/// # Errors
///
/// The first error of the system.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    missing.into_iter().try_for_each(sync_folder_of)
}

/// Syncs the directory entry of a file or folder to disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(folder_of(path))
}

fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.exists()
}

/// Returns the folder of a path.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = TemporaryFile::create(folder_of(path))?;
    write(&mut temporary.file)?;
    temporary.file.sync_all()?;
    fs::rename(&temporary.path, path)?;
    temporary.is_renamed = true;
    Ok(())
}

/// A temporary file next to the file that it will replace; removed on drop unless it has been
/// renamed.
struct TemporaryFile {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl TemporaryFile {
    /// Creates a file with a unique name: [`PREFIX`], the process id and a counter.
    fn create(folder: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{PREFIX}{}-{number}", process::id()));
            match File::create_new(&path) {
                // Left over from a killed process with the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|file| Self { file, path, is_renamed: false }),
            }
        }
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Syncs a folder. Only Unix can open a folder to sync it.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_symbolic_link_is_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        write_whole(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn an_error_names_the_file_and_not_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_whole(&folder.path().join("no/such"), b"").unwrap_err().to_string();
        assert!(error.contains("no/such") && !error.contains(".writing"), "{error}");
    }
}
