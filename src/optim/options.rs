//! Optimizers and their options: the kinds, the options as given by flags and files, the single
//! table of defaults and ranges, and checked options.

use super::error::OptimError;
use crate::num::names;
use serde::{Deserialize, Serialize};

/// The update rules. [`Optimizer`](super::Optimizer) lists the formula of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent, with optional momentum.
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

names!(OptimizerKind, "optimizer", OptimError, [
    Sgd => "sgd",
    Adagrad => "adagrad",
    Rmsprop => "rmsprop",
    Adam => "adam",
    Adamw => "adamw",
    Lars => "lars",
    Lamb => "lamb",
]);

impl OptimizerKind {
    /// Returns the default learning rate: 0.1 for sgd and lars, 0.01 for adagrad, 0.001 otherwise.
    #[must_use]
    pub fn default_rate(self) -> f64 {
        LR.default_of(self).expect("every optimizer has a rate")
    }

    /// Returns the default decoupled weight decay: 0.01 for adamw, as in PyTorch, and 0 otherwise.
    #[must_use]
    pub fn default_weight_decay(self) -> f64 {
        WEIGHT_DECAY.default_of(self).expect("every optimizer has a weight decay")
    }

    /// Returns whether the size of an update is independent of the scale of the gradients (except
    /// for ε), so that the same rate applies to every [`Reduction`](super::Reduction). True for all
    /// but sgd.
    #[must_use]
    pub const fn is_scale_free(self) -> bool {
        !matches!(self, Self::Sgd)
    }
}

/// The point at which the rate is applied to momentum. The two forms differ as soon as the rate
/// changes during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumForm {
    /// v ← μv + g, w ← w − ηv: a new rate applies to the whole history immediately.
    #[default]
    Pytorch,
    /// v ← μv + ηg, w ← w − v: each gradient keeps the rate of its step. Goyal et al. 2017
    /// (arXiv:1706.02677), remark 2, correct v by η_new/η_old when the rate changes:
    /// [`Optimizer::scale_momentum`](super::Optimizer::scale_momentum).
    Caffe,
}

names!(MomentumForm, "momentum form", OptimError, [
    Pytorch => "pytorch",
    Caffe => "caffe",
]);

/// The place of ε in the denominator of adagrad, rmsprop, adam and adamw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpsForm {
    /// √s + ε, and √v̂ + ε for adam, as in PyTorch.
    #[default]
    Outside,
    /// √(s + ε), for adagrad and rmsprop, as in Keras and TensorFlow. This ε is added to a square,
    /// so it scales with c².
    Inside,
    /// √v + ε with v before the bias correction, so that ε has 1/√(1−β₂ᵗ) times the effect, 32
    /// times in the first step: the "ε̂" of Kingma, Ba 2014, section 2, as in Keras, TensorFlow,
    /// scikit-learn, Caffe and MindSpore. For adam and adamw.
    Uncorrected,
}

names!(EpsForm, "eps form", OptimError, [
    Outside => "outside",
    Inside => "inside",
    Uncorrected => "uncorrected",
]);

/// The gradient that the coupled penalty λw is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum L2Form {
    /// The gradient of the step, after the reduction: g + λw.
    #[default]
    Gradient,
    /// The sum over the batch, which is then divided by its weight: (Σ s_k + λw)/W. The α of
    /// scikit-learn's MLPs; a short last batch decays more. Only for the reduction `mean`.
    BatchSum,
    /// The sum over all N training samples, or their weights: g + (λ/N)w, for the objective Σ ℓ +
    /// (λ/2)‖w‖². Nielsen's λ. Only for the reduction `mean`.
    DataSum,
}

names!(L2Form, "l2 form", OptimError, [
    Gradient => "gradient",
    BatchSum => "batch-sum",
    DataSum => "data-sum",
]);

