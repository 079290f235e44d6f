//! Where a command writes what it is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::failure::Failure;

/// A file, or stdout for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    File(PathBuf),
}

impl From<OsString> for Target {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(text.into()) }
    }
}

impl Target {
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }
}

/// Says beforehand that a file cannot be written: after minutes of measuring it would be too late.
pub(super) fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.display();
    if path.as_os_str().is_empty() {
        return Err(Failure::usage("a file without a name cannot be written; give a file, or - for stdout"));
    }
    if !folder.is_dir() {
        return Err(
            anyhow!("cannot write {name}: there is no folder {}; make it first", folder.display()).into()
        );
    }
    if path.is_dir() {
        return Err(anyhow!("cannot write {name}: it is a folder; give a file").into());
    }
    Ok(())
}

/// Whether both names are of one file that is there.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
