//! Flags as one would type them.

use crate::text::shell_word;
use toml::{Table, Value};

use super::config;
use super::flags::TrainFlags;

/// The arguments that give these flags, in the order of `--help`, the data first.
pub(super) fn arguments(flags: &TrainFlags) -> Vec<String> {
    let text = config::text(flags);
    let values: Table = text.parse().expect("it was written as TOML");
    let names = text.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    names.flat_map(|name| argument(name, &values[name])).collect()
}

fn argument(name: &str, value: &Value) -> Vec<String> {
    let flag = format!("--{name}");
    match value {
        Value::String(data) if name == "data" => vec![data.clone()],
        Value::Boolean(true) => vec![flag],
        Value::Boolean(false) => vec![format!("{flag}=false")],
        Value::String(text) if text.starts_with('-') => vec![format!("{flag}={text}")],
        Value::String(text) => vec![flag, text.clone()],
        Value::Float(number) => vec![flag, format!("{number:?}")],
        other => vec![flag, other.to_string()],
    }
}

/// Joins arguments such that a shell takes them apart again.
pub(super) fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|argument| shell_word(argument)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        flags: TrainFlags,
    }

    #[test]
    fn what_is_written_is_read_as_the_same_flags() {
        let given = "train my.csv --label-column=-1 --hidden 30,20 --lr 1e-05 --nesterov --momentum 0.9 --standardize=false -t auto";
        let flags = Only::try_parse_from(given.split(' ')).map(|only| only.flags).unwrap();
        let written = [vec!["train".to_owned()], arguments(&flags)].concat();
        assert_eq!(Only::try_parse_from(&written).map(|only| only.flags).unwrap(), flags);
    }
}
