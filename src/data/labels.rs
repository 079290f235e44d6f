//! Targets, and the conversion of the labels of a file to targets, one sample at a time.
//!
//! Distinct labels become the classes 0 to K − 1 in ascending order, as in scikit-learn's
//! `LabelEncoder`: in numerical order if all labels are numbers, otherwise in text order, by code
//! point. The name of a class is the first spelling of its label.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::error::{DataError, LabelFault, Location, Remark};
use super::features::select_rows;
use super::text::{FieldKind, excerpt};

/// The targets of a data set, one per sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Classification: the class index of each sample, all below `count`.
    Classes {
        /// The class index of each sample.
        labels: Vec<u32>,
        /// The number of classes, some of which may have no sample.
        count: usize,
    },
    /// Regression: numbers of shape (samples, outputs), sample by sample.
    Values {
        /// The numbers, `outputs` for each sample.
        values: Vec<f32>,
        /// The number of outputs per sample, at least 1.
        outputs: usize,
    },
    /// No targets: samples to predict from, or whose targets the model knows.
    None,
}

impl Targets {
    /// Returns how many numbers per sample are gathered: 0 unless the targets are values.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Targets::Values { outputs, .. } => *outputs,
            Targets::Classes { .. } | Targets::None => 0,
        }
    }

    /// Checks targets passed by a program: one per sample, classes below the count, finite values.
    pub(super) fn check(&self, samples: usize) -> Result<(), DataError> {
        match self {
            Targets::Classes { labels, count } => {
                check_len("labels", labels.len(), samples)?;
                check_each("label", labels, 1, "a class below the count", |&label| (label as usize) < *count)
            }
            Targets::Values { values, outputs } => {
                let expected = samples.checked_mul((*outputs).max(1));
                check_len("target values", values.len(), expected.unwrap_or(usize::MAX))?;
                check_each("target", values, (*outputs).max(1), "a finite number", |v: &f32| v.is_finite())
            }
            Targets::None => Ok(()),
        }
    }

    /// Returns the targets of the given samples, in that order.
    pub(super) fn select(&self, samples: &[u32]) -> Targets {
        match self {
            Targets::Classes { labels, count } => {
                Targets::Classes { labels: select_rows(labels, 1, samples), count: *count }
            }
            Targets::Values { values, outputs } => {
                Targets::Values { values: select_rows(values, *outputs, samples), outputs: *outputs }
            }
            Targets::None => Targets::None,
        }
    }

    /// Returns class names for targets without names: their indices.
    pub(super) fn classes_by_index(&self) -> Option<Classes> {
        match self {
            Targets::Classes { count, .. } => Some(Classes::indices(*count)),
            Targets::Values { .. } | Targets::None => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Targets::Classes { labels, .. } => size_of_val(labels.as_slice()),
            Targets::Values { values, .. } => size_of_val(values.as_slice()),
            Targets::None => 0,
        }
    }
}

/// Checks that the number of labels in a file equals the number of samples.
pub(super) fn check_counts(
    samples_file: &str,
    samples: usize,
    labels_file: &str,
    labels: usize,
) -> Result<(), DataError> {
    if samples == labels {
        return Ok(());
    }
    let (samples_file, labels_file) = (samples_file.to_string(), labels_file.to_string());
    Err(DataError::Counts { samples_file, samples, labels_file, labels })
}

/// Checks that `what` has one entry per sample.
pub(super) fn check_len(what: &'static str, found: usize, expected: usize) -> Result<(), DataError> {
    if found == expected { Ok(()) } else { Err(DataError::ArrayLen { what, found, expected }) }
}

/// Checks every number of an array that has `width` numbers per sample.
pub(super) fn check_each<T: Copy>(
    what: &'static str,
    values: &[T],
    width: usize,
    expected: &'static str,
    holds: impl Fn(&T) -> bool,
) -> Result<(), DataError>
where
    f64: From<T>,
{
    match values.iter().position(|value| !holds(value)) {
        None => Ok(()),
        Some(at) => {
            Err(DataError::ArrayValue { what, sample: at / width, value: f64::from(values[at]), expected })
        }
    }
}

