//! From labels as they are written in files to targets, one sample at a time.

use std::collections::HashMap;

use super::error::{LabelFault, excerpt};
use super::{Classes, DataError, TargetKind, Targets};

/// The least number of classes that is refused: a softmax this wide is a sign of a regression read as classes.
const TOO_MANY_CLASSES: u64 = 65_536;

/// What makes two labels the same: `7`, `7.0` and `+7` are one number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The bits of a finite f64 that is not −0.
    Number(u64),
    Text(String),
}

impl Key {
    fn of_number(number: f64) -> Key {
        // −0 + 0 is 0, so both zeros are one label.
        Key::Number((number + 0.0).to_bits())
    }

    fn of_text(text: &str) -> Result<Key, LabelFault> {
        match text.trim().parse::<f64>() {
            Ok(number) => finite(number).map(Key::of_number),
            Err(_) if text.trim().is_empty() => Err(LabelFault::Empty),
            Err(_) => Ok(Key::Text(text.trim().to_string())),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Key::Number(bits) => Some(f64::from_bits(*bits)),
            Key::Text(_) => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Key::Number(bits) => f64::from_bits(*bits).to_string(),
            Key::Text(text) => text.clone(),
        }
    }
}

/// The form of a label that [`Classes`] keeps.
pub(super) fn canonical(label: &str) -> String {
    Key::of_text(label).map_or_else(|_| label.trim().to_string(), |key| key.name())
}

fn finite(value: f64) -> Result<f64, LabelFault> {
    if value.is_finite() { Ok(value) } else { Err(LabelFault::NotFinite { value }) }
}

/// What the labels read so far are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `entries` are indices into `keys`, in order of appearance; classes or values, decided at the end.
    Undecided,
    /// `entries` are indices into `keys`.
    Classes,
    /// `entries` are class indices of the classes given.
    Known,
    /// `entries` are the bits of f32 values.
    Values,
    /// As `Values`, but so far all labels were integers, too many for classes.
    ManyIntegers,
    /// Labels are not wanted.
    Ignored,
}

/// Collects the labels of a file.
///
/// With [`TargetKind::Auto`] numbers with a fraction mean values; integers and text mean classes; a mixture of text and
/// fractions is refused, as a stray word would turn a regression into a classification.
#[derive(Debug)]
pub(super) struct LabelReader<'a> {
    mode: Mode,
    classes: Option<&'a Classes>,
    /// One per sample; its meaning is the mode's.
    entries: Vec<u32>,
    indices: HashMap<Key, u32>,
    /// By index: the key and the row (from 1) where it was first seen.
    keys: Vec<(Key, usize)>,
    fraction: Option<f64>,
    text: Option<String>,
}

impl<'a> LabelReader<'a> {
    /// Reads labels as `kind` says, with the classes of the model or the training samples if there are any.
    pub fn new(kind: TargetKind, classes: Option<&'a Classes>) -> Self {
        let classes = classes.filter(|_| matches!(kind, TargetKind::Auto | TargetKind::Classes));
        let mode = match (kind, classes) {
            (TargetKind::None, _) => Mode::Ignored,
            (TargetKind::Values, _) => Mode::Values,
            (_, Some(_)) => Mode::Known,
            (TargetKind::Classes, None) => Mode::Classes,
            (TargetKind::Auto, None) => Mode::Undecided,
        };
        let names = classes.map_or(&[][..], Classes::names);
        let known = names.iter().zip(0..).map(|(name, index)| (key_of_name(name), index));
        LabelReader {
            mode,
            classes,
            entries: Vec::new(),
            indices: known.collect(),
            keys: Vec::new(),
            fraction: None,
            text: None,
        }
    }

    /// Makes room for as many labels as a file is known to hold.
    pub fn reserve(&mut self, labels: usize) {
        if self.mode != Mode::Ignored {
            self.entries.reserve_exact(labels);
        }
    }

    /// Takes the next label as text.
    pub fn push(&mut self, text: &str) -> Result<(), LabelFault> {
        match self.mode {
            Mode::Ignored => Ok(()),
            Mode::Values | Mode::ManyIntegers => self.push_value(parse_value(text)?),
            Mode::Undecided | Mode::Classes | Mode::Known => self.push_key(Key::of_text(text)?),
        }
    }

    /// Takes the next label as a number.
    pub fn push_number(&mut self, number: f64) -> Result<(), LabelFault> {
        match self.mode {
            Mode::Ignored => Ok(()),
            Mode::Values | Mode::ManyIntegers => self.push_value(finite(number)?),
            Mode::Undecided | Mode::Classes | Mode::Known => self.push_key(Key::of_number(finite(number)?)),
        }
    }

    fn push_value(&mut self, value: f64) -> Result<(), LabelFault> {
        if value.fract() != 0.0 && self.mode == Mode::ManyIntegers {
            self.mode = Mode::Values;
        }
        self.entries.push(value_bits(value)?);
        Ok(())
    }

