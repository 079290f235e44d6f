//! Translation of hyper-parameters between conventions, with the exactness of each number.
//!
//! A **convention** determines the gradient of a step and the form of the L2 penalty
//! ([`Convention`]). **Settings** are a [`Recipe`] as written in a convention, with the batch it
//! was tuned for ([`Settings`]). A **translation** gives the same trajectory in another convention:
//! the new numbers, each with its factor ([`NumberChange`]), and the conditions under which they
//! are exact ([`Translation::conditions`]); or an error with the reason ([`ConventionError`]).
//!
//! With c the gradient of the new convention divided by that of the old, on a batch of m samples:
//!
//! | number | factor |
//! |---|---|
//! | rate and decoupled decay of sgd | 1/c, c |
//! | rate, β, trust coefficient, decoupled decay of every other rule | 1 |
//! | λ added to the gradient, clipping bound, ε | c |
//! | ε inside the square root, adagrad's initial accumulator | c² |
//!
//! and L2 is written as ([`Convention::write_l2`]): λ itself; α = mλ_μ of scikit-learn's MLPs;
//! Λ = Nλ_Σ/m of an objective Σℓ + (Λ/2)‖w‖² over N samples; C = 1/Λ of C·Σℓ + ½‖w‖².
//!
//! Sum and mean differ by more than a constant in one place: a short last batch of r samples, in
//! which a sample has weight m/r under the mean and 1 under the sum. Shard means of uneven shards
//! are not a multiple of the mean, and are refused.
//!
//! # Examples
//! ```
//! use phalanx::optim::convention::{Destination, Recipe, Settings};
//! use phalanx::optim::{OptimizerOptions, Reduction};
//!
//! let options = OptimizerOptions { momentum: Some(0.9), l2: 0.5, ..OptimizerOptions::default() };
//! let recipe = Recipe { options, rate: 0.25, max_norm: None };
//! let mean = Settings { data_size: Some(640), ..Settings::new(Reduction::Mean.into(), recipe, 64) };
//! let sum = mean.translated(&Destination::of(Reduction::Sum.into()))?;
//! assert_eq!((sum.settings.recipe.rate, sum.settings.recipe.options.l2), (0.25 / 64.0, 32.0));
//! assert!(sum.same_bits());
//! let back = sum.settings.translated(&Destination::of(Reduction::Mean.into()))?.settings.recipe;
//! assert_eq!((back.rate, back.options.l2), (0.25, 0.5));
//! # Ok::<(), phalanx::optim::convention::ConventionError>(())
//! ```

pub(crate) mod translation;

use super::error::OptimError;
use super::options::{EpsForm, Hyper, L2Form, MomentumForm, OptimizerKind, OptimizerOptions, positive};
use super::reduction::Reduction;
use super::schedule::{BatchCut, ScaleRate};
use crate::num::names;
use serde::{Deserialize, Serialize};

pub use translation::{Destination, Exactness, NumberChange, Translation};

/// The definition of the gradient of a step and of the form of the L2 penalty.
///
/// # Examples
///
/// ```
/// use phalanx::optim::convention::Convention;
///
/// let names: Vec<&str> = Convention::ALL.iter().map(|convention| convention.name()).collect();
/// assert!(names.contains(&"mean") && names.contains(&"sum"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// (Σ g + αw)/m, the α of scikit-learn's `MLPClassifier`: its gradient is a mean, but its α is
    /// the λ of a sum.
    ScikitLearn,
    /// The mean of a batch, for the objective (1/N)Σℓ + (λ/2)‖w‖² over all N samples.
    ObjectiveMean,
    /// The sum of a batch, for the objective Σℓ + (Λ/2)‖w‖² over all N samples: a batch adds
    /// (m/N)Λw.
    ObjectiveSum,
    /// The sum of a batch, for the objective C·Σℓ + ½‖w‖² of regularized regression, divided by C:
    /// Λ = 1/C.
    C,
    /// The gradient of a reduction, with λw added to it.
    #[serde(untagged)]
    Reduction(Reduction),
}

