//! Translation to another convention: the new numbers, their exactness, and its conditions.

use super::{BatchRule, Convention, ConventionError, Recipe, Settings};
use crate::optim::error::OptimError;
use crate::optim::options::{Hyper, L2Form, MomentumForm, OptimizerKind, OptimizerOptions};
use crate::optim::reduction::Reduction;
use crate::optim::schedule::BatchCut;
use serde::Serialize;
use std::fmt;

/// The destination of a translation; options that are `None` are unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Destination {
    /// The convention.
    pub convention: Convention,
    /// Another batch size, which requires a rule.
    pub batch_size: Option<usize>,
    /// The rule for another batch size.
    pub rule: Option<BatchRule>,
    /// Another number of shards.
    pub shards: Option<usize>,
    /// Another form of momentum.
    pub momentum_form: Option<MomentumForm>,
}

impl Destination {
    /// Returns the destination with the same batches in another convention.
    #[must_use]
    pub fn of(convention: Convention) -> Self {
        Self { convention, ..Self::default() }
    }
}

/// Settings in another convention, with the operation on each number.
///
/// # Examples
///
/// ```
/// use phalanx::optim::convention::{
///     BatchRule, Destination, Exactness, NumberChange, Recipe, Settings, Translation,
/// };
/// use phalanx::optim::{OptimizerOptions, Reduction};
///
/// let recipe = Recipe { options: OptimizerOptions::default(), rate: 0.1, max_norm: None };
/// let mean = Settings::new(Reduction::Mean.into(), recipe, 64);
/// let sum: Translation = mean.translated(&Destination::of(Reduction::Sum.into()))?;
/// let NumberChange { option, new, exactness, .. } = &sum.changes[0];
/// assert_eq!((*option, *new, *exactness), ("lr", 0.1 / 64.0, Exactness::SameBits));
/// assert!(sum.conditions[0].to_string().starts_with("exact if every batch has 64 samples"));
///
/// let larger = Destination {
///     batch_size: Some(256),
///     rule: Some(BatchRule::Linear),
///     ..Destination::of(Reduction::Mean.into())
/// };
/// let larger = mean.translated(&larger)?;
/// assert_eq!((larger.settings.recipe.rate, larger.changes[0].exactness), (0.4, Exactness::Approximate));
/// # Ok::<(), phalanx::optim::convention::ConventionError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The settings in the new convention, with every default filled in.
    pub settings: Settings,
    /// The gradient of the new convention divided by that of the old, on a full batch.
    pub factor: f64,
    /// Each number before and after.
    pub changes: Vec<NumberChange>,
    /// The conditions under which the translation is exact or an approximation. Each one displays
    /// as a sentence and serializes with its values.
    pub conditions: Vec<Condition>,
}

impl Translation {
    /// Returns whether the params have the same bits on full batches, that is, whether all changes
    /// guarantee it.
    #[must_use]
    pub fn same_bits(&self) -> bool {
        self.changes.iter().all(|change| change.exactness == Exactness::SameBits)
    }
}

impl Settings {
    /// Translates the settings to the same trajectory in another convention or, for another batch
    /// size, by a rule.
    ///
    /// # Errors
    /// [`ConventionError`] for settings without an exact translation, with the reason.
    pub fn translated(&self, destination: &Destination) -> Result<Translation, ConventionError> {
        let to = self.moved(destination)?;
        let pair = SettingsPair { from: self, to: &to };
        let old = self.with_gradient_l2()?;
        let (factor, new) = match destination.rule {
            None => {
                let factor = pair.factor(self.batch_size).ok_or_else(|| pair.uneven_error())?;
                (factor, old.translated(factor)?)
            }
            Some(rule) => self.grown(&old, &to, rule)?,
        };
        if old.options.kind == OptimizerKind::Lars && self.zero_start && factor != 1.0 {
            return Err(ConventionError::ZeroNorm);
        }
        let new = with_form(&new, destination.momentum_form, self.rate_changes)?;
        let l2 = to.convention.write_l2(new.options.l2, to.batch_size, to.data_size)?;
        let options = OptimizerOptions { l2, ..new.options };
        options.check()?;
        let settings = Settings { recipe: Recipe { options, ..new }, ..to };
        let pair = SettingsPair { from: self, to: &settings };
        let changes = changes(pair, destination.rule)?;
        let conditions = conditions(pair, factor, destination.rule)?;
        Ok(Translation { settings, factor, changes, conditions })
    }