    fn push_key(&mut self, key: Key) -> Result<(), LabelFault> {
        if self.mode == Mode::Undecided {
            self.note_kind(&key)?;
        }
        if let Some(&index) = self.indices.get(&key) {
            self.entries.push(index);
            return Ok(());
        }
        if let (Mode::Known, Some(classes)) = (self.mode, self.classes) {
            return Err(LabelFault::Unknown { label: excerpt(&key.name()), known: classes.summary() });
        }
        if let (Mode::Undecided, true, Some(value)) = (self.mode, self.is_full(), key.number()) {
            self.become_values();
            return self.push_value(value);
        }
        self.add_key(key);
        Ok(())
    }

    /// Whether one more distinct label would be too many for classes: then numbers are held as values, as a table of
    /// all-different labels would take ten times the memory of the file.
    fn is_full(&self) -> bool {
        self.text.is_none() && self.keys.len() as u64 >= TOO_MANY_CLASSES
    }

    fn add_key(&mut self, key: Key) {
        // Beyond the limit the file is refused whatever follows; the keys already held say why.
        let index = (self.keys.len() as u64).min(TOO_MANY_CLASSES) as u32;
        if u64::from(index) < TOO_MANY_CLASSES {
            self.keys.push((key.clone(), self.entries.len() + 1));
            self.indices.insert(key, index);
        }
        self.entries.push(index);
    }

    /// Remembers that there is a fraction or a text, and refuses both together.
    fn note_kind(&mut self, key: &Key) -> Result<(), LabelFault> {
        match key {
            Key::Number(bits) => {
                let number = f64::from_bits(*bits);
                value_bits(number)?;
                if number.fract() != 0.0 {
                    self.fraction.get_or_insert(number);
                }
            }
            Key::Text(text) if self.text.is_none() => self.text = Some(text.clone()),
            Key::Text(_) => {}
        }
        match (&self.text, self.fraction) {
            (Some(text), Some(number)) => Err(LabelFault::Mixed { text: excerpt(text), number }),
            _ => Ok(()),
        }
    }

    /// Turns the entries from indices into the bits of their values, in place.
    fn become_values(&mut self) {
        let value = |key: &Key| key.number().expect("no text is among the keys") as f32;
        let bits: Vec<u32> = self.keys.iter().map(|(key, _)| value(key).to_bits()).collect();
        for entry in &mut self.entries {
            *entry = bits[*entry as usize];
        }
        self.mode = if self.fraction.is_some() { Mode::Values } else { Mode::ManyIntegers };
    }

    /// The targets read, and the names of the classes if that is what they are.
    pub fn finish(mut self, file: &str) -> Result<(Targets, Option<Classes>), DataError> {
        if self.mode == Mode::Undecided && self.fraction.is_some() {
            self.become_values();
        }
        match self.mode {
            Mode::Ignored => Ok((Targets::None, None)),
            Mode::Values => {
                let values = self.entries.into_iter().map(f32::from_bits).collect();
                Ok((Targets::Values { values, outputs: 1 }, None))
            }
            Mode::Known => {
                let classes = self.classes.expect("known classes were given").clone();
                Ok((Targets::Classes { labels: self.entries, count: classes.len() }, Some(classes)))
            }
            Mode::ManyIntegers => Err(self.too_many(file, self.keys.len() as u64 + 1)),
            Mode::Undecided | Mode::Classes => self.finish_classes(file),
        }
    }

    fn finish_classes(mut self, file: &str) -> Result<(Targets, Option<Classes>), DataError> {
        let numbers: Option<Vec<f64>> = self.keys.iter().map(|(key, _)| key.number()).collect();
        let is_index = |number: &f64| *number >= 0.0 && number.fract() == 0.0;
        let (finals, names) = match numbers {
            Some(numbers) if numbers.iter().all(is_index) => {
                let count = numbers.iter().fold(0.0, |most: f64, &index| most.max(index + 1.0));
                if count >= TOO_MANY_CLASSES as f64 {
                    return Err(self.too_many(file, count as u64));
                }
                (numbers.iter().map(|&index| index as u32).collect(), Classes::indices(count as usize))
            }
            _ if self.keys.len() as u64 >= TOO_MANY_CLASSES => {
                return Err(self.too_many(file, self.keys.len() as u64));
            }
            _ => self.sorted(),
        };
        for entry in &mut self.entries {
            *entry = finals[*entry as usize];
        }
        Ok((Targets::Classes { labels: self.entries, count: names.len() }, Some(names)))
    }

    /// The class index of each key, and the names in the order of the classes.
    fn sorted(&self) -> (Vec<u32>, Classes) {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        let number = |at: usize| self.keys[at].0.number();
        if (0..self.keys.len()).all(|at| number(at).is_some()) {
            order.sort_by(|&a, &b| number(a).partial_cmp(&number(b)).expect("labels are finite"));
        } else {
            order.sort_by_key(|&at| self.keys[at].0.name());
        }
        let mut finals = vec![0; order.len()];
        for (&at, class) in order.iter().zip(0..) {
            finals[at] = class;
        }
        (finals, Classes::new(order.iter().map(|&at| self.keys[at].0.name()).collect()))
    }

