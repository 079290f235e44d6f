//! What samples should map to.

use super::{Classes, DataError};

/// The targets of a data set, one per sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Classification: the class index of each sample, all below `count`.
    Classes {
        /// Class index by sample.
        labels: Vec<u32>,
        /// The number of classes, of which some may have no sample.
        count: usize,
    },
    /// Regression: (samples, outputs) numbers, sample by sample.
    Values {
        /// The numbers, `outputs` for each sample.
        values: Vec<f32>,
        /// Numbers per sample, at least 1.
        outputs: usize,
    },
    /// Samples to predict from.
    None,
}

impl Targets {
    /// Numbers per sample that gathering writes: 0 unless the targets are values.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Targets::Values { outputs, .. } => *outputs,
            Targets::Classes { .. } | Targets::None => 0,
        }
    }

    /// Checks targets handed over by a program: as many as samples, classes below the count, finite values.
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

    /// The targets of some samples, in the order given.
    pub(super) fn select(&self, samples: &[u32]) -> Targets {
        match self {
            Targets::Classes { labels, count } => {
                Targets::Classes { labels: select(labels, 1, samples), count: *count }
            }
            Targets::Values { values, outputs } => {
                Targets::Values { values: select(values, *outputs, samples), outputs: *outputs }
            }
            Targets::None => Targets::None,
        }
    }

    /// The names of the classes when no others are known: their indices.
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

/// Rows of `width` numbers each, for the samples given.
pub(super) fn select<T: Copy>(values: &[T], width: usize, samples: &[u32]) -> Vec<T> {
    let mut chosen = Vec::with_capacity(samples.len() * width);
    for &sample in samples {
        let start = sample as usize * width;
        chosen.extend_from_slice(&values[start..start + width]);
    }
    chosen
}

/// Checks that there is one of `what` per sample.
pub(super) fn check_len(what: &'static str, found: usize, expected: usize) -> Result<(), DataError> {
    if found == expected { Ok(()) } else { Err(DataError::ArrayLen { what, found, expected }) }
}

/// Checks every number of an array with `width` numbers per sample.
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
