//! Checked optimizer options.

use super::{EpsForm, L2Form, MomentumForm, OptimError, OptimizerKind, OptimizerOptions};

/// Checked and complete options of an optimizer; made by [`OptimizerOptions::check`] only.
///
/// Every option lies in its range, every option that was set is used, and every other one has its default.
///
/// # Examples
///
/// ```
/// use phalanx::optim::{Hyper, OptimizerKind, OptimizerOptions};
///
/// let options = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
/// let adam: Hyper = options.check()?;
/// assert_eq!((adam.options().beta1, adam.options().beta2), (Some(0.9), Some(0.999)));
/// assert_eq!(adam.state_names(), ["exp_avg", "exp_avg_sq"]);
/// assert!(OptimizerOptions { momentum: Some(0.9), ..options }.check().is_err(), "adam has none");
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    pub(super) kind: OptimizerKind,
    pub(super) rule: Rule,
    pub(super) l2: f64,
    pub(super) l2_form: L2Form,
    pub(super) weight_decay: f64,
    pub(super) no_bias_decay: bool,
}

/// The options that each rule has, and no others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    Sgd(Option<Momentum>),
    Adagrad {
        eps: f64,
        /// Outside or inside.
        form: EpsForm,
        initial_accumulator: f64,
    },
    Rmsprop {
        alpha: f64,
        eps: f64,
        /// Outside or inside.
        form: EpsForm,
        /// 0 for none, and then no buffer.
        momentum: f64,
    },
    /// Adam and AdamW: they differ in their default decay alone.
    Adam(Moments),
    Lars {
        trust_coefficient: f64,
        momentum: Option<Momentum>,
    },
    Lamb(Moments),
}

/// Momentum of sgd and lars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Momentum {
    /// μ, above 0.
    pub(super) factor: f64,
    pub(super) form: MomentumForm,
    pub(super) nesterov: bool,
}

/// The decaying averages of adam and lamb.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) eps: f64,
    /// Outside or uncorrected.
    pub(super) form: EpsForm,
}

impl OptimizerOptions {
    /// Checks every option and fills in the defaults.
    ///
    /// # Errors
    /// [`OptimError::UnusedOption`] for an option that is set and not used by the optimizer, also if set to its default;
    /// [`OptimError::NeedsMomentum`] for `nesterov` or `momentum_form` without momentum; [`OptimError::OutOfRange`] for
    /// a value outside of its range, or one that becomes 0 or infinite as `f32`.
    pub fn check(&self) -> Result<Hyper, OptimError> {
        self.refuse_unused()?;
        Ok(Hyper {
            kind: self.kind,
            rule: self.rule()?,
            l2: non_negative("l2", self.l2)?,
            l2_form: self.l2_form,
            weight_decay: non_negative("weight-decay", self.weight_decay)?,
            no_bias_decay: self.no_bias_decay,
        })
    }

    fn refuse_unused(&self) -> Result<(), OptimError> {
        for (option, is_set, users) in [
            ("momentum", self.momentum.is_some(), MOMENTUM_USERS),
            ("momentum-form", self.momentum_form.is_some(), FORM_USERS),
            ("nesterov", self.nesterov, FORM_USERS),
            ("beta1", self.beta1.is_some(), BETA1_USERS),
            ("beta2", self.beta2.is_some(), BETA2_USERS),
            ("eps", self.eps.is_some(), EPS_USERS),
            ("eps-form", self.eps_form.is_some(), EPS_USERS),
            ("eps-form inside", self.eps_form == Some(EpsForm::Inside), &["adagrad", "rmsprop"]),
            ("eps-form uncorrected", self.eps_form == Some(EpsForm::Uncorrected), &["adam", "adamw"]),
            ("initial-accumulator", self.initial_accumulator.is_some(), &["adagrad"]),
            ("trust-coefficient", self.trust_coefficient.is_some(), &["lars"]),
        ] {
            if is_set && !users.contains(&self.kind.name()) {
                return Err(OptimError::UnusedOption { option, kind: self.kind, used_by: users });
            }
        }
        Ok(())
    }

