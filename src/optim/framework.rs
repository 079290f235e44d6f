//! The meaning of hyper-parameters in other frameworks.

use super::error::OptimError;
use super::options::{EpsForm, L2Form, MomentumForm, OptimizerKind, OptimizerOptions};
use super::reduction::Reduction;
use crate::num::names;
use serde::{Deserialize, Serialize};

/// A framework whose hyper-parameters Phalanx accepts unchanged.
///
/// | | gradient of a step | momentum | L2 | clipped | source |
/// |---|---|---|---|---|---|
/// | `pytorch` | mean | v ← μv + g | g + λw | before L2 | `torch.optim`, `reduction='mean'` |
/// | `pytorch-ddp` | mean of shard means | as pytorch | as pytorch | as pytorch | `DistributedDataParallel` |
/// | `horovod-average` | mean of shard means | as pytorch | as pytorch | as pytorch | `hvd.DistributedOptimizer` |
/// | `horovod-sum` | sum of shard means | as pytorch | as pytorch | as pytorch | the same, `op=hvd.Sum` |
/// | `mindspore` | sum of shard means | v ← μv + g | g + λw | before L2 | `gradients_mean=False`, `nn.Momentum` |
/// | `caffe` | mean | v ← μv + ηg | g + λw | before L2 | `SGDSolver::ApplyUpdate` |
/// | `keras` | mean | v ← μv + ηg | 2λw, kernels only | after L2 | `keras.optimizers`, `regularizers.L2` |
/// | `tensorflow1-estimator` | sum | v ← μv + g | λw, kernels only | after L2 | `tf.estimator`, `Reduction.SUM` |
/// | `scikit-learn` | mean | v ← μv + ηg | (Σg + αw)/m, kernels only | never | `MLPClassifier` |
/// | `cntk` | sum | v ← μv + (1 − μ)ηg | Σg + mλw | by value | `SGD.cpp`, `MomentumSGDUpdate` |
/// | `mxnet` | mean | v ← μv + ηg | g + λw | before L2 | `gluon.Trainer`, `sgd_mom_update` |
/// | `darknet` | mean | v ← μv + g | g + λw, kernels only | never | `update_connected_layer` |
/// | `nielsen` | mean | none | g + (λ/N)w, kernels only | never | `network2.py` |
/// | `theano-tutorial` | mean | none | 2λw, kernels only | never | `mlp.py` |
/// | `bigdl` | mean of shard means | none, as it is dampened | g + λw | before L2 | `DistriOptimizer`, `SGD` |
///
/// In the distributed frameworks, each process is a shard; in BigDL, each core of each node.
/// Optimizer constants differ too ([`optimizer`](Self::optimizer)): Keras has ε = 1e-7, inside the
/// square root or before Adam's bias correction, and initializes Adagrad's accumulator to 0.1.
///
/// # Examples
///
/// ```
/// use phalanx::optim::{EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, OptimizerOptions, Reduction};
///
/// assert_eq!(Framework::HorovodSum.reduction(), Reduction::SumOfShardMeans);
/// let adam = Framework::Keras.optimizer(OptimizerKind::Adam)?;
/// assert_eq!((adam.eps, adam.eps_form), (Some(1e-7), Some(EpsForm::Uncorrected)));
/// let sgd = Framework::Caffe.optimizer(OptimizerKind::Sgd)?;
/// let sgd = OptimizerOptions { momentum: Some(0.9), momentum_form: Some(MomentumForm::Caffe), ..sgd };
/// assert!(sgd.check().is_ok() && Framework::Caffe.optimizer(OptimizerKind::Adamw).is_err());
/// assert_eq!(Framework::ScikitLearn.optimizer(OptimizerKind::Sgd)?.l2_form, L2Form::BatchSum);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// PyTorch in one process, with a mean loss.
    Pytorch,
    /// PyTorch's `DistributedDataParallel`, with a mean loss in each process.
    PytorchDdp,
    /// Horovod with `op=Average`, its default, around PyTorch's optimizers.
    HorovodAverage,
    /// Horovod with `op=Sum`, around PyTorch's optimizers.
    HorovodSum,
    /// MindSpore's data-parallel mode, with `gradients_mean` off, its default.
    Mindspore,
    /// Caffe's solvers on one device.
    Caffe,
    /// Keras 3.
    Keras,
    /// TensorFlow 1's estimators, whose losses are summed.
    Tensorflow1Estimator,
    /// scikit-learn's `MLPClassifier`.
    ScikitLearn,
    /// CNTK in BrainScript, with rates per sample.
    Cntk,
    /// MXNet's Gluon, with `Trainer.step(batch_size)`.
    Mxnet,
    /// Darknet, with its `batch` over all subdivisions.
    Darknet,
    /// The programs of Nielsen's book "Neural Networks and Deep Learning" (2015).
    Nielsen,
    /// The multi-layer perceptron of the Theano tutorial.
    TheanoTutorial,
    /// BigDL's `DistriOptimizer`.
    Bigdl,
}

