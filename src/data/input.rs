//! What a reader reads, from its beginning and as often as it likes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::DataError;

/// How a gzip file begins (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file, or bytes that came from where they cannot be had twice.
///
/// Tables are read more than once: to count what room they need, and to find the line of a fault. A pipe gives its bytes once;
/// they are held for as long as they are read.
#[derive(Debug)]
pub(super) enum Input {
    File(PathBuf),
    Held { name: String, bytes: Vec<u8> },
}

impl Input {
    /// The file at a path. A pipe or a device that is named as a file is read to its end now.
    pub fn of(path: &Path) -> Result<Input, DataError> {
        let name = path.display().to_string();
        match path.metadata() {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                let file = File::open(path).map_err(|cause| DataError::Io { file: name.clone(), cause })?;
                Input::held(name, file)
            }
            // What is missing, or a folder, is told when it is opened.
            _ => Ok(Input::File(path.to_path_buf())),
        }
    }

    /// Standard input, read to its end now.
    pub fn stdin() -> Result<Input, DataError> {
        Input::held("stdin".to_string(), io::stdin().lock())
    }

    fn held(name: String, mut reader: impl Read) -> Result<Input, DataError> {
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(Input::Held { name, bytes }),
            Err(cause) => Err(DataError::Io { file: name, cause }),
        }
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Held { name, .. } => name.clone(),
        }
    }

    /// Whether it is packed: a file says so by its ending; what has no name, by how it begins.
    pub fn is_gzip(&self) -> bool {
        match self {
            Input::File(path) => path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz")),
            Input::Held { bytes, .. } => bytes.starts_with(&GZIP_MAGIC),
        }
    }
}
