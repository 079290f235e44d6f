//! The single parser of the flags of `train`: values from a file, the environment or a record are
//! parsed as command line arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;

use clap::error::{ContextKind, Error};
use clap::{Arg, Args, Command, FromArgMatches};
use phalanx::data::Column;
use phalanx::train::SaveEvery;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use toml::Value;

use super::flags::{TrainFlags, is, key_of};
use super::suggest::{beginning, did_you_mean, names_of, nearest, nearest_choice};
use super::values::{Auto, Factor, FilePath, Hidden, toml_value};

/// Pairs of flags that replace each other: one on the command line overrides the other in a file,
/// for example.
pub const EITHER_OR: [(&str, &str); 2] = [("epochs", "max-steps"), ("test", "test-split")];

/// The flags as a clap command, which parses them from every source.
static COMMAND: LazyLock<Command> = LazyLock::new(|| {
    let mut command =
        TrainFlags::augment_args(Command::new("train").no_binary_name(true).disable_help_flag(true));
    command.build();
    command
});

/// Returns the flags that may also be given outside the command line, with their names, in the
/// order of `--help`.
pub fn named() -> impl Iterator<Item = (String, &'static Arg)> {
    let is_command = |name: &str| matches!(name, "print-config" | "help");
    COMMAND.get_arguments().map(|flag| (key_of(flag), flag)).filter(move |(name, _)| !is_command(name))
}

/// Returns the flags that are keys of a file, with their names, in the order of `--help`. A file
/// cannot refer to another file.
pub fn keys() -> impl Iterator<Item = (String, &'static Arg)> {
    named().filter(|(name, _)| name != "config")
}

/// Returns the flag that a key of a file sets, or an error message about the key.
pub fn flag_of(key: &str) -> Result<&'static Arg, String> {
    if let Some((_, flag)) = keys().find(|(name, _)| name == key) {
        return Ok(flag);
    }
    let names: Vec<String> = keys().map(|(name, _)| name).collect();
    Err(match nearest(key, names.iter().map(String::as_str)) {
        Some(known) => format!("unknown key `{key}`, did you mean {known}?"),
        None => format!("unknown key `{key}`; the keys are the flags of phalanx train, see its --help"),
    })
}

impl TrainFlags {
    /// Returns these flags, and from `below` those that are neither given here nor replaced by a
    /// given flag.
    pub fn over(&self, below: Self) -> Self {
        let given = self.to_table();
        let pairs = EITHER_OR.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
        let replaced: Vec<&str> =
            pairs.filter(|(one, _)| given.contains_key(*one)).map(|(_, other)| other).collect();
        let mut lower = below.values();
        lower.retain(|(name, _)| !replaced.contains(&name.as_str()));
        let mut flags = Self::default();
        for values in [lower, self.values()] {
            flags.read(arguments_of(values)).expect("they were parsed before");
        }
        let config = self.config.clone().or(below.config);
        Self { config, print_config: self.print_config, ..flags }
    }

    /// Sets a flag to a value written as on the command line.
    pub fn set(&mut self, flag: &Arg, value: &OsStr) -> Result<(), Error> {
        let arguments = match flag.get_long() {
            Some(name) => vec![joined(name, value)],
            None => vec!["--".into(), value.to_owned()],
        };
        self.read(arguments)
    }

    /// Sets a flag to a value written as in a file.
    ///
    /// # Errors
    ///
    /// A message with the expected value.
    pub fn set_value(&mut self, flag: &Arg, value: &Value) -> Result<(), String> {
        if flag.get_value_delimiter().is_some() && value.as_array().is_some_and(Vec::is_empty) {
            // An empty list of names, which cannot be written as an argument.
            return Ok(());
        }
        let text = argument(flag, value)?;
        self.set(flag, &text).map_err(|error| {
            let text = beginning(&text.to_string_lossy());
            let reason = reason(&error);
            let names = names_of(flag);
            let message = match names.as_slice() {
                [] if reason.starts_with("expected") => format!("invalid value '{text}': {reason}"),
                [] => reason,
                _ => format!("unknown value `{text}`, expected {}", one_of(&names)),
            };
            message + &did_you_mean(nearest_choice(flag, &text).as_deref())
        })
    }