names!(Convention, "convention", OptimError, [
    Reduction(Reduction::Mean) => "mean",
    Reduction(Reduction::Sum) => "sum",
    Reduction(Reduction::MeanOfShardMeans) => "mean-of-shard-means",
    Reduction(Reduction::SumOfShardMeans) => "sum-of-shard-means",
    Reduction(Reduction::MeanOfShardSums) => "mean-of-shard-sums",
    ScikitLearn => "scikit-learn",
    ObjectiveMean => "objective-mean",
    ObjectiveSum => "objective-sum",
    C => "c",
]);

impl Default for Convention {
    fn default() -> Self {
        Self::Reduction(Reduction::default())
    }
}

impl From<Reduction> for Convention {
    fn from(reduction: Reduction) -> Self {
        Self::Reduction(reduction)
    }
}

impl Convention {
    /// Returns the reduction that gives the gradient of a step.
    #[must_use]
    pub const fn reduction(self) -> Reduction {
        match self {
            Self::Reduction(reduction) => reduction,
            Self::ScikitLearn | Self::ObjectiveMean => Reduction::Mean,
            Self::ObjectiveSum | Self::C => Reduction::Sum,
        }
    }

    /// Returns the name of L2.
    #[must_use]
    pub const fn l2_name(self) -> &'static str {
        match self {
            Self::ScikitLearn => "alpha",
            Self::ObjectiveSum => "Lambda",
            Self::C => "C",
            _ => "lambda",
        }
    }

    /// Returns the gradient that the penalty is added to in training.
    #[must_use]
    pub const fn l2_form(self) -> L2Form {
        if matches!(self, Self::ScikitLearn) { L2Form::BatchSum } else { L2Form::Gradient }
    }

    /// Returns whether L2 is written for all N samples of the data.
    #[must_use]
    pub const fn needs_data_size(self) -> bool {
        matches!(self, Self::ObjectiveSum | Self::C)
    }

    /// Returns the λ in λw, which is added to this convention's gradient of a batch, from L2 as
    /// written: λ, α, Λ or C.
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

    /// Returns the inverse of [`read_l2`](Self::read_l2).
    ///
    /// # Errors
    /// [`ConventionError::NeedsDataSize`]; [`ConventionError::NoPenalty`] for a C without a
    /// penalty.
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

/// All hyper-parameters that depend on whether gradients are sums or means.
///
/// # Examples
/// ```
/// use phalanx::optim::convention::Recipe;
/// use phalanx::optim::{OptimizerOptions, Reduction};
///
/// let options = OptimizerOptions { momentum: Some(0.9), l2: 0.5, ..OptimizerOptions::default() };
/// let mean = Recipe { options, rate: 0.25, max_norm: Some(1.0) };
/// let sum = mean.translated(Reduction::Sum.per_mean(64, 4))?;
/// assert_eq!((sum.rate, sum.options.l2, sum.max_norm), (0.25 / 64.0, 32.0, Some(64.0)));
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// The optimizer.
    pub options: OptimizerOptions,
    /// The learning rate.
    pub rate: f64,
    /// The bound of the global norm of grads, if they are clipped.
    pub max_norm: Option<f64>,
}

impl Recipe {
    /// Returns the same recipe for gradients that are `factor` times as large: m from a mean over m
    /// samples to their sum, 1/m back, c₂/c₁ between any two reductions with their
    /// [`per_mean`](Reduction::per_mean).
    ///
    /// | number | factor |
    /// |---|---|
    /// | rate of sgd | 1/factor |
    /// | `l2`, ε, `max_norm`, weight decay of sgd | factor |
    /// | `initial_accumulator`, ε inside the square root | factor² |
    /// | momentum, β₁, β₂, trust coefficient; rate and weight decay of the scale-free rules | 1 |
    ///
    /// Both recipes give the same trajectory: bit-identical if the factor is a power of two and
    /// nothing underflows or overflows, and to about 1e-6 otherwise. One exception: lars treats a
    /// tensor of norm 0 as sgd does, with a rate that is right for neither convention. When
    /// switching during a run, also call
    /// [`Optimizer::rescale_state`](crate::optim::Optimizer::rescale_state).
    ///
    /// # Errors
    /// Those of [`OptimizerOptions::check`], for the old and new options;
    /// [`OptimError::OutOfRange`] if the factor is not a positive normal `f32`.
    pub fn translated(&self, factor: f64) -> Result<Self, OptimError> {
        let factor = positive("the factor of the gradients", factor)?;
        let hyper = self.options.hyper()?;
        let options = translated_options(&hyper, factor);
        options.check()?;
        let rate_factor = if hyper.kind().is_scale_free() { 1.0 } else { factor };
        Ok(Self {
            options,
            rate: self.rate / rate_factor,
            max_norm: self.max_norm.map(|bound| bound * factor),
        })
    }
}

