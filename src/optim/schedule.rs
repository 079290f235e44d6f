//! Learning rates over the steps of a run: schedules, warm-up, and rates for other batch sizes.

use super::error::OptimError;
use super::options::{OptimizerKind, non_negative, positive};
use super::reduction::Reduction;
use crate::num::names;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The shape of the rate after the warm-up, or for `step` also during it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// η, constant.
    #[default]
    Constant,
    /// η·(1 − x), where x rises from 0 at the end of the warm-up to 1 at the end of the run.
    Linear,
    /// η·(1 + cos πx)/2, with the same x (Loshchilov, Hutter 2016, arXiv:1608.03983, one period).
    Cosine,
    /// η·γ^⌊epoch/N⌋, with epochs counted from the start of the run.
    Step,
}

names!(ScheduleKind, "schedule", OptimError, [
    Constant => "constant",
    Linear => "linear",
    Cosine => "cosine",
    Step => "step",
]);

/// Schedule options, checked when a run is planned.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ScheduleOptions {
    /// The shape of the rate.
    pub kind: ScheduleKind,
    /// The number of warm-up steps, which have only a fraction of the rate.
    pub warmup_steps: u64,
    /// The form in which this fraction rises to 1.
    pub warmup_form: WarmupForm,
    /// The initial fraction; default 0 for linear, required for constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_start: Option<f64>,
    /// γ of the step schedule; default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// N of the step schedule; default a third of the run's epochs, rounded up, for example 30 of
    /// 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_epochs: Option<u64>,
}

/// The rate of each step of a run: a pure function of the step.
///
/// It is computed in `f64`, by cosine and power functions that are the same on every machine;
/// optimizers cast it to `f32` once. Multiplying the base rate by a power of two multiplies every
/// rate by it, exactly.
///
/// # Examples
/// ```
/// use phalanx::internals::Schedule;
/// use phalanx::optim::{ScheduleKind, ScheduleOptions};
///
/// let options = ScheduleOptions { kind: ScheduleKind::Linear, warmup_steps: 2, ..ScheduleOptions::default() };
/// let schedule = Schedule::new(&options, 1.0, 6, 3)?;
/// let rates: Vec<f64> = (0..6).map(|step| schedule.rate_at(step)).collect();
/// assert_eq!(rates, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    rate: f64,
    warmup: Warmup,
    total_steps: u64,
    kind: ScheduleKind,
    stairs: Stairs,
}

/// The decay of the step schedule; no decay for the others.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stairs {
    gamma: f64,
    every_steps: u64,
}

impl Schedule {
    /// Checks the options for a run of `total_steps` with `steps_per_epoch` steps per epoch.
    ///
    /// # Errors
    /// [`OptimError::OutOfRange`] for a rate that is negative, or neither 0 nor a normal `f32`, a γ
    /// outside 0 to 1 (0 excluded), a warm-up start outside 0 to 1 (in a constant warm-up, 0
    /// excluded), or a count of 0; [`OptimError::UnusedScheduleOption`] for γ or N with a schedule
    /// other than step; [`OptimError::WarmupTooLong`] for a linear or cosine schedule without a
    /// step after its warm-up; [`OptimError::NeedsWarmup`] for a warm-up form or start without a
    /// warm-up; [`OptimError::NeedsWarmupStart`] for a constant warm-up without a start.
    pub fn new(
        options: &ScheduleOptions,
        rate: f64,
        total_steps: u64,
        steps_per_epoch: u64,
    ) -> Result<Self, OptimError> {
        let rate = non_negative("lr", rate)?;
        at_least_one("total-steps", total_steps)?;
        at_least_one("steps-per-epoch", steps_per_epoch)?;
        let warmup_steps = options.warmup_steps;
        let warmup = Warmup::new(warmup_steps, options.warmup_form, options.warmup_start)?;
        let stairs = options.stairs(total_steps, steps_per_epoch)?;
        if matches!(options.kind, ScheduleKind::Linear | ScheduleKind::Cosine) && warmup_steps >= total_steps
        {
            return Err(OptimError::WarmupTooLong {
                schedule: options.kind.name(),
                warmup_steps,
                total_steps,
            });
        }
        Ok(Self { rate, warmup, total_steps, kind: options.kind, stairs })
    }

