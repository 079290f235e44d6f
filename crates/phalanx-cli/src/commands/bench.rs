//! `phalanx bench`: flags, tables and files of the measurements.

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
#[command(after_help = "Examples:
  phalanx bench scaling                            training of the digits, on 1, 2, 4 ... threads
  phalanx bench all-reduce                         the all-reduce of vectors from 4 B to 64 MiB")]
pub struct BenchFlags {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand)]
enum BenchCommand {
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Scaling(Box<scaling::ScalingFlags>),
    AllReduce(all_reduce::AllReduceFlags),
}

/// Measures and prints the results.
pub fn run(flags: BenchFlags) -> Result<ExitCode, Failure> {
    match flags.command {
        BenchCommand::Scaling(flags) => scaling::run(*flags),
        BenchCommand::AllReduce(flags) => all_reduce::run(&flags),
    }
}
