//! The value of `--hidden`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::failure::beginning;

/// Widths of the hidden layers: `128`, `300,100`, or `none`. In a file also a number or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "Written")]
pub(super) struct Hidden(pub(super) Vec<usize>);

/// Most hidden layers, and the most outputs of one: beyond any model that was ever saved, and little to hold.
const MOST_LAYERS: usize = 10_000;
const MOST_WIDE: usize = 1 << 24;

fn too_many(layers: usize) -> String {
    format!("{layers} hidden layers, expected at most {MOST_LAYERS}")
}

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
        let layers = text.split(',').count();
        if layers > MOST_LAYERS {
            return Err(too_many(layers));
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

impl TryFrom<Written> for Hidden {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(width) => width.to_string().parse(),
            Written::List(widths) if widths.len() > MOST_LAYERS => Err(too_many(widths.len())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_the_limits_are_refused_with_the_limit() {
        let read = |text: &str| text.parse::<Hidden>();
        assert_eq!(read(&vec!["1"; MOST_LAYERS].join(",")).unwrap().0.len(), MOST_LAYERS);
        for (text, said) in [
            (vec!["1"; MOST_LAYERS + 1].join(","), "10001 hidden layers, expected at most 10000"),
            ("16777217".to_owned(), "width 16777217, expected at most 16777216"),
            ("8,0".to_owned(), "width 0, expected at least 1"),
            ("x".repeat(100_000), "is not a width"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(said) && error.len() < 200, "{error}");
        }
        let list = toml::Value::from(vec![1; MOST_LAYERS + 1]);
        assert!(list.try_into::<Hidden>().unwrap_err().to_string().contains("10001 hidden layers"));
    }
}