/// The interpretation of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetKind {
    /// Whole numbers and words are classes. Numbers of which at least one has a fraction are values
    /// if more than 20 are distinct, or more than half as many as there are samples; otherwise they
    /// are rejected as ambiguous. Also rejected are more than 20 distinct whole numbers or words if
    /// they are more than half as many as the samples, more than 8 that are all distinct, numbers
    /// written as text (`$3.5`), and words for a missing value (`NA`). Rows of several floats are
    /// values, unless all are one-hot; one-hot rows and rows of several integers are rejected.
    #[default]
    Auto,
    /// Classes, whatever the form of the labels.
    Classes,
    /// Values, even if all labels are integers.
    Values,
    /// No targets: labels may be absent, and are ignored if present.
    ///
    /// A table whose number of columns equals the [`features`](super::LoadOptions::features) of the
    /// model has no label column; one with one more column has a label column, which is ignored.
    /// Without `features`, a table has a label column only if the options name one. It is not an
    /// error if a named label or weight column is missing.
    None,
}

/// The names of the classes, by class index.
///
/// The classes of a file are its distinct labels in ascending order: numerical order if all are
/// numbers, otherwise text order, by code point. The name of a class is the first spelling of its
/// label. The names are stored with the model, and the labels of later files are matched with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classes {
    names: Vec<String>,
}

impl Classes {
    /// Creates classes from their names; the index of a class is its position.
    pub fn new(names: Vec<String>) -> Self {
        Classes { names }
    }

    /// Creates `count` classes named after their indices: "0", "1", ...
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

    /// Returns whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the index of a class by its label; `7`, `7.0` and `+7` are the same label, `07` is a
    /// different one.
    ///
    /// # Cost
    ///
    /// A linear search through the names.
    pub fn index_of(&self, label: &str) -> Option<usize> {
        let key = key_of_name(label);
        self.names.iter().position(|name| key_of_name(name) == key)
    }

    /// Returns a short summary of the classes, for messages: "10 classes (0 to 9)".
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

/// The smallest number of classes that is rejected: a softmax this wide suggests that regression
/// targets were read as classes.
const TOO_MANY_CLASSES: usize = 65_536;

/// If more labels than this are distinct, they may be numbers to predict, or names, rather than
/// classes.
const MANY_CLASSES: usize = 20;

/// The identity of a label: `7`, `7.0` and `+7` are the same number; `07` is a text, as in a
/// postcode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LabelKey {
    Whole(i128),
    /// The bits of a finite f64 with a fraction, or too large for an integer.
    Number(u64),
    Text(String),
}

impl LabelKey {
    fn of_number(number: f64) -> LabelKey {
        // An i128 can represent every whole f64 up to this limit.
        match number.fract() == 0.0 && number.abs() < 1e38 {
            true => LabelKey::Whole(number as i128),
            false => LabelKey::Number(number.to_bits()),
        }
    }

    fn of_text(text: &str) -> Result<LabelKey, LabelFault> {
        let text = text.trim();
        let digits = text.trim_start_matches(['+', '-']);
        let whole = digits.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|byte| byte == b'0'));
        let whole = whole.map_or(digits, |(whole, _)| whole);
        let is_whole = text.len() - digits.len() <= 1
            && !whole.is_empty()
            && whole.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole && whole.len() > 1 && whole.starts_with('0') {
            return Ok(LabelKey::Text(text.to_string()));
        }
        if let Some(number) = whole.parse::<i128>().ok().filter(|_| is_whole) {
            return Ok(LabelKey::Whole(if text.starts_with('-') { -number } else { number }));
        }
        match text.parse::<f64>() {
            Ok(number) => finite(number).map(LabelKey::of_number),
            Err(_) if text.is_empty() => Err(LabelFault::Empty),
            Err(_) => Ok(LabelKey::Text(text.to_string())),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            LabelKey::Whole(number) => Some(*number as f64),
            LabelKey::Number(bits) => Some(f64::from_bits(*bits)),
            LabelKey::Text(_) => None,
        }
    }

    /// Compares numerically; text is greater than any number.
    fn compare(&self, other: &LabelKey) -> Ordering {
        match (self, other) {
            (LabelKey::Whole(a), LabelKey::Whole(b)) => a.cmp(b),
            (LabelKey::Text(a), LabelKey::Text(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            },
        }
    }
}

