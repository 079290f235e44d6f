//! The conventions by name.

use super::super::{L2Form, Reduction, name::names};
use super::ConventionError;
use serde::{Deserialize, Serialize};

/// What the gradient of a step is, and how the L2 penalty is written.
///
/// The first five are the [`Reduction`]s, with λw added to their gradient. The rest are known by their penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// [`Reduction::Mean`].
    #[default]
    Mean,
    /// [`Reduction::Sum`].
    Sum,
    /// [`Reduction::MeanOfShardMeans`].
    MeanOfShardMeans,
    /// [`Reduction::SumOfShardMeans`].
    SumOfShardMeans,
    /// [`Reduction::MeanOfShardSums`].
    MeanOfShardSums,
    /// (Σ g + αw)/m, the α of scikit-learn's `MLPClassifier`: its gradient is a mean, its α is a sum's λ.
    ScikitLearn,
    /// The mean of a batch, for the objective (1/N)Σℓ + (λ/2)‖w‖² over all N samples.
    ObjectiveMean,
    /// The sum of a batch, for the objective Σℓ + (Λ/2)‖w‖² over all N samples: a batch adds (m/N)Λw.
    ObjectiveSum,
    /// The sum of a batch, for the objective C·Σℓ + ½‖w‖² of regularised regressions, divided by C: Λ = 1/C.
    C,
}

names!(Convention, "convention", [
    Mean => "mean",
    Sum => "sum",
    MeanOfShardMeans => "mean-of-shard-means",
    SumOfShardMeans => "sum-of-shard-means",
    MeanOfShardSums => "mean-of-shard-sums",
    ScikitLearn => "scikit-learn",
    ObjectiveMean => "objective-mean",
    ObjectiveSum => "objective-sum",
    C => "c",
]);

/// What there is to say of optimizers that Phalanx does not have, by their usual name.
///
/// # Examples
/// ```
/// use phalanx::optim::convention::foreign;
///
/// assert!(foreign("lion").unwrap().contains("nothing changes"));
/// assert_eq!(foreign("adam"), None);
/// ```
#[must_use]
pub fn foreign(optimizer: &str) -> Option<&'static str> {
    match optimizer {
        "adadelta" => Some(
            "there is no exact translation between sum and mean with its one eps, which stands beside squares of gradients \
             and beside squares of updates, and would have to grow in one place alone",
        ),
        "lion" | "sign-sgd" | "signsgd" => Some(
            "between sum and mean nothing changes for it, since it takes the signs of gradients; only an L2 that is added \
             to the gradient grows with it",
        ),
        _ => None,
    }
}

impl From<Reduction> for Convention {
    fn from(reduction: Reduction) -> Self {
        match reduction {
            Reduction::Mean => Self::Mean,
            Reduction::Sum => Self::Sum,
            Reduction::MeanOfShardMeans => Self::MeanOfShardMeans,
            Reduction::SumOfShardMeans => Self::SumOfShardMeans,
            Reduction::MeanOfShardSums => Self::MeanOfShardSums,
        }
    }
}

impl Convention {
    /// The gradient of a step.
    #[must_use]
    pub const fn reduction(self) -> Reduction {
        match self {
            Self::Mean | Self::ScikitLearn | Self::ObjectiveMean => Reduction::Mean,
            Self::Sum | Self::ObjectiveSum | Self::C => Reduction::Sum,
            Self::MeanOfShardMeans => Reduction::MeanOfShardMeans,
            Self::SumOfShardMeans => Reduction::SumOfShardMeans,
            Self::MeanOfShardSums => Reduction::MeanOfShardSums,
        }
    }

    /// What L2 is called.
    #[must_use]
    pub const fn l2_name(self) -> &'static str {
        match self {
            Self::ScikitLearn => "alpha",
            Self::ObjectiveSum => "Lambda",
            Self::C => "C",
            _ => "lambda",
        }
    }

    /// What the penalty is added to when it is trained with.
    #[must_use]
    pub const fn l2_form(self) -> L2Form {
        if matches!(self, Self::ScikitLearn) { L2Form::BatchSum } else { L2Form::Gradient }
    }

    /// Whether L2 is written for all the N samples of the data.
    #[must_use]
    pub const fn needs_data_size(self) -> bool {
        matches!(self, Self::ObjectiveSum | Self::C)
    }

    /// The λ that is added to this convention's gradient of a batch, from L2 as it is written: the λ, α, Λ or C.
    ///
    /// # Errors
    /// [`ConventionError::NeedsDataSize`]; [`ConventionError::ZeroC`] for a C of 0.
    pub fn read_l2(
        self,
        written: f64,
        batch_size: usize,
        data_size: Option<usize>,
    ) -> Result<f64, ConventionError> {
        let (m, n) = (batch_size as f64, self.data_size(data_size)?);
        match self {
            Self::ScikitLearn => Ok(written / m),
            Self::ObjectiveSum => Ok(written * m / n),
            Self::C if written == 0.0 => Err(ConventionError::ZeroC),
            Self::C => Ok(m / (n * written)),
            _ => Ok(written),
        }
    }

    /// The inverse of [`read_l2`](Self::read_l2).
    ///
    /// # Errors
    /// [`ConventionError::NeedsDataSize`]; [`ConventionError::NoPenalty`] for a C without a penalty.
    pub fn write_l2(
        self,
        lambda: f64,
        batch_size: usize,
        data_size: Option<usize>,
    ) -> Result<f64, ConventionError> {
        let (m, n) = (batch_size as f64, self.data_size(data_size)?);
        match self {
            Self::ScikitLearn => Ok(lambda * m),
            Self::ObjectiveSum => Ok(lambda * n / m),
            Self::C if lambda == 0.0 => Err(ConventionError::NoPenalty),
            Self::C => Ok(m / (n * lambda)),
            _ => Ok(lambda),
        }
    }

    fn data_size(self, data_size: Option<usize>) -> Result<f64, ConventionError> {
        match data_size {
            Some(samples) => Ok(samples as f64),
            None if self.needs_data_size() => Err(ConventionError::NeedsDataSize { convention: self }),
            None => Ok(1.0),
        }
    }
}