    fn rule(&self) -> Result<Rule, OptimError> {
        Ok(match self.kind {
            OptimizerKind::Sgd => Rule::Sgd(self.momentum()?),
            OptimizerKind::Adagrad => Rule::Adagrad {
                eps: self.eps()?,
                form: self.eps_form.unwrap_or_default(),
                initial_accumulator: non_negative(
                    "initial-accumulator",
                    self.initial_accumulator.unwrap_or(0.0),
                )?,
            },
            OptimizerKind::Rmsprop => Rule::Rmsprop {
                alpha: decay("beta2", self.beta2.unwrap_or(0.99))?,
                eps: self.eps()?,
                form: self.eps_form.unwrap_or_default(),
                momentum: decay("momentum", self.momentum.unwrap_or(0.0))?,
            },
            OptimizerKind::Adam | OptimizerKind::Adamw => Rule::Adam(self.moments()?),
            OptimizerKind::Lars => Rule::Lars {
                trust_coefficient: positive("trust-coefficient", self.trust_coefficient.unwrap_or(0.001))?,
                momentum: self.momentum()?,
            },
            OptimizerKind::Lamb => Rule::Lamb(self.moments()?),
        })
    }

    fn momentum(&self) -> Result<Option<Momentum>, OptimError> {
        let factor = decay("momentum", self.momentum.unwrap_or(0.0))?;
        if factor > 0.0 {
            let form = self.momentum_form.unwrap_or_default();
            return Ok(Some(Momentum { factor, form, nesterov: self.nesterov }));
        }
        if self.nesterov {
            return Err(OptimError::NeedsMomentum { option: "nesterov" });
        }
        if self.momentum_form.is_some() {
            return Err(OptimError::NeedsMomentum { option: "momentum-form" });
        }
        Ok(None)
    }

    fn moments(&self) -> Result<Moments, OptimError> {
        Ok(Moments {
            beta1: decay("beta1", self.beta1.unwrap_or(0.9))?,
            beta2: decay("beta2", self.beta2.unwrap_or(0.999))?,
            eps: self.eps()?,
            form: self.eps_form.unwrap_or_default(),
        })
    }

    fn eps(&self) -> Result<f64, OptimError> {
        let default = self.kind.default_eps().expect("only rules with an eps ask for it");
        non_negative("eps", self.eps.unwrap_or(default))
    }
}

const MOMENTUM_USERS: &[&str] = &["sgd", "rmsprop", "lars"];
const FORM_USERS: &[&str] = &["sgd", "lars"];
const BETA1_USERS: &[&str] = &["adam", "adamw", "lamb"];
const BETA2_USERS: &[&str] = &["rmsprop", "adam", "adamw", "lamb"];
const EPS_USERS: &[&str] = &["adagrad", "rmsprop", "adam", "adamw", "lamb"];

/// Accepts 0 ≤ value, finite, and not lost as `f32`.
pub(super) fn non_negative(option: &'static str, value: f64) -> Result<f64, OptimError> {
    let kept = value == 0.0 || (value as f32).is_normal();
    let expected = "0, or between 1.2e-38 and 3.4e38";
    if value >= 0.0 && kept { Ok(value) } else { Err(OptimError::OutOfRange { option, value, expected }) }
}

/// Accepts 0 < value, finite, and not lost as `f32`.
pub(super) fn positive(option: &'static str, value: f64) -> Result<f64, OptimError> {
    let expected = "between 1.2e-38 and 3.4e38";
    if value > 0.0 && (value as f32).is_normal() {
        Ok(value)
    } else {
        Err(OptimError::OutOfRange { option, value, expected })
    }
}

/// Accepts the factor of a decaying average: 0 ≤ value < 1, also as `f32`, where 1 would never forget.
fn decay(option: &'static str, value: f64) -> Result<f64, OptimError> {
    let expected = "at least 0 and below 1 (also once rounded to f32)";
    if value >= 0.0 && (value as f32) < 1.0 {
        Ok(value)
    } else {
        Err(OptimError::OutOfRange { option, value, expected })
    }
}

impl Hyper {
    /// The rule.
    #[must_use]
    pub fn kind(&self) -> OptimizerKind {
        self.kind
    }

    /// What the coupled penalty is added to.
    #[must_use]
    pub fn l2_form(&self) -> L2Form {
        self.l2_form
    }

