//! The types of flag values.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};
use phalanx::data::HeaderRow;
use phalanx::internals::InstructionSet;
use phalanx::model::Loss;
use phalanx::optim::OptimizerKind;
use serde::{Serialize, Serializer};
use toml::Value;

use super::suggest::beginning;

/// Parser of one of a few named values; lists the names for shell completion and for suggestions.
#[derive(Clone)]
pub struct Choices<T> {
    names: Vec<String>,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Choices<T> {
    pub fn new<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        read: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), read }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Choices<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, value: &std::ffi::OsStr) -> Result<T, Error> {
        self.read.parse_ref(command, flag, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().map(PossibleValue::new)))
    }
}

/// The parser of a type that lists its values in `ALL`, each with a `name`.
macro_rules! choices {
    ($type:ident) => {
        $crate::args::values::Choices::new($type::ALL.iter().map(|choice| choice.name()), |text| {
            text.parse::<$type>().map_err(|error| error.to_string())
        })
    };
}
pub(crate) use choices;

/// Generates `ALL`, `name` and `FromStr` of an enum, for [`choices!`].
macro_rules! named {
    ($type:ident, $what:literal, [$($variant:ident => $name:literal),+ $(,)?]) => {
        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names = [$($name),+].join(", ");
                let found = Self::ALL.iter().copied().find(|choice| choice.name() == text);
                found.ok_or_else(|| format!(concat!("unknown ", $what, " '{}', expected one of {}"), text, names))
            }
        }
    };
}

/// The parser of `--instructions`: the sets that this machine has.
pub fn instruction_set() -> Choices<InstructionSet> {
    Choices::new(available_sets().map(InstructionSet::name), |text| {
        let names = available_sets().map(InstructionSet::name).collect::<Vec<_>>().join(", ");
        let named = available_sets().find(|set| set.name() == text);
        named.ok_or_else(|| format!("choose one of those that this machine has: {names}"))
    })
}

fn available_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_available())
}

/// The parser of `--header`.
pub fn header_row() -> Choices<HeaderRow> {
    Choices::new(["auto", "present", "absent"], str::parse)
}

/// The parser of `--loss`.
pub fn loss() -> Choices<Auto<Loss>> {
    let names = ["auto"].into_iter().chain(Loss::ALL.iter().map(|loss| loss.name()));
    Choices::new(names, |text| auto_or(text, |text| text.parse::<Loss>().map_err(|error| error.to_string())))
}

/// The parser of `--optimizer`, which explains why some optimizers are not available.
pub fn optimizer() -> Choices<OptimizerKind> {
    Choices::new(OptimizerKind::ALL.iter().map(|kind| kind.name()), |name| {
        name.parse().map_err(|error| match foreign(name) {
            Some(text) => format!("{error} (of {name}: {text})"),
            None => format!("{error}"),
        })
    })
}

/// Returns how sum and mean relate for an optimizer that Phalanx does not have, by its usual name.
fn foreign(optimizer: &str) -> Option<&'static str> {
    match optimizer {
        "adadelta" => Some(
            "there is no exact translation between sum and mean, because its single eps is added both to squared gradients \
             and to squared updates, and would have to be scaled in only one of these places",
        ),
        "lion" | "sign-sgd" | "signsgd" => Some(
            "nothing changes between sum and mean, because it uses only the signs of gradients; only an L2 penalty that \
             is added to the gradient is scaled with the gradient",
        ),
        _ => None,
    }
}

/// Parses a whole number that a TOML file can contain too: its largest integer is 2^63 - 1.
pub fn whole<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let number = text.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| match text.parse::<i128>() {
        Ok(number) if number > 0 => format!("expected a whole number of at most {}", i64::MAX),
        _ => "expected a whole number such as 8".to_owned(),
    })
}

/// Parses a number.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

/// `auto` or a value; with `auto` the program chooses the number or the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto<T> {
    Auto,
    Given(T),
}

/// Parses `auto` or a whole number.
pub fn auto<T: TryFrom<i64>>(text: &str) -> Result<Auto<T>, String> {
    auto_or(text, whole)
}

fn auto_or<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Auto<T>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        _ => read(text).map(Auto::Given).map_err(|error| format!("{error}, or auto")),
    }
}

impl<T: Serialize> Serialize for Auto<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Given(value) => value.serialize(serializer),
        }
    }
}

/// The widths of the hidden layers: `128`, `300,100`, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden(pub Vec<usize>);

/// The maximum number of hidden layers, and the maximum width of one: more than in any saved model,
/// and small enough to store.
const MOST_LAYERS: usize = 10_000;
const MOST_WIDE: usize = 1 << 24;