    pub fn read(&mut self, arguments: Vec<OsString>) -> Result<(), Error> {
        let print_config = self.print_config;
        self.update_from_arg_matches(&COMMAND.clone().try_get_matches_from(arguments)?)?;
        self.print_config = print_config;
        Ok(())
    }

    /// Returns the names and TOML values of the given flags, in the order of `--help`.
    pub fn values(&self) -> Vec<(String, Value)> {
        let mut values = self.to_table();
        keys().filter_map(|(name, _)| values.remove(&name).map(|value| (name, value))).collect()
    }

    /// Returns the name of the first of these flags that is given; `ids` are their identifiers,
    /// separated by spaces.
    pub fn first_given(&self, ids: &str) -> Option<String> {
        let given = self.to_table();
        let mut names = ids.split_whitespace().map(|id| id.replace('_', "-"));
        names.find(|name| given.contains_key(name) || (name == "print-config" && self.print_config))
    }

    /// Returns the text of a file that reproduces the run, with keys in the order of `--help`.
    pub fn to_toml(&self) -> String {
        self.values().iter().map(|(name, value)| format!("{name} = {}\n", toml_value(value))).collect()
    }

    /// Returns these flags as arguments, in the order of `--help`; the data comes first unless it
    /// looks like a flag.
    pub fn arguments(&self) -> Vec<OsString> {
        arguments_of(self.values())
    }
}

fn arguments_of(values: Vec<(String, Value)>) -> Vec<OsString> {
    let (mut arguments, mut last) = (Vec::new(), Vec::new());
    for (name, value) in values {
        let flag = flag_of(&name).expect("it is a flag");
        let text = argument(flag, &value).expect("it was parsed before");
        let is_like_flag = text.as_encoded_bytes().starts_with(b"-");
        match value {
            _ if flag.is_positional() && is_like_flag => last = vec!["--".into(), text],
            _ if flag.is_positional() => arguments.push(text),
            Value::Boolean(true) => arguments.push(format!("--{name}").into()),
            _ if flag.is_require_equals_set() || is_like_flag => arguments.push(joined(&name, &text)),
            _ => arguments.extend([format!("--{name}").into(), text]),
        }
    }
    [arguments, last].concat()
}

/// Serializes the given flags by name, for `#[serde(with)]`.
pub fn serialize<S: Serializer>(flags: &TrainFlags, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(flags.values())
}

/// Serializes the given flags, or none.
pub fn serialize_given<S: Serializer>(flags: &Option<&TrainFlags>, serializer: S) -> Result<S::Ok, S::Error> {
    match flags {
        Some(flags) => serialize(flags, serializer),
        None => serializer.serialize_none(),
    }
}

/// Deserializes the output of [`serialize`]. An infinite number is null in JSON, which means no
/// limit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrainFlags, D::Error> {
    let values = BTreeMap::<String, Option<Value>>::deserialize(deserializer)?;
    let mut flags = TrainFlags::default();
    for (name, value) in values.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let set =
            flag_of(name).and_then(|flag| flags.set_value(flag, value).map_err(|e| format!("{name}: {e}")));
        set.map_err(D::Error::custom)?;
    }
    Ok(flags)
}

/// Returns `--name=value`.
fn joined(name: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    argument
}

