//! `phalanx bench`: flags, tables and files around the library's measurements.
//!
//! One file a measurement; [`series`] is train's flags with a list of thread counts, [`lens`] a list of lens, [`output`]
//! where results go.

mod all_reduce;
mod lens;
mod output;
mod scaling;
mod series;

use std::process::ExitCode;

use crate::bench::{BenchError, Warning};
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output as streams;

/// Measure how training and the all-reduce scale on this machine
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(super) struct BenchFlags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Scaling(Box<scaling::ScalingFlags>),
    AllReduce(all_reduce::AllReduceFlags),
}

/// Measures, and prints what came of it.
pub(super) fn run(flags: BenchFlags) -> Result<ExitCode, Failure> {
    match flags.what {
        What::Scaling(flags) => scaling::run(*flags),
        What::AllReduce(flags) => all_reduce::run(&flags),
    }
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    Errors,
    Warnings,
    Progress,
}

impl Voice {
    fn of(quiet: bool, no_progress: bool) -> Self {
        match (quiet, no_progress) {
            (true, _) => Self::Errors,
            (false, true) => Self::Warnings,
            (false, false) => Self::Progress,
        }
    }

    fn progress(self, line: impl FnOnce() -> String) {
        if self >= Self::Progress {
            streams::tell(line());
        }
    }

    fn warn(self, warnings: &[Warning]) {
        if self >= Self::Warnings {
            warnings.iter().for_each(streams::warn);
        }
    }
}

/// What the user asked for and cannot be measured by anybody is wrong usage; the rest is as it is elsewhere.
fn failure(error: BenchError) -> Failure {
    match error {
        BenchError::Train(error) => error.into(),
        error @ (BenchError::NoThreads
        | BenchError::ZeroThreads
        | BenchError::NoLens
        | BenchError::ZeroLen
        | BenchError::Takes { .. }
        | BenchError::UnevenBatch { .. }
        | BenchError::NoSuchReduction { .. }) => Failure::usage(error),
        error => error.into(),
    }
}
