//! Results and options of runs, side by side.

use std::collections::BTreeSet;

use phalanx::internals::{LogLine, Measure};
use phalanx::log::Results;

use super::RunRecord;
use crate::numbers::{grouped, measured, short_number};

/// Placeholder for a result or an option that a run does not have.
const NONE: &str = "–";

/// Returns the name and value of each result that a run has.
pub fn facts(run: &RunRecord) -> impl Iterator<Item = (&'static str, String)> {
    all_facts(run).into_iter().filter_map(|(name, value)| Some((name, value?)))
}

/// Returns the names of the results that any of the runs has, and a row for each run.
pub fn facts_of_runs(runs: &[RunRecord]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let all: Vec<_> = runs.iter().map(all_facts).collect();
    let shown: Vec<usize> =
        (0..all[0].len()).filter(|&fact| all.iter().any(|facts| facts[fact].1.is_some())).collect();
    let row = |facts: &[(&str, Option<String>); FACTS]| {
        shown.iter().map(|&fact| facts[fact].1.clone().unwrap_or_else(|| NONE.to_owned())).collect()
    };
    (shown.iter().map(|&fact| all[0][fact].0).collect(), all.iter().map(row).collect())
}

const FACTS: usize = 14;

/// Returns the results of a run; before its end, those of the last logged epoch.
fn all_facts(run: &RunRecord) -> [(&'static str, Option<String>); FACTS] {
    let (log, results) = (&run.log, run.results());
    let last = |measure| log.epochs.last().and_then(|epoch: &LogLine| epoch.value(measure));
    let value = |of_results: fn(&Results) -> Option<f64>, measure| match results {
        Some(results) => of_results(results),
        None => last(measure),
    };
    let logged_secs = || log.epochs.iter().filter_map(|epoch| epoch.value(Measure::EpochSecs)).sum();
    let logged_speeds = || log.whole_epochs().filter_map(|epoch| epoch.value(Measure::SamplesPerSec));
    let secs = results.map_or_else(logged_secs, Results::training_secs);
    let speed =
        results.map_or_else(|| logged_speeds().fold(0.0, f64::max), |results| results.samples_per_sec);
    let epochs = results.map_or_else(|| log.whole_epochs().count() as u64, |results| results.epochs);
    [
        ("state", Some(run.state_in_words().to_owned())),
        ("test accuracy", value(|results| results.test_accuracy, Measure::TestAccuracy).map(accuracy)),
        ("test loss", value(|results| results.test_loss, Measure::TestLoss).map(measured)),
        ("train loss", value(|results| results.train_loss, Measure::TrainLoss).map(measured)),
        ("steps", results.map(|results| results.steps).or(log.last_step()).map(grouped)),
        ("epochs", Some(grouped(epochs))),
        ("saved epoch", results.and_then(|r| r.best_epoch.filter(|_| r.of_best_epoch)).map(grouped)),
        ("training time", Some(secs).filter(|secs| *secs > 0.0).map(duration)),
        ("best samples/s", Some(speed).filter(|speed| *speed > 0.0).map(|speed| grouped(speed as u64))),
        ("threads", results.map(|results| results.threads.to_string())),
        ("noise scale", results.and_then(|results| results.noise_scale).map(short_number)),
        ("memory", results.and_then(|results| results.peak_rss_bytes).map(megabytes)),
        ("params", results.map(|results| grouped(results.params as u64))),
        ("sha256", results.map(|results| short_hash(results).to_owned())),
    ]
}

/// Returns groups of runs with the same params, in the order given.
pub fn same_bits(runs: &[RunRecord]) -> Vec<Vec<String>> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (run, results) in runs.iter().filter_map(|run| Some((run, run.results()?))) {
        match groups.iter_mut().find(|(hash, _)| *hash == results.params_sha256) {
            Some((_, names)) => names.push(run.name()),
            None => groups.push((&results.params_sha256, vec![run.name()])),
        }
    }
    groups.into_iter().map(|(_, names)| names).filter(|names| names.len() > 1).collect()
}

fn accuracy(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(bytes / 1_000_000))
}