fn translated_options(hyper: &Hyper, factor: f64) -> OptimizerOptions {
    let options = hyper.options();
    let inside = options.eps_form == Some(EpsForm::Inside);
    let decay_factor = if hyper.kind().is_scale_free() { 1.0 } else { factor };
    OptimizerOptions {
        eps: options.eps.map(|eps| eps * if inside { factor * factor } else { factor }),
        initial_accumulator: options.initial_accumulator.map(|start| start * factor * factor),
        l2: options.l2 * factor,
        weight_decay: options.weight_decay * decay_factor,
        ..options
    }
}

/// Hyper-parameters as written in a convention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The convention.
    pub convention: Convention,
    /// The numbers. `options.l2` is L2 as the convention writes it: λ, α, Λ or C; `options.l2_form`
    /// is ignored.
    pub recipe: Recipe,
    /// The number of samples in a full batch, m.
    pub batch_size: usize,
    /// The number of shards of a full batch, for reductions that depend on it.
    pub shards: usize,
    /// The number of training samples, N, if known.
    pub data_size: Option<usize>,
    /// True if a short last batch is dropped.
    pub drop_last: bool,
    /// True if the rate changes during the run, by a schedule or a warm-up.
    pub rate_changes: bool,
    /// True if all params of some tensor start from 0, as the biases of [`Mlp`](crate::model::Mlp)
    /// do. Relevant to lars.
    pub zero_start: bool,
    /// True if the loss is that of [standardized targets](crate::model::Mlp::standardize_targets),
    /// which other programs do not use by default.
    pub standardized_targets: bool,
}

impl Settings {
    /// Returns settings of one shard and a constant rate, for data of unknown size.
    #[must_use]
    pub fn new(convention: Convention, recipe: Recipe, batch_size: usize) -> Self {
        Self {
            convention,
            recipe,
            batch_size,
            shards: 1,
            data_size: None,
            drop_last: false,
            rate_changes: false,
            zero_start: false,
            standardized_targets: false,
        }
    }

    fn check(&self) -> Result<(), ConventionError> {
        for (what, count) in [("batch size", self.batch_size), ("shard count", self.shards)] {
            if count == 0 {
                return Err(ConventionError::Zero { what });
            }
        }
        match self.data_size {
            Some(0) => Err(ConventionError::Zero { what: "data size" }),
            Some(data_size) if data_size < self.batch_size => {
                Err(ConventionError::SmallData { batch_size: self.batch_size, data_size })
            }
            _ => Ok(()),
        }
    }

    /// Returns the settings in the form used in training: a reduction, and a recipe whose `l2` is
    /// added to the gradient given by its `l2_form`.
    ///
    /// # Errors
    /// [`ConventionError::NeedsDataSize`] and [`ConventionError::ZeroC`].
    pub fn runnable(&self) -> Result<(Reduction, Recipe), ConventionError> {
        let Self { convention, recipe, batch_size, data_size, .. } = *self;
        let l2_form = convention.l2_form();
        let l2 = match l2_form {
            L2Form::Gradient => convention.read_l2(recipe.options.l2, batch_size, data_size)?,
            L2Form::BatchSum | L2Form::DataSum => recipe.options.l2,
        };
        let options = OptimizerOptions { l2, l2_form, ..recipe.options };
        Ok((convention.reduction(), Recipe { options, ..recipe }))
    }
}

/// The rules by which settings tuned for one batch size are adapted to another, κ = m′/m. No rule
/// gives the same trajectory. The rate is scaled as by [`ScaleRate`] under the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchRule {
    /// η → κη: Goyal et al. 2017 (arXiv:1706.02677), to be used with a warm-up.
    Linear,
    /// η → √κ η: Krizhevsky 2014 (arXiv:1404.5997), Hoffer et al. 2017 (arXiv:1705.08741).
    Sqrt,
    /// η → √κ η, β → 1 − κ(1 − β), ε → ε/√κ: Malladi et al. 2022 (arXiv:2205.10287), for adam,
    /// adamw and rmsprop.
    Adam,
}