    /// Returns the rate of a step, counted from 0. At `total_steps` it is the limit at the end of
    /// the run.
    ///
    /// # Panics
    /// If the run has fewer than `step` steps.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f64 {
        assert!(step <= self.total_steps, "no rate for step {step} of a run of {}", self.total_steps);
        self.rate * self.warmup.share_at(step) * self.decay_at(step)
    }

    fn decay_at(&self, step: u64) -> f64 {
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => 1.0 - self.decayed_at(step),
            ScheduleKind::Cosine => 0.5 * (1.0 + libm::cos(PI * self.decayed_at(step))),
            ScheduleKind::Step => libm::pow(self.stairs.gamma, (step / self.stairs.every_steps) as f64),
        }
    }

    /// Returns the completed fraction of the steps after the warm-up, from 0 to 1.
    fn decayed_at(&self, step: u64) -> f64 {
        step.saturating_sub(self.warmup.steps) as f64 / (self.total_steps - self.warmup.steps) as f64
    }
}

impl ScheduleOptions {
    fn stairs(&self, total_steps: u64, steps_per_epoch: u64) -> Result<Stairs, OptimError> {
        if self.kind != ScheduleKind::Step {
            let set = [("lr-gamma", self.gamma.is_some()), ("lr-decay-epochs", self.decay_epochs.is_some())];
            return match set.into_iter().find(|(_, is_set)| *is_set) {
                Some((option, _)) => {
                    Err(OptimError::UnusedScheduleOption { option, schedule: self.kind.name() })
                }
                None => Ok(Stairs { gamma: 1.0, every_steps: 1 }),
            };
        }
        let gamma = positive("lr-gamma", self.gamma.unwrap_or(0.1))?;
        if gamma > 1.0 {
            return Err(OptimError::OutOfRange { option: "lr-gamma", value: gamma, expected: "at most 1" });
        }
        let third = total_steps.div_ceil(steps_per_epoch).div_ceil(3);
        let epochs = at_least_one("lr-decay-epochs", self.decay_epochs.unwrap_or(third))?;
        Ok(Stairs { gamma, every_steps: epochs.saturating_mul(steps_per_epoch) })
    }
}

fn at_least_one(option: &'static str, value: u64) -> Result<u64, OptimError> {
    if value > 0 {
        Ok(value)
    } else {
        Err(OptimError::OutOfRange { option, value: 0.0, expected: "at least 1" })
    }
}

/// The fraction of the rate in each step of a warm-up of W steps; s is the initial fraction.
///
/// Both forms are those of Goyal et al. 2017 (arXiv:1706.02677, section 2.2), who raise the rate
/// from that of the small batch to κ times it: s = 1/κ. As a fraction of the rate, s is the same
/// number under every [`Reduction`](super::Reduction).
///
/// # Examples
///
/// ```
/// use phalanx::internals::Schedule;
/// use phalanx::optim::{ScheduleOptions, WarmupForm};
///
/// let rates = |warmup_form| {
///     let options = ScheduleOptions { warmup_form, warmup_steps: 4, warmup_start: Some(0.5), ..ScheduleOptions::default() };
///     let schedule = Schedule::new(&options, 1.0, 100, 10)?;
///     Ok::<_, phalanx::optim::OptimError>([0, 1, 2, 3, 4].map(|step| schedule.rate_at(step)))
/// };
/// assert_eq!(rates(WarmupForm::Linear)?, [0.625, 0.75, 0.875, 1.0, 1.0]);
/// assert_eq!(rates(WarmupForm::Constant)?, [0.5, 0.5, 0.5, 0.5, 1.0]);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarmupForm {
    /// s + (1 − s)·(t + 1)/W in step t, counted from 0: the rate rises linearly and reaches its
    /// full value in step W − 1.
    #[default]
    Linear,
    /// s during the warm-up, then the full rate.
    Constant,
}

names!(WarmupForm, "warm-up form", OptimError, [
    Linear => "linear",
    Constant => "constant",
]);

/// A warm-up with checked options.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Warmup {
    steps: u64,
    form: WarmupForm,
    /// The initial fraction of the rate, between 0 and 1; above 0 if the form is constant.
    start: f64,
}

