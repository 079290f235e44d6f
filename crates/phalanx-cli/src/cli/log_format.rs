//! The value of `--log-format`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the program speaks while it trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For log collectors.
    Json,
}

impl LogFormat {
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::Json];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("unknown log format '{text}'; choose one of text, json"))
    }
}
