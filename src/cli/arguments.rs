//! Arguments as they come.

use std::ffi::OsString;

/// Accepts `--batch_size` for `--batch-size`: both spellings are in use, and a flag has one meaning. Values keep their
/// underscores.
pub(super) fn in_kebab_case(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut only_values = false;
    arguments.map(move |argument| {
        only_values |= argument == "--";
        match argument.to_str() {
            Some(text) if !only_values && text.starts_with("--") => {
                let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
                OsString::from(name.replace('_', "-") + value)
            }
            _ => argument,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_flags_change() {
        let given = ["phalanx", "train", "my_data", "--batch_size=8", "--output-dir=a_b", "--", "--x_y"];
        let found: Vec<_> = in_kebab_case(given.iter().map(OsString::from)).collect();
        assert_eq!(
            found,
            ["phalanx", "train", "my_data", "--batch-size=8", "--output-dir=a_b", "--", "--x_y"]
        );
    }
}
