//! Flags from variables of the environment: `PHALANX_BATCH_SIZE=128` is `--batch-size 128`.

use std::ffi::{OsStr, OsString};
use std::num::ParseFloatError;

use clap::error::{ContextKind, Error};
use clap::{Arg, Args, Command, FromArgMatches};

use super::failure::{Failure, beginning};
use super::flags::TrainFlags;
use super::layers::{EITHER_OR, Layers};
use super::nearest::{nearest, nearest_choice};

const PREFIX: &str = "PHALANX_";

/// Flags that ask for something else than a run.
const NO_VARIABLE: [&str; 2] = ["help", "print_config"];

/// How those who install a program name its place and version, as module systems on clusters do. Every other unknown
/// variable is an error: a misspelt one must not go unnoticed.
const OF_INSTALLERS: [&str; 9] = ["HOME", "ROOT", "DIR", "BASE", "PREFIX", "PATH", "BIN", "LIB", "VERSION"];

/// The flags that these variables give, read as those of the command line are.
pub(super) fn flags(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Layers, Failure> {
    let command = Command::new("train").no_binary_name(true).disable_help_flag(true);
    let command = TrainFlags::augment_args(command);
    let text = |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value);
    let mut ours: Vec<_> = variables.map(text).filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // The order of an environment is none.
    ours.sort();
    let mut given = Layers::default();
    for (name, value) in &ours {
        let known: Vec<(String, &Arg)> = command.get_arguments().filter_map(variable).collect();
        match known.iter().find(|(known, _)| known == name) {
            Some((_, flag)) => {
                let read = read(&command, flag, value);
                let read = read.map_err(|error| Failure::usage(refusal(name, value, &error)))?;
                given = Layers::new(read, |_| name.clone()).over(given);
            }
            None => refuse_unknown(name, known.iter().map(|(known, _)| known.as_str()))?,
        }
    }
    refuse_both(&ours)?;
    Ok(given)
}

/// The variable of a flag.
fn variable(flag: &Arg) -> Option<(String, &Arg)> {
    let id = flag.get_id().as_str();
    (!NO_VARIABLE.contains(&id)).then(|| (PREFIX.to_owned() + &id.to_uppercase(), flag))
}

fn read(command: &Command, flag: &Arg, value: &OsStr) -> Result<TrainFlags, Error> {
    let given = match flag.get_long() {
        Some(long) => {
            let mut given = OsString::from(format!("--{long}="));
            given.push(value);
            vec![given]
        }
        None => vec!["--".into(), value.to_owned()],
    };
    TrainFlags::from_arg_matches(&command.clone().try_get_matches_from(given)?)
}

/// Names the variable, what it is, and what it must be.
fn refusal(name: &str, value: &OsStr, error: &Error) -> String {
    use std::error::Error as _;
    let value = beginning(&value.to_string_lossy());
    if value.is_empty() {
        return format!("{name} is empty; give it a value, or unset it");
    }
    let expected = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(reason), _) if reason.is::<ParseFloatError>() => "expected a number".to_owned(),
        (Some(reason), _) => reason.to_string(),
        (None, Some(choices)) => format!("expected one of {choices}"),
        (None, None) => error.kind().to_string(),
    };
    let meant = nearest_choice(&name[PREFIX.len()..].to_lowercase(), &value)
        .map_or_else(String::new, |meant| format!(", did you mean '{meant}'?"));
    format!("{name} is '{value}': {expected}{meant}; fix it, or unset it")
}

fn refuse_unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let name = &name[PREFIX.len()..];
    if OF_INSTALLERS.contains(&name) {
        return Ok(());
    }
    if name == "COLOR" {
        return Err(Failure::usage(format!(
            "unknown variable {PREFIX}{name}; set NO_COLOR or CLICOLOR_FORCE to 1"
        )));
    }
    let meant = match nearest(name, known.map(|known| &known[PREFIX.len()..])) {
        Some(known) => format!("did you mean {PREFIX}{known}?"),
        None => "the variables are the flags of phalanx train, see its --help".to_owned(),
    };
    Err(Failure::usage(format!("unknown variable {PREFIX}{name}, {meant}; rename it, or unset it")))
}

fn refuse_both(ours: &[(String, OsString)]) -> Result<(), Failure> {
    let named = |flag: &str| PREFIX.to_owned() + &flag.replace('-', "_").to_uppercase();
    let is_set = |name: &String| ours.iter().any(|(set, _)| set == name);
    let pairs = EITHER_OR.map(|(one, other)| (named(one), named(other)));
    match pairs.iter().find(|(one, other)| is_set(one) && is_set(other)) {
        Some((one, other)) => {
            Err(Failure::usage(format!("both {one} and {other} are set; unset one of them")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Layers, String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        flags(variables).map_err(|failure| format!("{failure:?}"))
    }

    /// Iterates over clap's arguments, so that a new flag is not forgotten.
    #[test]
    fn every_flag_is_a_variable_and_a_key() {
        let command = TrainFlags::augment_args(Command::new("train"));
        for flag in command.get_arguments() {
            let id = flag.get_id().as_str();
            if NO_VARIABLE.contains(&id) {
                continue;
            }
            // No value of any flag, and so named in an error or taken as it is; but known.
            let found = of(&[(&format!("PHALANX_{}", id.to_uppercase()), "\u{1}")]);
            assert!(!found.is_err_and(|error| error.contains("unknown variable")), "{id}");
            let file = format!("{} = [[]]", id.replace('_', "-"));
            let error = toml::from_str::<TrainFlags>(&file).unwrap_err();
            // A file does not name a file.
            assert_eq!(error.message().contains("unknown field"), id == "config", "{id}: {error}");
        }
    }

    #[test]
    fn variables_are_read_as_flags_are() {
        let variables = [
            ("PHALANX_DATA", "-odd.csv"),
            ("PHALANX_LABEL_COLUMN", "-1"),
            ("PHALANX_NESTEROV", "true"),
            ("PHALANX_ALLOW_CHANGED", "lr,l2"),
            ("PHALANX_CONFIG", "run.toml"),
            ("PHALANX_HOME", "/opt/phalanx"),
            ("HOME", "/root"),
        ];
        let found = of(&variables).unwrap().flags;
        let expected = TrainFlags {
            data: Some("-odd.csv".to_owned()),
            label_column: Some("-1".parse().unwrap()),
            nesterov: Some(true),
            allow_changed: Some(vec!["lr".to_owned(), "l2".to_owned()]),
            config: Some("run.toml".into()),
            ..TrainFlags::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wrong_with_a_variable_is_said() {
        for (variables, said) in [
            (&[("PHALANX_LR", "fast")][..], "PHALANX_LR is 'fast': expected a number"),
            (&[("PHALANX_LR", "")], "PHALANX_LR is empty"),
            (&[("PHALANX_LR_SCHEDULE", "cosin")], "did you mean 'cosine'?"),
            (&[("PHALANX_QUIET", "1")], "PHALANX_QUIET is '1': expected one of true, false"),
            (
                &[("PHALANX_BATCHSIZE", "8")],
                "unknown variable PHALANX_BATCHSIZE, did you mean PHALANX_BATCH_SIZE?",
            ),
            (
                &[("PHALANX_X", "8")],
                "unknown variable PHALANX_X, the variables are the flags of phalanx train",
            ),
            (
                &[("PHALANX_EPOCHS", "1"), ("PHALANX_MAX_STEPS", "2")],
                "both PHALANX_EPOCHS and PHALANX_MAX_STEPS",
            ),
        ] {
            let error = of(variables).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
