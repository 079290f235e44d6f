//! Small rates for the first steps of a run.

use super::{OptimError, name::names};
use serde::{Deserialize, Serialize};

/// The share of the rate that each step of a warm-up of W steps has; s is the share it starts from.
///
/// Both forms are those of Goyal et al. 2017 (arXiv:1706.02677, section 2.2), who go from the rate of the small batch to
/// κ times it: s = 1/κ. As a share of the rate, s is the same number under every [`Reduction`](super::Reduction).
///
/// # Examples
///
/// ```
/// use phalanx::optim::{Schedule, ScheduleOptions, WarmupForm};
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
    /// s + (1 − s)·(t + 1)/W in step t, counted from 0: the rate rises by equal amounts and is whole in step W − 1.
    #[default]
    Linear,
    /// s, and then the whole rate at once.
    Constant,
}

names!(WarmupForm, "warm-up form", [
    Linear => "linear",
    Constant => "constant",
]);

/// A warm-up whose options are checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Warmup {
    pub(super) steps: u64,
    form: WarmupForm,
    /// Between 0 and 1; above 0 if the form is constant.
    start: f64,
}

impl Warmup {
    /// Checks the options; `start` is 0 if it is not given.
    pub(super) fn new(steps: u64, form: WarmupForm, start: Option<f64>) -> Result<Self, OptimError> {
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
                Err(out_of_range(0.0, "above 0 in a constant warm-up, which would change nothing"))
            }
            _ => Ok(Self { steps, form, start: start.unwrap_or(0.0) }),
        }
    }

    /// The share of the rate that a step has, 1 after the warm-up.
    pub(super) fn share_at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return 1.0;
        }
        match self.form {
            WarmupForm::Constant => self.start,
            // From 1 down, so that the last step has the whole rate whatever the rounding.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(form: WarmupForm, start: Option<f64>) -> [f64; 6] {
        let warmup = Warmup::new(4, form, start).unwrap();
        [0, 1, 2, 3, 4, 9].map(|step| warmup.share_at(step))
    }

    #[test]
    fn a_linear_warm_up_rises_by_equal_amounts_and_is_whole_in_its_last_step() {
        assert_eq!(shares(WarmupForm::Linear, None), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(shares(WarmupForm::Linear, Some(0.0)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(shares(WarmupForm::Linear, Some(0.5)), [0.625, 0.75, 0.875, 1.0, 1.0, 1.0]);
        let third = Warmup::new(7, WarmupForm::Linear, Some(1.0 / 3.0)).unwrap();
        assert_eq!(third.share_at(6), 1.0);
    }

    #[test]
    fn a_constant_warm_up_jumps_to_the_rate() {
        assert_eq!(shares(WarmupForm::Constant, Some(0.125)), [0.125, 0.125, 0.125, 0.125, 1.0, 1.0]);
    }

    #[test]
    fn without_steps_the_rate_is_whole_from_the_start() {
        assert_eq!(Warmup::new(0, WarmupForm::Linear, None).unwrap().share_at(0), 1.0);
    }

    #[test]
    fn mistaken_options_are_refused() {
        let refuse = |steps, form, start| Warmup::new(steps, form, start).unwrap_err().to_string();
        for start in [-0.1, 1.5, f64::NAN] {
            assert_eq!(
                refuse(4, WarmupForm::Linear, Some(start)),
                format!("warmup-start is {start}, but must be between 0 and 1; choose such a value")
            );
        }
        assert!(refuse(4, WarmupForm::Constant, Some(0.0)).contains("above 0 in a constant warm-up"));
        assert_eq!(
            refuse(4, WarmupForm::Constant, None),
            "a constant warm-up needs the share of the rate that it has; give warmup-start, such as the base batch size \
             over the batch size"
        );
        for (option, form, start) in [
            ("warmup-form", WarmupForm::Constant, Some(0.5)),
            ("warmup-start", WarmupForm::Linear, Some(0.5)),
        ] {
            assert_eq!(
                refuse(0, form, start),
                format!(
                    "option {option} does nothing without a warm-up, and warmup-steps is 0; set warmup-steps above 0 or drop \
                     {option}"
                )
            );
        }
    }
}