fn finite(value: f64) -> Result<f64, LabelFault> {
    if value.is_finite() { Ok(value) } else { Err(LabelFault::NotFinite { value }) }
}

/// The interpretation of the labels that were read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LabelMode {
    /// `entries` are indices into `keys`, in order of appearance; the decision between classes and
    /// values is made at the end.
    Undecided,
    /// `entries` are indices into `keys`.
    Classes,
    /// `entries` are class indices in the given classes.
    Known,
    /// `entries` are the bits of f32 values.
    Values,
    /// Like `Values`, but all labels so far were integers, and too many to be classes.
    ManyIntegers,
    /// Labels are ignored.
    Ignored,
}

/// A distinct label.
#[derive(Debug)]
struct Label {
    key: LabelKey,
    /// Its first spelling.
    name: String,
    /// The row of its first occurrence, from 1.
    row: usize,
}

/// Collects the labels of a file.
///
/// With [`TargetKind::Auto`], many distinct numbers with fractions are values; whole numbers and
/// text are classes; ambiguous labels are rejected.
#[derive(Debug)]
pub(super) struct LabelReader<'a> {
    /// The name of the file, for messages.
    file: String,
    mode: LabelMode,
    classes: Option<&'a Classes>,
    /// One entry per sample; its meaning depends on the mode.
    entries: Vec<u32>,
    indices: HashMap<LabelKey, u32>,
    /// The distinct labels, by index.
    keys: Vec<Label>,
    /// The first label with a fraction, and its row (from 1).
    fraction: Option<(f64, usize)>,
    text: Option<String>,
    /// Two spellings of one label.
    respelled: Option<(String, String)>,
    /// The first whole number that is not exact in f32.
    rounded: Option<f64>,
}

/// The targets that the labels were converted to.
pub(super) struct ReadLabels {
    pub targets: Targets,
    /// The names of the classes, if the targets are classes.
    pub classes: Option<Classes>,
    pub remarks: Vec<Remark>,
}

impl<'a> LabelReader<'a> {
    /// Reads labels as `kind`, with the classes of the model or of the training samples, if any.
    pub fn new(file: &str, kind: TargetKind, classes: Option<&'a Classes>) -> Self {
        let classes = classes.filter(|_| matches!(kind, TargetKind::Auto | TargetKind::Classes));
        let mode = match (kind, classes) {
            (TargetKind::None, _) => LabelMode::Ignored,
            (TargetKind::Values, _) => LabelMode::Values,
            (_, Some(_)) => LabelMode::Known,
            (TargetKind::Classes, None) => LabelMode::Classes,
            (TargetKind::Auto, None) => LabelMode::Undecided,
        };
        let names = classes.map_or(&[][..], Classes::names);
        let known = names.iter().zip(0..).map(|(name, index)| (key_of_name(name), index));
        LabelReader {
            file: file.to_owned(),
            mode,
            classes,
            entries: Vec::new(),
            indices: known.collect(),
            keys: Vec::new(),
            fraction: None,
            text: None,
            respelled: None,
            rounded: None,
        }
    }

    /// Reserves memory for a known number of labels.
    pub fn reserve(&mut self, labels: usize) {
        if self.mode != LabelMode::Ignored {
            self.entries.reserve_exact(labels);
        }
    }

    /// Returns the result for a file whose samples have no labels, or whose labels are ignored.
    pub fn none() -> ReadLabels {
        ReadLabels { targets: Targets::None, classes: None, remarks: Vec::new() }
    }

    /// Adds the next label as text; `location` is called only for an error.
    pub fn push(&mut self, text: &str, location: impl FnOnce() -> Location) -> Result<(), DataError> {
        let taken = self.add_text(text);
        taken.map_err(|fault| self.error(fault, location()))
    }

