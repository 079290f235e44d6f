//! Suggestions for misspelt names: the known name that was probably meant.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};

/// Returns the known name that is most similar to this one, if any is similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The Jaro similarity misses two swapped letters in a short name.
    let is_typo = |known: &str| name.len() >= 3 && strsim::osa_distance(name, known) == 1;
    let similarity = |known: &str| {
        strsim::jaro_winkler(name, known).max(if is_typo(known) { TYPO_SIMILARITY } else { 0.0 })
    };
    let rated = known.into_iter().map(|known: &'a str| (similarity(known), known));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(similarity, _)| *similarity > THRESHOLD).map(|(_, known)| known)
}

/// Returns the names of the values of a flag; none if it is not a choice.
pub fn names_of(flag: &Arg) -> Vec<String> {
    flag.get_possible_values().iter().map(|choice| choice.get_name().to_owned()).collect()
}

/// Returns the choice of a flag that is most similar to this value, if the flag is a choice.
pub fn nearest_choice(flag: &Arg, value: &str) -> Option<String> {
    nearest(value, names_of(flag).iter().map(String::as_str)).map(str::to_owned)
}

/// Returns a clause to append to a message that suggests this name, or an empty text without one.
pub fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}

/// Adds a suggestion to an error about a value, as clap itself does for the names of flags and
/// commands.
pub fn with_suggestion(mut error: Error, command: &Command) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag =
        text(ContextKind::InvalidArg).and_then(|flag| flag.trim_start_matches('-').split([' ', '[']).next());
    let flag = flag.and_then(|flag| find_flag(command, flag));
    let meant =
        flag.zip(text(ContextKind::InvalidValue)).and_then(|(flag, value)| nearest_choice(flag, value));
    let value = text(ContextKind::InvalidValue).map(beginning);
    if let (Some(meant), None) = (meant, error.get(ContextKind::SuggestedValue)) {
        error.insert(ContextKind::SuggestedValue, ContextValue::String(meant));
    }
    if let Some(value) = value {
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
    error
}

/// Returns the flag with this name and a few choices, of a command or one of its subcommands.
fn find_flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let is_it = |flag: &&Arg| flag.get_long() == Some(name) && !flag.get_possible_values().is_empty();
    let below = || command.get_subcommands().find_map(|command| find_flag(command, name));
    command.get_arguments().find(is_it).or_else(below)
}

/// Returns the first 40 characters of a text, for a message.
pub fn beginning(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

/// The similarity above which a name is suggested: it accepts a missing, doubled or swapped letter,
/// but not a name that merely shares some letters.
const THRESHOLD: f64 = 0.85;

/// The least similarity of two names that differ in one missing, added, changed or swapped letter.
const TYPO_SIMILARITY: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_gets_a_suggestion_and_an_unrelated_name_does_not() {
        let known = ["batch-size", "base-batch-size", "lr", "epochs", "test", "test-split"];
        for (typo, meant) in [("batchsize", "batch-size"), ("epoch", "epochs"), ("tset-split", "test-split")]
        {
            assert_eq!(nearest(typo, known), Some(meant));
        }
        assert_eq!(nearest("sdg", ["sgd", "adagrad", "lamb"]), Some("sgd"));
        for other in ["learning-rate", "train", "x", ""] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }
}
