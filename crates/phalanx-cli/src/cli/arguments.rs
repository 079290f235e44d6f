//! Arguments as they come.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;

use clap::ColorChoice;

/// Accepts `--batch_size` for `--batch-size`: both spellings are in use, and a flag has one meaning. Values keep their
/// underscores.
pub(super) fn in_kebab_case(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut only_values = false;
    arguments.map(move |argument| {
        only_values |= argument == "--";
        if only_values || !argument.as_encoded_bytes().starts_with(b"--") {
            return argument;
        }
        let (name, value) = parted(&argument);
        let mut renamed = OsString::from(name.replace('_', "-"));
        renamed.push(value);
        renamed
    })
}

/// A flag and the rest of its argument from `=` on, which may be the name of a file in any encoding.
#[cfg(unix)]
fn parted(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    let bytes = argument.as_bytes();
    let (name, value) = bytes.split_at(bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len()));
    match std::str::from_utf8(name) {
        Ok(name) => (name.into(), OsStr::from_bytes(value)),
        Err(_) => ("".into(), argument),
    }
}

#[cfg(not(unix))]
fn parted(argument: &OsStr) -> (Cow<'_, str>, &OsStr) {
    match argument.to_str() {
        Some(text) => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            (name.into(), OsStr::new(value))
        }
        None => ("".into(), argument),
    }
}

/// Names an argument that had to be text and is not UTF-8; clap says only that there is one.
pub(super) fn not_text(arguments: &[OsString]) -> Option<String> {
    let argument = arguments.iter().find(|argument| argument.to_str().is_none())?;
    Some(format!(
        "the argument '{}' is not UTF-8 (bytes that are no text are shown as \u{fffd}), and only files and folders to write and models \
         may have such names; rename it",
        argument.display()
    ))
}

/// What `--color` says, before the arguments are read: what is wrong with them is to be said so, too.
pub(super) fn color(arguments: &[OsString]) -> ColorChoice {
    let texts = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    let texts: Vec<&str> = texts.take_while(|text| *text != "--").collect();
    let apart = texts.windows(2).filter(|pair| pair[0] == "--color").map(|pair| pair[1]);
    let joined = texts.iter().filter_map(|text| text.strip_prefix("--color="));
    // One that cannot be read is refused with all the others.
    apart.chain(joined).find_map(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_colours_is_known_before_the_arguments_are() {
        let of = |text: &str| color(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("phalanx train --color never"), ColorChoice::Never);
        assert_eq!(of("phalanx --color=always train --oops"), ColorChoice::Always);
        for text in
            ["phalanx train", "phalanx --color", "phalanx --color blue", "phalanx train -- --color never"]
        {
            assert_eq!(of(text), ColorChoice::Auto, "{text}");
        }
    }

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
