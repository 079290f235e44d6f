//! What a model says of samples, before it is written in some format.

use std::borrow::Cow;

use ndarray::ArrayView2;
use phalanx::checkpoint::ModelFile;
use phalanx::data::Classes;
use phalanx::model::Loss;

/// The outputs of a model for all samples, and what they mean.
pub(super) struct Answers<'a> {
    /// The names of the classes; none for values.
    classes: Option<&'a Classes>,
    /// (samples, outputs)
    outputs: ArrayView2<'a, f32>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(file: &'a ModelFile, outputs: ArrayView2<'a, f32>) -> Self {
        Self { classes: Self::classes_of(file), outputs }
    }

    /// The classes that a model tells apart, if it does.
    pub(super) fn classes_of(file: &ModelFile) -> Option<&Classes> {
        file.classes.as_ref().filter(|_| file.shape.loss != Loss::Mse)
    }

    pub(super) fn samples(&self) -> usize {
        self.outputs.nrows()
    }

    /// Numbers of each sample: probabilities, or values.
    pub(super) fn width(&self) -> usize {
        match (self.classes, self.outputs.ncols()) {
            (Some(_), 1) => 2,
            (_, outputs) => outputs,
        }
    }

    /// The names of the classes, by index; none for values.
    pub(super) fn names(&self) -> Option<&'a [String]> {
        self.classes.map(Classes::names)
    }

    /// The numbers of each sample; one output for two classes speaks for the second.
    pub(super) fn rows(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        self.outputs.rows().into_iter().map(|row| {
            let outputs = row.to_slice().expect("rows are contiguous");
            match (self.classes, outputs) {
                (Some(_), [second]) => Cow::Owned(vec![1.0 - second, *second]),
                (_, outputs) => Cow::Borrowed(outputs),
            }
        })
    }
}

/// The likeliest class, by name, and its probability; of equals the first.
pub(super) fn likeliest<'n>(names: &'n [String], probabilities: &[f32]) -> (Cow<'n, str>, f32) {
    let better = |best, k| if probabilities[k] > probabilities[best] { k } else { best };
    let best = (1..probabilities.len()).fold(0, better);
    // With one class in the training data there still are two to tell apart, and one has no name.
    let name = names.get(best).map_or_else(|| best.to_string().into(), |name| name.into());
    (name, probabilities[best])
}
