//! How a command ends badly.

use std::fmt;
use std::process::ExitCode;

use phalanx::data::DataError;
use phalanx::train::TrainError;

use super::output;

/// An error with the exit code it leads to.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: anyhow::Error,
}

/// What went wrong, in one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.to_string().replace('\n', " "))
    }
}

impl Failure {
    /// The user asked for something that does not exist or does not go together: exit code 2, as clap's own.
    pub(super) fn usage(text: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { code: 2, error: anyhow::Error::msg(text) }
    }

    /// The exit code that it leads to.
    #[cfg(feature = "mpi")]
    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// Says in one line what went wrong, and returns the exit code. Errors tell their causes themselves.
    pub(super) fn report(self) -> ExitCode {
        output::error(&self);
        ExitCode::from(self.code)
    }
}

/// Everything else is exit code 1, except options that no data could make good.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_usage = error.downcast_ref().is_some_and(is_about_options)
            || matches!(error.downcast_ref(), Some(DataError::SplitShare { .. }));
        Self { code: if is_usage { 2 } else { 1 }, error }
    }
}

/// As much of a text as a message has room for.
pub(super) fn beginning(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

fn is_about_options(error: &TrainError) -> bool {
    use TrainError::{
        ClipNorm, L2Form, Metric, MinGain, NoBaseBatch, Optim, UnusedBaseBatch, ZeroBatch, ZeroEarlyStop,
        ZeroLength, ZeroShards, ZeroThreads,
    };
    matches!(
        error,
        ZeroThreads
            | ZeroBatch
            | ZeroShards
            | ZeroLength
            | ClipNorm { .. }
            | Metric { .. }
            | MinGain { .. }
            | ZeroEarlyStop
            | L2Form { .. }
            | NoBaseBatch
            | UnusedBaseBatch { .. }
            | Optim(_)
    )
}