names!(Framework, "framework", OptimError, [
    Pytorch => "pytorch",
    PytorchDdp => "pytorch-ddp",
    HorovodAverage => "horovod-average",
    HorovodSum => "horovod-sum",
    Mindspore => "mindspore",
    Caffe => "caffe",
    Keras => "keras",
    Tensorflow1Estimator => "tensorflow1-estimator",
    ScikitLearn => "scikit-learn",
    Cntk => "cntk",
    Mxnet => "mxnet",
    Darknet => "darknet",
    Nielsen => "nielsen",
    TheanoTutorial => "theano-tutorial",
    Bigdl => "bigdl",
]);

impl Framework {
    /// Returns the reduction that gives its gradient of a step.
    #[must_use]
    pub const fn reduction(self) -> Reduction {
        match self {
            Self::PytorchDdp | Self::HorovodAverage | Self::Bigdl => Reduction::MeanOfShardMeans,
            Self::HorovodSum | Self::Mindspore => Reduction::SumOfShardMeans,
            Self::Tensorflow1Estimator | Self::Cntk => Reduction::Sum,
            _ => Reduction::Mean,
        }
    }

    /// Returns the place where the rate enters momentum.
    #[must_use]
    pub const fn momentum_form(self) -> MomentumForm {
        match self {
            Self::Caffe | Self::Keras | Self::ScikitLearn | Self::Cntk | Self::Mxnet => MomentumForm::Caffe,
            _ => MomentumForm::Pytorch,
        }
    }

    /// Returns whether its results depend on the number of processes, that is, of shards.
    #[must_use]
    pub const fn needs_shards(self) -> bool {
        matches!(self.reduction(), Reduction::MeanOfShardMeans | Reduction::SumOfShardMeans)
    }

    /// Returns the factor from its L2 to the λ that is added, for batches of this size: 2 for
    /// Keras and the Theano tutorial, whose penalty λΣw² has no ½, and the batch size for CNTK,
    /// which adds its λ to the mean and then sums.
    #[must_use]
    pub const fn l2_factor(self, batch_size: usize) -> f64 {
        match self {
            Self::Keras | Self::TheanoTutorial => 2.0,
            Self::Cntk => batch_size as f64,
            _ => 1.0,
        }
    }

    /// Returns the gradient that the penalty is added to.
    #[must_use]
    pub const fn l2_form(self) -> L2Form {
        match self {
            Self::ScikitLearn => L2Form::BatchSum,
            Self::Nielsen => L2Form::DataSum,
            _ => L2Form::Gradient,
        }
    }

    /// Returns whether its L2 penalty is part of the objective and applies to kernels only, so that
    /// it excludes biases and is clipped together with the loss's gradient, if that is clipped.
    #[must_use]
    pub const fn penalises_in_objective(self) -> bool {
        use Framework::{Darknet, Keras, Nielsen, ScikitLearn, Tensorflow1Estimator, TheanoTutorial};
        matches!(self, Keras | Tensorflow1Estimator | ScikitLearn | Darknet | Nielsen | TheanoTutorial)
    }

