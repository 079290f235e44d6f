//! What somebody may have meant who wrote a name that there is not.

use clap::error::{ContextKind, ContextValue, Error};

use super::completions;
use super::failure::beginning;

/// The known name that is most like this one, if any is like it.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Jaro's measure does not see two letters that are exchanged in a short name.
    let is_slip = |known: &str| name.len() >= 3 && strsim::osa_distance(name, known) == 1;
    let alike = |known: &str| strsim::jaro_winkler(name, known).max(if is_slip(known) { SLIP } else { 0.0 });
    let likeness = |known: &'a str| (alike(known), known);
    let most = known.into_iter().map(likeness).max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known)
}

/// The choice of a flag that is most like this value, if the flag has a few with names.
pub(super) fn nearest_choice(flag: &str, value: &str) -> Option<&'static str> {
    nearest(value, completions::choices_of(&flag.replace('_', "-"))?)
}

/// Adds to an error about a value what may have been meant, as clap itself does for the names of flags and commands.
pub(super) fn with_suggestion(mut error: Error) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag = text(ContextKind::InvalidArg).and_then(|flag| flag.trim_start_matches('-').split(' ').next());
    let meant =
        flag.zip(text(ContextKind::InvalidValue)).and_then(|(flag, value)| nearest_choice(flag, value));
    let value = text(ContextKind::InvalidValue).map(beginning);
    if let (Some(meant), None) = (meant, error.get(ContextKind::SuggestedValue)) {
        error.insert(ContextKind::SuggestedValue, ContextValue::String(meant.to_owned()));
    }
    if let Some(value) = value {
        error.insert(ContextKind::InvalidValue, ContextValue::String(value));
    }
    error
}

/// Lets pass a letter missing, doubled or exchanged, and not a name that merely shares some letters.
const ALIKE: f64 = 0.85;

/// How much a name with one letter missing, added, changed or exchanged is like the known one, at least.
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
