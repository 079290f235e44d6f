//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::Builder;

use super::CheckpointError;

/// How the names of files begin that are not whole yet.
pub(super) const PREFIX: &str = ".writing-";

/// Writes `content` to `path`: beside it under another name, fsync, rename, fsync of the folder. Whatever happens in
/// between, `path` holds its old content or the new one.
///
/// # Errors
///
/// [`CheckpointError::Write`], naming `path`, whichever of these fails; the file beside it is removed then.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    write_whole_with(path, |file| file.write_all(content))
}

/// The same, of content that comes piece by piece.
pub(super) fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    try_write(path, write).map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
}

fn try_write(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = Builder::new().prefix(PREFIX).tempfile_in(folder)?;
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