    fn moved(&self, destination: &Destination) -> Result<Self, ConventionError> {
        self.check()?;
        let batch_size = destination.batch_size.unwrap_or(self.batch_size);
        match destination.rule {
            None if batch_size != self.batch_size => return Err(ConventionError::NeedsRule),
            Some(rule) if batch_size == self.batch_size => return Err(ConventionError::UnusedRule { rule }),
            _ => {}
        }
        let shards = destination.shards.unwrap_or(self.shards);
        let to = Self { convention: destination.convention, batch_size, shards, ..*self };
        to.check().map(|()| to)
    }

    /// Returns the recipe with the λ that is added to the gradient of a full batch.
    fn with_gradient_l2(&self) -> Result<Recipe, ConventionError> {
        let options = self.recipe.options;
        let l2 = self.convention.read_l2(options.l2, self.batch_size, self.data_size)?;
        let options = OptimizerOptions { l2, l2_form: L2Form::Gradient, ..options };
        Ok(Recipe { options, ..self.recipe })
    }

    fn grown(&self, old: &Recipe, to: &Self, rule: BatchRule) -> Result<(f64, Recipe), ConventionError> {
        let scale = |settings: &Self| settings.per_mean(settings.batch_size);
        let cut = |settings: &Self| BatchCut { batch_size: settings.batch_size, shards: settings.shards };
        let mean = rule.applied(&old.translated(scale(self).recip())?, cut(self), cut(to))?;
        Ok((scale(to) / scale(self), mean.translated(scale(to))?))
    }

    /// Returns the type of the last batch of an epoch.
    fn last_batch(&self) -> LastBatch {
        match self.data_size {
            _ if self.drop_last => LastBatch::Full,
            None => LastBatch::Unknown,
            Some(samples) => match samples % self.batch_size {
                0 => LastBatch::Full,
                rest => LastBatch::Short(rest),
            },
        }
    }
}

fn with_form(
    recipe: &Recipe,
    form: Option<MomentumForm>,
    rate_changes: bool,
) -> Result<Recipe, ConventionError> {
    match (recipe.options.momentum_form, form) {
        (_, None) => Ok(*recipe),
        (None, Some(_)) => Err(ConventionError::NoMomentum),
        (Some(from), Some(to)) if from != to && rate_changes => {
            Err(ConventionError::ChangingRate { from, to })
        }
        (Some(_), Some(_)) => {
            Ok(Recipe { options: OptimizerOptions { momentum_form: form, ..recipe.options }, ..*recipe })
        }
    }
}

/// Returns one change for each number that the optimizer has.
fn changes(pair: SettingsPair<'_>, rule: Option<BatchRule>) -> Result<Vec<NumberChange>, OptimError> {
    let SettingsPair { from, to } = pair;
    let (old, new) = (from.recipe.options.check()?, to.recipe.options);
    let rounds_nothing = pair.rounds_nothing(from.batch_size) && old.momentum_form == new.momentum_form;
    let has_l2 = old.l2 != 0.0 || new.l2 != 0.0;
    let numbers = [
        ("lr", Some(from.recipe.rate), Some(to.recipe.rate)),
        ("momentum", old.momentum.filter(|momentum| *momentum > 0.0), new.momentum),
        ("beta1", old.beta1, new.beta1),
        ("beta2", old.beta2, new.beta2),
        ("eps", old.eps, new.eps),
        ("initial-accumulator", old.initial_accumulator, new.initial_accumulator),
        ("trust-coefficient", old.trust_coefficient, new.trust_coefficient),
        ("l2", has_l2.then_some(old.l2), Some(new.l2)),
        ("weight-decay", (old.weight_decay != 0.0).then_some(old.weight_decay), Some(new.weight_decay)),
        ("clip-grad-norm", from.recipe.max_norm, to.recipe.max_norm),
    ];
    let change = |(option, old, new): (&'static str, Option<f64>, Option<f64>)| {
        let (old, new) = (old?, new?);
        let names = [from, to].map(|side| if option == "l2" { side.convention.l2_name() } else { option });
        let exactness = match rule {
            Some(_) => Exactness::Approximate,
            None if rounds_nothing && (old == new || is_power_of_two(new / old)) => Exactness::SameBits,
            None => Exactness::Rounding,
        };
        let [old_name, new_name] = names;
        let why = why(option, names, [old, new]);
        Some(NumberChange { option, old_name, new_name, old, new, why, exactness })
    };
    Ok(numbers.into_iter().filter_map(change).collect())
}

