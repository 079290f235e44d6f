//! Code shared by both measurements: result files, verbosity, and lists of thread counts.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use phalanx::internals::write_whole;
use serde::Serialize;
use serde_json::Value;

use crate::args::flags::TrainFlags;
use crate::args::parser;
use crate::args::values::{Auto, OutputFile};
use crate::bench::Warning;
use crate::numbers;
use crate::run::settings;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{self, check_folder};

/// Results for other programs
#[derive(Args, Debug)]
pub struct OutputFlags {
    /// Write all measurements as JSON to this file, which is replaced, or to stdout with -, instead
    /// of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Results")]
    pub json: Option<OutputFile>,
    /// Write the rows of the table as CSV to this file, which is replaced, or to stdout with -,
    /// instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Results")]
    pub csv: Option<OutputFile>,
}

impl OutputFlags {
    /// Checks before the measurement that all files can be written; `also` is one more file.
    pub fn check(&self, also: Option<&Path>) -> Result<(), Failure> {
        let both = [&self.json, &self.csv].map(|target| target == &Some(OutputFile::Stdout));
        if both == [true, true] {
            return Err(usage!("--json - and --csv - both go to stdout; give one of them a file"));
        }
        let files: Vec<&Path> =
            [&self.json, &self.csv].into_iter().flatten().filter_map(OutputFile::path).chain(also).collect();
        for (index, path) in files.iter().enumerate() {
            check_folder(path)?;
            if files[..index].contains(path) {
                let name = path.display();
                return Err(usage!("two results would be written to {name}; give each its own file"));
            }
        }
        Ok(())
    }

    /// Writes the requested files, and prints the table unless stdout is used for one of them or
    /// the program is quiet.
    pub fn write(
        &self,
        report: &impl Serialize,
        options: Option<&TrainFlags>,
        csv: impl FnOnce() -> String,
        table: Option<String>,
    ) -> Result<(), Failure> {
        if let Some(target) = &self.json {
            let text = serde_json::to_string_pretty(&Document {
                version: env!("CARGO_PKG_VERSION"),
                options,
                report,
            })
            .expect("reports are plain data");
            put(target, &(text + "\n"))?;
        }
        if let Some(target) = &self.csv {
            put(target, &csv())?;
        }
        let taken = [&self.json, &self.csv].contains(&&Some(OutputFile::Stdout));
        match table {
            Some(table) if !taken => put(&OutputFile::Stdout, &table),
            _ => Ok(()),
        }
    }
}

fn put(target: &OutputFile, text: &str) -> Result<(), Failure> {
    match target {
        OutputFile::File(path) => Ok(write_whole(path, text.as_bytes())?),
        OutputFile::Stdout => output::results(|out| out.write_all(text.as_bytes())),
    }
}

/// The content of the JSON file.
#[derive(Serialize)]
struct Document<'a, R> {
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parser::serialize_given")]
    options: Option<&'a TrainFlags>,
    #[serde(flatten)]
    report: &'a R,
}

/// The kinds of messages to print on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Errors,
    Warnings,
    Progress,
}

impl Verbosity {
    pub fn new(is_quiet: bool, has_no_progress: bool) -> Self {
        match (is_quiet, has_no_progress) {
            (true, _) => Self::Errors,
            (false, true) => Self::Warnings,
            (false, false) => Self::Progress,
        }
    }

    pub fn progress(self, line: impl FnOnce() -> String) {
        if self >= Self::Progress {
            output::info(line());
        }
    }

    pub fn warn(self, warnings: &[Warning]) {
        if self >= Self::Warnings {
            warnings.iter().for_each(output::warn);
        }
    }
}

/// Formats a time in µs with two decimals, or as a whole number from 100 on.
pub fn micros(secs: f64) -> String {
    let micros = 1e6 * secs;
    if micros >= 100.0 { grouped(micros) } else { format!("{micros:.2}") }
}

pub fn gigabytes(bytes: f64) -> String {
    format!("{:.2}", bytes / 1e9)
}

/// Reports wrong elements, and returns the exit code.
pub fn wrong(elements: u64) -> ExitCode {
    match elements {
        0 => ExitCode::SUCCESS,
        wrong => {
            output::error(format!("{wrong} elements are wrong; this is a bug in Phalanx, please report it"));
            ExitCode::FAILURE
        }
    }
}

/// Formats a value, rounded to a whole number, like all counts: 9610, 1,234,567.
pub fn grouped(value: f64) -> String {
    numbers::grouped(value.round() as u64)
}

/// Formats a fraction: 0.873 as 87 %.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Formats a value, or returns a dash without one.
pub fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// Formats rows as CSV, with the fields in the header. No cell needs quotes.
pub fn csv(header: &str, rows: impl Iterator<Item = Value>) -> String {
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(|number| number.to_string()).unwrap_or_default()
        }
        other => other.to_string(),
    };
    let line = |row: Value| header.split(',').map(|name| cell(&row[name])).collect::<Vec<_>>().join(",");
    [header.to_owned()].into_iter().chain(rows.map(line)).map(|line| line + "\n").collect()
}

/// Returns the thread counts of a list, or 1, 2, 4 ... and all cores if it is empty.
pub fn thread_counts(list: &[Auto<usize>]) -> Result<Vec<usize>, Failure> {
    match list {
        [] => Ok(doubling(settings::threads(None)?)),
        counts => counts.iter().map(|count| settings::threads(Some(*count))).collect(),
    }
}

/// Returns 1, 2, 4 ... below `cores`, then `cores`.
fn doubling(cores: usize) -> Vec<usize> {
    let powers = (0..).map(|power| 1 << power).take_while(|count| *count < cores);
    powers.chain([cores]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn auto_is_the_number_of_cores() {
        let cores = crate::terminal::cpus::Cpus::available().cores;
        assert_eq!(thread_counts(&[Auto::Given(3), Auto::Auto]).unwrap(), [3, cores]);
        assert_eq!(thread_counts(&[]).unwrap().last(), Some(&cores));
    }

    #[test]
    fn counts_double_up_to_all_cores() {
        assert_eq!([1, 2, 6, 8].map(doubling), [vec![1], vec![1, 2], vec![1, 2, 4, 6], vec![1, 2, 4, 8]]);
    }

    #[test]
    fn values_are_rounded_and_grouped_like_all_counts() {
        assert_eq!([7.4, 999.6, 9_999.6, 1_234_567.0].map(grouped), ["7", "1000", "10,000", "1,234,567"]);
    }

    #[test]
    fn csv_has_a_line_for_each_row() {
        let rows = [json!({ "a": 1, "b": 2e-7, "c": 3 }), json!({ "a": "x", "b": null })];
        assert_eq!(csv("a,b", rows.into_iter()), "a,b\n1,0.0000002\nx,\n");
    }
}