    /// Adds the next label as a number.
    pub fn push_number(&mut self, number: f64, location: impl FnOnce() -> Location) -> Result<(), DataError> {
        let taken = self.add_number(number);
        taken.map_err(|fault| self.error(fault, location()))
    }

    /// Adds the next label as an integer.
    pub fn push_integer(
        &mut self,
        number: i128,
        location: impl FnOnce() -> Location,
    ) -> Result<(), DataError> {
        let taken = self.add_integer(number);
        taken.map_err(|fault| self.error(fault, location()))
    }

    fn error(&self, fault: LabelFault, place: Location) -> DataError {
        DataError::Label { file: self.file.clone(), row: self.entries.len() + 1, place, fault }
    }

    fn add_text(&mut self, text: &str) -> Result<(), LabelFault> {
        match self.mode {
            LabelMode::Ignored => Ok(()),
            LabelMode::Values | LabelMode::ManyIntegers => self.push_value(parse_value(text)?),
            LabelMode::Undecided | LabelMode::Classes | LabelMode::Known => {
                let text = text.trim();
                let key = match LabelKey::of_text(text) {
                    // If classes are requested, NaN and Inf are names like any other; otherwise NaN
                    // is a word for a missing value.
                    Err(LabelFault::NotFinite { .. })
                        if self.mode != LabelMode::Undecided || FieldKind::of(text) == FieldKind::Missing =>
                    {
                        LabelKey::Text(text.to_string())
                    }
                    key => key?,
                };
                self.push_key(key, || text.to_string())?;
                self.note_spelling(text);
                Ok(())
            }
        }
    }

    /// Records the first whole number that is not exact in f32.
    fn note_rounding(&mut self, value: f64) {
        if is_rounded(value) {
            self.rounded.get_or_insert(value);
        }
    }

    /// Records the first label whose spelling differs from that of an earlier, equal label.
    fn note_spelling(&mut self, text: &str) {
        let first = self.entries.last().and_then(|&index| self.keys.get(index as usize));
        if let (None, Some(first)) = (&self.respelled, first.filter(|first| first.name != text)) {
            self.respelled = Some((first.name.clone(), text.to_string()));
        }
    }

    fn add_number(&mut self, number: f64) -> Result<(), LabelFault> {
        match self.mode {
            LabelMode::Ignored => Ok(()),
            LabelMode::Values | LabelMode::ManyIntegers => self.push_value(finite(number)?),
            LabelMode::Undecided | LabelMode::Classes | LabelMode::Known => {
                self.push_key(LabelKey::of_number(finite(number)?), || number.to_string())
            }
        }
    }

    fn add_integer(&mut self, number: i128) -> Result<(), LabelFault> {
        match self.mode {
            LabelMode::Ignored => Ok(()),
            LabelMode::Values | LabelMode::ManyIntegers => self.push_value(number as f64),
            LabelMode::Undecided | LabelMode::Classes | LabelMode::Known => {
                self.push_key(LabelKey::Whole(number), || number.to_string())
            }
        }
    }

    fn push_value(&mut self, value: f64) -> Result<(), LabelFault> {
        self.note_rounding(value);
        if value.fract() != 0.0 && self.mode == LabelMode::ManyIntegers {
            self.mode = LabelMode::Values;
        }
        self.entries.push(value_bits(value)?);
        Ok(())
    }

    /// Adds a label; `name` returns its spelling.
    fn push_key(&mut self, key: LabelKey, name: impl Fn() -> String) -> Result<(), LabelFault> {
        if self.mode == LabelMode::Undecided {
            self.note_kind(&key)?;
        }
        if let Some(&index) = self.indices.get(&key) {
            self.entries.push(index);
            return Ok(());
        }
        if let (LabelMode::Known, Some(classes)) = (self.mode, self.classes) {
            return Err(LabelFault::Unknown { label: excerpt(&name()), known: classes.summary() });
        }
        if let (LabelMode::Undecided, true, Some(value)) = (self.mode, self.is_full(), key.number()) {
            self.convert_to_values();
            return self.push_value(value);
        }
        self.add_key(key, name());
        Ok(())
    }