/// Describes the operation on a number in words.
fn why(option: &str, [old_name, new_name]: [&str; 2], [old, new]: [f64; 2]) -> String {
    let renamed = old_name != new_name;
    let is_reciprocal = renamed && [old_name, new_name].contains(&"C");
    let times = new / old;
    let short = |value: f64| format!("{value:.12e}").parse::<f64>().expect("a number was written");
    match (renamed, old == new) {
        (false, true) => "unchanged".to_owned(),
        (true, true) if !is_reciprocal => "the same number".to_owned(),
        _ if option.starts_with("beta") => {
            format!("1 - beta is multiplied by {}", short((1.0 - new) / (1.0 - old)))
        }
        _ if old == 0.0 => "newly set".to_owned(),
        _ if is_reciprocal => format!("1 / ({} * old)", short((old * new).recip())),
        _ if times < 1.0 => format!("divided by {}", short(times.recip())),
        _ => format!("multiplied by {}", short(times)),
    }
}

/// Returns the conditions of a translation by the factor c, or by a rule.
fn conditions(
    pair: SettingsPair<'_>,
    c: f64,
    rule: Option<BatchRule>,
) -> Result<Vec<Condition>, ConventionError> {
    let SettingsPair { from, to } = pair;
    let hyper = from.recipe.options.hyper()?;
    let mut conditions = Vec::new();
    match rule {
        Some(rule) => {
            let growth = to.batch_size as f64 / from.batch_size as f64;
            conditions.push(Condition::Approximation { rule, growth });
        }
        None => {
            conditions.extend(last_batch(pair, c)?);
            conditions.extend(state(&hyper, c));
        }
    }
    if hyper.options().momentum_form != to.recipe.options.momentum_form {
        let rate = to.recipe.rate;
        let times =
            if to.recipe.options.momentum_form == Some(MomentumForm::Caffe) { rate } else { rate.recip() };
        conditions.push(Condition::FormState { times });
    }
    if hyper.kind() == OptimizerKind::Lars && c != 1.0 {
        conditions.push(Condition::LarsZeroNorm);
    }
    if from.recipe.max_norm.is_some() && c != 1.0 {
        conditions.push(Condition::ClipEps { eps: 1e-6 * c });
    }
    if [from, to].into_iter().any(|side| side.convention == Convention::C) {
        conditions.push(Condition::RateOfC);
    }
    if from.standardized_targets {
        conditions.push(Condition::StandardizedTargets);
    }
    Ok(conditions)
}

fn state(hyper: &Hyper, c: f64) -> impl Iterator<Item = Condition> {
    let buffers = hyper.state_names().iter().zip(hyper.state_powers());
    buffers
        .map(move |(&name, power)| Condition::State { name, times: c.powi(*power) })
        .filter(|condition| !matches!(condition, Condition::State { times, .. } if *times == 1.0))
}

/// Returns the conditions that a short last batch adds.
fn last_batch(pair: SettingsPair<'_>, c: f64) -> Result<Vec<Condition>, ConventionError> {
    let SettingsPair { from, to } = pair;
    let batch_size = from.batch_size;
    let penalised = from.with_gradient_l2()?.options.l2 != 0.0;
    let samples = match from.last_batch() {
        LastBatch::Full => return Ok(Vec::new()),
        LastBatch::Unknown => {
            let penalty_differs = penalised && from.convention.l2_form() != to.convention.l2_form();
            let constant = pair.is_constant(batch_size) && !penalty_differs;
            return Ok(if constant { Vec::new() } else { vec![Condition::ConstantBatch { batch_size }] });
        }
        LastBatch::Short(samples) => samples,
    };
    let Some(short) = pair.factor(samples) else {
        let shards = pair.uneven(samples).unwrap_or(1).min(samples);
        return Ok(vec![Condition::UnevenShortBatch { samples, shards }]);
    };
    let mut conditions = Vec::new();
    if short != c {
        conditions.push(Condition::ShortBatch { samples, batch_size, times: short / c });
    }
    // λ of the last batch divided by that of a full one, on either side; only α is divided by the
    // number of samples in its batch.
    let grows = |side: &Settings| match side.convention.l2_form() {
        L2Form::BatchSum => batch_size as f64 / samples as f64,
        L2Form::Gradient | L2Form::DataSum => 1.0,
    };
    let times = grows(to) / grows(from) * c / short;
    if penalised && times != 1.0 {
        conditions.push(Condition::ShortBatchPenalty { samples, times });
    }
    Ok(conditions)
}

