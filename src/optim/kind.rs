//! The optimizers by name, and the forms that momentum, ε and the coupled penalty are found in.

use super::name::names;
use serde::{Deserialize, Serialize};

/// Which rule makes params out of grads. Each rule's formula is with [`Optimizer`](super::Optimizer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent, with momentum on request.
    #[default]
    Sgd,
    /// Adagrad (Duchi, Hazan, Singer 2011).
    Adagrad,
    /// RMSprop (Hinton's lecture 6e, 2012), not centred.
    Rmsprop,
    /// Adam (Kingma, Ba 2014).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov, Hutter 2017).
    Adamw,
    /// Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017).
    Lars,
    /// Layer-wise adaptive moments (You et al. 2019).
    Lamb,
}

names!(OptimizerKind, "optimizer", [
    Sgd => "sgd",
    Adagrad => "adagrad",
    Rmsprop => "rmsprop",
    Adam => "adam",
    Adamw => "adamw",
    Lars => "lars",
    Lamb => "lamb",
]);

impl OptimizerKind {
    /// The learning rate when none is given: 0.1 for sgd and lars, 0.01 for adagrad, 0.001 otherwise.
    #[must_use]
    pub const fn default_rate(self) -> f64 {
        match self {
            Self::Sgd | Self::Lars => 0.1,
            Self::Adagrad => 0.01,
            Self::Rmsprop | Self::Adam | Self::Adamw | Self::Lamb => 0.001,
        }
    }

    /// The decoupled weight decay when none is given: 0.01 for adamw, as PyTorch's, and 0 otherwise.
    #[must_use]
    pub const fn default_weight_decay(self) -> f64 {
        if matches!(self, Self::Adamw) { 0.01 } else { 0.0 }
    }

    /// The ε when none is given, or `None` for the rules without one.
    #[must_use]
    pub const fn default_eps(self) -> Option<f64> {
        match self {
            Self::Sgd | Self::Lars => None,
            Self::Adagrad => Some(1e-10),
            Self::Rmsprop | Self::Adam | Self::Adamw => Some(1e-8),
            Self::Lamb => Some(1e-6),
        }
    }

    /// Whether the size of an update does not follow the scale of the gradients (ε aside), so that one rate serves
    /// every [`Reduction`](super::Reduction). True for all but sgd.
    #[must_use]
    pub const fn is_scale_free(self) -> bool {
        !matches!(self, Self::Sgd)
    }
}

/// Where the rate enters momentum. The two forms differ as soon as the rate changes during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumForm {
    /// v ← μv + g, w ← w − ηv: a new rate acts on the whole history at once.
    #[default]
    Pytorch,
    /// v ← μv + ηg, w ← w − v: each gradient keeps the rate of its step. Goyal et al. 2017 (arXiv:1706.02677),
    /// remark 2, correct v by η_new/η_old when the rate changes:
    /// [`Optimizer::scale_momentum`](super::Optimizer::scale_momentum).
    Caffe,
}

names!(MomentumForm, "momentum form", [
    Pytorch => "pytorch",
    Caffe => "caffe",
]);

/// Where ε stands in the denominator of adagrad, rmsprop, adam and adamw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpsForm {
    /// √s + ε, and √v̂ + ε for adam: PyTorch's.
    #[default]
    Outside,
    /// √(s + ε), for adagrad and rmsprop: Keras' and TensorFlow's. Its ε is a square: it scales with c².
    Inside,
    /// √v + ε with v not yet corrected, so that ε counts 1/√(1−β₂ᵗ) times as much, 32 times in the first step: the
    /// "ε̂" of Kingma, Ba 2014, section 2, in Keras, TensorFlow, scikit-learn, Caffe and MindSpore. For adam and adamw.
    Uncorrected,
}

names!(EpsForm, "eps form", [
    Outside => "outside",
    Inside => "inside",
    Uncorrected => "uncorrected",
]);

/// What the coupled penalty λw is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum L2Form {
    /// The gradient of the step, after the reduction: g + λw.
    #[default]
    Gradient,
    /// The sum over the batch, which is then divided by its weight: (Σ s_k + λw)/W. The α of scikit-learn's perceptrons;
    /// a short last batch decays more. For the reduction `mean` alone.
    BatchSum,
}

names!(L2Form, "l2 form", [
    Gradient => "gradient",
    BatchSum => "batch-sum",
]);