/// An optimizer and its options, not yet checked; `None` stands for the optimizer's default.
///
/// [`check`](Self::check) checks them. The default is plain sgd.
/// Serialised with kebab-case keys; unknown keys are errors.
///
/// "Scale" in the fields below is the factor of an option if all gradients are c times as large (as
/// a sum over c samples is, compared with their mean) and the trajectory shall stay the same. See
/// [`Reduction`](super::Reduction).
///
/// # Examples
/// ```
/// use phalanx::optim::{MomentumForm, OptimizerKind, OptimizerOptions};
///
/// let options = OptimizerOptions { momentum: Some(0.9), nesterov: true, ..OptimizerOptions::default() };
/// assert_eq!(options.check()?.momentum_form, Some(MomentumForm::Pytorch));
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
    /// The form of momentum of sgd and lars; default PyTorch's. Requires a momentum above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_form: Option<MomentumForm>,
    /// True for Nesterov momentum in sgd and lars. Requires a momentum above 0.
    pub nesterov: bool,
    /// β₁ of adam, adamw and lamb, 0 ≤ β₁ < 1; default 0.9. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// β₂ of adam, adamw and lamb, default 0.999, and α of rmsprop, default 0.99; 0 ≤ β₂ < 1.
    /// Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// ε of adagrad (1e-10), rmsprop, adam, adamw (1e-8) and lamb (1e-6). Scale: c, or c² inside
    /// the square root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// The place of ε; default outside the square root. Alternatives: inside it for adagrad and
    /// rmsprop, before the bias correction for adam and adamw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps_form: Option<EpsForm>,
    /// The initial value of adagrad's sum of squares; default 0. Scale: c².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_accumulator: Option<f64>,
    /// The trust coefficient of lars; default 0.001. Scale: unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_coefficient: Option<f64>,
    /// The coupled penalty λ: λw is added to the gradient, after clipping; default 0. Scale: c.
    pub l2: f64,
    /// The gradient that λw is added to; default: the gradient of the step.
    pub l2_form: L2Form,
    /// The decoupled weight decay; 0 in [`Default`], even if `kind` is then set to adamw:
    /// [`new`](Self::new) sets the 0.01 of adamw. Scale: c for sgd (whose rate is divided by c),
    /// unchanged otherwise.
    pub weight_decay: f64,
    /// True to exclude biases, that is, one-dimensional tensors, from both penalties.
    pub no_bias_decay: bool,
}

impl OptimizerOptions {
    /// Returns the options of PyTorch's optimizer of this kind: all defaults, and adamw's weight
    /// decay of 0.01.
    #[must_use]
    pub fn new(kind: OptimizerKind) -> Self {
        Self { kind, weight_decay: kind.default_weight_decay(), ..Self::default() }
    }
}

/// A row of the options table: the range of an option, and its default for each optimizer.
struct OptionRow {
    /// The name, as in flags and files.
    name: &'static str,
    /// Checks a value, given with the name of its option; returns [`OptimError::OutOfRange`] if it
    /// is invalid.
    range: fn(&'static str, f64) -> Result<f64, OptimError>,
    /// The defaults in the order of [`OptimizerKind::ALL`]; [`NO`] if the optimizer does not use
    /// the option.
    defaults: [f64; OptimizerKind::ALL.len()],
}

/// Marks an option that the optimizer does not use.
const NO: f64 = f64::NAN;
/// Marks a non-numeric option that the optimizer uses.
const YES: f64 = 0.0;

macro_rules! table {
    ($($row:ident $name:literal $range:ident [$($default:expr),+];)+) => {
        $(const $row: OptionRow = OptionRow { name: $name, range: $range, defaults: [$($default),+] };)+
    };
}

table! {
    // option range sgd adagrad rmsprop adam adamw lars lamb
    LR "lr"                                   non_negative [0.1,  0.01,    0.001,   0.001, 0.001, 0.1,   0.001];
    WEIGHT_DECAY "weight-decay"               non_negative [0.0,  0.0,     0.0,     0.0,   0.01,  0.0,   0.0];
    MOMENTUM "momentum"                       decay        [0.0,  NO,      0.0,     NO,    NO,    0.0,   NO];
    MOMENTUM_FORM "momentum-form"             decay        [YES,  NO,      NO,      NO,    NO,    YES,   NO];
    NESTEROV "nesterov"                       decay        [YES,  NO,      NO,      NO,    NO,    YES,   NO];
    BETA1 "beta1"                             decay        [NO,   NO,      NO,      0.9,   0.9,   NO,    0.9];
    BETA2 "beta2"                             decay        [NO,   NO,      0.99,    0.999, 0.999, NO,    0.999];
    EPS "eps"                                 non_negative [NO,   1e-10,   1e-8,    1e-8,  1e-8,  NO,    1e-6];
    EPS_FORM "eps-form"                       non_negative [NO,   YES,     YES,     YES,   YES,   NO,    YES];
    EPS_INSIDE "eps-form inside"              non_negative [NO,   YES,     YES,     NO,    NO,    NO,    NO];
    EPS_UNCORRECTED "eps-form uncorrected"    non_negative [NO,   NO,      NO,      YES,   YES,   NO,    NO];
    INITIAL_ACCUMULATOR "initial-accumulator" non_negative [NO,   0.0,     NO,      NO,    NO,    NO,    NO];
    TRUST_COEFFICIENT "trust-coefficient"     positive     [NO,   NO,      NO,      NO,    NO,    0.001, NO];
}

impl OptionRow {
    fn default_of(&self, kind: OptimizerKind) -> Option<f64> {
        Some(self.defaults[kind as usize]).filter(|default| !default.is_nan())
    }

