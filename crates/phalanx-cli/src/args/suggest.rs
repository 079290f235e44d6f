//! Suggestions: the known name that somebody may have meant who wrote one that is not known.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};

/// Returns the known name that is most like this one, if any is like it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Jaro's measure does not see two letters that are exchanged in a short name.
    let is_slip = |known: &str| name.len() >= 3 && strsim::osa_distance(name, known) == 1;
    let alike = |known: &str| strsim::jaro_winkler(name, known).max(if is_slip(known) { SLIP } else { 0.0 });
    let likeness = |known: &'a str| (alike(known), known);
    let most = known.into_iter().map(likeness).max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known)
}

/// Returns the names that a flag takes, if it is one of a few choices.
pub fn names_of(flag: &Arg) -> Vec<String> {
    flag.get_possible_values().iter().map(|choice| choice.get_name().to_owned()).collect()
}

/// Returns the choice of a flag that is most like this value, if the flag has a few with names.
pub fn nearest_choice(flag: &Arg, value: &str) -> Option<String> {
    nearest(value, names_of(flag).iter().map(String::as_str)).map(str::to_owned)
}

/// Asks whether a name was meant, if there is one: a clause to end a message with.
pub fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}

/// Adds to an error about a value what may have been meant, as clap itself does for the names of flags and commands.
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

/// Returns the flag of a command, or of one below it, that has this name and a few choices.
fn find_flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let is_it = |flag: &&Arg| flag.get_long() == Some(name) && !flag.get_possible_values().is_empty();
    let below = || command.get_subcommands().find_map(|command| find_flag(command, name));
    command.get_arguments().find(is_it).or_else(below)
}

/// Returns as much of a text as a message has room for.
pub fn beginning(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

/// Lets pass a letter missing, doubled or exchanged, and not a name that merely shares some letters.
const ALIKE: f64 = 0.85;

/// Likeness of a name with one letter missing, added, changed or exchanged to the known one, at least.
const SLIP: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let known = ["batch-size", "base-batch-size", "lr", "epochs", "test", "test-split"];
        for (slip, meant) in [("batchsize", "batch-size"), ("epoch", "epochs"), ("tset-split", "test-split")]
        {
            assert_eq!(nearest(slip, known), Some(meant));
        }
        assert_eq!(nearest("sdg", ["sgd", "adagrad", "lamb"]), Some("sgd"));
        for other in ["learning-rate", "train", "x", ""] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }
}