impl Warmup {
    /// Checks the options; `start` defaults to 0 in the linear form.
    fn new(steps: u64, form: WarmupForm, start: Option<f64>) -> Result<Self, OptimError> {
        if steps == 0 && form == WarmupForm::Constant {
            return Err(OptimError::NeedsWarmup { option: "warmup-form" });
        }
        if steps == 0 && start.is_some() {
            return Err(OptimError::NeedsWarmup { option: "warmup-start" });
        }
        match (form, start) {
            (_, Some(value)) if !(0.0..=1.0).contains(&value) => Err(out_of_range(value, "between 0 and 1")),
            (WarmupForm::Constant, None) => Err(OptimError::NeedsWarmupStart),
            (WarmupForm::Constant, Some(0.0)) => {
                Err(out_of_range(0.0, "above 0 in a constant warm-up (a rate of 0 changes nothing)"))
            }
            _ => Ok(Self { steps, form, start: start.unwrap_or(0.0) }),
        }
    }

    /// Returns the fraction of the rate in a step, 1 after the warm-up.
    fn share_at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return 1.0;
        }
        match self.form {
            WarmupForm::Constant => self.start,
            // Subtracted from 1, so that the last step has exactly the full rate despite rounding.
            WarmupForm::Linear if self.start > 0.0 => {
                1.0 - (1.0 - self.start) * ((self.steps - 1 - step) as f64 / self.steps as f64)
            }
            WarmupForm::Linear => (step + 1) as f64 / self.steps as f64,
        }
    }
}

fn out_of_range(value: f64, expected: &'static str) -> OptimError {
    OptimError::OutOfRange { option: "warmup-start", value, expected }
}

/// The rule by which a rate tuned for one batch size is adapted to another.
///
/// The rules are stated for the mean of gradients, η → η·κ^p with κ = B/B₀; under another
/// reduction, whose gradient is c times the mean ([`Reduction::per_mean`]), the same updates need
///
/// η = η₀·κ^p·c(B₀, S₀)/c(B, S)
///
/// so that under `sum` the linear rule changes nothing. For
/// [scale-free](OptimizerKind::is_scale_free) rules the rate is the same in all conventions,
/// regardless of c.
///
/// # Examples
/// ```
/// use ndarray::Array2;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{Samples, from_fn};
/// use phalanx::optim::ScaleRate;
/// use phalanx::train::{Options, Plan};
///
/// let data = Dataset::from_arrays(Array2::zeros((1000, 1)), Targets::None, None)?;
/// let model = from_fn(vec![0.0], |_: &[f32], _: &Samples<'_>, _: &mut [f32]| 0.0);
/// let options = Options {
///     batch_size: 256,
///     rate: Some(0.1),
///     scale_rate: ScaleRate::Linear,
///     base_batch_size: Some(64),
///     ..Options::default()
/// };
/// assert_eq!(Plan::new(&options, &model, &data, None)?.rate(), 0.4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleRate {
    /// The rate is used as given.
    #[default]
    None,
    /// p = 1: Goyal et al. 2017 (arXiv:1706.02677), to be used with a warm-up.
    Linear,
    /// p = ½: Krizhevsky 2014 (arXiv:1404.5997), Hoffer et al. 2017 (arXiv:1705.08741); for Adam,
    /// Malladi et al. 2022 (arXiv:2205.10287), who also change β and ε; this rule does not.
    Sqrt,
}

names!(ScaleRate, "rate scaling", OptimError, [
    None => "none",
    Linear => "linear",
    Sqrt => "sqrt",
]);

/// The size of a batch and the number of its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCut {
    /// Samples in one step.
    pub batch_size: usize,
    /// Shards of that batch.
    pub shards: usize,
}