/// Returns enough digits of a hash to distinguish a few runs.
fn short_hash(results: &Results) -> &str {
    results.params_sha256.get(..8).unwrap_or(&results.params_sha256)
}

/// Formats a duration: "9.3 ms", "2.31 s", "4 min 12 s", "3 h 5 min".
fn duration(secs: f64) -> String {
    match secs {
        ..0.1 => format!("{:.1} ms", 1000.0 * secs),
        ..60.0 => format!("{secs:.2} s"),
        ..3600.0 => format!("{} min {} s", secs as u64 / 60, secs as u64 % 60),
        _ => format!("{} h {} min", secs as u64 / 3600, secs as u64 / 60 % 60),
    }
}

/// The names of the options of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionNames {
    /// Options whose values differ.
    pub differ: Vec<String>,
    /// All other options.
    pub same: Vec<String>,
}

impl OptionNames {
    /// Compares the options of runs.
    pub fn of(runs: &[RunRecord]) -> Self {
        let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.options.keys()).collect();
        let differs =
            |name: &&String| runs.iter().any(|run| run.options.get(*name) != runs[0].options.get(*name));
        let (differ, same): (Vec<_>, Vec<_>) = names.into_iter().cloned().partition(|name| differs(&name));
        Self { differ, same }
    }

    /// Returns the options that distinguish a run from most of the runs, in a few words: "lr 0.05,
    /// momentum 0.9".
    pub fn in_words(&self, run: &RunRecord, runs: &[RunRecord]) -> String {
        let is_common = |name: &String| {
            let like = runs.iter().filter(|other| option(other, name) == option(run, name)).count();
            2 * like > runs.len()
        };
        let of = |name: &String| format!("{name} {}", option(run, name));
        self.differ.iter().filter(|name| !is_common(name)).map(of).collect::<Vec<_>>().join(", ")
    }
}

/// Returns a table row for each option: its name and its value in each run.
pub fn option_rows(names: &[String], runs: &[RunRecord]) -> Vec<Vec<String>> {
    let row = |name: &String| {
        let values = runs.iter().map(|run| option(run, name).to_owned());
        [name.clone()].into_iter().chain(values).collect()
    };
    names.iter().map(row).collect()
}

fn option<'a>(run: &'a RunRecord, name: &str) -> &'a str {
    run.options.get(name).map_or(NONE, String::as_str)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use phalanx::internals::RunLog;

    use super::super::run_record::RunState;
    use super::*;

    #[test]
    fn durations_and_percentages_are_readable() {
        assert_eq!(
            [0.0093, 2.312, 252.0, 11_100.0].map(duration),
            ["9.3 ms", "2.31 s", "4 min 12 s", "3 h 5 min"]
        );
        assert_eq!(accuracy(0.97222), "97.22 %");
    }

    fn run(options: &[(&str, &str)]) -> RunRecord {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        RunRecord {
            path: PathBuf::new(),
            options: options.collect(),
            log: RunLog::default(),
            state: RunState::Killed,
            data: None,
        }
    }

    #[test]
    fn only_options_that_differ_are_listed() {
        let runs =
            [run(&[("lr", "0.1"), ("seed", "1")]), run(&[("lr", "0.2"), ("seed", "1"), ("l2", "0.5")])];
        let options = OptionNames::of(&runs);
        assert_eq!(
            (options.differ.as_slice(), options.same.as_slice()),
            (&["l2".into(), "lr".into()][..], &["seed".into()][..])
        );
        assert_eq!(options.in_words(&runs[1], &runs), "l2 0.5, lr 0.2");
        let three = [run(&[("lr", "0.1")]), run(&[("lr", "0.1")]), run(&[("lr", "0.2")])];
        let words = |index: usize| OptionNames::of(&three).in_words(&three[index], &three);
        assert_eq!(
            [words(0), words(2)],
            ["", "lr 0.2"],
            "a value that most runs have distinguishes none of them"
        );
        assert_eq!(option_rows(&["l2".to_owned()], &runs), [["l2", NONE, "0.5"]]);
        assert_eq!(OptionNames::of(&runs[..1]).differ, Vec::<String>::new());
    }
}
