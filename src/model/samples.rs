//! The input of a model, its tensors, the check that a model and data match, and scores.

use std::ops::AddAssign;

use ndarray::ArrayView2;
use thiserror::Error;

use super::real::Real;

/// Samples as dense views: inputs (B, I), one index and one target per sample, and optionally one
/// weight per sample.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, R = f32> {
    /// Inputs, (B, I), row-major without gaps.
    pub inputs: ArrayView2<'a, R>,
    /// The index of each of the B samples: its position in the data set, or the index that
    /// [`Dataset::from_indices`](crate::data::Dataset::from_indices) was given. Empty if the
    /// samples are not from a data set.
    pub indices: &'a [u32],
    /// The targets of the B samples.
    pub targets: BatchTargets<'a, R>,
    /// The B weights; without weights, each sample has weight 1.
    pub weights: Option<&'a [R]>,
}

/// The targets of B samples.
#[derive(Clone, Copy, Debug)]
pub enum BatchTargets<'a, R = f32> {
    /// One class index per sample.
    Classes(&'a [u32]),
    /// Values, (B, K).
    Values(ArrayView2<'a, R>),
    /// No targets: the samples are only predicted, or the model knows the targets itself, as with
    /// [`Dataset::from_indices`](crate::data::Dataset::from_indices).
    None,
}

impl<'a, R> Samples<'a, R> {
    /// Returns samples for calling a model outside of the trainer: without indices and weights.
    pub fn new(inputs: ArrayView2<'a, R>, targets: BatchTargets<'a, R>) -> Self {
        Self { inputs, indices: &[], targets, weights: None }
    }
}

impl<R: Real> Samples<'_, R> {
    /// Returns the number of samples, B.
    pub fn len(&self) -> usize {
        self.inputs.nrows()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the weight of sample `index`: 1 if there are no weights.
    pub fn weight(&self, index: usize) -> R {
        self.weights.map_or(R::ONE, |weights| weights[index])
    }

    /// Returns W = Σ w_i, the number of samples if there are no weights. Summed in order, in f64.
    pub fn total_weight(&self) -> f64 {
        self.weights.map_or(self.len() as f64, |weights| weights.iter().map(|weight| weight.to_f64()).sum())
    }
}

/// The result of evaluating a model on some samples. The scores of parts can be added to get the
/// score of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Σ w_i ℓ_i.
    pub loss_sum: f64,
    /// Σ w_i.
    pub weight: f64,
    /// Σ w_i over the samples whose class is predicted correctly; `None` if the model does not
    /// count correct predictions. A model may count parts of a sample, such as tokens.
    pub correct: Option<f64>,
}

impl Score {
    /// Returns the three sums, for sending them to other processes; NaN for a missing sum.
    pub(crate) fn sums(&self) -> [f64; 3] {
        [self.loss_sum, self.weight, self.correct.unwrap_or(f64::NAN)]
    }

    pub(crate) fn of_sums([loss_sum, weight, correct]: [f64; 3]) -> Self {
        Self { loss_sum, weight, correct: (!correct.is_nan()).then_some(correct) }
    }

    /// Returns the mean loss per sample, Σ w_i ℓ_i / Σ w_i.
    pub fn mean_loss(&self) -> f64 {
        self.loss_sum / self.weight
    }

    /// Returns the share of the weight that is predicted correctly, between 0 and 1; `None` if the
    /// model does not count correct predictions.
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|correct| correct / self.weight)
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, part: Self) {
        self.loss_sum += part.loss_sum;
        self.weight += part.weight;
        self.correct = match (self.correct, part.correct) {
            (Some(left), Some(right)) => Some(left + right),
            (one, None) | (None, one) => one,
        };
    }
}

/// The name and shape of one tensor; its position follows from the order of the model's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The name in a model file, such as `layers.0.weight`.
    pub name: String,
    /// The lengths of its dimensions, outermost first; the values are row-major.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// Creates a tensor from its name and shape.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec() }
    }

    /// Returns the number of elements: the product of the shape.
    #[allow(clippy::len_without_is_empty)] // tensors are never empty
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the number of rows and the length of each; a vector has rows of one element.
    pub fn rows(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [rows, inner @ ..] => (*rows, inner.iter().product()),
            [] => (1, 1),
        }
    }
}

/// The kind and the range of targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TargetShape {
    /// Classes, and their number.
    Classes(usize),
    /// Values, and their range.
    Values {
        /// The number of values per sample.
        outputs: usize,
        /// The smallest value.
        least: f32,
        /// The largest value.
        most: f32,
    },
    /// No targets.
    None,
}

/// The reason why a model cannot be trained on some data.
///
/// # Examples
///
/// ```
/// use phalanx::model::{Activation, Loss, DataMismatch, Mlp, MlpShape, Model, TargetShape};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 4, hidden, outputs: 3, activation, loss });
/// assert_eq!(model.check(4, TargetShape::Classes(3)), Ok(()));
/// let misfit = model.check(5, TargetShape::Classes(3)).unwrap_err();
/// assert_eq!(misfit, DataMismatch::Features { found: 5, expected: 4 });
/// assert!(misfit.to_string().starts_with("the data has 5 features, but the model takes 4"));
/// ```
#[derive(Clone, Debug, PartialEq, Error)]
#[allow(missing_docs, reason = "the fields are the values in each variant's message")]
pub enum DataMismatch {
    /// The samples have a different number of features.
    #[error(
        "the data has {found} features, but the model takes {expected}; pass data with the features that it was trained on"
    )]
    Features { found: usize, expected: usize },
    /// There are more classes than outputs of the model.
    #[error(
        "the data has {found} classes, but the model distinguishes {expected}; pass data with {expected} classes, or use a model or a loss for {found}"
    )]
    Classes { found: usize, expected: usize },
    /// The number of values differs from the number of outputs.
    #[error("the data has {found} target values per sample, but the model has {expected} outputs")]
    Values { found: usize, expected: usize },
    /// The loss is for classes, but the targets are values.
    #[error(
        "the loss {loss} needs class labels, but the targets of the data are values; use mse, or bce for values in 0 to 1"
    )]
    NeedsClasses { loss: &'static str },
    /// The loss is for values, but the targets are classes.
    #[error(
        "the loss {loss} needs values, but the targets of the data are class labels; use cross-entropy, or bce-sum for one output per class"
    )]
    NeedsValues { loss: &'static str },
    /// The loss is for probabilities, but the targets are not probabilities.
    #[error(
        "the loss bce needs targets from 0 to 1, but those of the data range from {least:?} to {most:?}; rescale them, or train with mse"
    )]
    NotProbabilities { least: f32, most: f32 },
    /// There are no targets.
    #[error(
        "the data has no labels, which training and scoring need; add them (for npy as X.npy,Y.npy), or only predict"
    )]
    NoTargets,
}