impl ScaleRate {
    /// Returns the factor from the rate tuned for the batches of `base` to the rate for those of
    /// `now`.
    ///
    /// # Panics
    /// If a batch has no samples or no shards.
    ///
    /// # Examples
    /// ```
    /// use phalanx::internals::BatchCut;
    /// use phalanx::optim::{OptimizerKind, Reduction, ScaleRate};
    ///
    /// let base = BatchCut { batch_size: 256, shards: 1 };
    /// let now = BatchCut { batch_size: 1024, shards: 4 };
    /// let factor = |scale: ScaleRate, reduction| scale.factor(OptimizerKind::Sgd, reduction, base, now);
    /// assert_eq!(factor(ScaleRate::Linear, Reduction::Mean), 4.0);
    /// assert_eq!(factor(ScaleRate::Linear, Reduction::Sum), 1.0);
    /// assert_eq!(factor(ScaleRate::Sqrt, Reduction::Sum), 0.5);
    /// assert_eq!(ScaleRate::Linear.factor(OptimizerKind::Adam, Reduction::Sum, base, now), 4.0);
    /// ```
    #[doc(hidden)]
    #[must_use]
    pub fn factor(self, kind: OptimizerKind, reduction: Reduction, base: BatchCut, now: BatchCut) -> f64 {
        let c = |cut: BatchCut| {
            let c = reduction.per_mean(cut.batch_size, cut.shards);
            if kind.is_scale_free() { 1.0 } else { c }
        };
        // A single quotient of exact products, since B/B₀·c₀/c would not always be 1 under a sum.
        let (b0, b, c0, c) = (base.batch_size as f64, now.batch_size as f64, c(base), c(now));
        match self {
            Self::None => 1.0,
            Self::Linear => (b * c0) / (b0 * c),
            Self::Sqrt => ((b * c0 * c0) / (b0 * c * c)).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, warmup_steps: u64) -> Schedule {
        let options = ScheduleOptions { kind, warmup_steps, ..ScheduleOptions::default() };
        Schedule::new(&options, 0.4, 100, 10).unwrap()
    }

    #[test]
    fn the_warm_up_rises_to_the_rate_in_its_last_step() {
        for &kind in ScheduleKind::ALL {
            let schedule = schedule(kind, 4);
            let rates = [0, 1, 2, 3, 4].map(|step| schedule.rate_at(step));
            assert_eq!(rates, [0.1, 0.2, 0.4 * 0.75, 0.4, 0.4], "{kind}");
        }
    }

    #[test]
    fn a_constant_warm_up_multiplies_the_step_schedule() {
        let options = ScheduleOptions {
            kind: ScheduleKind::Step,
            warmup_steps: 15,
            warmup_form: WarmupForm::Constant,
            warmup_start: Some(0.25),
            gamma: Some(0.5),
            decay_epochs: Some(1),
        };
        let schedule = Schedule::new(&options, 8.0, 100, 10).unwrap();
        assert_eq!([9, 10, 14, 15, 20].map(|step| schedule.rate_at(step)), [2.0, 1.0, 1.0, 4.0, 2.0]);
    }

    #[test]
    fn linear_and_cosine_fall_from_the_rate_to_zero() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            let schedule = schedule(kind, 20);
            assert_eq!(schedule.rate_at(20), 0.4, "{kind}");
            assert!((schedule.rate_at(60) - 0.2).abs() < 1e-16, "{kind}");
            assert_eq!(schedule.rate_at(100), 0.0, "{kind}");
            assert!((21..100).all(|t| schedule.rate_at(t) < schedule.rate_at(t - 1)), "{kind}");
        }
    }

    #[test]
    fn the_step_schedule_counts_epochs_from_the_start() {
        let options = ScheduleOptions {
            kind: ScheduleKind::Step,
            warmup_steps: 5,
            gamma: Some(0.5),
            decay_epochs: Some(3),
            ..ScheduleOptions::default()
        };
        let schedule = Schedule::new(&options, 1.0, 100, 10).unwrap();
        let rates = [4, 29, 30, 59, 60, 90].map(|step| schedule.rate_at(step));
        assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]);
    }

    #[test]
    fn the_step_schedule_decays_after_each_third_of_the_run_by_default() {
        let options = ScheduleOptions { kind: ScheduleKind::Step, ..ScheduleOptions::default() };
        let schedule = Schedule::new(&options, 1.0, 900, 10).unwrap();
        let rates = [299, 300, 599, 600, 899].map(|step| schedule.rate_at(step));
        assert_eq!(rates, [1.0, 0.1, 0.1, libm::pow(0.1, 2.0), libm::pow(0.1, 2.0)]);
    }

    #[test]
    fn rates_scale_exactly_by_powers_of_two() {
        for &kind in ScheduleKind::ALL {
            for &warmup_form in WarmupForm::ALL {
                let warmup_start = Some(1.0 / 3.0);
                let options = ScheduleOptions {
                    kind,
                    warmup_steps: 7,
                    warmup_form,
                    warmup_start,
                    ..ScheduleOptions::default()
                };
                let mean = Schedule::new(&options, 0.1, 100, 10).unwrap();
                let sum = Schedule::new(&options, 0.1 / 64.0, 100, 10).unwrap();
                assert!((0..100).all(|t| 64.0 * sum.rate_at(t) == mean.rate_at(t)), "{kind}, {warmup_form}");
            }
        }
    }

    /// Reference: torch 2.15, f64, base rate 0.4, at steps 0, 1, 25, 50, 77, 99:
    /// `CosineAnnealingLR(T_max=100)`, `LinearLR(1, 0, 100)`, `StepLR(30, 0.1)`, each stepped once
    /// per step.
    #[test]
    fn schedules_match_pytorch() {
        let steps = [0, 1, 25, 50, 77, 99];
        let stairs =
            ScheduleOptions { kind: ScheduleKind::Step, decay_epochs: Some(3), ..ScheduleOptions::default() };
        let stairs = Schedule::new(&stairs, 0.4, 100, 10).unwrap();
        for (schedule, expected) in [
            (schedule(ScheduleKind::Cosine, 0), COSINE),
            (schedule(ScheduleKind::Linear, 0), LINEAR),
            (stairs, STAIRS),
        ] {
            for (step, rate) in steps.into_iter().zip(expected) {
                assert!((schedule.rate_at(step) - rate).abs() < 1e-14, "{schedule:?} at {step}");
            }
        }
    }

    const COSINE: [f64; 6] = [
        0.4,
        0.39990131207314633,
        0.3414213562373096,
        0.20000000000000015,
        0.04997778607390813,
        9.868792685368007e-05,
    ];
    const LINEAR: [f64; 6] =
        [0.4, 0.396, 0.29999999999999993, 0.1999999999999999, 0.09199999999999994, 0.003999999999999999];
    const STAIRS: [f64; 6] =
        [0.4, 0.4, 0.4, 0.04000000000000001, 0.004000000000000001, 0.00040000000000000013];

    #[test]
    fn invalid_options_are_refused() {
        let step = ScheduleKind::Step;
        let linear = ScheduleKind::Linear;
        let base = ScheduleOptions::default();
        let refuse =
            |options: ScheduleOptions, rate, total| Schedule::new(&options, rate, total, 10).unwrap_err();
        for (option, error) in [
            ("lr", refuse(base, -0.1, 100)),
            ("lr", refuse(base, f64::NAN, 100)),
            ("lr", refuse(base, 1e300, 100)),
            ("total-steps", refuse(base, 0.1, 0)),
            ("lr-gamma", refuse(ScheduleOptions { kind: step, gamma: Some(1.5), ..base }, 0.1, 100)),
            ("lr-gamma", refuse(ScheduleOptions { kind: step, gamma: Some(0.0), ..base }, 0.1, 100)),
            (
                "lr-decay-epochs",
                refuse(ScheduleOptions { kind: step, decay_epochs: Some(0), ..base }, 0.1, 100),
            ),
        ] {
            let OptimError::OutOfRange { option: found, .. } = error else { panic!("{error}") };
            assert_eq!(found, option);
        }
        assert_eq!(
            refuse(ScheduleOptions { kind: linear, gamma: Some(0.5), ..base }, 0.1, 100).to_string(),
            "option lr-gamma is not used by the linear schedule; drop it or choose the step schedule"
        );
        assert_eq!(
            refuse(ScheduleOptions { kind: linear, warmup_steps: 100, ..base }, 0.1, 100),
            OptimError::WarmupTooLong { schedule: "linear", warmup_steps: 100, total_steps: 100 }
        );
        let constant = ScheduleOptions { warmup_steps: 200, ..base };
        assert_eq!(Schedule::new(&constant, 1.0, 100, 10).unwrap().rate_at(100), 101.0 / 200.0);
    }

    #[test]
    #[should_panic(expected = "no rate for step 101 of a run of 100")]
    fn a_step_after_the_run_has_no_rate() {
        let _ = schedule(ScheduleKind::Constant, 0).rate_at(101);
    }

    fn shares(form: WarmupForm, start: Option<f64>) -> [f64; 6] {
        let warmup = Warmup::new(4, form, start).unwrap();
        [0, 1, 2, 3, 4, 9].map(|step| warmup.share_at(step))
    }

    #[test]
    fn a_linear_warm_up_reaches_the_full_rate_in_its_last_step() {
        assert_eq!(shares(WarmupForm::Linear, None), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(shares(WarmupForm::Linear, Some(0.0)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(shares(WarmupForm::Linear, Some(0.5)), [0.625, 0.75, 0.875, 1.0, 1.0, 1.0]);
        let third = Warmup::new(7, WarmupForm::Linear, Some(1.0 / 3.0)).unwrap();
        assert_eq!(third.share_at(6), 1.0);
    }

    #[test]
    fn a_constant_warm_up_jumps_to_the_full_rate() {
        assert_eq!(shares(WarmupForm::Constant, Some(0.125)), [0.125, 0.125, 0.125, 0.125, 1.0, 1.0]);
    }

    #[test]
    fn without_warm_up_steps_the_rate_is_full_from_the_start() {
        assert_eq!(Warmup::new(0, WarmupForm::Linear, None).unwrap().share_at(0), 1.0);
    }

    #[test]
    fn an_invalid_warm_up_is_refused() {
        let refuse = |steps, form, start| Warmup::new(steps, form, start).unwrap_err().to_string();
        for start in [-0.1, 1.5, f64::NAN] {
            assert_eq!(
                refuse(4, WarmupForm::Linear, Some(start)),
                format!("warmup-start is {start}, but must be between 0 and 1; choose a value in this range")
            );
        }
        assert!(refuse(4, WarmupForm::Constant, Some(0.0)).contains("above 0 in a constant warm-up"));
        assert_eq!(
            refuse(4, WarmupForm::Constant, None),
            "a constant warm-up needs a starting fraction of the rate; set warmup-start, for example to the base batch \
             size divided by the batch size"
        );
        for (option, form, start) in [
            ("warmup-form", WarmupForm::Constant, Some(0.5)),
            ("warmup-start", WarmupForm::Linear, Some(0.5)),
        ] {
            assert_eq!(
                refuse(0, form, start),
                format!(
                    "option {option} has no effect without a warm-up, and warmup-steps is 0; set warmup-steps above 0 or drop \
                     {option}"
                )
            );
        }
    }

    const BASE: BatchCut = BatchCut { batch_size: 48, shards: 3 };
    const NOW: BatchCut = BatchCut { batch_size: 480, shards: 5 };

    #[test]
    fn every_reduction_scales_as_the_mean_does() {
        for (scale, power) in [(ScaleRate::Linear, 1.0), (ScaleRate::Sqrt, 0.5)] {
            for &reduction in Reduction::ALL {
                let factor = scale.factor(OptimizerKind::Sgd, reduction, BASE, NOW);
                let before = reduction.rate_under_mean(0.1, BASE.batch_size, BASE.shards);
                let after = reduction.rate_under_mean(0.1 * factor, NOW.batch_size, NOW.shards);
                assert!((after / before / 10_f64.powf(power) - 1.0).abs() < 1e-14, "{scale} {reduction}");
            }
        }
    }

    #[test]
    fn linear_scaling_changes_nothing_under_a_sum() {
        for batch_size in 1..2000 {
            let now = BatchCut { batch_size, shards: 7 };
            assert_eq!(ScaleRate::Linear.factor(OptimizerKind::Sgd, Reduction::Sum, BASE, now), 1.0);
        }
    }

    #[test]
    fn square_root_scaling_under_a_sum_divides_by_the_root_of_the_growth() {
        let factor = ScaleRate::Sqrt.factor(OptimizerKind::Sgd, Reduction::Sum, BASE, NOW);
        assert!((factor * 10_f64.sqrt() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn scale_free_rules_have_the_same_factor_under_every_reduction() {
        for &reduction in Reduction::ALL {
            assert_eq!(ScaleRate::Sqrt.factor(OptimizerKind::Adam, reduction, BASE, NOW), 10_f64.sqrt());
        }
    }

    #[test]
    fn no_scaling_keeps_the_rate_for_every_batch() {
        for &reduction in Reduction::ALL {
            assert_eq!(ScaleRate::None.factor(OptimizerKind::Sgd, reduction, BASE, NOW), 1.0);
        }
    }
}
