//! Whether a model and data fit each other.

use thiserror::Error;

/// What targets look like from afar.
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

/// Why a model cannot learn from some data.
///
/// # Examples
///
/// ```
/// use phalanx::model::{Activation, Loss, Misfit, Mlp, MlpShape, Model, TargetShape};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 4, hidden, outputs: 3, activation, loss });
/// assert_eq!(model.check(4, TargetShape::Classes(3)), Ok(()));
/// let misfit = model.check(5, TargetShape::Classes(3)).unwrap_err();
/// assert_eq!(misfit, Misfit::Features { found: 5, expected: 4 });
/// assert!(misfit.to_string().starts_with("the data has 5 features, but the model takes 4"));
/// ```
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Misfit {
    /// The samples have another number of features.
    #[error(
        "the data has {found} features, but the model takes {expected}; give data of the kind it was made for"
    )]
    Features {
        /// Features of the data.
        found: usize,
        /// Inputs of the model.
        expected: usize,
    },
    /// There are more classes than outputs.
    #[error("the data has {found} classes, but the model tells {expected} apart; give data with labels 0 to {last}", last = expected - 1)]
    Classes {
        /// Classes of the data.
        found: usize,
        /// Classes of the model.
        expected: usize,
    },
    /// There are more or fewer values than outputs.
    #[error("the data has {found} target values a sample, but the model has {expected} outputs")]
    Values {
        /// Target values of the data.
        found: usize,
        /// Outputs of the model.
        expected: usize,
    },
    /// The loss is one of classes, the targets are values.
    #[error(
        "the loss {loss} needs class labels, but the targets of the data are values; use mse, or bce for values in 0 to 1"
    )]
    NeedsClasses {
        /// Name of the loss.
        loss: &'static str,
    },
    /// The loss is one of values, the targets are classes.
    #[error("the loss {loss} needs values, but the targets of the data are class labels; use cross-entropy")]
    NeedsValues {
        /// Name of the loss.
        loss: &'static str,
    },
    /// The loss is one of probabilities, the targets are not.
    #[error(
        "the loss bce needs targets from 0 to 1, but those of the data go from {least:?} to {most:?}; use mse, or rescale them"
    )]
    NotProbabilities {
        /// The least target.
        least: f32,
        /// The largest target.
        most: f32,
    },
    /// There are no targets.
    #[error("the data has no targets; a model can predict it, but neither learn from it nor be scored on it")]
    NoTargets,
}
