//! One number, before and after.

use serde::Serialize;
use std::fmt;

/// How far the trajectory is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// In every bit of the params: only powers of two are multiplied, as long as nothing underflows or overflows.
    SameBits,
    /// Up to rounding, about 1e-6 of the params.
    Rounding,
    /// Another trajectory, which is hoped to be as good.
    Approximate,
}

impl fmt::Display for Exactness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SameBits => "exact, same bits",
            Self::Rounding => "exact up to rounding",
            Self::Approximate => "approximation",
        })
    }
}

/// What became of one number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The option as written in flags and files.
    pub option: &'static str,
    /// What it is called in the old convention, if by another name.
    pub old_name: &'static str,
    /// What it is called in the new one.
    pub new_name: &'static str,
    /// The number in the old convention.
    pub old: f64,
    /// The number in the new one.
    pub new: f64,
    /// What was done and why, in words.
    pub why: String,
    /// How exact it is.
    pub exactness: Exactness,
}
