//! Flags from a TOML file, and a file from flags.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::anyhow;
use toml::{Spanned, Table, Value};

use super::failure::Failure;
use super::flags::{self, TrainFlags};
use super::layers::{EITHER_OR, Layers};
use super::nearest::{nearest, nearest_choice};

/// Returns the text of a file that makes the same run, its keys in the order of `--help`.
pub(super) fn text(flags: &TrainFlags) -> String {
    let values = Table::try_from(flags).expect("flags are plain data");
    let given = flags::names().into_iter().filter_map(|name| Some(setting(&name, values.get(&name)?) + "\n"));
    given.collect()
}

/// Returns the line of a key.
pub(super) fn setting(name: &str, value: &Value) -> String {
    format!("{name} = {}", written(value))
}

/// Writes a value as TOML, and numbers such as 1e300 with a power of ten, not with 300 zeros.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// Most bytes of a file of flags: several times what all flags take with the longest paths and the most layers that they may have.
/// A file is bounded before it is parsed, which takes many times its bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Reads a file of flags.
pub(super) fn read(path: &Path) -> Result<Layers, Failure> {
    let name = path.display();
    let mut text = String::new();
    let length = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    if text.len() as u64 > MOST_BYTES || length.as_ref().is_ok_and(|length| *length as u64 > MOST_BYTES) {
        return Err(Failure::usage(format!(
            "{name} has more than {MOST_BYTES} bytes, the most that a file of flags may have; give a TOML file with flags as keys"
        )));
    }
    length.map_err(|error| anyhow!("cannot read {name}: {error}; give a TOML file with flags as keys"))?;
    let text: String = text.split_inclusive('\n').map(in_kebab_case).collect();
    let refused = |error: toml::de::Error| Failure::usage(format!("{name} {}", explain(&error, &text)));
    let flags: TrainFlags = toml::from_str(&text).map_err(refused)?;
    let lines = lines(&text).map_err(refused)?;
    for (one, other) in EITHER_OR {
        if lines.contains_key(one) && lines.contains_key(other) {
            return Err(Failure::usage(format!("{name} has both {one} and {other}; keep one of them")));
        }
    }
    Ok(Layers::new(flags, |key| format!("{name} line {}", lines[key])))
}

/// The line of each key.
///
/// # Errors
///
/// If a number is beyond those of TOML, which flags of a whole number would take.
fn lines(text: &str) -> Result<BTreeMap<String, usize>, toml::de::Error> {
    let values: BTreeMap<String, Spanned<Value>> = toml::from_str(text)?;
    Ok(values.into_iter().map(|(key, value)| (key, line(text, value.span().start))).collect())
}

/// The line, counted from 1, of a place in bytes.
fn line(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

/// Names the line, its key, what is wrong with it and what to do.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = line(text, start);
    let written = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
    let key = written.map(|(key, _)| key.trim());
    let place = format!("line {line}");
    let message = error.message().replace('\n', " ");
    match (message.strip_prefix("unknown field "), key) {
        (Some(unknown), _) => {
            let unknown = unknown.split(',').next().unwrap_or_default();
            let known = message.split('`').skip(3).step_by(2);
            let meant = match nearest(unknown.trim_matches('`'), known) {
                Some(known) => format!(", did you mean {known}?"),
                None => "; the keys are the flags of phalanx train, see its --help".to_owned(),
            };
            format!("{place}: unknown key {unknown}{meant}")
        }
        (None, Some(key)) => {
            let value = written.map_or("", |(_, value)| value.trim().trim_matches(['"', '\'']));
            let meant = nearest_choice(key, value)
                .map_or_else(String::new, |meant| format!(", did you mean '{meant}'?"));
            format!("{place}, {key}: {}{meant}; fix the value", in_words(&message))
        }
        (None, None) => format!("{place}: {message}; write key = value, one a line"),
    }
}

/// Says what a value must be without the names that types have in the program.
fn in_words(message: &str) -> String {
    let whole = "a whole number of 0 or more";
    let types = [
        ("expected usize", whole),
        ("expected u64", whole),
        ("expected i64", whole),
        ("expected f64", "a number"),
        ("u64 value was too large", "a whole number from 0 to 9223372036854775807"),
    ];
    types
        .iter()
        .fold(message.to_owned(), |text, (name, words)| text.replace(name, &format!("expected {words}")))
}

/// Accepts `batch_size = 8` for `batch-size = 8`, as flags do.
fn in_kebab_case(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) => format!("{}={value}", key.replace('_', "-")),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod mutants;

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::super::layers::given;
    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        flags: TrainFlags,
    }

    fn flags(arguments: &[&str]) -> TrainFlags {
        Only::try_parse_from([&["train"], arguments].concat()).map(|only| only.flags).unwrap()
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
    fn both_spellings_of_a_key_are_one_key() {
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
    fn what_was_written_is_read_back_the_same() {
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
        assert_eq!(merged(&text(&given), &[]).unwrap(), given);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = format!("{:?}", merged("lr = 0.1\nbatchsize = 8\n", &[]).unwrap_err());
        assert!(error.contains("line 2") && error.contains("unknown key `batchsize`"), "{error}");
    }

    #[test]
    fn a_slip_in_a_value_is_answered_with_the_name_that_was_meant() {
        for (file, meant) in [
            ("optimizer = \"adamm\"", "did you mean 'adam'?"),
            ("lr = 0.1\nloss = 'mes'\n", "line 2, loss: invalid value 'mes'"),
            ("loss = 'mes'", "did you mean 'mse'?"),
            ("activation = \"rleu\"", "did you mean 'relu'?"),
        ] {
            let error = format!("{:?}", merged(file, &[]).unwrap_err());
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn numbers_of_any_size_are_written_short_and_read_back() {
        for (rate, written) in
            [(1e300, "lr = 1e300\n"), (1e-300, "lr = 1e-300\n"), (0.1, "lr = 0.1\n"), (4.0, "lr = 4.0\n")]
        {
            let flags = TrainFlags { lr: Some(rate), ..TrainFlags::default() };
            assert_eq!(text(&flags), written);
            assert_eq!(merged(&text(&flags), &[]).unwrap().lr, Some(rate));
        }
    }

    #[test]
    fn epochs_and_steps_in_one_file_are_refused() {
        let error = format!("{:?}", merged("epochs = 3\nmax-steps = 7", &[]).unwrap_err());
        assert!(error.contains("both epochs and max-steps"), "{error}");
    }
}
