//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::Builder;

use super::CheckpointError;

/// How the names of files begin that are not whole yet.
pub(super) const PREFIX: &str = ".writing-";

/// Writes `content` to `path`: beside it under another name, fsync, rename, fsync of the folder. Whatever happens in
/// between, `path` holds its old content or the new one. A link is followed; a device or a pipe is written to as it is.
///
/// # Errors
///
/// [`CheckpointError::Write`], naming `path`, whichever of these fails; the file beside it is removed then.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    write_whole_with(path, |file| file.write_all(content))
}

/// Does what [`write_whole`] does with content that comes piece by piece: `write` is given the file beside.
///
/// # Errors
///
/// [`CheckpointError::Write`], also if `write` fails.
///
/// # Examples
///
/// ```
/// use std::io::{BufWriter, Write};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("squares.txt");
/// phalanx::checkpoint::write_whole_with(&path, |file| {
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
    try_write(path, write).map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
}

fn try_write(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    match path.metadata() {
        // A device or a pipe has no content to keep, and is not to be replaced by a file.
        Ok(found) if !found.is_file() && !found.is_dir() => {
            write(&mut File::options().write(true).open(path)?)
        }
        // What a link points to is written, not the link.
        Ok(_) => try_replace(&path.canonicalize()?, write),
        Err(_) => try_replace(path, write),
    }
}

fn try_replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The error would name the file beside, of which nobody knows.
    let made = Builder::new().prefix(PREFIX).tempfile_in(folder);
    let mut beside = made.map_err(|error| io::Error::from(error.kind()))?;
    write(beside.as_file_mut())?;
    readable_by_all(beside.as_file())?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// A temporary file is for its owner alone; what it becomes is a file as any other.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> io::Result<()> {
    Ok(())
}

/// Makes the rename last. Elsewhere than on Unix a folder cannot be opened for it.
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
    use std::fs;

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
