//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CheckpointError;

/// The first characters in the names of files that are not whole yet.
pub(crate) const PREFIX: &str = ".writing-";

/// Writes `content` to `path`: beside it under another name, fsync, rename, fsync of the folder. Whatever happens in
/// between, `path` holds its old content or the new one. A link is followed; a device or a pipe is written to as it is.
///
/// # Errors
///
/// [`CheckpointError::Write`], naming `path`, whichever of these fails; the file beside it is removed then. But
/// [`CheckpointError::NotSynced`] if the last does: the new content is there, for as long as the system runs.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    write_whole_with(path, |file| file.write_all(content))
}

/// Does what [`write_whole`] does with content that comes piece by piece: `write` is given the file beside.
///
/// # Errors
///
/// Those of [`write_whole`], also if `write` fails.
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
        // A device or a pipe has no content to keep, and is not to be replaced by a file.
        Ok(found) if !found.is_file() && !found.is_dir() => {
            return File::options()
                .write(true)
                .open(path)
                .and_then(|mut file| write(&mut file))
                .map_err(failed);
        }
        // What a link points to is written, not the link.
        Ok(_) => path.canonicalize().map_err(failed)?,
        Err(_) => path.to_owned(),
    };
    replace(&file, write).map_err(failed)?;
    sync_folder_of(&file).map_err(|source| CheckpointError::NotSynced { path: path.to_owned(), source })
}

/// Makes a folder and those above it, if they are not there, for good.
///
/// # Errors
///
/// Whichever of this the system refuses.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    missing.into_iter().try_for_each(sync_folder_of)
}

/// Makes the name of a file or folder last.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(folder_of(path))
}

fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.exists()
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = TemporaryFile::create(folder_of(path))?;
    write(&mut beside.file)?;
    beside.file.sync_all()?;
    fs::rename(&beside.path, path)?;
    beside.is_renamed = true;
    Ok(())
}

/// A file next to the one that it will replace; removed again unless it has been renamed.
struct TemporaryFile {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl TemporaryFile {
    /// Creates a file under a name that no other has: [`PREFIX`], the number of the process, and a counter.
    fn create(folder: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{PREFIX}{}-{number}", process::id()));
            match File::create_new(&path) {
                // Left by a process of this number that was killed.
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

/// Elsewhere than on Unix a folder cannot be opened for it.
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
    fn a_link_is_followed_and_stays() {
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
    fn what_cannot_be_made_is_told_without_the_name_of_the_file_beside() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_whole(&folder.path().join("no/such"), b"").unwrap_err().to_string();
        assert!(error.contains("no/such") && !error.contains(".writing"), "{error}");
    }
}