/// The last batch of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastBatch {
    Unknown,
    Full,
    Short(usize),
}

impl Settings {
    fn divides_shards(&self) -> bool {
        matches!(self.convention.reduction(), Reduction::MeanOfShardMeans | Reduction::SumOfShardMeans)
    }

    fn is_even(&self, batch: usize) -> bool {
        !self.divides_shards() || batch.is_multiple_of(self.shards.min(batch))
    }

    fn per_mean(&self, batch: usize) -> f64 {
        self.convention.reduction().per_mean(batch, self.shards.min(batch))
    }

    fn divisors(&self, batch: usize) -> [Option<f64>; 2] {
        let (reduction, shards) = (self.convention.reduction(), self.shards.min(batch));
        let shard_weight = batch as f64 / shards as f64;
        [reduction.shard_divisor(shard_weight), reduction.step_divisor(shards, batch as f64)]
    }
}

/// Settings before and after a translation.
#[derive(Debug, Clone, Copy)]
struct SettingsPair<'a> {
    from: &'a Settings,
    to: &'a Settings,
}

impl SettingsPair<'_> {
    /// Returns c = (gradient of `to`)/(gradient of `from`) on a batch, or `None` if the gradients
    /// are not multiples of each other.
    fn factor(self, batch: usize) -> Option<f64> {
        let Self { from, to } = self;
        let is_one = from.divides_shards() && to.divides_shards() && from.shards == to.shards
            || from.is_even(batch) && to.is_even(batch);
        is_one.then(|| to.per_mean(batch) / from.per_mean(batch))
    }

    /// Returns the number of shards on the side that takes means of uneven shards, if there is one.
    fn uneven(self, batch: usize) -> Option<usize> {
        [self.from, self.to].into_iter().find(|side| !side.is_even(batch)).map(|side| side.shards)
    }

    /// Returns whether c is the same for batches of all sizes.
    fn is_constant(self, largest: usize) -> bool {
        let factor = self.factor(largest);
        let mut others = [1, largest / 2, largest - 1].into_iter().filter(|batch| *batch > 0);
        others.all(|batch| self.factor(batch) == factor)
    }

    /// Returns whether every division on only one side is by a power of two, and therefore exact.
    fn rounds_nothing(self, batch: usize) -> bool {
        let mut divisors = self.from.divisors(batch).into_iter().zip(self.to.divisors(batch));
        divisors.all(|(from, to)| from == to || [from, to].into_iter().flatten().all(is_power_of_two))
    }

    fn uneven_error(self) -> ConventionError {
        let batch_size = self.from.batch_size;
        let shards = self.uneven(batch_size).expect("only uneven shards have no factor").min(batch_size);
        let [from, to] = [self.from, self.to].map(|side| side.convention.reduction());
        let (least, most) = (batch_size / shards, batch_size.div_ceil(shards));
        ConventionError::UnevenShards { from, to, batch_size, shards, least, most }
    }
}

/// Returns whether the value is a power of two, so that multiplying by it is exact.
fn is_power_of_two(value: f64) -> bool {
    value.is_normal() && value.to_bits() << 12 == 0
}

/// The precision to which two trajectories agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// The same bits of params, because all factors are powers of two, as long as nothing
    /// underflows or overflows.
    SameBits,
    /// The same params up to rounding, about 1e-6.
    Rounding,
    /// A different trajectory, expected to be as good.
    Approximate,
}

impl fmt::Display for Exactness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SameBits => "exact, same bits",
            Self::Rounding => "exact up to rounding",
            Self::Approximate => "approximation",
        })
    }
}

/// A number before and after a translation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberChange {
    /// The option as written in flags and files.
    pub option: &'static str,
    /// Its name in the old convention.
    pub old_name: &'static str,
    /// Its name in the new convention.
    pub new_name: &'static str,
    /// The number in the old convention.
    pub old: f64,
    /// The number in the new convention.
    pub new: f64,
    /// The operation, in words.
    pub why: String,
    /// Its exactness.
    pub exactness: Exactness,
}

