//! The program around the library: flags, files, text and exit codes.
//!
//! One file a command; [`flags`] are what a user may say, [`config`] merges them with a file, [`settings`] turns them
//! into the library's options, [`output`] is where it prints, [`failure`] is how a command ends badly. Nothing here
//! computes on params, and nothing is used but the library's public face.

mod arguments;
mod auto;
mod bench;
mod command_line;
mod config;
mod convert;
mod eval;
mod export;
mod failure;
mod flags;
mod grid;
mod hidden;
mod input;
mod inspect;
mod like;
mod listener;
mod output;
mod predict;
mod preview;
mod resume;
mod settings;
mod signals;
mod summary;
mod sweep;
mod target;
mod train;
mod whole;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

/// Trains models on the cores of one machine: exact sum or mean semantics, and the same bits for any number of threads.
#[derive(Parser)]
#[command(name = "phalanx", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Examples:
  phalanx train                                  train on the built-in digits, with all cores
  phalanx train data.csv --test-split 0.2 -o m   train on a table whose last column is the label
  phalanx predict m new.csv                      predict new samples with what was trained
  phalanx export m model.onnx                    take it to another program
  phalanx convert --to sum --lr 0.1 -b 64        say the same run for summed gradients

Exit codes: 0 done, 1 error, 2 wrong usage, 3 diverged, 130 and 143 stopped by a signal after saving.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Train(Box<flags::TrainFlags>),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Convert(Box<convert::ConvertFlags>),
    Eval(eval::EvalFlags),
    Predict(predict::PredictFlags),
    Export(export::ExportFlags),
    Inspect(inspect::InspectFlags),
    Bench(bench::BenchFlags),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Sweep(Box<sweep::SweepFlags>),
}

/// Does what the arguments say; the exit code says how it went.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let begun = Instant::now();
    let arguments = match Arguments::try_parse_from(arguments::in_kebab_case(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let ended = match arguments.command {
        Command::Train(flags) => train::run(*flags, begun),
        Command::Convert(flags) => convert::run(*flags),
        Command::Eval(flags) => eval::run(&flags),
        Command::Predict(flags) => predict::run(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Inspect(flags) => inspect::run(&flags),
        Command::Bench(flags) => bench::run(flags),
        Command::Sweep(flags) => sweep::run(*flags),
    };
    ended.unwrap_or_else(|failure| failure.report())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_one_another() {
        super::Arguments::command().debug_assert();
    }
}
