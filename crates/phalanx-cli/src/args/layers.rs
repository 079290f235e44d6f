//! Flags from several sources, in order of precedence: the command line, environment variables
//! (`PHALANX_BATCH_SIZE=128`), a TOML file (`batch-size = 128`); and the origin of each value.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::anyhow;
use toml::{Spanned, Value};

use super::flags::TrainFlags;
use super::parser::{EITHER_OR, flag_of, keys, named, reason};
use super::suggest::{beginning, did_you_mean, nearest, nearest_choice};
use super::values::toml_value;
use crate::terminal::failure::{Failure, usage};

/// Flags, and for each given one the origin of its value, as text.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    pub flags: TrainFlags,
    origins: BTreeMap<String, String>,
}

/// Merges the flags of the command line, then those of the environment, then those of the
/// `--config` file that either of them names.
pub fn given(flags: TrainFlags) -> Result<Layers, Failure> {
    let typed = Layers::new(flags, |name| match name {
        "data" => "the command line".to_owned(),
        name => format!("--{name}"),
    });
    let above = typed.over(environment(env::vars_os())?);
    match above.flags.config.clone() {
        Some(path) => Ok(above.over(file(&path)?)),
        None => Ok(above),
    }
}

impl Layers {
    /// Returns flags from one source; `origin` describes it, given the name of the flag.
    pub fn new(flags: TrainFlags, origin: impl Fn(&str) -> String) -> Self {
        let origins = flags.to_table().keys().map(|name| (name.clone(), origin(name))).collect();
        Self { flags, origins }
    }

    /// Returns these flags, and those of `below` that are not given here.
    pub fn over(self, below: Self) -> Self {
        let flags = self.flags.over(below.flags);
        let values = flags.to_table();
        let mut origins = below.origins;
        origins.extend(self.origins);
        origins.retain(|name, _| values.contains_key(name));
        Self { flags, origins }
    }

    /// Returns these flags with the defaults of `train` for those that are not given.
    pub fn complete(self) -> Self {
        let defaults = TrainFlags::recorded_defaults(self.flags.optimizer.unwrap_or_default());
        self.over(Self::new(defaults, |_| "default".to_owned()))
    }

    /// Returns these flags after `change`; `origin` describes the origin of a changed value, given
    /// its previous origin.
    pub fn changed_by(
        self,
        origin: impl Fn(Option<&str>) -> String,
        change: impl FnOnce(TrainFlags) -> Result<TrainFlags, Failure>,
    ) -> Result<Self, Failure> {
        let before = self.flags.to_table();
        let flags = change(self.flags)?;
        let named = |(name, value): (String, Value)| {
            let was = self.origins.get(&name);
            let stays = before.get(&name).map(Value::to_string) == Some(value.to_string());
            let origin = was.filter(|_| stays).cloned().unwrap_or_else(|| origin(was.map(String::as_str)));
            (name, origin)
        };
        let origins = flags.to_table().into_iter().map(named).collect();
        Ok(Self { flags, origins })
    }

    /// Returns the origin of the value of a flag, if it is given.
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.origins.get(name).map(String::as_str)
    }

    /// Returns a TOML file that reproduces the run, with the origin of each value, and with a list
    /// of the flags that are not given.
    pub fn annotated(&self) -> String {
        let values = self.flags.to_table();
        // By now --like is replaced by the flags that it stands for.
        let names = keys().map(|(name, _)| name).filter(|name| name != "like");
        let (given, absent): (Vec<_>, Vec<_>) = names.partition(|name| values.contains_key(name));
        let lines: Vec<_> =
            given.iter().map(|name| format!("{name} = {}", toml_value(&values[name]))).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(40);
        // A TOML comment cannot contain control characters, but a file name can.
        let origin = |name: &String| self.origins[name].replace(char::is_control, "?");
        let annotated =
            given.iter().zip(&lines).map(|(name, line)| format!("{line:width$}  # {}\n", origin(name)));
        annotated.collect::<String>() + &format!("# not given: {}\n", absent.join(", "))
    }

    /// Returns the flags that are given here with another value than in `before`.
    pub fn changes_from(&self, before: &TrainFlags) -> Vec<FlagChange> {
        let before = before.to_table();
        let change = |(name, now): (String, Value)| {
            let was = before.get(&name);
            (was != Some(&now)).then(|| FlagChange {
                was: was.map(toml_value),
                now: toml_value(&now),
                origin: self.origins[&name].clone(),
                name,
            })
        };
        self.flags.to_table().into_iter().filter_map(change).collect()
    }
}

/// A flag whose value has changed.
pub struct FlagChange {
    pub name: String,
    was: Option<String>,
    now: String,
    origin: String,
}

impl fmt::Display for FlagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, was, now, origin } = self;
        write!(f, "--{name} is {now}")?;
        if *origin != format!("--{name}") {
            write!(f, " ({origin})")?;
        }
        match was {
            Some(was) => write!(f, ", was {was}"),
            None => write!(f, ", was not given"),
        }
    }
}

/// The maximum size of a file of flags: several times the size of all flags with the longest paths
/// and the most layers allowed. The size is checked before parsing, which takes many times as much
/// memory.
const MOST_BYTES: u64 = 256 << 10;

