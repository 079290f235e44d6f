//! The options of runs, side by side.

use std::collections::BTreeSet;

use super::RunRecord;

/// The names of options, those that differ between runs apart from those that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) differ: Vec<String>,
    pub(super) same: Vec<String>,
}

/// What stands for an option that a run was not given.
const NONE: &str = "–";

impl Options {
    pub(super) fn of(runs: &[RunRecord]) -> Self {
        let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.options.keys()).collect();
        let differs =
            |name: &&String| runs.iter().any(|run| run.options.get(*name) != runs[0].options.get(*name));
        let (differ, same): (Vec<_>, Vec<_>) = names.into_iter().cloned().partition(|name| differs(&name));
        Self { differ, same }
    }

    /// What sets a run apart from most of them, in a few words: "lr 0.05, momentum 0.9".
    pub(super) fn in_words(&self, run: &RunRecord, runs: &[RunRecord]) -> String {
        let is_common = |name: &String| {
            let like = runs.iter().filter(|other| value(other, name) == value(run, name)).count();
            2 * like > runs.len()
        };
        let of = |name: &String| format!("{name} {}", value(run, name));
        self.differ.iter().filter(|name| !is_common(name)).map(of).collect::<Vec<_>>().join(", ")
    }
}

/// A row of a table: the name and the value of each run.
pub(super) fn row(name: &str, runs: &[RunRecord]) -> Vec<String> {
    [name.to_owned()].into_iter().chain(runs.iter().map(|run| value(run, name).to_owned())).collect()
}

fn value<'a>(run: &'a RunRecord, name: &str) -> &'a str {
    run.options.get(name).map_or(NONE, String::as_str)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{RunLog, RunState};
    use super::*;

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
    fn only_what_differs_is_said_to() {
        let runs =
            [run(&[("lr", "0.1"), ("seed", "1")]), run(&[("lr", "0.2"), ("seed", "1"), ("l2", "0.5")])];
        let options = Options::of(&runs);
        assert_eq!(
            (options.differ.as_slice(), options.same.as_slice()),
            (&["l2".into(), "lr".into()][..], &["seed".into()][..])
        );
        assert_eq!(options.in_words(&runs[1], &runs), "l2 0.5, lr 0.2");
        let three = [run(&[("lr", "0.1")]), run(&[("lr", "0.1")]), run(&[("lr", "0.2")])];
        let words = |index: usize| Options::of(&three).in_words(&three[index], &three);
        assert_eq!([words(0), words(2)], ["", "lr 0.2"], "what most have sets none apart");
        assert_eq!(row("l2", &runs), ["l2", NONE, "0.5"]);
        assert_eq!(Options::of(&runs[..1]).differ, Vec::<String>::new());
    }
}
