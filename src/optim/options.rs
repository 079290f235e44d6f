//! Optimizer options as flags and files give them: unchecked.

use super::{EpsForm, L2Form, MomentumForm, OptimizerKind};
use serde::{Deserialize, Serialize};

/// An optimizer and its options, not yet checked; `None` stands for the optimizer's default.
///
/// [`check`](Self::check) turns it into a [`Hyper`](super::Hyper). The default is plain sgd. Serialised with kebab-case
/// keys; unknown keys are errors.
///
/// The scale of an option follows that of the gradients where "c" is named below: if all gradients are c times as large
/// (as a sum over c samples is, compared with their mean), the option is to be multiplied as stated for the same
/// trajectory. See [`Reduction`](super::Reduction).
///
/// # Examples
/// ```
/// use phalanx::optim::{OptimizerKind, OptimizerOptions};
///
/// let options = OptimizerOptions { momentum: Some(0.9), nesterov: true, ..OptimizerOptions::default() };
/// assert_eq!(options.check()?.state_names(), ["momentum_buffer"]);
///
/// let mistaken = OptimizerOptions { momentum: Some(0.9), ..OptimizerOptions::new(OptimizerKind::Adam) };
/// assert_eq!(
///     mistaken.check().unwrap_err().to_string(),
///     "option momentum is not used by adam; drop it, or choose an optimizer that uses it: sgd, rmsprop, lars"
/// );
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct OptimizerOptions {
    /// The rule.
    pub kind: OptimizerKind,
    /// μ of sgd, rmsprop and lars, 0 ≤ μ < 1; default 0. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// The form of momentum of sgd and lars; default PyTorch's. Needs a momentum above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_form: Option<MomentumForm>,
    /// Whether sgd or lars look ahead (Nesterov). Needs a momentum above 0.
    pub nesterov: bool,
    /// β₁ of adam, adamw and lamb, 0 ≤ β₁ < 1; default 0.9. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// β₂ of adam, adamw and lamb, default 0.999, and α of rmsprop, default 0.99; 0 ≤ β₂ < 1. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// ε of adagrad (1e-10), rmsprop, adam, adamw (1e-8) and lamb (1e-6). Scale: c, or c² inside of the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Where ε stands; default outside of the root. Inside of it for adagrad and rmsprop, before the bias correction for
    /// adam and adamw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps_form: Option<EpsForm>,
    /// What adagrad's sum of squares starts from; default 0. Scale: c².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_accumulator: Option<f64>,
    /// The trust coefficient of lars; default 0.001. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_coefficient: Option<f64>,
    /// Coupled penalty: λw is added to the gradient, after clipping; default 0. Scale: c.
    pub l2: f64,
    /// What λw is added to; default the gradient of the step.
    pub l2_form: L2Form,
    /// Decoupled decay; default 0. Scale: c for sgd (whose rate is divided by c), unchanged otherwise.
    pub weight_decay: f64,
    /// Whether biases, that is tensors of one dimension, are spared both penalties.
    pub no_bias_decay: bool,
}

impl OptimizerOptions {
    /// The options of PyTorch's optimizer of this kind: all defaults, and adamw's weight decay of 0.01.
    #[must_use]
    pub fn new(kind: OptimizerKind) -> Self {
        Self { kind, weight_decay: kind.default_weight_decay(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_and_write_kebab_case_keys() {
        let options = OptimizerOptions {
            momentum: Some(0.9),
            momentum_form: Some(MomentumForm::Caffe),
            nesterov: true,
            ..OptimizerOptions::default()
        };
        let text = toml::to_string(&options).unwrap();
        assert!(text.contains("momentum-form = \"caffe\""), "{text}");
        assert_eq!(toml::from_str::<OptimizerOptions>(&text).unwrap(), options);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = toml::from_str::<OptimizerOptions>("momemtum = 0.9").unwrap_err();
        assert!(error.to_string().contains("momemtum"), "{error}");
    }

    #[test]
    fn absent_keys_mean_plain_sgd() {
        assert_eq!(toml::from_str::<OptimizerOptions>("").unwrap(), OptimizerOptions::default());
    }
}
