//! The same trajectory in another convention.

use super::super::{
    Hyper, L2Form, MomentumForm, OptimError, OptimizerKind, OptimizerOptions, Recipe, Reduction,
};
use super::agreement::{Agreement, is_power_of_two};
use super::settings::LastBatch;
use super::{BatchRule, Change, ConventionError, Exactness, Remark, Settings, Target};

/// What settings come to in another convention.
///
/// # Examples
///
/// ```
/// use phalanx::optim::convention::{BatchRule, Change, Convention, Exactness, Remark, Settings, Target, Translation};
/// use phalanx::optim::{OptimizerOptions, Recipe};
///
/// let recipe = Recipe { options: OptimizerOptions::default(), rate: 0.1, max_norm: None };
/// let mean = Settings::new(Convention::Mean, recipe, 64);
/// let sum: Translation = mean.translated(&Target::of(Convention::Sum))?;
/// let Change { option, new, exactness, .. } = &sum.changes[0];
/// assert_eq!((*option, *new, *exactness), ("lr", 0.1 / 64.0, Exactness::SameBits));
/// assert_eq!(sum.remarks, [Remark::ConstantBatch { batch_size: 64 }]);
///
/// let larger = Target { batch_size: Some(256), rule: Some(BatchRule::Linear), ..Target::of(Convention::Mean) };
/// let larger = mean.translated(&larger)?;
/// assert_eq!((larger.settings.recipe.rate, larger.changes[0].exactness), (0.4, Exactness::Approximate));
/// # Ok::<(), phalanx::optim::convention::ConventionError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The settings there, every default filled in.
    pub settings: Settings,
    /// (Gradient of the new convention)/(gradient of the old) on a full batch.
    pub factor: f64,
    /// What became of each number.
    pub changes: Vec<Change>,
    /// Under which conditions it is exact.
    pub remarks: Vec<Remark>,
}

impl Translation {
    /// Whether the params have the same bits on full batches: the least of what its changes promise.
    #[must_use]
    pub fn same_bits(&self) -> bool {
        self.changes.iter().all(|change| change.exactness == Exactness::SameBits)
    }

    /// The settings as Phalanx trains with them: a reduction, and a recipe whose `l2` is added to what its `l2_form` says.
    ///
    /// # Errors
    /// None that [`Settings::translated`] does not return.
    pub fn runnable(&self) -> Result<(Reduction, Recipe), ConventionError> {
        self.settings.runnable()
    }
}

impl Settings {
    /// The settings as Phalanx trains with them: a reduction, and a recipe whose `l2` is added to what its `l2_form` says.
    ///
    /// # Errors
    /// [`ConventionError::NeedsDataSize`] and [`ConventionError::ZeroC`].
    pub fn runnable(&self) -> Result<(Reduction, Recipe), ConventionError> {
        let Self { convention, recipe, batch_size, data_size, .. } = *self;
        let l2_form = convention.l2_form();
        let l2 = match l2_form {
            L2Form::Gradient => convention.read_l2(recipe.options.l2, batch_size, data_size)?,
            L2Form::BatchSum => recipe.options.l2,
        };
        let options = OptimizerOptions { l2, l2_form, ..recipe.options };
        Ok((convention.reduction(), Recipe { options, ..recipe }))
    }

    /// Says the same trajectory in another convention, or, for another batch size, what a rule makes of it.
    ///
    /// # Errors
    /// [`ConventionError`]: what has no exact translation, with the reason.
    pub fn translated(&self, target: &Target) -> Result<Translation, ConventionError> {
        let to = self.moved(target)?;
        let agreement =
            Agreement::new(self.convention.reduction(), to.convention.reduction(), [self.cut(), to.cut()]);
        let old = self.with_gradient_l2()?;
        let (factor, new) = match target.rule {
            None => {
                let factor = agreement.factor(self.batch_size).ok_or_else(|| self.uneven(&to, agreement))?;
                (factor, old.translated(factor)?)
            }
            Some(rule) => self.grown(&old, &to, rule)?,
        };
        if old.options.kind == OptimizerKind::Lars && self.zero_start && factor != 1.0 {
            return Err(ConventionError::ZeroNorm);
        }
        let new = with_form(&new, target.momentum_form, self.rate_changes)?;
        let l2 = to.convention.write_l2(new.options.l2, to.batch_size, to.data_size)?;
        let options = OptimizerOptions { l2, ..new.options };
        options.check()?;
        let to = Settings { recipe: Recipe { options, ..new }, ..to };
        let mut translation = Translation { settings: to, factor, changes: Vec::new(), remarks: Vec::new() };
        translation.changes = changes(self, &translation, target.rule, agreement)?;
        translation.remarks = remarks(self, &translation, target, agreement)?;
        Ok(translation)
    }

