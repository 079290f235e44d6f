//! The formats that predictions are written in.

use std::str::FromStr;

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Npy,
    Jsonl,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "npy" => Ok(Self::Npy),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err(format!("unknown format '{text}', expected csv, npy or jsonl")),
        }
    }
}
