//! Which characters a terminal shows.

use std::env;

/// The characters that drawings in text are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Lines and dots of Unicode.
    Unicode,
    /// Nothing but ASCII.
    Ascii,
}

impl Charset {
    /// That of the locale: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set says whether it is UTF-8.
    pub fn of_locale() -> Self {
        Self::of(["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default()))
    }

    fn of(values: [String; 3]) -> Self {
        let locale = values.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }
}

#[cfg(test)]
mod tests {
    use super::Charset::{self, Ascii, Unicode};

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (values, expected) in [
            (["", "", ""], Ascii),
            (["", "", "en_US.UTF-8"], Unicode),
            (["", "C.utf8", "C"], Unicode),
            (["C", "", "de_DE.UTF-8"], Ascii),
            (["POSIX", "", ""], Ascii),
        ] {
            assert_eq!(Charset::of(values.map(str::to_owned)), expected, "{values:?}");
        }
    }
}