/// Returns a value from a file as a command line argument, if the flag accepts its type.
fn argument(flag: &Arg, value: &Value) -> Result<OsString, String> {
    let (kinds, expected): (&[&str], &str) = match () {
        () if flag.get_value_delimiter().is_some() => (&["array"], "a list of names"),
        () if is::<bool>(flag) => (&["boolean"], "true or false"),
        () if is::<f64>(flag) => (&["float", "integer"], "a number"),
        () if is::<Factor>(flag) => (&["float", "integer", "string"], "a number or text such as \"1/256\""),
        () if is::<usize>(flag) || is::<u64>(flag) => (&["integer"], "a whole number such as 8"),
        () if is::<Auto<usize>>(flag) || is::<Auto<u64>>(flag) => {
            (&["integer", "string"], "a whole number or text such as \"auto\"")
        }
        () if is::<SaveEvery>(flag) => {
            (&["integer", "string"], "a number of steps, or text such as \"10min\"")
        }
        () if is::<Column>(flag) => (&["integer", "string"], "the name of a column or its number"),
        () if is::<Hidden>(flag) => {
            (&["integer", "string", "array"], "widths such as 128, [300, 100] or \"none\"")
        }
        () if is::<FilePath>(flag) => (&["string", "array"], "the name of a file or folder"),
        () => (&["string"], "text"),
    };
    let items = |items: &[Value]| -> Option<OsString> {
        let texts = items.iter().map(|item| match item {
            Value::Integer(width) if is::<Hidden>(flag) => Some(width.to_string()),
            Value::String(name) if flag.get_value_delimiter().is_some() => Some(name.clone()),
            _ => None,
        });
        match items {
            _ if is::<FilePath>(flag) => FilePath::name_of(items),
            [] if is::<Hidden>(flag) => Some("none".into()),
            _ => Some(texts.collect::<Option<Vec<_>>>()?.join(",").into()),
        }
    };
    let text = match value {
        _ if !kinds.contains(&value.type_str()) => None,
        Value::String(text) => Some(text.into()),
        Value::Array(list) => items(list),
        other => Some(toml_value(other).into()),
    };
    text.ok_or_else(|| {
        let written = beginning(&toml_value(value).replace('\n', " "));
        let written = if value.is_str() { written } else { format!("`{written}`") };
        let names = names_of(flag);
        let expected =
            if names.is_empty() || is::<bool>(flag) { expected.to_owned() } else { one_of(&names) };
        format!("found {written}, expected {expected}")
    })
}

fn one_of(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("one of {}", names.join(", "))
}

/// Returns the expected value from the error that rejects a value.
pub fn reason(error: &Error) -> String {
    use std::error::Error as _;
    match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(choices)) => format!("expected one of {choices}"),
        (None, None) => error.kind().to_string(),
    }
}

/// Parses flags from the command line of a separate command.
#[cfg(test)]
pub fn parsed<F: Args>(arguments: &[&str]) -> Result<F, Error> {
    let command = Command::new("test").no_binary_name(true).disable_help_flag(true);
    F::from_arg_matches(&F::augment_args(command).try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[OsString]) -> TrainFlags {
        let mut flags = TrainFlags::default();
        flags.read(arguments.to_vec()).unwrap();
        flags
    }

    #[test]
    fn written_arguments_are_parsed_to_the_same_flags() {
        let given = "--label-column=-1 --hidden 30,20 --lr 1e-05 --nesterov --momentum 0.9 --standardize=false -t auto --noise-scale=20 -- -odd.csv";
        let flags = read(&given.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(read(&flags.arguments()), flags);
    }

    /// Iterates over clap's arguments, so that new flags are included.
    #[test]
    fn exactly_the_listed_choices_are_accepted() {
        for (name, flag) in keys() {
            let names = names_of(flag);
            for choice in &names {
                assert!(TrainFlags::default().set(flag, choice.as_ref()).is_ok(), "--{name} {choice}");
            }
            let error = TrainFlags::default().set(flag, "nonsense".as_ref()).err();
            let reason = error.map(|error| reason(&error)).unwrap_or_default();
            if let Some((_, listed)) = reason.split_once("choose one of ") {
                assert_eq!(names.join(", "), listed.split(" (").next().unwrap(), "--{name}");
            }
        }
    }
}
