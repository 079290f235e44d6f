//! The value of flags that name files and folders.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path, also one that is not UTF-8: text in a file of flags if it is, and a list of its bytes otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub(super) struct FilePath(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a file or folder")]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<OsString> for FilePath {
    fn from(text: OsString) -> Self {
        Self(text.into())
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl From<FilePath> for Written {
    fn from(path: FilePath) -> Self {
        match path.0.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(name) => Self::Bytes(name.into_encoded_bytes()),
        }
    }
}

impl TryFrom<Written> for FilePath {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => Ok(Self(text.into())),
            Written::Bytes(bytes) => name(bytes).map(|name| Self(name.into())),
        }
    }
}

#[cfg(unix)]
fn name(bytes: Vec<u8>) -> Result<OsString, String> {
    Ok(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn name(bytes: Vec<u8>) -> Result<OsString, String> {
    String::from_utf8(bytes).map(OsString::from).map_err(|error| format!("a name that is not UTF-8: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_are_read_back_from_what_is_written() {
        for bytes in [&b"runs/1"[..], b"", b"runs/\xff", "r\u{fffd}".as_bytes()] {
            let path = FilePath::from(name(bytes.to_vec()).unwrap());
            let value = toml::Value::try_from(&path).unwrap();
            assert_eq!(value.is_str(), std::str::from_utf8(bytes).is_ok());
            assert_eq!(value.try_into::<FilePath>().unwrap(), path);
        }
    }
}