names!(BatchRule, "batch rule", OptimError, [
    Linear => "linear",
    Sqrt => "sqrt",
    Adam => "adam",
]);

impl BatchRule {
    /// Adapts a recipe of the mean, tuned for the batches of `old`, to those of `new`.
    fn applied(self, recipe: &Recipe, old: BatchCut, new: BatchCut) -> Result<Recipe, ConventionError> {
        let scale = if self == Self::Linear { ScaleRate::Linear } else { ScaleRate::Sqrt };
        let rate = recipe.rate * scale.factor(recipe.options.kind, Reduction::Mean, old, new);
        let options = match self {
            Self::Linear | Self::Sqrt => recipe.options,
            Self::Adam => grown_adam(recipe.options.check()?, new.batch_size as f64 / old.batch_size as f64)?,
        };
        Ok(Recipe { rate, options, ..*recipe })
    }
}

fn grown_adam(options: OptimizerOptions, growth: f64) -> Result<OptimizerOptions, ConventionError> {
    use OptimizerKind::{Adam, Adamw, Rmsprop};
    if !matches!(options.kind, Adam | Adamw | Rmsprop) {
        return Err(ConventionError::NotAdam { rule: BatchRule::Adam, kind: options.kind });
    }
    let grown = |option, beta: Option<f64>| beta.map(|beta| grown_beta(option, beta, growth)).transpose();
    let eps_divisor = if options.eps_form == Some(EpsForm::Inside) { growth } else { growth.sqrt() };
    Ok(OptimizerOptions {
        beta1: grown("beta1", options.beta1)?,
        beta2: grown("beta2", options.beta2)?,
        eps: options.eps.map(|eps| eps / eps_divisor),
        ..options
    })
}

fn grown_beta(option: &'static str, old: f64, growth: f64) -> Result<f64, ConventionError> {
    let new = 1.0 - growth * (1.0 - old);
    if (0.0..1.0).contains(&new) {
        Ok(new)
    } else {
        Err(ConventionError::BetaOutOfRange { option, old, new, growth, limit: (1.0 - old).recip() })
    }
}

