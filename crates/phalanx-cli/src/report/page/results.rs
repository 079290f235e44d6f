//! What came of runs, side by side.

use super::RunRecord;
use crate::report::figure::short_number;
use crate::report::{grouped, measured};
use phalanx::log::Results;

/// One thing that is told of each run.
struct Fact {
    name: &'static str,
    of: fn(&RunRecord) -> Option<String>,
}

const FACTS: [Fact; 14] = [
    Fact { name: "state", of: |run| Some(run.state_in_words().to_owned()) },
    Fact {
        name: "test accuracy",
        of: |run| of_results(run, |r| r.test_accuracy).or(last_accuracy(run)).map(accuracy),
    },
    Fact {
        name: "test loss",
        of: |run| of_results(run, |r| r.test_loss).or(last_test_loss(run)).map(measured),
    },
    Fact {
        name: "train loss",
        of: |run| of_results(run, |r| r.train_loss).or(last_train_loss(run)).map(measured),
    },
    Fact { name: "steps", of: |run| of_results(run, |r| Some(r.steps)).or(run.log.last_step()).map(grouped) },
    Fact { name: "epochs", of: |run| Some(grouped(epochs(run))) },
    Fact {
        name: "epoch saved",
        of: |run| of_results(run, |r| r.best_epoch.filter(|_| r.of_best_epoch)).map(grouped),
    },
    Fact { name: "training time", of: |run| seconds(run).map(duration) },
    Fact { name: "samples/s at best", of: |run| fastest(run).map(|speed| grouped(speed as u64)) },
    Fact {
        name: "threads",
        of: |run| of_results(run, |r| Some(r.threads)).map(|threads| threads.to_string()),
    },
    Fact { name: "noise scale", of: |run| of_results(run, |r| r.noise_scale).map(short_number) },
    Fact { name: "memory", of: |run| of_results(run, |r| r.peak_rss_bytes).map(megabytes) },
    Fact { name: "params", of: |run| of_results(run, |r| Some(grouped(r.params as u64))) },
    Fact { name: "sha256", of: |run| of_results(run, |r| Some(short_hash(r).to_owned())) },
];

/// Name and value of each fact that a run has: what is large on its page.
pub(super) fn facts(run: &RunRecord) -> Vec<(&'static str, String)> {
    FACTS.iter().filter_map(|fact| Some((fact.name, (fact.of)(run)?))).collect()
}

/// Names of the columns, and a row for each run, without facts that no run has.
pub(super) fn table(runs: &[RunRecord]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let told: Vec<&Fact> =
        FACTS.iter().filter(|fact| runs.iter().any(|run| (fact.of)(run).is_some())).collect();
    let row =
        |run: &RunRecord| told.iter().map(|fact| (fact.of)(run).unwrap_or_else(|| "–".to_owned())).collect();
    (told.iter().map(|fact| fact.name).collect(), runs.iter().map(row).collect())
}

/// Runs that came to the same params, each group in the order given.
pub(super) fn same_bits(runs: &[RunRecord]) -> Vec<Vec<String>> {
    let hash = |run: &RunRecord| run.results().map(|results| results.params_sha256.clone());
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (run, hash) in runs.iter().filter_map(|run| Some((run, hash(run)?))) {
        match groups.iter_mut().find(|(known, _)| *known == hash) {
            Some((_, names)) => names.push(run.name()),
            None => groups.push((hash, vec![run.name()])),
        }
    }
    groups.into_iter().map(|(_, names)| names).filter(|names| names.len() > 1).collect()
}

fn of_results<T>(run: &RunRecord, value: fn(&Results) -> Option<T>) -> Option<T> {
    run.results().and_then(value)
}

fn last_accuracy(run: &RunRecord) -> Option<f64> {
    last(run).and_then(|epoch| epoch.test_accuracy)
}

fn last_test_loss(run: &RunRecord) -> Option<f64> {
    last(run).and_then(|epoch| epoch.test_loss)
}

fn last_train_loss(run: &RunRecord) -> Option<f64> {
    last(run).and_then(|epoch| epoch.train_loss)
}

/// The last epoch that was logged, of a run that has no results yet.
fn last(run: &RunRecord) -> Option<&super::LoggedEpoch> {
    run.log.epochs.last().filter(|_| run.results().is_none())
}

fn epochs(run: &RunRecord) -> u64 {
    run.results().map_or_else(|| run.log.whole_epochs().count() as u64, |results| results.epochs)
}

fn seconds(run: &RunRecord) -> Option<f64> {
    let logged = run.log.epochs.iter().map(|epoch| epoch.epoch_secs).sum();
    Some(run.results().map_or(logged, Results::training_secs)).filter(|secs| *secs > 0.0)
}

fn fastest(run: &RunRecord) -> Option<f64> {
    let logged = run.log.whole_epochs().map(|epoch| epoch.samples_per_sec).fold(0.0, f64::max);
    Some(run.results().map_or(logged, |results| results.samples_per_sec)).filter(|speed| *speed > 0.0)
}

fn accuracy(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(bytes / 1_000_000))
}

/// As many digits of a hash as tell a few runs apart.
fn short_hash(results: &Results) -> &str {
    results.params_sha256.get(..8).unwrap_or(&results.params_sha256)
}

/// "9.3 ms", "2.31 s", "4 min 12 s", "3 h 5 min".
fn duration(secs: f64) -> String {
    match secs {
        ..0.1 => format!("{:.1} ms", 1000.0 * secs),
        ..60.0 => format!("{secs:.2} s"),
        ..3600.0 => format!("{} min {} s", secs as u64 / 60, secs as u64 % 60),
        _ => format!("{} h {} min", secs as u64 / 3600, secs as u64 / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_written_for_people() {
        assert_eq!(
            [0.0093, 2.312, 252.0, 11_100.0].map(duration),
            ["9.3 ms", "2.31 s", "4 min 12 s", "3 h 5 min"]
        );
        assert_eq!(accuracy(0.97222), "97.22 %");
    }
}