impl FromStr for Hidden {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let layers = text.split(',').count();
        if layers > MOST_LAYERS {
            return Err(format!("{layers} hidden layers, expected at most {MOST_LAYERS}"));
        }
        let widths = text.split(',').map(|width| match width.trim().parse() {
            Ok(0) => Err("a hidden layer of width 0, expected at least 1".to_owned()),
            Ok(width) if width > MOST_WIDE => {
                Err(format!("a hidden layer of width {width}, expected at most {MOST_WIDE}"))
            }
            Ok(width) => Ok(width),
            Err(_) => Err(format!(
                "'{}' is not a width; expected widths such as 128 or 300,100, or none",
                beginning(width)
            )),
        });
        widths.collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let widths: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        serializer
            .serialize_str(if widths.is_empty() { "none".to_owned() } else { widths.join(",") }.as_str())
    }
}

/// The targets of a squared loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetForm {
    /// Numbers of the data.
    Values,
    /// 1 for the class of the sample, 0 for all others.
    OneHot,
    /// 1 for the class of the sample, -1 for all others.
    PlusMinus,
}

named!(TargetForm, "targets", [Values => "values", OneHot => "one-hot", PlusMinus => "plus-minus"]);

/// The unit of `--momentum`, for batches of m samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumUnit {
    /// μ.
    PerBatch,
    /// p, with μ = p^m.
    PerSample,
    /// T samples, with μ = exp(−m/T), or 0 for T = 0.
    TimeConstant,
}

named!(MomentumUnit, "unit of momentum", [
    PerBatch => "per-batch",
    PerSample => "per-sample",
    TimeConstant => "time-constant",
]);

/// A factor above 0, written as a number or a fraction such as 1/256.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Factor(pub f64);

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        match number(above)? / number(below)? {
            quotient if quotient > 0.0 && quotient.is_finite() => Ok(Self(quotient)),
            _ => Err("expected a number above 0, or a fraction with a divisor other than 0".to_owned()),
        }
    }
}

/// The format of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For log collectors.
    Json,
}

/// The parser of `--log-format`.
pub fn log_format() -> Choices<LogFormat> {
    Choices::new(["text", "json"], |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("unknown log format '{text}'; choose one of text, json")),
    })
}

/// The name of a file or folder, which may not be UTF-8: a string in a file of flags if it is
/// UTF-8, otherwise a list of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// Returns the name written as a list of bytes.
    pub fn name_of(bytes: &[Value]) -> Option<OsString> {
        let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_integer()?).ok());
        name(bytes.collect::<Option<Vec<u8>>>()?)
    }
}

impl From<OsString> for FilePath {
    fn from(text: OsString) -> Self {
        Self(text.into())
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_seq(self.0.as_os_str().as_encoded_bytes()),
        }
    }
}

#[cfg(unix)]
fn name(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn name(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).map(OsString::from).ok()
}

/// Writes a value as TOML; numbers such as 1e300 are written with an exponent, not with 300 zeros.
pub fn toml_value(value: &Value) -> String {
    match value {
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// An output file, or stdout for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputFile {
    Stdout,
    File(PathBuf),
}

impl From<OsString> for OutputFile {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(text.into()) }
    }
}

impl OutputFile {
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_above_the_limits_are_rejected_with_the_limit() {
        let read = |text: &str| text.parse::<Hidden>();
        assert_eq!(read(&vec!["1"; MOST_LAYERS].join(",")).unwrap().0.len(), MOST_LAYERS);
        for (text, expected) in [
            (vec!["1"; MOST_LAYERS + 1].join(","), "10001 hidden layers, expected at most 10000"),
            ("16777217".to_owned(), "width 16777217, expected at most 16777216"),
            ("8,0".to_owned(), "width 0, expected at least 1"),
            ("x".repeat(100_000), "is not a width"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(expected) && error.len() < 200, "{error}");
        }
    }

    #[test]
    fn negative_numbers_and_numbers_too_large_for_toml_are_rejected() {
        assert_eq!(whole::<u64>("9223372036854775807"), Ok(i64::MAX as u64));
        for text in ["-1", "9223372036854775808", "1.5", "1e3", ""] {
            assert!(whole::<u64>(text).is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_names_of_any_bytes_survive_a_round_trip() {
        for bytes in [&b"runs/1"[..], b"", b"runs/\xff", "r\u{fffd}".as_bytes()] {
            let path = FilePath::from(name(bytes.to_vec()).unwrap());
            let value = Value::try_from(&path).unwrap();
            assert_eq!(value.is_str(), std::str::from_utf8(bytes).is_ok());
            let read = match &value {
                Value::String(text) => Some(text.into()),
                value => FilePath::name_of(value.as_array().unwrap()),
            };
            assert_eq!(read.map(FilePath::from), Some(path));
        }
    }
}
