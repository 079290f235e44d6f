//! The commands of the program, and how its arguments reach them.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::args::flags::TrainFlags;
use crate::args::suggest::with_suggestion;
use crate::commands::{bench, convert, export, inspect, predict, report, shell, sweep};
use crate::run::train;
use crate::terminal::failure::Failure;
use crate::terminal::{launcher, output, signals};

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
    Train(Box<TrainFlags>),
    #[command(disable_help_flag = true, allow_negative_numbers = true)]
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
    Completions(shell::CompletionsFlags),
    Man(shell::ManFlags),
}

const LEVELS: &str = "Each option of a run can also be given as a variable of the environment (PHALANX_BATCH_SIZE=128) and as a key of a \
TOML file (batch-size = 128, --config FILE.toml). Flags come before variables, variables before the file, the file before \
the defaults; --print-config shows what is used and where it comes from.";

/// Runs the command that the arguments name, and returns its exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let begun = Instant::now();
    let arguments: Vec<OsString> = in_kebab_case(arguments).collect();
    output::set_color(color(&arguments));
    let mut command = Arguments::command().color(color(&arguments));
    let matches = match command.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(error) => match not_text(&arguments) {
            Some(what) if error.kind() == ErrorKind::InvalidUtf8 => {
                return output::fail(&Failure::usage(what));
            }
            _ => with_suggestion(error, &command).exit(),
        },
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
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
        Command::Completions(flags) => shell::completions(&flags, Arguments::command()),
        Command::Man(flags) => shell::man(&flags, Arguments::command()),
    }
}

/// Accepts `--batch_size` for `--batch-size`: both spellings are in use, and a flag has one meaning. Values keep their
/// underscores.
fn in_kebab_case(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut only_values = false;
    arguments.map(move |argument| {
        only_values |= argument == "--";
        if only_values || !argument.as_encoded_bytes().starts_with(b"--") {
            return argument;
        }
        let (name, value) = parted(&argument);
        let mut renamed = OsString::from(name.replace('_', "-"));
        renamed.push(value);
        renamed
    })
}

/// A flag and the rest of its argument from `=` on, which may be the name of a file in any encoding.
#[cfg(unix)]
fn parted(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    let bytes = argument.as_bytes();
    let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len()));
    match std::str::from_utf8(name) {
        Ok(name) => (name.into(), OsStr::from_bytes(value)),
        Err(_) => ("".into(), argument),
    }
}

#[cfg(not(unix))]
fn parted(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    match argument.to_str() {
        Some(text) => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            (name.into(), OsStr::new(value))
        }
        None => ("".into(), argument),
    }
}

/// Names an argument that had to be text and is not UTF-8; clap reports only that there is one.
fn not_text(arguments: &[OsString]) -> Option<String> {
    let argument = arguments.iter().find(|argument| argument.to_str().is_none())?;
    Some(format!(
        "the argument '{}' is not UTF-8 (bytes that are no text are shown as \u{fffd}), and only files and folders to write and models \
         may have such names; rename it",
        argument.display()
    ))
}

/// Returns the choice of `--color` before the arguments are parsed: errors about them are coloured, too.
fn color(arguments: &[OsString]) -> ColorChoice {
    let texts = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    let texts: Vec<&str> = texts.take_while(|text| *text != "--").collect();
    let apart = texts.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = texts.iter().filter_map(|text| text.strip_prefix("--color="));
    // One that cannot be read is refused with all the others.
    apart.chain(joined).find_map(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_one_another() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_choice_of_colours_is_known_before_the_arguments_are() {
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
    fn only_the_names_of_flags_change() {
        let given = ["phalanx", "train", "my_data", "--batch_size=8", "--output-dir=a_b", "--", "--x_y"];
        let found: Vec<_> = in_kebab_case(given.iter().map(OsString::from)).collect();
        assert_eq!(
            found,
            ["phalanx", "train", "my_data", "--batch-size=8", "--output-dir=a_b", "--", "--x_y"]
        );
    }
}
