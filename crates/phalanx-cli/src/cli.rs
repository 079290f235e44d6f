//! The commands of the program, and the parsing of its arguments.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use phalanx::internals::InstructionSet;

use crate::args::flags::{TrainFlags, shortened};
use crate::args::suggest::with_suggestion;
use crate::args::values::instruction_set;
use crate::commands::{bench, convert, export, inspect, predict, report, reproduce, shell, sweep};
use crate::run::train;
use crate::terminal::failure::Failure;
use crate::terminal::{launcher, output, signals};

/// Train models on the cores of one machine, or on several machines with mpirun
///
/// Gradients are reduced with exact sum or mean semantics, and the result is bit-identical for any
/// number of threads and processes.
#[derive(Parser)]
#[command(name = "phalanx", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXIT_CODES}\n\n{EXAMPLES}"))]
struct Arguments {
    /// Use of colour: always, never, or auto, only on a terminal and subject to NO_COLOR, CLICOLOR
    /// and CLICOLOR_FORCE [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Output"
    )]
    color: ColorChoice,
    /// Instruction set of the kernels: avx512, avx2 or portable, if this machine has it; the first
    /// two give the same bits [default: the fastest]
    #[arg(
        long,
        global = true,
        value_name = "SET",
        value_parser = instruction_set(),
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Output"
    )]
    instructions: Option<InstructionSet>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    #[command(after_help = TRAIN_EXAMPLES, after_long_help = format!("{PRECEDENCE}\n\n{TRAIN_EXAMPLES}"))]
    Train(Box<TrainFlags>),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    #[command(mut_args(|flag| shortened(flag, convert::COMMON)))]
    #[command(mut_arg("print_config", |flag| flag.hide(true)), mut_arg("log_format", |flag| flag.hide(true)))]
    Convert(Box<convert::ConvertFlags>),
    Eval(predict::EvalFlags),
    Predict(predict::PredictFlags),
    Export(export::ExportFlags),
    Inspect(inspect::InspectFlags),
    Report(report::ReportFlags),
    Bench(bench::BenchFlags),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
    Sweep(Box<sweep::SweepFlags>),
    Reproduce(reproduce::ReproduceFlags),
    Completions(shell::CompletionsFlags),
    Man(shell::ManFlags),
}

const EXAMPLES: &str = "Examples:
  phalanx train                                  train on the built-in digits, with all cores
  phalanx train data.csv --test-split 0.2 -o m   train on a table; the last column is the label
  phalanx predict m new.csv                      predict new samples with the trained model
  phalanx report                                 write a page about the last run
  phalanx export m model.onnx                    export the model for other programs
  phalanx convert --to sum --lr 0.1 -b 64        translate options for summed gradients";

const EXIT_CODES: &str = "Exit codes: 0 done, 1 error, 2 wrong usage, 3 diverged, 128 + n stopped by signal n after saving (129 SIGHUP, \
130 SIGINT or Ctrl-C, 143 SIGTERM, 152 SIGXCPU).";

const PRECEDENCE: &str = "Each option of a run can also be given as an environment variable (PHALANX_BATCH_SIZE=128) and as a key of a \
TOML file (batch-size = 128, --config FILE.toml). Flags take precedence over variables, variables over the file, and the file over \
the defaults; --print-config shows the effective values and their origins.";

const TRAIN_EXAMPLES: &str = "Examples:
  phalanx train                                          the built-in digits, with all cores
  phalanx train iris.csv --test-split 0.2 --standardize  a table; the last column is the label
  phalanx train data/mnist --hidden 512 --lr 0.1 --momentum 0.9 -b 128 --epochs 5
  phalanx train data/mnist --early-stop 3 --restore-best -o run
  phalanx train --resume run                             resume after Ctrl-C";