/// Reads a file of flags.
pub fn file(path: &Path) -> Result<Layers, Failure> {
    let name = path.display();
    let mut text = String::new();
    let length = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    if text.len() as u64 > MOST_BYTES || length.as_ref().is_ok_and(|length| *length as u64 > MOST_BYTES) {
        return Err(usage!(
            "{name} has more than {MOST_BYTES} bytes, the maximum for a file of flags; give a TOML file with flags as keys"
        ));
    }
    length.map_err(|error| anyhow!("cannot read {name}: {error}; give a TOML file with flags as keys"))?;
    let refused = |text: String| usage!("{name} {text}");
    let values = toml::from_str::<BTreeMap<String, Spanned<Value>>>(&text);
    let values = values.map_err(|error| refused(syntax_error(&error, &text)))?;
    let mut values: Vec<_> =
        values.into_iter().map(|(key, value)| (line(&text, value.span().start), key, value)).collect();
    values.sort_by_key(|(line, ..)| *line);
    let mut layer = Layers::default();
    for (line, key, value) in values {
        // Both spellings are accepted, as for flags.
        let key = key.replace('_', "-");
        let flag = flag_of(&key).map_err(|unknown| refused(format!("line {line}: {unknown}")))?;
        let set = match layer.origins.insert(key.clone(), format!("{name} line {line}")) {
            None => layer
                .flags
                .set_value(flag, value.as_ref())
                .map_err(|reason| format!("{reason}; fix the value")),
            Some(before) => Err(format!("already set in {before}; remove one of the lines")),
        };
        set.map_err(|reason| refused(format!("line {line}, {key}: {reason}")))?;
    }
    match EITHER_OR.iter().find(|(one, other)| layer.origin(one).and(layer.origin(other)).is_some()) {
        Some((one, other)) => Err(usage!("{name} has both {one} and {other}; keep one of them")),
        None => Ok(layer),
    }
}

/// Returns the line, counted from 1, of a byte offset.
fn line(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

/// Describes a TOML syntax error: the line, the key, the fault and the remedy.
fn syntax_error(error: &toml::de::Error, text: &str) -> String {
    let line = line(text, error.span().map_or(0, |span| span.start));
    let pair = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
    let (key, value) = (pair.map(|(key, _)| key.trim()), pair.map_or("", |(_, value)| value.trim()));
    let message = if key.is_some() && (value.is_empty() || value.starts_with('#')) {
        "the value is missing".to_owned()
    } else {
        error.message().replace('\n', " ")
    };
    let is_beyond = message.contains("value was too large") || message.contains("as i128");
    let message =
        if is_beyond { format!("expected a whole number of at most {}", i64::MAX) } else { message };
    match key {
        Some(key) if message == "duplicate key" => {
            format!("line {line}, {key}: set for the second time; remove one of the lines")
        }
        Some(key) => format!("line {line}, {key}: {message}; fix the value"),
        None => format!("line {line}: {message}; write key = value, one per line"),
    }
}

const PREFIX: &str = "PHALANX_";

/// Variables with the path and version of an installed program, as module systems on clusters set
/// them. Every other unknown variable is an error, so that a misspelt one is noticed.
const OF_INSTALLERS: [&str; 9] = ["HOME", "ROOT", "DIR", "BASE", "PREFIX", "PATH", "BIN", "LIB", "VERSION"];

/// Parses the flags that these variables set.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Layers, Failure> {
    let text = |(name, value): (OsString, OsString)| (name.to_string_lossy().into_owned(), value);
    let mut ours: Vec<_> = variables.map(text).filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // An environment has no defined order.
    ours.sort();
    let mut layer = Layers::default();
    for (variable, value) in &ours {
        let Some((name, flag)) = named().find(|(name, _)| variable_of(name) == *variable) else {
            refuse_unknown(&variable[PREFIX.len()..])?;
            continue;
        };
        layer.flags.set(flag, value).map_err(|error| {
            let value = beginning(&value.to_string_lossy());
            Failure::usage(if value.is_empty() {
                format!("{variable} is empty; give it a value, or unset it")
            } else {
                let meant = did_you_mean(nearest_choice(flag, &value).as_deref());
                format!("{variable} is '{value}': {}{meant}; fix it, or unset it", reason(&error))
            })
        })?;
        layer.origins.insert(name, variable.clone());
    }
    match EITHER_OR.iter().find(|(one, other)| layer.origin(one).and(layer.origin(other)).is_some()) {
        Some((one, other)) => {
            Err(usage!("both {} and {} are set; unset one of them", variable_of(one), variable_of(other)))
        }
        None => Ok(layer),
    }
}

/// Returns the variable of a flag.
fn variable_of(name: &str) -> String {
    PREFIX.to_owned() + &name.replace('-', "_").to_uppercase()
}