    fn moved(&self, target: &Target) -> Result<Self, ConventionError> {
        self.check()?;
        let batch_size = target.batch_size.unwrap_or(self.batch_size);
        match target.rule {
            None if batch_size != self.batch_size => return Err(ConventionError::NeedsRule),
            Some(rule) if batch_size == self.batch_size => return Err(ConventionError::UnusedRule { rule }),
            _ => {}
        }
        let shards = target.shards.unwrap_or(self.shards);
        let to = Self { convention: target.convention, batch_size, shards, ..*self };
        to.check().map(|()| to)
    }

    /// The recipe with the λ that is added to the gradient of a full batch.
    fn with_gradient_l2(&self) -> Result<Recipe, ConventionError> {
        let options = self.recipe.options;
        let l2 = self.convention.read_l2(options.l2, self.batch_size, self.data_size)?;
        let options = OptimizerOptions { l2, l2_form: L2Form::Gradient, ..options };
        Ok(Recipe { options, ..self.recipe })
    }

    fn grown(&self, old: &Recipe, to: &Self, rule: BatchRule) -> Result<(f64, Recipe), ConventionError> {
        let scale = |settings: &Self| {
            settings
                .convention
                .reduction()
                .per_mean(settings.batch_size, settings.shards.min(settings.batch_size))
        };
        let growth = to.batch_size as f64 / self.batch_size as f64;
        let mean = rule.applied(&old.translated(scale(self).recip())?, growth)?;
        Ok((scale(to) / scale(self), mean.translated(scale(to))?))
    }

