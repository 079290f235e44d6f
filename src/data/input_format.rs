//! The formats of samples that come as one stream of bytes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How samples are written where no file name says it: on standard input, in a pipe, in a file of any ending.
///
/// A table or libsvm lines may be packed with gzip; on standard input that is seen by how the bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputFormat {
    /// A table of comma-separated values, one sample a line.
    #[default]
    Csv,
    /// An array of numpy: inputs alone.
    Npy,
    /// Sparse samples, `label index:value ...`.
    Libsvm,
}

impl InputFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Npy, Self::Libsvm];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Npy => "npy",
            Self::Libsvm => "libsvm",
        }
    }
}

impl FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("unknown format '{text}', expected csv, npy or libsvm"))
    }
}