    /// Returns the value for an optimizer, by default that of the table, or `None` if the optimizer
    /// does not use the option.
    fn value(&self, kind: OptimizerKind, given: Option<f64>) -> Result<Option<f64>, OptimError> {
        self.default_of(kind).map(|default| (self.range)(self.name, given.unwrap_or(default))).transpose()
    }

    fn refuse_if_unused(&self, kind: OptimizerKind, is_set: bool) -> Result<(), OptimError> {
        if !is_set || self.default_of(kind).is_some() {
            return Ok(());
        }
        let users = OptimizerKind::ALL.iter().filter(|kind| self.default_of(**kind).is_some());
        let used_by = users.map(|kind| kind.name()).collect();
        Err(OptimError::UnusedOption { option: self.name, optimizer: kind.name(), used_by })
    }
}

/// Accepts 0, and positive values that are finite and normal as `f32`.
pub(super) fn non_negative(option: &'static str, value: f64) -> Result<f64, OptimError> {
    let is_in_range = value == 0.0 || value > 0.0 && (value as f32).is_normal();
    in_range(option, value, is_in_range, "0, or between 1.2e-38 and 3.4e38")
}

/// Accepts positive values that are finite and normal as `f32`.
pub(super) fn positive(option: &'static str, value: f64) -> Result<f64, OptimError> {
    in_range(option, value, value > 0.0 && (value as f32).is_normal(), "between 1.2e-38 and 3.4e38")
}

/// Accepts the factor of a decaying average: 0 ≤ value < 1, also as `f32` (with 1 the average would
/// never change).
fn decay(option: &'static str, value: f64) -> Result<f64, OptimError> {
    let expected = "at least 0 and below 1 (also once rounded to f32)";
    in_range(option, value, value >= 0.0 && (value as f32) < 1.0, expected)
}

fn in_range(
    option: &'static str,
    value: f64,
    is_in_range: bool,
    expected: &'static str,
) -> Result<f64, OptimError> {
    if is_in_range { Ok(value) } else { Err(OptimError::OutOfRange { option, value, expected }) }
}

impl OptimizerOptions {
    /// Checks every option and returns the options with the defaults filled in. Checking the result
    /// again returns it unchanged.
    ///
    /// # Errors
    /// [`OptimError::UnusedOption`] for an option that is set but not used by the optimizer, even
    /// if it is set to its default; [`OptimError::NeedsMomentum`] for `nesterov` or `momentum_form`
    /// without momentum; [`OptimError::OutOfRange`] for a value outside its range, or one that is
    /// not 0 and not a normal number as `f32`. A momentum or β must only be below 1 as `f32`.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::optim::{OptimizerKind, OptimizerOptions};
    ///
    /// let options = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
    /// let adam = options.check()?;
    /// assert_eq!((adam.beta1, adam.beta2), (Some(0.9), Some(0.999)));
    /// assert!(OptimizerOptions { momentum: Some(0.9), ..options }.check().is_err(), "adam has no momentum");
    /// # Ok::<(), phalanx::optim::OptimError>(())
    /// ```
    pub fn check(&self) -> Result<Self, OptimError> {
        self.hyper().map(|hyper| hyper.options)
    }