    fn uneven(&self, to: &Self, agreement: Agreement) -> ConventionError {
        let batch_size = self.batch_size;
        let shards = agreement.uneven(batch_size).expect("only uneven shards have no factor").min(batch_size);
        let (from, to) = (self.convention.reduction(), to.convention.reduction());
        let (least, most) = (batch_size / shards, batch_size.div_ceil(shards));
        ConventionError::UnevenShards { from, to, batch_size, shards, least, most }
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

/// One line for each number that the optimizer has.
fn changes(
    from: &Settings,
    translation: &Translation,
    rule: Option<BatchRule>,
    agreement: Agreement,
) -> Result<Vec<Change>, OptimError> {
    let to = &translation.settings;
    let (old, new) = (from.recipe.options.check()?.options(), to.recipe.options);
    let form_changes = old.momentum_form != new.momentum_form;
    let mut changes = Vec::new();
    let mut push = |option: &'static str, names: [&'static str; 2], old: Option<f64>, new: Option<f64>| {
        let (Some(old), Some(new)) = (old, new) else { return };
        let multiple = old == new || is_power_of_two(new / old);
        let exactness = match rule {
            Some(_) => Exactness::Approximate,
            None if multiple && agreement.rounds_nothing(from.batch_size) && !form_changes => {
                Exactness::SameBits
            }
            None => Exactness::Rounding,
        };
        let [old_name, new_name] = names;
        let why = why(option, new_name != old_name, [old, new]);
        changes.push(Change { option, old_name, new_name, old, new, why, exactness });
    };
    push("lr", ["lr"; 2], Some(from.recipe.rate), Some(to.recipe.rate));
    push("momentum", ["momentum"; 2], old.momentum.filter(|momentum| *momentum > 0.0), new.momentum);
    push("beta1", ["beta1"; 2], old.beta1, new.beta1);
    push("beta2", ["beta2"; 2], old.beta2, new.beta2);
    push("eps", ["eps"; 2], old.eps, new.eps);
    push("initial-accumulator", ["initial-accumulator"; 2], old.initial_accumulator, new.initial_accumulator);
    push("trust-coefficient", ["trust-coefficient"; 2], old.trust_coefficient, new.trust_coefficient);
    let penalised = (old.l2 != 0.0 || new.l2 != 0.0).then_some(());
    let names = [from.convention.l2_name(), to.convention.l2_name()];
    push("l2", names, penalised.map(|()| old.l2), Some(new.l2));
    let decayed = (old.weight_decay != 0.0).then_some(old.weight_decay);
    push("weight-decay", ["weight-decay"; 2], decayed, Some(new.weight_decay));
    push("clip-grad-norm", ["clip-grad-norm"; 2], from.recipe.max_norm, to.recipe.max_norm);
    Ok(changes)
}

/// What was done to a number.
fn why(option: &str, renamed: bool, [old, new]: [f64; 2]) -> String {
    let times = new / old;
    let short = |value: f64| format!("{value:.12e}").parse::<f64>().expect("a number was written");
    match (renamed, old == new) {
        (false, true) => "unchanged".to_owned(),
        (true, true) => "the same number".to_owned(),
        _ if option.starts_with("beta") => {
            format!("1 - beta is multiplied by {}", short((1.0 - new) / (1.0 - old)))
        }
        _ if old == 0.0 => "written anew".to_owned(),
        _ if times < 1.0 => format!("divided by {}", short(times.recip())),
        _ => format!("multiplied by {}", short(times)),
    }
}

fn remarks(
    from: &Settings,
    translation: &Translation,
    target: &Target,
    agreement: Agreement,
) -> Result<Vec<Remark>, ConventionError> {
    let hyper = from.recipe.options.check()?;
    let (c, to) = (translation.factor, &translation.settings);
    let mut remarks = Vec::new();
    match target.rule {
        Some(rule) => {
            let growth = to.batch_size as f64 / from.batch_size as f64;
            remarks.push(Remark::Approximation { rule, growth });
        }
        None => {
            remarks.extend(last_batch(from, to, agreement, c)?);
            remarks.extend(state(&hyper, c));
        }
    }
    if hyper.options().momentum_form != to.recipe.options.momentum_form {
        let rate = to.recipe.rate;
        let times =
            if to.recipe.options.momentum_form == Some(MomentumForm::Caffe) { rate } else { rate.recip() };
        remarks.push(Remark::FormState { times });
    }
    if hyper.kind() == OptimizerKind::Lars && c != 1.0 {
        remarks.push(Remark::LarsZeroNorm);
    }
    if from.recipe.max_norm.is_some() && c != 1.0 {
        remarks.push(Remark::ClipEps { eps: 1e-6 * c });
    }
    if [from, to].into_iter().any(|side| side.convention == super::Convention::C) {
        remarks.push(Remark::RateOfC);
    }
    if from.standardized_targets {
        remarks.push(Remark::StandardizedTargets);
    }
    Ok(remarks)
}

fn state(hyper: &Hyper, c: f64) -> impl Iterator<Item = Remark> {
    let buffers = hyper.state_names().iter().zip(hyper.state_powers());
    buffers
        .map(move |(&name, power)| Remark::State { name, times: c.powi(*power) })
        .filter(|remark| !matches!(remark, Remark::State { times, .. } if *times == 1.0))
}

/// What is different about a short last batch.
fn last_batch(
    from: &Settings,
    to: &Settings,
    agreement: Agreement,
    c: f64,
) -> Result<Vec<Remark>, ConventionError> {
    let batch_size = from.batch_size;
    let penalised = from.with_gradient_l2()?.options.l2 != 0.0;
    let samples = match from.last_batch() {
        LastBatch::Full => return Ok(Vec::new()),
        LastBatch::Unknown => {
            let penalty_differs = penalised && from.convention.l2_form() != to.convention.l2_form();
            let constant = agreement.is_constant(batch_size) && !penalty_differs;
            return Ok(if constant { Vec::new() } else { vec![Remark::ConstantBatch { batch_size }] });
        }
        LastBatch::Short(samples) => samples,
    };
    let Some(short) = agreement.factor(samples) else {
        let shards = agreement.uneven(samples).unwrap_or(1).min(samples);
        return Ok(vec![Remark::UnevenShortBatch { samples, shards }]);
    };
    let mut remarks = Vec::new();
    if short != c {
        remarks.push(Remark::ShortBatch { samples, batch_size, times: short / c });
    }
    // λ of the last batch over that of a full one, on either side; α alone is divided by the samples of its batch.
    let grows = |side: &Settings| match side.convention.l2_form() {
        L2Form::BatchSum => batch_size as f64 / samples as f64,
        L2Form::Gradient => 1.0,
    };
    let times = grows(to) / grows(from) * c / short;
    if penalised && times != 1.0 {
        remarks.push(Remark::ShortBatchPenalty { samples, times });
    }
    Ok(remarks)
}
