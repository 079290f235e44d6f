//! Errors about options, schedules and stored state. Choices are named as in flags and files.

use crate::num::UnknownName;

/// An invalid optimizer option, learning rate or stored state, from the caller, a flag or a
/// checkpoint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptimError {
    /// An option is set that the chosen optimizer does not use.
    #[error(
        "option {option} is not used by {optimizer}; drop it, or choose an optimizer that uses it: {}",
        list(used_by)
    )]
    UnusedOption {
        /// The option as written in flags and files.
        option: &'static str,
        /// The chosen optimizer.
        optimizer: &'static str,
        /// The names of the optimizers that use it.
        used_by: Vec<&'static str>,
    },
    /// An option that modifies momentum is set, but momentum is 0.
    #[error(
        "option {option} has no effect without momentum, and momentum is 0; set momentum above 0 or drop {option}"
    )]
    NeedsMomentum {
        /// The option as written in flags and files.
        option: &'static str,
    },
    /// A value is outside its option's range.
    #[error("{option} is {value:?}, but must be {expected}; choose a value in this range")]
    OutOfRange {
        /// The option as written in flags and files.
        option: &'static str,
        /// The value found.
        value: f64,
        /// The range.
        expected: &'static str,
    },
    /// A name is not one of the choices.
    #[error("unknown {what} {found:?}; choose one of {}", list(expected))]
    UnknownName {
        /// The kind of choice.
        what: &'static str,
        /// The name found.
        found: String,
        /// The known names.
        expected: &'static [&'static str],
    },
    /// A framework does not have an optimizer, or has a different one under this name.
    #[error(
        "{optimizer} as in {framework} is not available: {reason}; choose another optimizer, or leave out --like"
    )]
    NotOf {
        /// The framework.
        framework: &'static str,
        /// The optimizer.
        optimizer: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// A requested state buffer that the optimizer does not have.
    #[error(
        "{optimizer} as configured has no state {found:?}; its state buffers: {}; use the optimizer options the state \
         was saved with",
        list(expected)
    )]
    UnknownState {
        /// The chosen optimizer.
        optimizer: &'static str,
        /// The name found.
        found: String,
        /// The names of its state buffers.
        expected: &'static [&'static str],
    },
    /// A state buffer whose length differs from that of the optimizer's segment.
    #[error(
        "state {name:?} has {found} values, but the segment has {expected} params; split the state into the same \
         segments as the params"
    )]
    StateLen {
        /// The state's name.
        name: &'static str,
        /// The number of values found.
        found: usize,
        /// The number of params of the segment.
        expected: usize,
    },
    /// A schedule option is set that the chosen schedule does not use.
    #[error("option {option} is not used by the {schedule} schedule; drop it or choose the step schedule")]
    UnusedScheduleOption {
        /// The option as written in flags and files.
        option: &'static str,
        /// The chosen schedule.
        schedule: &'static str,
    },
    /// An option that modifies the warm-up is set, but there is no warm-up.
    #[error(
        "option {option} has no effect without a warm-up, and warmup-steps is 0; set warmup-steps above 0 or drop {option}"
    )]
    NeedsWarmup {
        /// The option as written in flags and files.
        option: &'static str,
    },
    /// A constant warm-up without a starting fraction of the rate.
    #[error(
        "a constant warm-up needs a starting fraction of the rate; set warmup-start, for example to the base batch size \
         divided by the batch size"
    )]
    NeedsWarmupStart,
    /// A schedule that decays after its warm-up has no step left in which to decay.
    #[error(
        "warmup-steps is {warmup_steps}, but the run has {total_steps} steps, so the {schedule} schedule never decays; \
         warm up for fewer steps or train for more"
    )]
    WarmupTooLong {
        /// The chosen schedule.
        schedule: &'static str,
        /// Steps of warm-up.
        warmup_steps: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
}

impl UnknownName for OptimError {
    fn new(what: &'static str, found: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownName { what, found: found.to_owned(), expected }
    }
}

/// Joins names for a message; an empty list reads as "none".
fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
