//! Predictions as JSON lines.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::answers::{Answers, likeliest};

/// What is said of a sample whose class is predicted.
#[derive(Serialize)]
struct Class<'a> {
    sample: usize,
    class: &'a str,
    probability: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<ByName<'a>>,
}

/// The probability of each class, in the order of the classes.
struct ByName<'a> {
    names: &'a [String],
    probabilities: &'a [f32],
}

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.probabilities))
    }
}

/// What is said of a sample of which one number is predicted.
#[derive(Serialize)]
struct Value {
    sample: usize,
    value: f32,
}

/// What is said of a sample of which several numbers are predicted.
#[derive(Serialize)]
struct Values<'a> {
    sample: usize,
    values: &'a [f32],
}

/// Writes an object a line and sample. JSON has no NaN and no infinity; null stands for them.
pub(super) fn write(answers: &Answers<'_>, all: bool, out: &mut dyn Write) -> io::Result<()> {
    answers.rows().enumerate().try_for_each(|(sample, row)| {
        match (answers.names(), &*row) {
            (Some(names), row) => {
                let (class, probability) = likeliest(names, row);
                let probabilities = all.then_some(ByName { names, probabilities: row });
                serde_json::to_writer(&mut *out, &Class { sample, class: &class, probability, probabilities })
            }
            (None, &[value]) => serde_json::to_writer(&mut *out, &Value { sample, value }),
            (None, values) => serde_json::to_writer(&mut *out, &Values { sample, values }),
        }?;
        writeln!(out)
    })
}
