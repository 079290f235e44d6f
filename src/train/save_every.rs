//! How often a run is saved.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Position;

/// How often a run hands out a [`Snapshot`](super::Snapshot) of itself.
///
/// As text: `500` or `500steps`, `2epochs`, `90s`, `10min`, `1h`; or `never`. It changes no bit of the run.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::train::SaveEvery;
///
/// assert_eq!("500".parse(), Ok(SaveEvery::Steps(500)));
/// assert_eq!("1.5min".parse(), Ok(SaveEvery::Time(Duration::from_secs(90))));
/// assert_eq!(SaveEvery::Epochs(1).to_string(), "1epoch");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "Written")]
pub enum SaveEvery {
    /// After so many steps.
    Steps(u64),
    /// After so many epochs, at the end of one.
    Epochs(u64),
    /// After so much time, in the middle of an epoch.
    Time(Duration),
    /// Not while it runs.
    Never,
}

/// How it may be written in a file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of steps, or text such as \"10min\"")]
enum Written {
    Number(i64),
    Text(String),
}

impl TryFrom<Written> for SaveEvery {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<SaveEvery> for String {
    fn from(every: SaveEvery) -> Self {
        every.to_string()
    }
}

/// What rank 0 knows of the last save.
pub(super) struct SaveClock {
    every: SaveEvery,
    step: u64,
    epoch: u64,
    at: Instant,
}

impl SaveClock {
    pub(super) fn new(every: SaveEvery, start: &Position) -> Self {
        Self { every, step: start.step, epoch: start.epoch, at: Instant::now() }
    }

    /// Whether the run is to be saved after the next step, made from `position`. One that could not be stays due; at the end
    /// of an epoch if it counts epochs.
    pub(super) fn is_due(&self, position: &Position, steps_per_epoch: u64) -> bool {
        match self.every {
            SaveEvery::Steps(steps) => (position.step + 1) / steps > self.step / steps,
            SaveEvery::Epochs(epochs) => {
                position.batch + 1 == steps_per_epoch && (position.epoch + 1) / epochs > self.epoch / epochs
            }
            SaveEvery::Time(time) => self.at.elapsed() >= time,
            SaveEvery::Never => false,
        }
    }

    pub(super) fn saved(&mut self, position: &Position) {
        *self = Self { every: self.every, step: position.step, epoch: position.epoch, at: Instant::now() };
    }
}

impl FromStr for SaveEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "'{text}' is no time between saves; give steps (500), epochs (2epochs), time (90s, 10min, 1h) or never"
            )
        };
        let (number, unit) =
            text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
        let number = number.trim();
        let count = || number.parse::<u64>().ok().filter(|count| *count > 0).ok_or_else(expected);
        let time = |secs: f64| {
            let time =
                number.parse().ok().and_then(|count: f64| Duration::try_from_secs_f64(count * secs).ok());
            time.filter(|time| !time.is_zero()).map(Self::Time).ok_or_else(expected)
        };
        match unit {
            "never" if number.is_empty() => Ok(Self::Never),
            "" | "step" | "steps" => count().map(Self::Steps),
            "epoch" | "epochs" => count().map(Self::Epochs),
            "s" => time(1.0),
            "min" => time(60.0),
            "h" => time(3600.0),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for SaveEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        match self {
            Self::Steps(count) => write!(f, "{count}step{}", plural(*count)),
            Self::Epochs(count) => write!(f, "{count}epoch{}", plural(*count)),
            Self::Time(time) => {
                let secs = time.as_secs();
                match (time.subsec_nanos(), secs % 3600, secs % 60) {
                    (0, 0, _) => write!(f, "{}h", secs / 3600),
                    (0, _, 0) => write!(f, "{}min", secs / 60),
                    _ => write!(f, "{}s", time.as_secs_f64()),
                }
            }
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_it_is_read_back_from_what_it_prints() {
        for text in ["1step", "500steps", "1epoch", "2epochs", "0.25s", "30s", "90s", "10min", "1h", "never"]
        {
            assert_eq!(text.parse::<SaveEvery>().unwrap().to_string(), text);
        }
        for (text, same) in [("500", "500steps"), ("60s", "1min"), ("60 min", "1h"), ("1.5h", "90min")] {
            assert_eq!(text.parse::<SaveEvery>(), same.parse());
        }
    }

    #[test]
    fn what_is_no_time_between_saves_is_refused() {
        for text in ["", "0", "-1", "1.5", "0s", "-1min", "nan s", "1e30h", "s", "5 minutes", "1never", "inf"]
        {
            assert!(text.parse::<SaveEvery>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_save_that_was_missed_stays_due() {
        let clock = SaveClock::new(SaveEvery::Steps(5), &Position::default());
        let due = |step| clock.is_due(&Position { step, ..Position::default() }, 100);
        assert_eq!([3, 4, 5, 11].map(due), [false, true, true, true]);
        let clock = SaveClock::new(SaveEvery::Epochs(2), &Position::default());
        let due = |epoch, batch| clock.is_due(&Position { epoch, batch, ..Position::default() }, 10);
        assert_eq!(
            [due(0, 9), due(1, 8), due(1, 9), due(2, 3), due(2, 9)],
            [false, false, true, false, true]
        );
    }
}
