//! The program around the library: flags, files, text and exit codes.
//!
//! One file a command; [`flags`] are what a user may say, [`layers`] puts them together from the command line, the
//! [`environment`] and a file ([`config`]), [`settings`] turns them into the library's options, [`output`] is where it
//! prints, [`failure`] is how a command ends badly. Nothing here computes on params, and nothing is used but the library's
//! public face.

mod arguments;
mod auto;
mod bench;
mod command_line;
mod completions;
mod config;
mod convert;
mod environment;
mod eval;
mod export;
mod failure;
mod file_path;
mod flags;
mod grid;
mod hidden;
mod input;
mod inspect;
mod job;
mod layers;
mod like;
mod log_format;
mod man;
mod nearest;
mod output;
mod predict;
mod preview;
mod report;
mod resume;
mod runs;
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

use self::failure::Failure;
use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Trains models on the cores of one machine, or under mpirun of several: exact sum or mean semantics, and the same bits for any number
/// of threads and processes.
#[derive(Parser)]
#[command(name = "phalanx", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Examples:
  phalanx train                                  train on the built-in digits, with all cores
  phalanx train data.csv --test-split 0.2 -o m   train on a table whose last column is the label
  phalanx predict m new.csv                      predict new samples with what was trained
  phalanx report                                 the last run as a page: curves, options, worst samples
  phalanx export m model.onnx                    take it to another program
  phalanx convert --to sum --lr 0.1 -b 64        say the same run for summed gradients

Exit codes: 0 done, 1 error, 2 wrong usage, 3 diverged, 128 + n stopped by signal n after saving: 129 SIGHUP, 130 SIGINT (Ctrl-C),
143 SIGTERM, 152 SIGXCPU.")]
struct Arguments {
    /// When to print in colour: always, never or auto, on a terminal, heeding NO_COLOR, CLICOLOR and CLICOLOR_FORCE
    /// [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(disable_help_flag = true, allow_negative_numbers = true, after_help = LEVELS)]
    Train(Box<flags::TrainFlags>),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    #[command(mut_arg("print_config", |flag| flag.hide(true)), mut_arg("log_format", |flag| flag.hide(true)))]
    Convert(Box<convert::ConvertFlags>),
    Eval(eval::EvalFlags),
    Predict(predict::PredictFlags),
    Export(export::ExportFlags),
    Inspect(inspect::InspectFlags),
    Report(report::ReportFlags),
    Bench(bench::BenchFlags),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Sweep(Box<sweep::SweepFlags>),
    Completions(completions::CompletionsFlags),
    Man(man::ManFlags),
}

const LEVELS: &str = "Each option of a run can also be given as a variable of the environment (PHALANX_BATCH_SIZE=128) and as a key of a \
TOML file (batch-size = 128, --config FILE.toml). Flags come before variables, variables before the file, the file before \
the defaults; --print-config shows what is used and where it comes from.";

/// Does what the arguments say; the exit code says how it went.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let begun = Instant::now();
    let arguments: Vec<OsString> = arguments::in_kebab_case(arguments).collect();
    output::color(arguments::color(&arguments));
    let command = Arguments::command().color(arguments::color(&arguments));
    let matches = match command.try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => match arguments::not_text(&arguments) {
            Some(what) if error.kind() == ErrorKind::InvalidUtf8 => return Failure::usage(what).report(),
            _ => nearest::with_suggestion(error).exit(),
        },
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let alone = if matches!(name, "train" | "bench") { Ok(()) } else { job::refuse(name) };
    let ready = alone.and_then(|()| Ok(signals::let_large_writes_fail()?));
    let ended = ready.and_then(|()| match arguments.command {
        Command::Train(flags) => train::run(*flags, begun),
        Command::Convert(flags) => convert::run(*flags),
        Command::Eval(flags) => eval::run(&flags),
        Command::Predict(flags) => predict::run(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Inspect(flags) => inspect::run(&flags),
        Command::Report(flags) => report::run(&flags),
        Command::Bench(flags) => bench::run(flags),
        Command::Sweep(flags) => sweep::run(*flags),
        Command::Completions(flags) => completions::run(&flags, Arguments::command()),
        Command::Man(flags) => man::run(&flags, Arguments::command()),
    });
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