/// The reason why settings have no exact translation, or are incomplete or invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConventionError {
    /// Shards of different sizes, between a reduction that divides each shard and one that does
    /// not.
    #[error(
        "{from} and {to} are not multiples of each other on batches of {batch_size} samples in {shards} shards: the \
         shards have {most} or {least} samples, which have different weights in a mean per shard; choose a number of \
         shards that divides the batch size, or train with --reduction {from}"
    )]
    UnevenShards {
        /// The reduction of the old convention.
        from: Reduction,
        /// The reduction of the new convention.
        to: Reduction,
        /// The number of samples in a batch.
        batch_size: usize,
        /// The number of its shards.
        shards: usize,
        /// The number of samples in the smallest shard.
        least: usize,
        /// The number of samples in the largest shard.
        most: usize,
    },
    /// Momentum translated between Caffe's form, in which each gradient keeps the rate of its step,
    /// and PyTorch's, in which it does not, while the rate changes.
    #[error(
        "the {from} and {to} forms of momentum are equivalent only at a constant rate: when the rate changes, old \
         gradients keep their rate in the caffe form and use the new rate in the pytorch form; keep --momentum-form \
         {from}, or correct v by the quotient of the rates at each change (Goyal et al. 2017, remark 2)"
    )]
    ChangingRate {
        /// The old form.
        from: MomentumForm,
        /// The new form.
        to: MomentumForm,
    },
    /// A tensor of norm 0 under lars, which updates it as sgd does.
    #[error(
        "lars has no exact translation while all params of a tensor are 0, as biases are at the start: lars updates such \
         a tensor as sgd does, so the step depends on the scale of the gradients, unlike for other tensors; start from \
         params without such a tensor (--init), or choose lamb"
    )]
    ZeroNorm,
    /// Another form of momentum is requested, but there is no momentum.
    #[error("the momentum form cannot be changed without momentum; set a momentum above 0 with sgd or lars")]
    NoMomentum,
    /// A rule for other batch sizes that does not apply to this optimizer.
    #[error(
        "the {rule} rule applies only to adam, adamw and rmsprop, but the optimizer is {kind}; choose linear or sqrt"
    )]
    NotAdam {
        /// The rule.
        rule: BatchRule,
        /// The optimizer.
        kind: OptimizerKind,
    },
    /// A β outside its range after Adam's rule.
    #[error(
        "{option} of {old:?} becomes {new:.4} on batches {growth:.4} times as large, but must be between 0 and 1; the adam \
         rule applies below {limit:.1} times the batch size, so choose a smaller one"
    )]
    BetaOutOfRange {
        /// The option name of the β.
        option: &'static str,
        /// Its value.
        old: f64,
        /// Its value by the rule.
        new: f64,
        /// New batch size divided by the old.
        growth: f64,
        /// The growth at which the β is 0.
        limit: f64,
    },
    /// A different batch size without a rule, which has no exact translation.
    #[error(
        "a different batch size has no exact translation; choose an approximation: --rule linear or sqrt, or, for adam, adamw and \
         rmsprop, --rule adam"
    )]
    NeedsRule,
    /// A rule for another batch size, but an unchanged batch size.
    #[error("the {rule} rule has no effect at the same batch size; set --to-batch-size, or drop --rule")]
    UnusedRule {
        /// The rule.
        rule: BatchRule,
    },
    /// L2 is written for the whole data, but its size is unknown.
    #[error(
        "the convention {convention} defines L2 over the whole data set; pass the number of samples with --data-size"
    )]
    NeedsDataSize {
        /// The convention.
        convention: Convention,
    },
    /// No penalty, which cannot be written as a C.
    #[error("without an L2 penalty C is infinite; set --l2 above 0, or choose the convention objective-sum")]
    NoPenalty,
    /// A C of 0, which removes the losses from the objective.
    #[error("a C of 0 removes the losses from the objective; set --l2, which is C here, above 0")]
    ZeroC,
    /// A count of 0.
    #[error("a {what} of 0 is not possible; it must be at least 1")]
    Zero {
        /// The name of the count.
        what: &'static str,
    },
    /// Fewer samples in the data than in a batch.
    #[error(
        "a batch of {batch_size} samples is larger than the data of {data_size} samples; reduce the batch size, or correct \
         the data size"
    )]
    SmallData {
        /// The number of samples in a batch.
        batch_size: usize,
        /// The number of samples in the data.
        data_size: usize,
    },
    /// Invalid optimizer options, before or after the translation.
    #[error(transparent)]
    Optim(#[from] OptimError),
}

impl ConventionError {
    /// Returns whether the request is invalid, rather than valid but without an exact translation.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        use ConventionError::{
            NeedsDataSize, NeedsRule, NoMomentum, Optim, SmallData, UnusedRule, Zero, ZeroC,
        };
        matches!(
            self,
            NeedsDataSize { .. }
                | NeedsRule
                | UnusedRule { .. }
                | NoMomentum
                | SmallData { .. }
                | Zero { .. }
                | ZeroC
                | Optim(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translating_back_returns_the_original_recipe() {
        for &kind in OptimizerKind::ALL {
            let options = OptimizerOptions { l2: 0.1, ..OptimizerOptions::new(kind) }.check().unwrap();
            let mean = Recipe { options, rate: kind.default_rate(), max_norm: Some(0.7) };
            assert_eq!(mean.translated(64.0).unwrap().translated(1.0 / 64.0).unwrap(), mean, "{kind}");
        }
    }

    #[test]
    fn an_invalid_factor_is_refused() {
        let recipe = Recipe { options: OptimizerOptions::default(), rate: 0.1, max_norm: None };
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(recipe.translated(factor).is_err(), "{factor}");
        }
    }

    #[test]
    fn a_translation_out_of_range_is_refused() {
        let options = OptimizerOptions {
            initial_accumulator: Some(1.0),
            ..OptimizerOptions::new(OptimizerKind::Adagrad)
        };
        let recipe = Recipe { options, rate: 0.1, max_norm: None };
        assert!(recipe.translated(1e15).is_ok());
        assert!(recipe.translated(1e25).is_err());
    }
}