/// A condition under which a translation is exact, or another note on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "about")]
pub enum Condition {
    /// The translation is exact if all batches have the same size, but the data size is unknown.
    ConstantBatch {
        /// The batch size, in samples.
        batch_size: usize,
    },
    /// The last batch of an epoch is short and has a different c.
    ShortBatch {
        /// The number of samples in the short batch, r.
        samples: usize,
        /// The number of samples in a full batch, m.
        batch_size: usize,
        /// c(r)/c(m): the weight of its gradient relative to the old convention.
        times: f64,
    },
    /// The last batch of an epoch is short and its shards are uneven, so c does not exist.
    UnevenShortBatch {
        /// The number of samples in the short batch.
        samples: usize,
        /// The number of its shards.
        shards: usize,
    },
    /// The penalty of a short last batch has a different weight relative to its gradient than
    /// before.
    ShortBatchPenalty {
        /// The number of samples in the short batch.
        samples: usize,
        /// The quotient of the two weights.
        times: f64,
    },
    /// A state buffer that scales with the gradients, which must be multiplied when switching
    /// during a run.
    State {
        /// The name of the buffer.
        name: &'static str,
        /// Its factor.
        times: f64,
    },
    /// Caffe's momentum includes the rate: its v is η times that of PyTorch's form.
    FormState {
        /// The factor of v when switching during a run.
        times: f64,
    },
    /// Lars treats a tensor whose params or gradients are all 0 as sgd does.
    LarsZeroNorm,
    /// PyTorch's clipping adds a constant to the norm, which must be translated too.
    ClipEps {
        /// The translation of 1e-6.
        eps: f64,
    },
    /// A rule for another batch size gives a different trajectory.
    Approximation {
        /// The rule.
        rule: BatchRule,
        /// New batch size divided by the old.
        growth: f64,
    },
    /// C determines the minimum, but not the rate.
    RateOfC,
    /// The loss on both sides is that of standardized targets.
    StandardizedTargets,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConstantBatch { batch_size } => write!(
                f,
                "exact if every batch has {batch_size} samples; set --data-size to include the last batch of an epoch, or \
                 train with --drop-last"
            ),
            Self::ShortBatch { samples, batch_size, times } => write!(
                f,
                "not exact in the last batch of an epoch, of {samples} samples instead of {batch_size}: its update is {} \
                 times as large as before; skip it with --drop-last on both sides, or choose a batch size that divides \
                 the data size",
                short(*times)
            ),
            Self::UnevenShortBatch { samples, shards } => write!(
                f,
                "not exact in the last batch of an epoch, whose {samples} samples form {shards} uneven shards; skip it \
                 with --drop-last on both sides"
            ),
            Self::ShortBatchPenalty { samples, times } => write!(
                f,
                "in the last batch of an epoch, of {samples} samples, L2 has {} times its previous weight relative to the \
                 gradient",
                short(*times)
            ),
            Self::State { name, times } => write!(
                f,
                "when switching during a run, multiply {name} by {times:?} (Optimizer::rescale_state); not needed in a new \
                 run"
            ),
            Self::FormState { times } => write!(
                f,
                "when switching during a run, multiply momentum_buffer by {times:?}, and keep the rate constant; with a \
                 changing rate the two forms differ"
            ),
            Self::LarsZeroNorm => f.write_str(
                "exact as long as no tensor has a norm of 0 (in the params of --init, and later): lars updates such a tensor \
                 as sgd does, with a rate that is right for neither convention",
            ),
            Self::ClipEps { eps } => write!(
                f,
                "clipping in Phalanx adds no constant to the norm; PyTorch's clip_grad_norm_ adds 1e-6, which is {eps:?} in \
                 the new convention"
            ),
            Self::Approximation { rule, growth } => write!(
                f,
                "the {rule} rule is an approximation: batches {} times as large take different steps, so the trajectory \
                 differs; L2, weight decay, momentum and clipping are unchanged under the mean{}",
                short(*growth),
                if *rule == BatchRule::Linear { ", and a warm-up is part of the rule (Goyal et al. 2017)" } else { "" }
            ),
            Self::RateOfC => f.write_str(
                "C Σ loss + ½‖w‖² is divided by C, which does not move its minimum: the rate is that for Σ loss + ‖w‖²/(2C); \
                 divide it by C for the undivided objective",
            ),
            Self::StandardizedTargets => f.write_str(
                "the loss, if it is mse, is that of standardized targets on both sides; rates and penalties tuned for targets \
                 in their original units need --standardize-targets=false",
            ),
        }
    }
}

/// Rounds to four significant digits.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a number was written")
}
