//! Learning rates over the steps of a run.

use super::{
    OptimError, WarmupForm,
    hyper::{non_negative, positive},
    name::names,
    warmup::Warmup,
};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The course of the rate after, or for `step` also during, the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// η.
    #[default]
    Constant,
    /// η·(1 − x), x running from 0 at the end of the warm-up to 1 at the end of the run.
    Linear,
    /// η·(1 + cos πx)/2, with the same x (Loshchilov, Hutter 2016, arXiv:1608.03983, one period).
    Cosine,
    /// η·γ^⌊epoch/N⌋, with epochs counted from the start of the run.
    Step,
}

names!(ScheduleKind, "schedule", [
    Constant => "constant",
    Linear => "linear",
    Cosine => "cosine",
    Step => "step",
]);

/// Schedule options, not yet checked; [`Schedule::new`] checks them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ScheduleOptions {
    /// The course.
    pub kind: ScheduleKind,
    /// Steps that have only a share of the rate.
    pub warmup_steps: u64,
    /// How that share rises to 1.
    pub warmup_form: WarmupForm,
    /// The share that it starts from; default 0 for linear, none for constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_start: Option<f64>,
    /// γ of the step schedule; default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// N of the step schedule; default a third of the run's epochs, rounded up, as in 30 of 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_epochs: Option<u64>,
}

/// The rate of each step of a run: a pure function of the step.
///
/// Computed in `f64`, by a cosine and a power that are the same on every machine; optimizers cast it to `f32` once.
/// Multiplying the base rate by a power of two multiplies every rate by it, exactly.
///
/// # Examples
/// ```
/// use phalanx::optim::{Schedule, ScheduleKind, ScheduleOptions};
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
    course: Course,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Course {
    Constant,
    Linear,
    Cosine,
    Step { gamma: f64, every_steps: u64 },
}

impl Schedule {
    /// Checks the options for a run of `total_steps`, of which `steps_per_epoch` make an epoch.
    ///
    /// # Errors
    /// [`OptimError::OutOfRange`] for a rate below 0 or not a normal `f32`, a γ outside of 0 to 1 (0 excluded), a
    /// warm-up that starts outside of 0 to 1, or counts of 0; [`OptimError::UnusedScheduleOption`] for γ or N with another schedule than step;
    /// [`OptimError::WarmupTooLong`] for a linear or cosine schedule without a step after its warm-up;
    /// [`OptimError::NeedsWarmup`] for its form or start without a warm-up, [`OptimError::NeedsWarmupStart`] for a constant one
    /// without a start.
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
        let course = options.course(total_steps, steps_per_epoch)?;
        if matches!(course, Course::Linear | Course::Cosine) && warmup_steps >= total_steps {
            return Err(OptimError::WarmupTooLong { kind: options.kind, warmup_steps, total_steps });
        }
        Ok(Self { rate, warmup, total_steps, course })
    }

    /// The rate of a step, counted from 0. At `total_steps` it is what the run tends to.
    ///
    /// # Panics
    /// If the run has fewer than `step` steps.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f64 {
        assert!(step <= self.total_steps, "no rate for step {step} of a run of {}", self.total_steps);
        self.rate * self.warmup.share_at(step) * self.decay_at(step)
    }

    fn decay_at(&self, step: u64) -> f64 {
        match self.course {
            Course::Constant => 1.0,
            Course::Linear => 1.0 - self.decayed_at(step),
            Course::Cosine => 0.5 * (1.0 + libm::cos(PI * self.decayed_at(step))),
            Course::Step { gamma, every_steps } => libm::pow(gamma, (step / every_steps) as f64),
        }
    }

    /// The part of the run after the warm-up that lies before the step, from 0 to 1.
    fn decayed_at(&self, step: u64) -> f64 {
        step.saturating_sub(self.warmup.steps) as f64 / (self.total_steps - self.warmup.steps) as f64
    }
}

impl ScheduleOptions {
    fn course(&self, total_steps: u64, steps_per_epoch: u64) -> Result<Course, OptimError> {
        if self.kind == ScheduleKind::Step {
            return self.stairs(total_steps, steps_per_epoch);
        }
        for (option, is_set) in
            [("lr-gamma", self.gamma.is_some()), ("lr-decay-epochs", self.decay_epochs.is_some())]
        {
            if is_set {
                return Err(OptimError::UnusedScheduleOption { option, kind: self.kind });
            }
        }
        Ok(match self.kind {
            ScheduleKind::Constant => Course::Constant,
            ScheduleKind::Linear => Course::Linear,
            ScheduleKind::Cosine => Course::Cosine,
            ScheduleKind::Step => unreachable!("has returned above"),
        })
    }

    fn stairs(&self, total_steps: u64, steps_per_epoch: u64) -> Result<Course, OptimError> {
        let gamma = positive("lr-gamma", self.gamma.unwrap_or(0.1))?;
        if gamma > 1.0 {
            return Err(OptimError::OutOfRange { option: "lr-gamma", value: gamma, expected: "at most 1" });
        }
        let third = total_steps.div_ceil(steps_per_epoch).div_ceil(3);
        let epochs = at_least_one("lr-decay-epochs", self.decay_epochs.unwrap_or(third))?;
        Ok(Course::Step { gamma, every_steps: epochs.saturating_mul(steps_per_epoch) })
    }
}

fn at_least_one(option: &'static str, value: u64) -> Result<u64, OptimError> {
    if value > 0 {
        Ok(value)
    } else {
        Err(OptimError::OutOfRange { option, value: 0.0, expected: "at least 1" })
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
    fn a_constant_warm_up_has_its_share_of_every_course() {
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

    /// torch 2.15, f64, base rate 0.4, at steps 0, 1, 25, 50, 77, 99: `CosineAnnealingLR(T_max=100)`,
    /// `LinearLR(1, 0, 100)`, `StepLR(30, 0.1)`, each stepped once per step.
    #[test]
    fn schedules_are_those_of_pytorch() {
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
    fn mistaken_options_are_refused() {
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
            OptimError::WarmupTooLong { kind: linear, warmup_steps: 100, total_steps: 100 }
        );
        let constant = ScheduleOptions { warmup_steps: 200, ..base };
        assert_eq!(Schedule::new(&constant, 1.0, 100, 10).unwrap().rate_at(100), 101.0 / 200.0);
    }

    #[test]
    #[should_panic(expected = "no rate for step 101 of a run of 100")]
    fn a_step_after_the_run_has_no_rate() {
        let _ = schedule(ScheduleKind::Constant, 0).rate_at(101);
    }
}
