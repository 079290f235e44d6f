//! How a command ends badly.

use std::fmt;
use std::io;
use std::process::ExitCode;

use phalanx::train::TrainError;

/// An error with the exit code it leads to.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The user asked for something that does not exist or does not go together: exit code 2, as clap's own.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, error: error.into() }
    }

    /// [`usage`](Self::usage), with the text at hand.
    pub(super) fn usage_text(text: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::usage(anyhow::Error::msg(text))
    }

    /// Says what went wrong, and returns the exit code. A reader of our output that has gone away (`| head`) is no
    /// failure of ours.
    pub(super) fn report(self) -> ExitCode {
        let gone = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
        if self.error.chain().filter_map(|cause| cause.downcast_ref()).any(gone) {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {:#}", self.error);
        ExitCode::from(self.code)
    }
}

/// Everything else is exit code 1, except options that no data could make good.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let code = if error.downcast_ref().is_some_and(is_about_options) { 2 } else { 1 };
        Self { code, error }
    }
}

fn is_about_options(error: &TrainError) -> bool {
    use TrainError::{
        ClipNorm, NoBaseBatch, Optim, UnusedBaseBatch, ZeroBatch, ZeroLength, ZeroShards, ZeroThreads,
    };
    matches!(
        error,
        ZeroThreads
            | ZeroBatch
            | ZeroShards
            | ZeroLength
            | ClipNorm { .. }
            | NoBaseBatch
            | UnusedBaseBatch { .. }
            | Optim(_)
    )
}
