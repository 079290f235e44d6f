//! The classes of a classifier by name.

use serde::{Deserialize, Serialize};

use super::labels::is_same;

/// The names of the classes, by class index.
///
/// Those of a file are its distinct labels in ascending order, by number if all of them are numbers, else as text, by code point, each
/// as it was first written. The names are kept with the model, and later files are read with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classes {
    names: Vec<String>,
}

impl Classes {
    /// Names classes, the index being the position.
    pub fn new(names: Vec<String>) -> Self {
        Classes { names }
    }

    /// Names `count` classes by their index: "0", "1", ...
    pub fn indices(count: usize) -> Self {
        Classes { names: (0..count).map(|index| index.to_string()).collect() }
    }

    /// The names, by class index.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the index of a class by its label; `7`, `7.0` and `+7` are the same label, `07` is another.
    ///
    /// # Cost
    ///
    /// Looks at every name.
    pub fn index_of(&self, label: &str) -> Option<usize> {
        self.names.iter().position(|name| is_same(name, label))
    }

    /// A few words on which classes there are, for messages: "10 classes (0 to 9)".
    pub(super) fn summary(&self) -> String {
        let count = self.names.len();
        let noun = if count == 1 { "class" } else { "classes" };
        if count > 0 && self.are_indices() {
            return format!("{count} {noun} (0 to {})", count - 1);
        }
        let shown: Vec<_> = self.names.iter().take(5).map(String::as_str).collect();
        let rest = if count > shown.len() { ", ..." } else { "" };
        format!("{count} {noun} ({}{rest})", shown.join(", "))
    }

    fn are_indices(&self) -> bool {
        self.names.iter().enumerate().all(|(index, name)| *name == index.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_however_it_is_written() {
        let classes = Classes::new(vec!["-1".into(), "1".into()]);
        assert_eq!(classes.index_of("+1"), Some(1));
        assert_eq!(classes.index_of("-1.0"), Some(0));
        assert_eq!(classes.index_of("0"), None);
    }

    #[test]
    fn the_summary_tells_indices_from_names() {
        assert_eq!(Classes::indices(10).summary(), "10 classes (0 to 9)");
        assert_eq!(Classes::new(vec!["ant".into(), "bee".into()]).summary(), "2 classes (ant, bee)");
    }

    #[test]
    fn classes_are_kept_as_a_plain_list() {
        let text = serde_json::to_string(&Classes::indices(2)).unwrap();
        assert_eq!(text, r#"["0","1"]"#);
        assert_eq!(serde_json::from_str::<Classes>(&text).unwrap(), Classes::indices(2));
    }
}
