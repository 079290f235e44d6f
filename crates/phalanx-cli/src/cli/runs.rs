//! The runs in the folder `runs`.

use std::fs;
use std::path::{Path, PathBuf};

/// The runs that have a number, the newest first.
pub(super) fn numbered() -> Vec<PathBuf> {
    let entries = fs::read_dir("runs").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.iter().rev().map(|number| Path::new("runs").join(number.to_string())).collect()
}