    /// Returns whether it clips gradients, to a maximum of their global norm.
    #[must_use]
    pub const fn clips_to_norm(self) -> bool {
        use Framework::{Cntk, Darknet, Nielsen, ScikitLearn, TheanoTutorial};
        !matches!(self, ScikitLearn | Cntk | Darknet | Nielsen | TheanoTutorial)
    }

    /// Returns whether its sgd has a momentum that Phalanx implements: BigDL's is dampened by
    /// default.
    #[must_use]
    pub const fn has_momentum(self) -> bool {
        !matches!(self, Self::Nielsen | Self::TheanoTutorial | Self::Bigdl)
    }

    /// Returns whether the option that it calls weight decay is an L2 penalty, λw added to the
    /// gradient, for all optimizers but AdamW.
    #[must_use]
    pub const fn weight_decay_is_l2(self) -> bool {
        use Framework::{Cntk, Keras, Nielsen, ScikitLearn, Tensorflow1Estimator, TheanoTutorial};
        !matches!(self, Keras | Tensorflow1Estimator | ScikitLearn | Cntk | Nielsen | TheanoTutorial)
    }

    /// Returns whether it has a weight decay apart from L2.
    #[must_use]
    pub const fn has_decoupled_decay(self) -> bool {
        !matches!(self, Self::Cntk | Self::Darknet | Self::Nielsen | Self::TheanoTutorial)
    }

    /// Returns its default optimizer.
    #[must_use]
    pub const fn default_optimizer(self) -> OptimizerKind {
        match self {
            Self::ScikitLearn => OptimizerKind::Adam,
            Self::Tensorflow1Estimator => OptimizerKind::Adagrad,
            _ => OptimizerKind::Sgd,
        }
    }

    /// Returns its default learning rate, or `None` if it has none.
    #[must_use]
    pub const fn default_rate(self, kind: OptimizerKind) -> Option<f64> {
        use OptimizerKind::{Adagrad, Adam, Adamw, Sgd};
        match (self, kind) {
            (Self::Caffe | Self::Cntk | Self::Nielsen, _) => None,
            (Self::Keras | Self::Mxnet | Self::TheanoTutorial, Sgd) => Some(0.01),
            (Self::Bigdl, OptimizerKind::Rmsprop) => Some(0.01),
            (Self::Keras | Self::ScikitLearn | Self::Mxnet | Self::Darknet | Self::Bigdl, _) => Some(0.001),
            (Self::Mindspore, Sgd) => Some(0.1),
            (Self::Mindspore, _) => Some(0.001),
            (Self::Tensorflow1Estimator, Adagrad) => Some(0.05),
            (Self::Tensorflow1Estimator, Adam) => Some(0.001),
            (Self::Tensorflow1Estimator, _) => None,
            (_, Sgd | Adam | Adamw) => Some(0.001),
            (_, _) => Some(0.01),
        }
    }