    /// Returns whether one more distinct label would be too many for classes. Numbers are then
    /// stored as values, since a table of all-different labels would take ten times the memory of
    /// the file.
    fn is_full(&self) -> bool {
        self.text.is_none() && self.keys.len() >= TOO_MANY_CLASSES
    }

    fn add_key(&mut self, key: LabelKey, name: String) {
        // Past the limit, the file is rejected in any case; the keys already stored explain why.
        let index = self.keys.len().min(TOO_MANY_CLASSES);
        if index < TOO_MANY_CLASSES {
            self.indices.insert(key.clone(), index as u32);
            self.keys.push(Label { key, name, row: self.entries.len() + 1 });
        }
        self.entries.push(index as u32);
    }

    /// Records that a label has a fraction or is text. Rejects a mixture of both, and text that may
    /// be a number or a missing value.
    fn note_kind(&mut self, key: &LabelKey) -> Result<(), LabelFault> {
        match key {
            LabelKey::Text(text) => {
                match FieldKind::of(text) {
                    FieldKind::NumberAsText => return Err(LabelFault::NumberAsText { text: excerpt(text) }),
                    FieldKind::Missing => return Err(LabelFault::Missing { text: excerpt(text) }),
                    _ => {}
                }
                self.text.get_or_insert_with(|| text.clone());
            }
            key => {
                let number = key.number().expect("it is not text");
                value_bits(number)?;
                self.note_rounding(number);
                if number.fract() != 0.0 {
                    self.fraction.get_or_insert((number, self.entries.len() + 1));
                }
            }
        }
        match (&self.text, self.fraction) {
            (Some(text), Some((number, _))) => Err(LabelFault::Mixed { text: excerpt(text), number }),
            _ => Ok(()),
        }
    }

    /// Converts the entries, in place, from indices to the bits of their values.
    fn convert_to_values(&mut self) {
        let value = |label: &Label| label.key.number().expect("the keys contain no text") as f32;
        let bits: Vec<u32> = self.keys.iter().map(|label| value(label).to_bits()).collect();
        for entry in &mut self.entries {
            *entry = bits[*entry as usize];
        }
        self.mode = if self.fraction.is_some() { LabelMode::Values } else { LabelMode::ManyIntegers };
    }

    /// Returns the targets, and the classes if the targets are classes.
    pub fn finish(mut self) -> Result<ReadLabels, DataError> {
        let mut remarks = Vec::new();
        if self.mode == LabelMode::Undecided {
            remarks.extend(self.decide()?);
        }
        if let (LabelMode::Undecided | LabelMode::Classes, Some((label, other))) =
            (self.mode, &self.respelled)
        {
            let (label, other) = (format!("{label:?}"), format!("{other:?}"));
            remarks.push(Remark::Respelled { file: self.file.clone(), label, other });
        }
        if let (LabelMode::Values, Some(value)) = (self.mode, self.rounded) {
            let (what, text) = ("the labels".to_string(), value.to_string());
            remarks.push(Remark::Rounded { file: self.file.clone(), what, text });
        }
        let (targets, classes) = match self.mode {
            LabelMode::Ignored => (Targets::None, None),
            LabelMode::Values => {
                let values = self.entries.into_iter().map(f32::from_bits).collect();
                (Targets::Values { values, outputs: 1 }, None)
            }
            LabelMode::Known => {
                let classes = self.classes.expect("the mode `Known` has classes").clone();
                (Targets::Classes { labels: self.entries, count: classes.len() }, Some(classes))
            }
            LabelMode::ManyIntegers => return Err(self.too_many()),
            LabelMode::Undecided | LabelMode::Classes => self.finish_classes()?,
        };
        Ok(ReadLabels { targets, classes, remarks })
    }

