//! `phalanx bench`: flags, tables and files for the measurements.

mod all_reduce;
mod output;
#[cfg(feature = "mpi")]
mod processes;
mod scaling;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::terminal::failure::Failure;

/// Measure how training and the all-reduce scale on this machine
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub struct BenchFlags {
    #[command(subcommand)]
    what: BenchCommand,
}

#[derive(Subcommand)]
enum BenchCommand {
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Scaling(Box<scaling::ScalingFlags>),
    AllReduce(all_reduce::AllReduceFlags),
}

/// Measures, and prints what came of it.
pub fn run(flags: BenchFlags) -> Result<ExitCode, Failure> {
    match flags.what {
        BenchCommand::Scaling(flags) => scaling::run(*flags),
        BenchCommand::AllReduce(flags) => all_reduce::run(&flags),
    }
}