    /// Checks every option and returns them with the resulting rule.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    #[doc(hidden)]
    pub fn hyper(&self) -> Result<Hyper, OptimError> {
        self.refuse_unused()?;
        let kind = self.kind;
        let trust_coefficient = TRUST_COEFFICIENT.value(kind, self.trust_coefficient)?;
        let beta1 = BETA1.value(kind, self.beta1)?;
        let beta2 = BETA2.value(kind, self.beta2)?;
        let eps = EPS.value(kind, self.eps)?;
        let initial_accumulator = INITIAL_ACCUMULATOR.value(kind, self.initial_accumulator)?;
        let momentum = MOMENTUM.value(kind, self.momentum)?;
        let options = Self {
            momentum,
            momentum_form: self.checked_form(momentum)?,
            beta1,
            beta2,
            eps,
            eps_form: eps.map(|_| self.eps_form.unwrap_or_default()),
            initial_accumulator,
            trust_coefficient,
            l2: non_negative("l2", self.l2)?,
            weight_decay: non_negative(WEIGHT_DECAY.name, self.weight_decay)?,
            ..*self
        };
        Ok(Hyper { rule: Rule::of(&options), options })
    }

    fn refuse_unused(&self) -> Result<(), OptimError> {
        for (row, is_set) in [
            (MOMENTUM, self.momentum.is_some()),
            (MOMENTUM_FORM, self.momentum_form.is_some()),
            (NESTEROV, self.nesterov),
            (BETA1, self.beta1.is_some()),
            (BETA2, self.beta2.is_some()),
            (EPS, self.eps.is_some()),
            (EPS_FORM, self.eps_form.is_some()),
            (EPS_INSIDE, self.eps_form == Some(EpsForm::Inside)),
            (EPS_UNCORRECTED, self.eps_form == Some(EpsForm::Uncorrected)),
            (INITIAL_ACCUMULATOR, self.initial_accumulator.is_some()),
            (TRUST_COEFFICIENT, self.trust_coefficient.is_some()),
        ] {
            row.refuse_if_unused(self.kind, is_set)?;
        }
        Ok(())
    }

    /// Returns the form of momentum, if the optimizer has one and the momentum is above 0.
    fn checked_form(&self, momentum: Option<f64>) -> Result<Option<MomentumForm>, OptimError> {
        if momentum.is_some_and(|factor| factor > 0.0) {
            let uses_form = MOMENTUM_FORM.default_of(self.kind).is_some();
            return Ok(uses_form.then(|| self.momentum_form.unwrap_or_default()));
        }
        for (option, is_set) in
            [(NESTEROV.name, self.nesterov), (MOMENTUM_FORM.name, self.momentum_form.is_some())]
        {
            if is_set {
                return Err(OptimError::NeedsMomentum { option });
            }
        }
        Ok(None)
    }
}

/// Checked and complete options of an optimizer; created only by [`OptimizerOptions::hyper`].
///
/// Every option is in its range, every option that was set is used, and every other option has its
/// default.
///
/// # Examples
///
/// ```
/// use phalanx::internals::Hyper;
/// use phalanx::optim::{OptimizerKind, OptimizerOptions};
///
/// let options = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
/// let adam: Hyper = options.hyper()?;
/// assert_eq!(adam.state_names(), ["exp_avg", "exp_avg_sq"]);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// The options with every default filled in.
    pub(super) options: OptimizerOptions,
    pub(super) rule: Rule,
}

/// The update rule, with only the options that it uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    Sgd(Option<Momentum>),
    Adagrad {
        eps: f64,
        /// Outside or inside the square root.
        form: EpsForm,
        initial_accumulator: f64,
    },
    Rmsprop {
        alpha: f64,
        eps: f64,
        /// Outside or inside the square root.
        form: EpsForm,
        /// 0 for none, which needs no buffer.
        momentum: f64,
    },
    /// Adam and AdamW, which differ only in their default decay.
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