    /// Decides whether labels are classes or values if the options leave that open.
    fn decide(&mut self) -> Result<Option<Remark>, DataError> {
        let (file, samples, distinct) = (self.file.clone(), self.entries.len(), self.keys.len());
        // Every label is distinct. With few samples, this is plausible even for classes.
        let are_single = distinct == samples && distinct > 8;
        let are_many = distinct > MANY_CLASSES || are_single;
        let do_differ = 2 * distinct > samples;
        if let Some((fraction, row)) = self.fraction {
            if !are_many && !do_differ {
                return Err(DataError::LabelsUnclear { file, samples, distinct, fraction, row });
            }
            self.convert_to_values();
            return Ok(None);
        }
        if distinct >= TOO_MANY_CLASSES || !are_many {
            return Ok(None);
        }
        let are_numbers = self.text.is_none();
        if do_differ {
            let example = excerpt(&self.keys[0].name);
            return Err(DataError::LabelsDiffer { file, classes: distinct, samples, example, are_numbers });
        }
        let by_key = |a: &&Label, b: &&Label| a.key.compare(&b.key);
        let ends = self.keys.iter().min_by(by_key).zip(self.keys.iter().max_by(by_key));
        Ok(ends.filter(|_| are_numbers).map(|(least, most)| {
            let (least, most) = (least.name.clone(), most.name.clone());
            Remark::ManyClasses { file, classes: distinct, samples, least, most }
        }))
    }

    fn finish_classes(mut self) -> Result<(Targets, Option<Classes>), DataError> {
        if self.keys.len() >= TOO_MANY_CLASSES {
            return Err(self.too_many());
        }
        let order = self.sorted();
        let mut finals = vec![0; order.len()];
        for (&at, class) in order.iter().zip(0..) {
            finals[at] = class;
        }
        for entry in &mut self.entries {
            *entry = finals[*entry as usize];
        }
        let names = order.iter().map(|&at| std::mem::take(&mut self.keys[at].name)).collect();
        Ok((Targets::Classes { labels: self.entries, count: order.len() }, Some(Classes::new(names))))
    }

    /// Returns the indices of the keys, in the order of the classes.
    fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        if self.keys.iter().all(|label| label.key.number().is_some()) {
            order.sort_by(|&a, &b| self.keys[a].key.compare(&self.keys[b].key));
        } else {
            order.sort_by(|&a, &b| self.keys[a].name.cmp(&self.keys[b].name));
        }
        order
    }

    /// Returns the error for too many classes; it names the last label that was stored.
    fn too_many(&self) -> DataError {
        let last = self.keys.last().expect("there are too many keys");
        let (label, row) = (excerpt(&last.name), last.row);
        DataError::TooManyClasses { file: self.file.clone(), label, row, most: self.keys.len() as u64 }
    }
}

/// Returns whether the number is rounded in f32, in the range where f32 represents only whole
/// numbers and f64 is still exact.
pub(super) fn is_rounded(value: f64) -> bool {
    (16_777_216.0..9_007_199_254_740_992.0).contains(&value.abs()) && f64::from(value as f32) != value
}