    /// Names the largest number, or the last label that still had a place.
    fn too_many(&self, file: &str, count: u64) -> DataError {
        let largest = self.keys.iter().max_by(|(a, _), (b, _)| {
            a.number().partial_cmp(&b.number()).expect("labels are finite, and text is less than any number")
        });
        let (key, row) = largest.expect("too many is more than none");
        DataError::TooManyClasses { file: file.to_string(), label: key.name(), row: *row, count }
    }
}

/// Names come from a model's file, where an odd one is text rather than a fault of the data.
fn key_of_name(name: &str) -> Key {
    Key::of_text(name).unwrap_or_else(|_| Key::Text(name.to_string()))
}

fn parse_value(text: &str) -> Result<f64, LabelFault> {
    match text.trim().parse::<f64>() {
        Ok(number) => finite(number),
        Err(_) if text.trim().is_empty() => Err(LabelFault::Empty),
        Err(_) => Err(LabelFault::NotNumber { text: excerpt(text.trim()) }),
    }
}

fn value_bits(value: f64) -> Result<u32, LabelFault> {
    let narrow = value as f32;
    if narrow.is_finite() { Ok(narrow.to_bits()) } else { Err(LabelFault::OutOfRange { value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: TargetKind, labels: &[&str]) -> Result<(Targets, Option<Classes>), String> {
        let mut reader = LabelReader::new(kind, None);
        for label in labels {
            reader.push(label).map_err(|fault| format!("{fault:?}"))?;
        }
        reader.finish("f").map_err(|error| error.to_string())
    }

    fn classes(kind: TargetKind, labels: &[&str]) -> (Vec<u32>, Vec<String>) {
        match read(kind, labels).unwrap() {
            (Targets::Classes { labels, .. }, Some(classes)) => (labels, classes.names().to_vec()),
            other => panic!("no classes: {other:?}"),
        }
    }

    #[test]
    fn integers_from_zero_are_indices_even_with_gaps() {
        assert_eq!(classes(TargetKind::Auto, &["3", "0", "3.0"]).0, [3, 0, 3]);
        assert_eq!(classes(TargetKind::Auto, &["3", "0"]).1, ["0", "1", "2", "3"]);
    }

    #[test]
    fn other_numbers_are_sorted_as_numbers_and_text_as_text() {
        let (labels, names) = classes(TargetKind::Auto, &["10", "-1", "9", "+10"]);
        assert_eq!((labels, names), (vec![2, 0, 1, 2], vec!["-1".into(), "9".into(), "10".into()]));
        let (labels, names) = classes(TargetKind::Auto, &["b", "10", "a", "b"]);
        assert_eq!((labels, names), (vec![2, 0, 1, 2], vec!["10".into(), "a".into(), "b".into()]));
    }

    #[test]
    fn a_fraction_makes_values_of_all_labels() {
        let (targets, classes) = read(TargetKind::Auto, &["1", "2.5", "-3", "1"]).unwrap();
        assert_eq!(targets, Targets::Values { values: vec![1.0, 2.5, -3.0, 1.0], outputs: 1 });
        assert_eq!(classes, None);
        assert_eq!(classes_of_fractions(), ["0.5", "1.5"]);
    }

    fn classes_of_fractions() -> Vec<String> {
        classes(TargetKind::Classes, &["1.5", "0.5"]).1
    }

    #[test]
    fn text_among_fractions_is_refused_in_either_order() {
        assert!(read(TargetKind::Auto, &["1.5", "NA"]).unwrap_err().contains("Mixed"));
        assert!(read(TargetKind::Auto, &["NA", "1", "1.5"]).unwrap_err().contains("Mixed"));
    }

    #[test]
    fn many_integers_are_refused_as_classes_unless_a_fraction_follows() {
        let mut labels: Vec<String> = (0..70_000).map(|n| (n * 2).to_string()).collect();
        let texts = |labels: &[String]| read_all(TargetKind::Auto, labels);
        assert!(texts(&labels).unwrap_err().contains("ask for values"));
        labels.push("0.5".into());
        match texts(&labels).unwrap().0 {
            Targets::Values { values, outputs: 1 } => {
                assert_eq!((values[3], values[69_999], values[70_000]), (6.0, 139_998.0, 0.5));
            }
            other => panic!("no values: {other:?}"),
        }
    }

    #[test]
    fn a_class_index_of_65535_is_refused_and_one_less_is_not() {
        let error = read(TargetKind::Classes, &["0", "65535"]).unwrap_err();
        assert!(error.contains("label 65535 in row 2 of f makes 65536 classes"), "{error}");
        assert_eq!(classes(TargetKind::Auto, &["65534"]).1.len(), 65_535);
    }

    #[test]
    fn many_texts_are_refused() {
        let labels: Vec<String> = (0..70_000).map(|n| format!("id{n}")).collect();
        assert!(read_all(TargetKind::Auto, &labels).unwrap_err().contains("classes, expected fewer"));
    }

    fn read_all(kind: TargetKind, labels: &[String]) -> Result<(Targets, Option<Classes>), String> {
        read(kind, &labels.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
