//! The value of `--hidden`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Widths of the hidden layers: `128`, `300,100`, or `none`. In a file also a number or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "Written")]
pub(super) struct Hidden(pub(super) Vec<usize>);

/// How it may be written in a file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected widths such as 128, [300, 100] or \"none\"")]
enum Written {
    Number(usize),
    List(Vec<usize>),
    Text(String),
}

impl FromStr for Hidden {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let widths = text.split(',').map(|width| match width.trim().parse() {
            Ok(0) => Err("a hidden layer is at least 1 wide".to_owned()),
            Ok(width) => Ok(width),
            Err(_) => {
                Err(format!("'{width}' is not a width; expected widths such as 128 or 300,100, or none"))
            }
        });
        widths.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Written> for Hidden {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(width) => width.to_string().parse(),
            Written::List(widths) => Self(widths).to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let widths: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&widths.join(","))
    }
}

impl From<Hidden> for String {
    fn from(hidden: Hidden) -> Self {
        hidden.to_string()
    }
}