fn refuse_unknown(name: &str) -> Result<(), Failure> {
    if OF_INSTALLERS.contains(&name) {
        return Ok(());
    }
    if name == "COLOR" {
        return Err(usage!("unknown variable {PREFIX}{name}; set NO_COLOR or CLICOLOR_FORCE to 1"));
    }
    let known: Vec<String> = named().map(|(name, _)| variable_of(&name)).collect();
    let meant = match nearest(name, known.iter().map(|known| &known[PREFIX.len()..])) {
        Some(known) => format!("did you mean {PREFIX}{known}?"),
        None => "the variables are the flags of phalanx train, see its --help".to_owned(),
    };
    Err(usage!("unknown variable {PREFIX}{name}, {meant}; rename it, or unset it"))
}

#[cfg(test)]
mod mutants;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::parser::parsed;
    use super::*;

    fn flags(arguments: &[&str]) -> TrainFlags {
        parsed(arguments).unwrap()
    }

    fn merged(file: &str, arguments: &[&str]) -> Result<TrainFlags, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, file).unwrap();
        let flags = TrainFlags { config: Some(path), ..flags(arguments) };
        given(flags).map(|layers| TrainFlags { config: None, ..layers.flags })
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let found = merged("batch-size = 8\nlr = 0.5\n", &["--lr", "0.25"]).unwrap();
        assert_eq!((found.batch_size, found.lr), (Some(8), Some(0.25)));
    }

    #[test]
    fn both_spellings_of_a_key_are_accepted() {
        assert_eq!(
            merged("batch_size = 8\ndata = \"my_data.csv\"", &[]).unwrap(),
            flags(&["-b", "8", "my_data.csv"])
        );
    }

    #[test]
    fn steps_on_the_command_line_replace_epochs_in_the_file() {
        let found = merged("epochs = 3", &["--max-steps", "7"]).unwrap();
        assert_eq!((found.epochs, found.max_steps), (None, Some(7)));
    }

    #[test]
    fn flags_survive_a_round_trip_through_a_file() {
        let given = flags(&[
            "digits",
            "-t",
            "auto",
            "--shards",
            "4",
            "--hidden",
            "30,20",
            "--loss",
            "mse",
            "--standardize",
            "--label-column",
            "-1",
            "--header",
            "absent",
            "--reduction",
            "sum-of-shard-means",
            "--lr",
            "0.1",
            "--momentum-form",
            "caffe",
            "--lr-schedule",
            "cosine",
            "--scale-lr",
            "sqrt",
            "--optimizer",
            "lars",
            "--noise-scale",
        ]);
        assert_eq!(merged(&given.to_toml(), &[]).unwrap(), given);
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line() {
        let error = format!("{:?}", merged("lr = 0.1\nbatchsize = 8\n", &[]).unwrap_err());
        assert!(error.contains("line 2") && error.contains("unknown key `batchsize`"), "{error}");
    }

    #[test]
    fn a_misspelt_value_gets_a_suggestion() {
        for (file, meant) in [
            ("optimizer = \"adamm\"", "did you mean 'adam'?"),
            ("lr = 0.1\nloss = 'mes'\n", "line 2, loss: unknown value `mes`"),
            ("loss = 'mes'", "did you mean 'mse'?"),
            ("activation = \"rleu\"", "did you mean 'relu'?"),
        ] {
            let error = format!("{:?}", merged(file, &[]).unwrap_err());
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn numbers_of_any_magnitude_are_written_briefly_and_survive_a_round_trip() {
        for (rate, written) in
            [(1e300, "lr = 1e300\n"), (1e-300, "lr = 1e-300\n"), (0.1, "lr = 0.1\n"), (4.0, "lr = 4.0\n")]
        {
            let flags = TrainFlags { lr: Some(rate), ..TrainFlags::default() };
            assert_eq!(flags.to_toml(), written);
            assert_eq!(merged(&flags.to_toml(), &[]).unwrap().lr, Some(rate));
        }
    }

    #[test]
    fn an_empty_list_sets_nothing() {
        assert_eq!(merged("allow-changed = []\nlr = 0.5\n", &[]).unwrap(), flags(&["--lr", "0.5"]));
    }

    #[test]
    fn epochs_and_steps_in_the_same_file_are_rejected() {
        let error = format!("{:?}", merged("epochs = 3\nmax-steps = 7", &[]).unwrap_err());
        assert!(error.contains("both epochs and max-steps"), "{error}");
    }

    fn of(variables: &[(&str, &str)]) -> Result<Layers, String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        environment(variables).map_err(|failure| failure.to_string())
    }

    /// Iterates over clap's arguments, so that new flags are included.
    #[test]
    fn every_flag_is_a_variable_and_a_key() {
        for (name, _) in named() {
            // A value that most flags reject and some accept; the variable itself is known.
            let found = of(&[(&variable_of(&name), "\u{1}")]);
            assert!(!found.is_err_and(|error| error.contains("unknown variable")), "{name}");
            // A file cannot refer to another file.
            let error = merged(&format!("{name} = [[]]"), &[]).unwrap_err().to_string();
            assert_eq!(error.contains("unknown key"), name == "config", "{name}: {error}");
        }
    }

    #[test]
    fn variables_are_parsed_like_flags() {
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
    fn errors_about_variables_name_the_fault() {
        for (variables, expected) in [
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
            assert!(error.contains(expected), "{error}");
        }
    }
}
