//! Values that may be left to the program.

use std::fmt;
use std::str::FromStr;

use phalanx::model::Loss;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::whole::whole;

/// `auto`, or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auto<T> {
    Auto,
    Given(T),
}

/// A value that may be left to the program.
pub(super) trait Value: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

impl Value for usize {
    fn read(text: &str) -> Result<Self, String> {
        whole(text)
    }
}

impl Value for u64 {
    fn read(text: &str) -> Result<Self, String> {
        whole(text)
    }
}

impl Value for Loss {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl<T: Value> FromStr for Auto<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => T::read(text).map(Self::Given).map_err(|error| format!("{error}, or auto")),
        }
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

/// In a file, a number or text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number or text such as \"auto\"")]
enum Written {
    Number(i64),
    Text(String),
}

impl<'de, T: Value> Deserialize<'de> for Auto<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(|error| D::Error::custom(format!("invalid value '{text}': {error}")))
    }
}

impl<T: fmt::Display> fmt::Display for Auto<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Given(value) => value.fmt(f),
        }
    }
}