/// Runs the command given by the arguments, and returns its exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let begun = Instant::now();
    let arguments: Vec<OsString> = in_kebab_case(arguments).collect();
    output::set_color(color(&arguments));
    let mut command = Arguments::command().color(color(&arguments));
    let matches = match command.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(error) => match not_text(&arguments) {
            Some(message) if error.kind() == ErrorKind::InvalidUtf8 => {
                return output::fail(&Failure::usage(message));
            }
            _ => with_suggestion(error, &command).exit(),
        },
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Some(set) = arguments.instructions {
        set.choose();
    }
    run(name, arguments.command, begun).unwrap_or_else(|failure| output::fail(&failure))
}

fn run(name: &str, command: Command, begun: Instant) -> Result<ExitCode, Failure> {
    if !matches!(name, "train" | "bench") {
        launcher::refuse(name)?;
    }
    signals::let_large_writes_fail()?;
    match command {
        Command::Train(flags) => train::run(*flags, begun),
        Command::Convert(flags) => convert::run(*flags),
        Command::Eval(flags) => predict::eval(&flags),
        Command::Predict(flags) => predict::predict(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Inspect(flags) => inspect::run(&flags),
        Command::Report(flags) => report::run(&flags),
        Command::Bench(flags) => bench::run(flags),
        Command::Sweep(flags) => sweep::run(*flags),
        Command::Reproduce(flags) => reproduce::run(&flags),
        Command::Completions(flags) => shell::completions(&flags, Arguments::command()),
        Command::Man(flags) => shell::man(&flags, Arguments::command()),
    }
}

/// Replaces `--batch_size` by `--batch-size`: both spellings are accepted. Values keep their
/// underscores.
fn in_kebab_case(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut only_values = false;
    arguments.map(move |argument| {
        only_values |= argument == "--";
        if only_values || !argument.as_encoded_bytes().starts_with(b"--") {
            return argument;
        }
        let (name, value) = split_value(&argument);
        let mut renamed = OsString::from(name.replace('_', "-"));
        renamed.push(value);
        renamed
    })
}

/// Splits an argument into the flag and the rest from `=` on, which may be a file name in any
/// encoding.
#[cfg(unix)]
fn split_value(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    let bytes = argument.as_bytes();
    let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len()));
    match std::str::from_utf8(name) {
        Ok(name) => (name.into(), OsStr::from_bytes(value)),
        Err(_) => ("".into(), argument),
    }
}

#[cfg(not(unix))]
fn split_value(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    match argument.to_str() {
        Some(text) => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            (name.into(), OsStr::new(value))
        }
        None => ("".into(), argument),
    }
}

/// Returns an error message that names the argument that is not UTF-8, which clap does not name.
fn not_text(arguments: &[OsString]) -> Option<String> {
    let argument = arguments.iter().find(|argument| argument.to_str().is_none())?;
    Some(format!(
        "the argument '{}' is not UTF-8 (invalid bytes are shown as \u{fffd}); only output files, output folders and models may \
         have such names; rename it",
        argument.display()
    ))
}

/// Returns the value of `--color` before the arguments are parsed, because errors about them are
/// coloured too.
fn color(arguments: &[OsString]) -> ColorChoice {
    let texts = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    let texts: Vec<&str> = texts.take_while(|text| *text != "--").collect();
    let separate = texts.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = texts.iter().filter_map(|text| text.strip_prefix("--color="));
    // An invalid value is reported when the arguments are parsed.
    separate.chain(joined).find_map(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_use_of_colour_is_known_before_the_arguments_are_parsed() {
        let of = |text: &str| color(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("phalanx train --color never"), ColorChoice::Never);
        assert_eq!(of("phalanx --color=always train --oops"), ColorChoice::Always);
        for text in
            ["phalanx train", "phalanx --color", "phalanx --color blue", "phalanx train -- --color never"]
        {
            assert_eq!(of(text), ColorChoice::Auto, "{text}");
        }
    }

    #[test]
    fn only_the_names_of_flags_are_rewritten() {
        let given = ["phalanx", "train", "my_data", "--batch_size=8", "--output-dir=a_b", "--", "--x_y"];
        let found: Vec<_> = in_kebab_case(given.iter().map(OsString::from)).collect();
        assert_eq!(
            found,
            ["phalanx", "train", "my_data", "--batch-size=8", "--output-dir=a_b", "--", "--x_y"]
        );
    }
}
