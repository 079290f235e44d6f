//! The failure of a command, with its exit code.

use std::fmt;

use phalanx::data::DataError;
use phalanx::optim::convention::ConventionError;
use phalanx::train::TrainError;

use crate::bench::BenchError;
use crate::sweep::SweepError;

/// An error with its exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

/// The error in one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.to_string().replace('\n', " "))
    }
}

impl Failure {
    /// Returns a failure with exit code 2, as for clap's own errors: the user requested something
    /// that does not exist, or options that are incompatible.
    pub fn usage(text: String) -> Self {
        Self { code: 2, error: anyhow::Error::msg(text) }
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

/// Exit code 2 if the error is about the usage of the program, and 1 otherwise. The errors of the
/// library name options of Phalanx; the message adds the flag that sets the option.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_usage = [
            error.downcast_ref().map(TrainError::is_usage),
            error.downcast_ref().map(DataError::is_usage),
            error.downcast_ref().map(ConventionError::is_usage),
            error.downcast_ref().map(BenchError::is_usage),
            error.downcast_ref().map(SweepError::is_usage),
        ];
        let code = if is_usage.contains(&Some(true)) { 2 } else { 1 };
        let of_training = error.downcast_ref().and_then(flag_of_training);
        match of_training.or_else(|| error.downcast_ref().and_then(flag_of_data)) {
            Some(flag) => Self { code, error: anyhow::anyhow!("{error} ({flag})") },
            None => Self { code, error },
        }
    }
}

/// Returns the flag of the option that an error of training is about.
fn flag_of_training(error: &TrainError) -> Option<&'static str> {
    use TrainError::{
        ClipNorm, Metric, MinGain, NoBaseBatch, NoWholeBatch, NoiseOfOneSample, NoiseOfOneShard, NothingLeft,
        ResumedBest, StoppedEarly, UnusedBaseBatch, ZeroBatch, ZeroEarlyStop, ZeroLength, ZeroNoiseInterval,
        ZeroSaveEvery, ZeroShards, ZeroThreads,
    };
    Some(match error {
        ZeroThreads => "--threads",
        ZeroBatch => "--batch-size",
        ZeroShards => "--shards",
        ZeroLength => "--epochs or --max-steps",
        NoWholeBatch { .. } => "--batch-size, --drop-last",
        ClipNorm { .. } => "--clip-grad-norm",
        ZeroNoiseInterval | NoiseOfOneSample | NoiseOfOneShard { .. } => "--noise-scale",
        NoBaseBatch => "--base-batch-size",
        UnusedBaseBatch { .. } => "--scale-lr, --base-batch-size",
        ZeroSaveEvery => "--save-every",
        Metric { .. } => "--test or --test-split, --metric",
        MinGain { .. } => "--min-gain",
        ZeroEarlyStop => "--early-stop",
        ResumedBest => "--restore-best",
        StoppedEarly { .. } => "--early-stop EPOCHS --allow-changed early-stop",
        NothingLeft { .. } => "--epochs EPOCHS --allow-changed epochs",
        _ => return None,
    })
}

/// Returns the flag of the option that an error of the data is about.
fn flag_of_data(error: &DataError) -> Option<&'static str> {
    match error {
        DataError::SplitShare { .. } => Some("--test-split, with 0 for no test samples"),
        DataError::SplitEmpty { .. } => Some("--test-split"),
        _ => None,
    }
}

/// Returns a [`Failure`] for wrong usage, with a formatted message.
macro_rules! usage {
    ($($text:tt)+) => {
        $crate::terminal::failure::Failure::usage(format!($($text)+))
    };
}
pub(crate) use usage;