    /// Returns its optimizer of this kind, with its constants: the value and place of ε, Adagrad's
    /// initial accumulator, decay rates.
    ///
    /// # Errors
    /// [`OptimError::NotOf`] for an optimizer that it does not have, or whose formula Phalanx does
    /// not implement.
    pub fn optimizer(self, kind: OptimizerKind) -> Result<OptimizerOptions, OptimError> {
        use OptimizerKind::{Adagrad, Adam, Adamw, Lamb, Lars, Rmsprop, Sgd};
        let options = OptimizerOptions { l2_form: self.l2_form(), ..OptimizerOptions::new(kind) };
        let eps =
            |eps: f64, form: EpsForm| OptimizerOptions { eps: Some(eps), eps_form: Some(form), ..options };
        let not_of =
            |reason| Err(OptimError::NotOf { framework: self.name(), optimizer: kind.name(), reason });
        Ok(match (self, kind) {
            (_, Lars | Lamb) => {
                return not_of("it does not include one, and third-party implementations differ");
            }
            (Self::ScikitLearn, Sgd) => {
                OptimizerOptions { momentum: Some(0.9), nesterov: true, l2: 1e-4, ..options }
            }
            (Self::ScikitLearn, Adam) => OptimizerOptions { l2: 1e-4, ..eps(1e-8, EpsForm::Uncorrected) },
            (Self::ScikitLearn, _) => return not_of("its solvers are sgd and adam"),
            (Self::Cntk, Sgd) => OptimizerOptions { momentum: Some(0.9), ..options },
            (Self::Cntk, _) => {
                return not_of("its adaptive rates are divided by their average; only sgd is the usual one");
            }
            (Self::Darknet, Sgd) => OptimizerOptions { momentum: Some(0.9), l2: 1e-4, ..options },
            (Self::Darknet, _) => {
                return not_of(
                    "it ignores adam on CPUs and sums its gradients on GPUs; only sgd is the same on both",
                );
            }
            (Self::TheanoTutorial, Sgd) => OptimizerOptions { l2: 1e-4, ..options },
            (Self::Nielsen | Self::TheanoTutorial, kind) if !matches!(kind, Sgd) => {
                return not_of("it has plain sgd only");
            }
            (_, Sgd) => options,
            (Self::Mxnet, Adagrad | Rmsprop | Adamw) => {
                return not_of("its formula depends on the version, in the place of eps or in the decay");
            }
            (Self::Bigdl, Adamw) => {
                return not_of("its AdamWeightDecay has an eps and a warm-up of its own");
            }
            (Self::Bigdl, Adagrad | Rmsprop) => options,
            (Self::Mxnet | Self::Bigdl, Adam) => eps(1e-8, EpsForm::Uncorrected),
            (Self::Keras, Adagrad) => {
                OptimizerOptions { initial_accumulator: Some(0.1), ..eps(1e-7, EpsForm::Inside) }
            }
            (Self::Keras, Rmsprop) => OptimizerOptions { beta2: Some(0.9), ..eps(1e-7, EpsForm::Inside) },
            (Self::Keras, Adam) => eps(1e-7, EpsForm::Uncorrected),
            (Self::Keras, Adamw) => {
                OptimizerOptions { weight_decay: 0.004, ..eps(1e-7, EpsForm::Uncorrected) }
            }
            (Self::Tensorflow1Estimator | Self::Mindspore, Adagrad) => {
                OptimizerOptions { initial_accumulator: Some(0.1), ..eps(0.0, EpsForm::Outside) }
            }
            (Self::Tensorflow1Estimator | Self::Mindspore, Rmsprop) => {
                return not_of("its average of squares starts from 1, but Phalanx's from 0");
            }
            (Self::Caffe, Adagrad | Rmsprop) => eps(1e-8, EpsForm::Outside),
            (Self::Caffe | Self::Tensorflow1Estimator | Self::Mindspore, Adam) => {
                eps(1e-8, EpsForm::Uncorrected)
            }
            (Self::Caffe | Self::Tensorflow1Estimator, Adamw) => return not_of("it does not include one"),
            (Self::Mindspore, Adamw) => return not_of("its AdamWeightDecay has no bias correction"),
            (_, Adagrad | Rmsprop | Adam | Adamw) => options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimizer_of_every_framework_is_valid_or_refused_with_a_reason() {
        for &framework in Framework::ALL {
            for &kind in OptimizerKind::ALL {
                match framework.optimizer(kind) {
                    Ok(options) => assert!(options.check().is_ok(), "{kind} of {framework}"),
                    Err(error) => assert!(error.to_string().contains(framework.name()), "{error}"),
                }
            }
            assert!(framework.optimizer(framework.default_optimizer()).is_ok(), "{framework}");
        }
    }
}
