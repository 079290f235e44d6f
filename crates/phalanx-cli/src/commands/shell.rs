//! `phalanx completions` and `phalanx man`: shell completions and manual pages, generated from the
//! flags.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use phalanx::internals::write_whole;

use crate::args::suggest::{did_you_mean, nearest};
use crate::terminal::failure::Failure;
use crate::terminal::output;

/// Print a shell script that completes the commands, flags and values of this program
#[derive(Args)]
#[command(after_help = "Examples:
  bash        phalanx completions bash > ~/.local/share/bash-completion/completions/phalanx
  zsh         phalanx completions zsh > ~/.zfunc/_phalanx      with fpath+=~/.zfunc before compinit in ~/.zshrc
  fish        phalanx completions fish > ~/.config/fish/completions/phalanx.fish
  elvish      phalanx completions elvish >> ~/.config/elvish/rc.elv
  powershell  phalanx completions powershell >> $PROFILE")]
pub struct CompletionsFlags {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for a shell.
pub fn completions(flags: &CompletionsFlags, command: Command) -> Result<ExitCode, Failure> {
    let (mut command, mut script) = (with_paths(command), Vec::new());
    generate(flags.shell, &mut command, "phalanx", &mut script);
    output::results(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Flags whose values can be files or folders but have another type than a path.
const PATHS: [(&str, ValueHint); 6] = [
    ("data", ValueHint::AnyPath),
    ("test", ValueHint::AnyPath),
    ("init", ValueHint::AnyPath),
    ("resume", ValueHint::AnyPath),
    ("output_dir", ValueHint::DirPath),
    ("config", ValueHint::FilePath),
];

/// Returns the command and its subcommands with hints for completing paths.
fn with_paths(command: Command) -> Command {
    let complete = |flag: Arg| match PATHS.iter().find(|(name, _)| flag.get_id() == name) {
        Some((_, hint)) => flag.value_hint(*hint),
        None => flag,
    };
    command.mut_args(complete).mut_subcommands(with_paths)
}

/// Print a manual page, or write all of them to a folder
#[derive(Args)]
#[command(after_help = "Examples:
  phalanx man train | man -l -                     read a page
  phalanx man -o ~/.local/share/man/man1           install all pages, for man phalanx-train")]
pub struct ManFlags {
    /// Command whose page to print, such as train or bench scaling [default: phalanx itself]
    #[arg(value_name = "COMMAND", conflicts_with = "output_dir")]
    command: Vec<String>,
    /// Folder to write the pages of all commands to; existing pages are replaced
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

/// Prints one page, or writes all.
pub fn man(flags: &ManFlags, command: Command) -> Result<ExitCode, Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    match &flags.output_dir {
        Some(dir) => {
            fs::create_dir_all(dir)
                .map_err(|error| anyhow!("cannot create the folder {}: {error}", dir.display()))?;
            for command in all(&command) {
                let path = dir.join(Man::new(command.clone()).get_filename());
                write_whole(&path, &page(command)?)?;
            }
        }
        None => {
            let page = page(named(&command, &flags.command)?)?;
            output::results(|out| out.write_all(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a command and all of its subcommands.
fn all(command: &Command) -> Vec<&Command> {
    [command].into_iter().chain(command.get_subcommands().flat_map(all)).collect()
}

fn named<'a>(command: &'a Command, names: &[String]) -> Result<&'a Command, Failure> {
    let Some((first, rest)) = names.split_first() else { return Ok(command) };
    match command.find_subcommand(first) {
        Some(found) => named(found, rest),
        None => {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let name = command.get_name();
            Err(Failure::usage(match known.as_slice() {
                [] => format!("{name} has no command '{first}' and no other commands; drop it"),
                known => {
                    let meant = did_you_mean(nearest(first, known.iter().copied()));
                    format!("{name} has no command '{first}'{meant}; give one of {}", known.join(", "))
                }
            }))
        }
    }
}

/// Returns a page as written by [`Man::render`], except that the synopsis does not list every flag,
/// and that the lines of examples are preserved.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let (man, mut page) = (Man::new(command.clone()), Vec::new());
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    let mut head = Roff::new();
    head.control("TH", [title.as_str(), "1", "\"\"", concat!("phalanx ", env!("CARGO_PKG_VERSION"))]);
    head.to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command.clone()).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        notes(&text.to_string()).to_writer(&mut page)?;
    }
    Ok(page)
}

fn synopsis(mut command: Command) -> Roff {
    let usage = command.render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([roman(usage.trim_start_matches("Usage: "))]);
    roff
}

fn notes(text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]);
    let mut filled = true;
    for line in text.lines() {
        let fill = !line.starts_with(' ');
        if fill != filled {
            roff.control(if fill { "fi" } else { "nf" }, []);
            filled = fill;
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    if !filled {
        roff.control("fi", []);
    }
    roff
}