impl Rule {
    /// Returns the rule of checked options.
    fn of(options: &OptimizerOptions) -> Self {
        let number =
            |value: Option<f64>| value.expect("checked options have a value for every option in use");
        let momentum = options.momentum_form.map(|form| Momentum {
            factor: number(options.momentum),
            form,
            nesterov: options.nesterov,
        });
        let form = options.eps_form.unwrap_or_default();
        let moments = || Moments {
            beta1: number(options.beta1),
            beta2: number(options.beta2),
            eps: number(options.eps),
            form,
        };
        match options.kind {
            OptimizerKind::Sgd => Self::Sgd(momentum),
            OptimizerKind::Adagrad => Self::Adagrad {
                eps: number(options.eps),
                form,
                initial_accumulator: number(options.initial_accumulator),
            },
            OptimizerKind::Rmsprop => Self::Rmsprop {
                alpha: number(options.beta2),
                eps: number(options.eps),
                form,
                momentum: number(options.momentum),
            },
            OptimizerKind::Adam | OptimizerKind::Adamw => Self::Adam(moments()),
            OptimizerKind::Lars => {
                Self::Lars { trust_coefficient: number(options.trust_coefficient), momentum }
            }
            OptimizerKind::Lamb => Self::Lamb(moments()),
        }
    }
}

impl Hyper {
    /// Returns the optimizer.
    #[must_use]
    pub fn kind(&self) -> OptimizerKind {
        self.options.kind
    }

    /// Returns the gradient that the coupled penalty is added to.
    #[must_use]
    pub fn l2_form(&self) -> L2Form {
        self.options.l2_form
    }

    /// Returns the options with every default filled in; [checking](OptimizerOptions::check) them
    /// again returns the same value.
    #[must_use]
    pub fn options(&self) -> OptimizerOptions {
        self.options
    }

    /// Returns whether the update needs the norms of whole tensors (lars, lamb), so that it has two
    /// phases with an exchange of block sums in between.
    #[must_use]
    pub fn needs_tensor_norms(&self) -> bool {
        matches!(self.rule, Rule::Lars { .. } | Rule::Lamb(_))
    }

    /// Returns the number of values that the optimizer keeps for each param: 0, 1 or 2.
    #[must_use]
    pub fn state_len_per_param(&self) -> usize {
        self.state_names().len()
    }

    /// Returns the names of the state buffers, as in PyTorch's `state_dict`, in the order of
    /// [`Optimizer::state`](super::Optimizer::state).
    #[must_use]
    pub fn state_names(&self) -> &'static [&'static str] {
        self.state_buffers().0
    }

    /// Returns, for each state buffer, the power of the gradients' scale c in its values, in the
    /// order of [`state_names`](Self::state_names): with gradients c times as large, and the rate
    /// and options of that convention, the buffers are c^power times as large.
    #[must_use]
    pub fn state_powers(&self) -> &'static [i32] {
        self.state_buffers().1
    }

    /// Returns the names of the state buffers and their powers of the gradient scale.
    fn state_buffers(&self) -> (&'static [&'static str], &'static [i32]) {
        match self.rule {
            Rule::Sgd(None) | Rule::Lars { momentum: None, .. } => (&[], &[]),
            Rule::Sgd(Some(Momentum { form: MomentumForm::Pytorch, .. })) => (&["momentum_buffer"], &[1]),
            Rule::Sgd(Some(_)) | Rule::Lars { momentum: Some(_), .. } => (&["momentum_buffer"], &[0]),
            Rule::Adagrad { .. } => (&["sum"], &[2]),
            Rule::Rmsprop { momentum: 0.0, .. } => (&["square_avg"], &[2]),
            Rule::Rmsprop { .. } => (&["square_avg", "momentum_buffer"], &[2, 0]),
            Rule::Adam(_) | Rule::Lamb(_) => (&["exp_avg", "exp_avg_sq"], &[1, 2]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: OptimizerKind) -> OptimizerOptions {
        OptimizerOptions::new(kind)
    }

    /// Returns options with one option set each, to a value in its range.
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
            "trust-coefficient is 0.0, but must be between 1.2e-38 and 3.4e38; choose a value in this range"
        );
    }

    #[test]
    fn checking_checked_options_returns_the_same_hyper() {
        for &kind in OptimizerKind::ALL {
            let hyper = of(kind).hyper().unwrap();
            assert_eq!(hyper.options().hyper().unwrap(), hyper);
            assert_eq!(hyper.state_powers().len(), hyper.state_len_per_param());
        }
        let caffe = OptimizerOptions {
            momentum: Some(0.5),
            momentum_form: Some(MomentumForm::Caffe),
            nesterov: true,
            ..of(OptimizerKind::Lars)
        };
        assert_eq!(caffe.check().unwrap().check().unwrap(), caffe.check().unwrap());
    }

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
