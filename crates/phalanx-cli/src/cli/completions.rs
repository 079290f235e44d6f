//! `phalanx completions`.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::{Shell, generate};
use phalanx::data::InputFormat;
use phalanx::model::{Activation, Loss};
use phalanx::optim::convention::{BatchRule, Convention};
use phalanx::optim::{
    EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, Reduction, ScaleRate, ScheduleKind, WarmupForm,
};
use phalanx::train::{Metric, OnDivergence};

use super::failure::Failure;
use super::log_format::LogFormat;
use super::output;

/// Print what makes a shell complete the flags of this program, and their values
#[derive(Args)]
#[command(after_help = "Install:
  bash        phalanx completions bash > ~/.local/share/bash-completion/completions/phalanx
  zsh         phalanx completions zsh > ~/.zfunc/_phalanx      with fpath+=~/.zfunc before compinit in ~/.zshrc
  fish        phalanx completions fish > ~/.config/fish/completions/phalanx.fish
  elvish      phalanx completions elvish >> ~/.config/elvish/rc.elv
  powershell  phalanx completions powershell >> $PROFILE")]
pub(super) struct CompletionsFlags {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for a shell.
pub(super) fn run(flags: &CompletionsFlags, command: Command) -> Result<ExitCode, Failure> {
    let (mut command, mut script) = (with_values(command), Vec::new());
    generate(flags.shell, &mut command, "phalanx", &mut script);
    output::results(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// The values of the flags that have a few with names, by flag. Their parsers do not tell: in `--help` they would be said twice.
fn choices() -> Vec<(&'static str, Vec<&'static str>)> {
    macro_rules! names {
        ($type:ident) => {
            $type::ALL.iter().map(|choice| choice.name())
        };
    }
    vec![
        ("header", vec!["auto", "present", "absent"]),
        ("activation", names!(Activation).collect()),
        ("loss", ["auto"].into_iter().chain(names!(Loss)).collect()),
        ("like", names!(Framework).collect()),
        ("reduction", names!(Reduction).collect()),
        ("optimizer", names!(OptimizerKind).collect()),
        ("momentum-form", names!(MomentumForm).collect()),
        ("to-momentum-form", names!(MomentumForm).collect()),
        ("eps-form", names!(EpsForm).collect()),
        ("l2-form", names!(L2Form).collect()),
        ("lr-schedule", names!(ScheduleKind).collect()),
        ("warmup-form", names!(WarmupForm).collect()),
        ("metric", names!(Metric).collect()),
        ("on-divergence", names!(OnDivergence).collect()),
        ("log-format", names!(LogFormat).collect()),
        ("scale-lr", names!(ScaleRate).collect()),
        ("from", names!(Convention).collect()),
        ("to", names!(Convention).collect()),
        ("rule", names!(BatchRule).collect()),
        ("input-format", names!(InputFormat).collect()),
        ("format", vec!["csv", "npy", "jsonl"]),
        ("op", vec!["sum", "mean", "min", "max", "product"]),
        ("type", vec!["f32", "f64", "i32", "i64", "u32", "u64"]),
    ]
}

/// The names that a flag takes, if it is one of a few choices.
pub(super) fn choices_of(flag: &str) -> Option<Vec<&'static str>> {
    choices().into_iter().find(|(name, _)| *name == flag).map(|(_, names)| names)
}

/// Flags whose values are files or folders, but not paths alone.
const PATHS: [(&str, ValueHint); 6] = [
    ("data", ValueHint::AnyPath),
    ("test", ValueHint::AnyPath),
    ("init", ValueHint::AnyPath),
    ("resume", ValueHint::AnyPath),
    ("output_dir", ValueHint::DirPath),
    ("config", ValueHint::FilePath),
];

/// The command and its subcommands with the values that can be completed.
fn with_values(command: Command) -> Command {
    let complete = |flag: Arg| {
        let id = flag.get_id().as_str();
        let chosen = flag.get_long().and_then(choices_of);
        let path = PATHS.iter().find(|(name, _)| *name == id);
        match (chosen, path) {
            (Some(names), _) => flag.value_parser(PossibleValuesParser::new(names)),
            (None, Some((_, hint))) => flag.value_hint(*hint),
            (None, None) => flag,
        }
    };
    command.mut_args(complete).mut_subcommands(with_values)
}

#[cfg(test)]
mod tests {
    use super::super::flags::TrainFlags;
    use super::*;

    /// A flag says its choices when it is given nonsense; what is completed must be those.
    #[test]
    fn what_is_completed_is_what_the_flags_take() {
        use std::error::Error;

        let command = TrainFlags::augment_args(Command::new("train").disable_help_flag(true));
        let given = |id: &str, value: &str| {
            let argument = format!("--{id}={value}");
            command.clone().try_get_matches_from(["train", argument.as_str()])
        };
        for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
            let id = flag.get_long().unwrap_or_default();
            for name in choices_of(id).into_iter().flatten() {
                assert!(given(id, name).is_ok(), "--{id} {name}");
            }
            let reason = given(id, "nonsense").err().and_then(|error| Some(error.source()?.to_string()));
            let listed = reason.as_deref().and_then(|reason| reason.split_once("choose one of "));
            if let Some((_, listed)) = listed {
                let listed = listed.split(" (").next().unwrap();
                assert_eq!(choices_of(id).expect(id).join(", "), listed, "--{id}");
            }
        }
    }
}
