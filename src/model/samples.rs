//! The samples that a model is given, its tensors, whether both fit each other, and how well it does.

use std::ops::AddAssign;

use ndarray::ArrayView2;
use thiserror::Error;

use super::real::Real;

/// Samples as dense views: inputs (B, I), one target and perhaps one weight a sample.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, R = f32> {
    /// Inputs, (B, I), rows contiguous.
    pub inputs: ArrayView2<'a, R>,
    /// The targets, B of them.
    pub targets: BatchTargets<'a, R>,
    /// Weight of each sample, B of them; without, each weighs 1.
    pub weights: Option<&'a [R]>,
}

/// The targets of B samples.
#[derive(Clone, Copy, Debug)]
pub enum BatchTargets<'a, R = f32> {
    /// One class index a sample.
    Classes(&'a [u32]),
    /// Values, (B, K).
    Values(ArrayView2<'a, R>),
    /// None are known: the samples can be predicted, not learned from.
    None,
}

impl<R: Real> Samples<'_, R> {
    /// Number of samples, B.
    pub fn len(&self) -> usize {
        self.inputs.nrows()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weight of sample `index`: 1 without weights.
    pub fn weight(&self, index: usize) -> R {
        self.weights.map_or(R::ONE, |weights| weights[index])
    }

    /// W = Σ w_i, the number of samples if they carry no weights. Added up in order, in f64.
    pub fn total_weight(&self) -> f64 {
        self.weights.map_or(self.len() as f64, |weights| weights.iter().map(|weight| weight.to_f64()).sum())
    }
}

/// The result of evaluating a model on some samples. Scores of parts add up to the score of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Σ w_i ℓ_i.
    pub loss_sum: f64,
    /// Σ w_i.
    pub weight: f64,
    /// Σ w_i over the samples whose class is predicted right; `None` where there are no classes.
    pub correct: Option<f64>,
}

impl Score {
    /// Its three sums, to be sent elsewhere; NaN for what there is none of.
    pub(crate) fn sums(&self) -> [f64; 3] {
        [self.loss_sum, self.weight, self.correct.unwrap_or(f64::NAN)]
    }

    pub(crate) fn of_sums([loss_sum, weight, correct]: [f64; 3]) -> Self {
        Self { loss_sum, weight, correct: (!correct.is_nan()).then_some(correct) }
    }

    /// Mean loss of a sample, Σ w_i ℓ_i / Σ w_i.
    pub fn mean_loss(&self) -> f64 {
        self.loss_sum / self.weight
    }

    /// Share of the weight that is predicted right, between 0 and 1; `None` where there are no classes.
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

/// Name and shape of one tensor; where it lies follows from the order of a model's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in a model file, such as `layers.0.weight`.
    pub name: String,
    /// Lengths of its dimensions, outermost first; the values lie row-major.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// Names a shape.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec() }
    }

    /// Number of elements: the product of the shape.
    #[allow(clippy::len_without_is_empty)] // a tensor without elements has no use here
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of rows and the length of each; a vector is of rows of one element.
    pub fn rows(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [rows, inner @ ..] => (*rows, inner.iter().product()),
            [] => (1, 1),
        }
    }
}

/// The kind and the extent of targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TargetShape {
    /// One of so many classes.
    Classes(usize),
    /// So many values a sample, all between two bounds.
    Values {
        /// Values a sample.
        outputs: usize,
        /// The least of all.
        least: f32,
        /// The largest of all.
        most: f32,
    },
    /// Unknown.
    None,
}

/// The reason why a model cannot learn from some data.
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
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum DataMismatch {
    /// The samples have another number of features.
    #[error(
        "the data has {found} features, but the model takes {expected}; give data of the kind it was made for"
    )]
    Features { found: usize, expected: usize },
    /// There are more classes than outputs.
    #[error("the data has {found} classes, but the model tells {expected} apart; give data with labels 0 to {last}", last = expected - 1)]
    Classes { found: usize, expected: usize },
    /// There are more or fewer values than outputs.
    #[error("the data has {found} target values a sample, but the model has {expected} outputs")]
    Values { found: usize, expected: usize },
    /// The loss is one of classes, the targets are values.
    #[error(
        "the loss {loss} needs class labels, but the targets of the data are values; use mse, or bce for values in 0 to 1"
    )]
    NeedsClasses { loss: &'static str },
    /// The loss is one of values, the targets are classes.
    #[error("the loss {loss} needs values, but the targets of the data are class labels; use cross-entropy")]
    NeedsValues { loss: &'static str },
    /// The loss is one of probabilities, the targets are not.
    #[error(
        "the loss bce needs targets from 0 to 1, but those of the data go from {least:?} to {most:?}; use mse, or rescale them"
    )]
    NotProbabilities { least: f32, most: f32 },
    /// There are no targets.
    #[error("the data has no targets; a model can predict it, but neither learn from it nor be scored on it")]
    NoTargets,
}