    /// The options with every default filled in; they [`check`](OptimizerOptions::check) to this same value.
    #[must_use]
    pub fn options(&self) -> OptimizerOptions {
        let base = OptimizerOptions {
            kind: self.kind,
            l2: self.l2,
            l2_form: self.l2_form,
            weight_decay: self.weight_decay,
            no_bias_decay: self.no_bias_decay,
            ..OptimizerOptions::default()
        };
        match self.rule {
            Rule::Sgd(momentum) => with_momentum(base, momentum),
            Rule::Adagrad { eps, form, initial_accumulator } => OptimizerOptions {
                initial_accumulator: Some(initial_accumulator),
                ..with_eps(base, eps, form)
            },
            Rule::Rmsprop { alpha, eps, form, momentum } => {
                OptimizerOptions { beta2: Some(alpha), momentum: Some(momentum), ..with_eps(base, eps, form) }
            }
            Rule::Adam(moments) | Rule::Lamb(moments) => {
                let Moments { beta1, beta2, eps, form } = moments;
                OptimizerOptions { beta1: Some(beta1), beta2: Some(beta2), ..with_eps(base, eps, form) }
            }
            Rule::Lars { trust_coefficient, momentum } => OptimizerOptions {
                trust_coefficient: Some(trust_coefficient),
                ..with_momentum(base, momentum)
            },
        }
    }

    /// Whether the update needs the norms of whole tensors (lars, lamb), so that it comes in two phases with an exchange
    /// of block sums in between.
    #[must_use]
    pub fn needs_tensor_norms(&self) -> bool {
        matches!(self.rule, Rule::Lars { .. } | Rule::Lamb(_))
    }

    /// How many numbers the optimizer keeps for each param: 0, 1 or 2.
    #[must_use]
    pub fn state_len_per_param(&self) -> usize {
        self.state_names().len()
    }

    /// The names of the state buffers, as PyTorch's `state_dict` calls them, in the order of
    /// [`Optimizer::state`](super::Optimizer::state).
    #[must_use]
    pub fn state_names(&self) -> &'static [&'static str] {
        match self.rule {
            Rule::Sgd(None) | Rule::Lars { momentum: None, .. } => &[],
            Rule::Sgd(Some(_)) | Rule::Lars { momentum: Some(_), .. } => &["momentum_buffer"],
            Rule::Adagrad { .. } => &["sum"],
            Rule::Rmsprop { momentum: 0.0, .. } => &["square_avg"],
            Rule::Rmsprop { .. } => &["square_avg", "momentum_buffer"],
            Rule::Adam(_) | Rule::Lamb(_) => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// The power of the gradients' scale c that each state buffer carries, in the order of
    /// [`state_names`](Self::state_names): with gradients c times as large, and the rate and options of that convention,
    /// the buffers are c^power times as large.
    #[must_use]
    pub fn state_powers(&self) -> &'static [i32] {
        match self.rule {
            Rule::Sgd(None) | Rule::Lars { momentum: None, .. } => &[],
            Rule::Sgd(Some(Momentum { form: MomentumForm::Pytorch, .. })) => &[1],
            Rule::Sgd(Some(_)) | Rule::Lars { momentum: Some(_), .. } => &[0],
            Rule::Adagrad { .. } => &[2],
            Rule::Rmsprop { momentum: 0.0, .. } => &[2],
            Rule::Rmsprop { .. } => &[2, 0],
            Rule::Adam(_) | Rule::Lamb(_) => &[1, 2],
        }
    }
}

fn with_eps(options: OptimizerOptions, eps: f64, form: EpsForm) -> OptimizerOptions {
    OptimizerOptions { eps: Some(eps), eps_form: Some(form), ..options }
}