/// Names come from a model file, where an odd one is text rather than an error in the data.
fn key_of_name(name: &str) -> LabelKey {
    LabelKey::of_text(name).unwrap_or_else(|_| LabelKey::Text(name.to_string()))
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

    #[test]
    fn a_class_is_found_by_any_spelling_of_its_number() {
        let classes = Classes::new(vec!["-1".into(), "1".into()]);
        assert_eq!(classes.index_of("+1"), Some(1));
        assert_eq!(classes.index_of("-1.0"), Some(0));
        assert_eq!(classes.index_of("0"), None);
    }

    #[test]
    fn the_summary_distinguishes_indices_from_names() {
        assert_eq!(Classes::indices(10).summary(), "10 classes (0 to 9)");
        assert_eq!(Classes::new(vec!["ant".into(), "bee".into()]).summary(), "2 classes (ant, bee)");
    }

    #[test]
    fn classes_are_serialized_as_a_plain_list() {
        let text = serde_json::to_string(&Classes::indices(2)).unwrap();
        assert_eq!(text, r#"["0","1"]"#);
        assert_eq!(serde_json::from_str::<Classes>(&text).unwrap(), Classes::indices(2));
    }

    fn read(kind: TargetKind, labels: &[&str]) -> Result<ReadLabels, String> {
        let mut reader = LabelReader::new("f", kind, None);
        for label in labels {
            reader.push(label, || Location::Line(0)).map_err(|error| format!("{error:?}"))?;
        }
        reader.finish().map_err(|error| error.to_string())
    }

    fn error(kind: TargetKind, labels: &[&str]) -> String {
        match read(kind, labels) {
            Ok(ReadLabels { targets, .. }) => panic!("no error: {targets:?}"),
            Err(error) => error,
        }
    }

    fn values(labels: &[&str]) -> Vec<f32> {
        match read(TargetKind::Auto, labels).unwrap().targets {
            Targets::Values { values, outputs: 1 } => values,
            targets => panic!("expected values: {targets:?}"),
        }
    }

    fn texts(labels: &[String]) -> Vec<&str> {
        labels.iter().map(String::as_str).collect()
    }

    /// scikit-learn 1.5: `LabelEncoder().fit_transform([3, 0, 3])` returns [1, 0, 1] with the
    /// classes [0, 3]; for [10, -1, 9, 10] it returns [2, 0, 1, 2], and for ["b", "10", "a", "b"]
    /// it returns [2, 0, 1, 2].
    #[test]
    fn distinct_labels_become_classes_in_the_order_of_the_label_encoder() {
        let of = |labels: &[&str]| classes(TargetKind::Auto, labels);
        assert_eq!(of(&["3", "0", "3.0"]), (vec![1, 0, 1], vec!["0".into(), "3".into()]));
        assert_eq!(of(&["60000", "60001"]), (vec![0, 1], vec!["60000".into(), "60001".into()]));
        assert_eq!(of(&["10", "-1", "9", "+10"]).0, [2, 0, 1, 2]);
        assert_eq!(of(&["b", "10", "a", "b"]), (vec![2, 0, 1, 2], vec!["10".into(), "a".into(), "b".into()]));
        assert_eq!(of(&["Z", "a", "É"]).1, ["Z", "a", "É"]);
    }

    #[test]
    fn labels_that_are_equal_as_f64_are_distinct_classes() {
        let labels = ["-9007199254740992", "-9007199254740993"];
        assert_eq!(
            classes(TargetKind::Auto, &labels),
            (vec![1, 0], vec![labels[1].into(), labels[0].into()])
        );
    }

    #[test]
    fn a_class_is_named_after_the_first_spelling() {
        let remarks = read(TargetKind::Auto, &["1000", "2", "1e3"]).unwrap().remarks;
        assert!(remarks[0].to_string().contains("\"1000\" and \"1e3\" are the same number"), "{remarks:?}");
        assert_eq!(classes(TargetKind::Classes, &["Nan", "Ada", "Inf"]).1, ["Ada", "Inf", "Nan"]);
        assert!(error(TargetKind::Auto, &["Nan", "Ada"]).contains("Missing"));
        assert_eq!(classes(TargetKind::Auto, &["2.0", "+1", "1", "2"]).1, ["+1", "2.0"]);
        let postcodes = ["02139", "2139", "00501", "02139"];
        assert_eq!(
            classes(TargetKind::Auto, &postcodes),
            (vec![1, 2, 0, 1], vec!["00501".into(), "02139".into(), "2139".into()])
        );
    }

    #[test]
    fn distinct_numbers_with_a_fraction_are_values() {
        assert_eq!(values(&["1", "2.5", "-3", "1"]), [1.0, 2.5, -3.0, 1.0]);
        let many: Vec<String> = (0..100).map(|n| format!("{}", f64::from(n % 25) / 2.0)).collect();
        assert_eq!(values(&texts(&many))[..3], [0.0, 0.5, 1.0]);
        assert_eq!(classes(TargetKind::Classes, &["1.5", "0.5"]).1, ["0.5", "1.5"]);
    }

    #[test]
    fn a_few_distinct_numbers_with_a_fraction_are_rejected() {
        let message = error(TargetKind::Auto, &["0", "1", "0", "1", "1.5", "0"]);
        assert!(message.contains("3 distinct numbers, and 1.5 in row 5"), "{message}");
        assert!(message.contains("--loss mse") && message.contains("--loss cross-entropy"), "{message}");
    }

    #[test]
    fn numbers_written_as_text_and_words_for_missing_values_are_classes_only_on_request() {
        for label in ["250,000", "2,5", "$3.5", "12%"] {
            assert!(error(TargetKind::Auto, &["a", label]).contains("NumberAsText"), "{label}");
            assert!(error(TargetKind::Values, &["1", label]).contains("NotNumber"), "{label}");
            assert_eq!(classes(TargetKind::Classes, &["a", label]).1.len(), 2);
        }
        for label in ["NA", "?", "None", "null"] {
            assert!(error(TargetKind::Auto, &["a", label]).contains("Missing"), "{label}");
            assert_eq!(classes(TargetKind::Classes, &["a", label]).1.len(), 2);
        }
    }

    #[test]
    fn many_distinct_labels_are_rejected_and_many_repeated_labels_get_a_remark() {
        let labels: Vec<String> = (0..50).map(|n| (n % 30 * 1000).to_string()).collect();
        let message = error(TargetKind::Auto, &texts(&labels));
        assert!(message.contains("30 distinct labels such as \"0\" for the 50 samples"), "{message}");
        assert!(message.contains("--loss mse"), "{message}");
        let names: Vec<String> = labels.iter().map(|label| format!("id{label}")).collect();
        assert!(error(TargetKind::Auto, &texts(&names)).contains("--label-column"));
        assert_eq!(classes(TargetKind::Classes, &texts(&labels)).1.len(), 30);

        let twice: Vec<String> = (0..60).map(|n| (n % 30).to_string()).collect();
        let remarks = read(TargetKind::Auto, &texts(&twice)).unwrap().remarks;
        assert!(remarks[0].to_string().contains("30 distinct whole numbers from 0 to 29"), "{remarks:?}");
        assert!(read(TargetKind::Classes, &texts(&twice)).unwrap().remarks.is_empty());
        let ten: Vec<String> = (0..20).map(|n| (n % 10).to_string()).collect();
        assert!(read(TargetKind::Auto, &texts(&ten)).unwrap().remarks.is_empty());
    }

    #[test]
    fn text_among_fractions_is_rejected_in_either_order() {
        assert!(error(TargetKind::Auto, &["1.5", "low"]).contains("Mixed"));
        assert!(error(TargetKind::Auto, &["low", "1", "1.5"]).contains("Mixed"));
    }

    #[test]
    fn many_integers_are_rejected_as_classes_unless_a_fraction_follows() {
        let mut labels: Vec<String> = (0..70_000).map(|n| (n * 2).to_string()).collect();
        let message = error(TargetKind::Auto, &texts(&labels));
        assert!(
            message.contains("label 131070 in row 65536 of f is the 65536th distinct label"),
            "{message}"
        );
        assert!(message.contains("--loss mse"), "{message}");
        labels.push("0.5".into());
        let values = values(&texts(&labels));
        assert_eq!((values[3], values[69_999], values[70_000]), (6.0, 139_998.0, 0.5));
    }

    #[test]
    fn the_65536th_class_is_rejected_but_not_the_65535th() {
        let labels: Vec<String> = (0..65_536).map(|n| format!("id{n}")).collect();
        assert!(error(TargetKind::Classes, &texts(&labels)).contains("65536th distinct label"));
        assert_eq!(classes(TargetKind::Classes, &texts(&labels[1..])).1.len(), 65_535);
    }

    fn classes(kind: TargetKind, labels: &[&str]) -> (Vec<u32>, Vec<String>) {
        match read(kind, labels).unwrap() {
            ReadLabels { targets: Targets::Classes { labels, .. }, classes: Some(classes), .. } => {
                (labels, classes.names().to_vec())
            }
            ReadLabels { targets, .. } => panic!("expected classes: {targets:?}"),
        }
    }
}