fn with_momentum(options: OptimizerOptions, momentum: Option<Momentum>) -> OptimizerOptions {
    match momentum {
        None => OptimizerOptions { momentum: Some(0.0), ..options },
        Some(Momentum { factor, form, nesterov }) => {
            OptimizerOptions { momentum: Some(factor), momentum_form: Some(form), nesterov, ..options }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: OptimizerKind) -> OptimizerOptions {
        OptimizerOptions::new(kind)
    }

    /// Each option set by itself, to a value in its range.
    fn each_option(kind: OptimizerKind) -> [(&'static str, OptimizerOptions); 8] {
        let form = Some(MomentumForm::Pytorch);
        [
            ("momentum", OptimizerOptions { momentum: Some(0.0), ..of(kind) }),
            ("momentum-form", OptimizerOptions { momentum_form: form, ..of(kind) }),
            ("nesterov", OptimizerOptions { nesterov: true, ..of(kind) }),
            ("beta1", OptimizerOptions { beta1: Some(0.9), ..of(kind) }),
            ("beta2", OptimizerOptions { beta2: Some(0.9), ..of(kind) }),
            ("eps", OptimizerOptions { eps: Some(1e-8), ..of(kind) }),
            ("initial-accumulator", OptimizerOptions { initial_accumulator: Some(0.0), ..of(kind) }),
            ("trust-coefficient", OptimizerOptions { trust_coefficient: Some(0.02), ..of(kind) }),
        ]
    }

    #[test]
    fn exactly_the_options_a_rule_uses_are_accepted() {
        for (kind, used) in [
            (OptimizerKind::Sgd, &["momentum"][..]),
            (OptimizerKind::Adagrad, &["eps", "initial-accumulator"]),
            (OptimizerKind::Rmsprop, &["momentum", "beta2", "eps"]),
            (OptimizerKind::Adam, &["beta1", "beta2", "eps"]),
            (OptimizerKind::Adamw, &["beta1", "beta2", "eps"]),
            (OptimizerKind::Lars, &["momentum", "trust-coefficient"]),
            (OptimizerKind::Lamb, &["beta1", "beta2", "eps"]),
        ] {
            for (option, options) in each_option(kind) {
                assert_eq!(options.check().is_ok(), used.contains(&option), "{option} with {kind}");
            }
        }
    }

    #[test]
    fn nesterov_and_momentum_form_need_momentum() {
        for kind in [OptimizerKind::Sgd, OptimizerKind::Lars] {
            for (option, options) in &each_option(kind)[1..3] {
                assert_eq!(options.check(), Err(OptimError::NeedsMomentum { option }));
                assert!(OptimizerOptions { momentum: Some(0.9), ..*options }.check().is_ok());
            }
        }
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_value() {
        let sgd = of(OptimizerKind::Sgd);
        let adam = of(OptimizerKind::Adam);
        for (option, options) in [
            ("momentum", OptimizerOptions { momentum: Some(1.0), ..sgd }),
            ("momentum", OptimizerOptions { momentum: Some(-0.1), ..sgd }),
            ("momentum", OptimizerOptions { momentum: Some(0.999_999_999), ..sgd }),
            ("l2", OptimizerOptions { l2: f64::INFINITY, ..sgd }),
            ("l2", OptimizerOptions { l2: 1e-50, ..sgd }),
            ("weight-decay", OptimizerOptions { weight_decay: -1.0, ..sgd }),
            ("beta1", OptimizerOptions { beta1: Some(1.0), ..adam }),
            ("beta2", OptimizerOptions { beta2: Some(1.5), ..adam }),
            ("eps", OptimizerOptions { eps: Some(-1e-8), ..adam }),
            ("eps", OptimizerOptions { eps: Some(1e39), ..adam }),
        ] {
            let Err(OptimError::OutOfRange { option: found, .. }) = options.check() else {
                panic!("{option} of {options:?} was accepted")
            };
            assert_eq!(found, option);
        }
        assert!(OptimizerOptions { l2: f64::NAN, ..sgd }.check().is_err());
        let lars = OptimizerOptions { trust_coefficient: Some(0.0), ..of(OptimizerKind::Lars) };
        assert_eq!(
            lars.check().unwrap_err().to_string(),
            "trust-coefficient is 0.0, but must be between 1.2e-38 and 3.4e38; choose such a value"
        );
    }

    #[test]
    fn resolved_options_check_to_the_same_hyper() {
        for &kind in OptimizerKind::ALL {
            let hyper = of(kind).check().unwrap();
            assert_eq!(hyper.options().check().unwrap(), hyper);
            assert_eq!(hyper.state_powers().len(), hyper.state_len_per_param());
        }
        let caffe = OptimizerOptions {
            momentum: Some(0.5),
            momentum_form: Some(MomentumForm::Caffe),
            nesterov: true,
            ..of(OptimizerKind::Lars)
        };
        assert_eq!(caffe.check().unwrap().options().check().unwrap(), caffe.check().unwrap());
    }
}
