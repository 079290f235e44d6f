//! What can be wrong with options, schedules and stored state.

use super::{Framework, OptimizerKind};

/// What the caller, a flag or a checkpoint may get wrong about optimizers and rates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptimError {
    /// An option is set that the chosen optimizer has no use for.
    #[error(
        "option {option} is not used by {kind}; drop it, or choose an optimizer that uses it: {}",
        list(used_by)
    )]
    UnusedOption {
        /// The option as written in flags and files.
        option: &'static str,
        /// The chosen optimizer.
        kind: OptimizerKind,
        /// The names of the optimizers that use it.
        used_by: &'static [&'static str],
    },
    /// An option that shapes momentum is set, and there is no momentum.
    #[error(
        "option {option} does nothing without momentum, and momentum is 0; set momentum above 0 or drop {option}"
    )]
    NeedsMomentum {
        /// The option as written in flags and files.
        option: &'static str,
    },
    /// A value lies outside of what its option allows.
    #[error("{option} is {value:?}, but must be {expected}; choose such a value")]
    OutOfRange {
        /// The option as written in flags and files.
        option: &'static str,
        /// The value found.
        value: f64,
        /// What the value must be.
        expected: &'static str,
    },
    /// A name stands for no choice.
    #[error("unknown {what} {found:?}; choose one of {}", list(expected))]
    UnknownName {
        /// What was to be named.
        what: &'static str,
        /// The name found.
        found: String,
        /// The names that exist.
        expected: &'static [&'static str],
    },
    /// A framework does not have an optimizer, or not as it is here.
    #[error(
        "{kind} cannot be had as in {framework}: {reason}; choose another optimizer, or leave out --like"
    )]
    NotOf {
        /// The framework.
        framework: Framework,
        /// The optimizer.
        kind: OptimizerKind,
        /// Why.
        reason: &'static str,
    },
    /// A state buffer is asked for that the optimizer does not keep.
    #[error(
        "{kind} as configured keeps no state {found:?}, it keeps {}; use the optimizer options the state was saved with",
        list(expected)
    )]
    UnknownState {
        /// The chosen optimizer.
        kind: OptimizerKind,
        /// The name found.
        found: String,
        /// The names that exist.
        expected: &'static [&'static str],
    },
    /// A state buffer does not fit the optimizer's segment.
    #[error(
        "state {name:?} has {found} values, but the segment has {expected} params; cut the state as the params are cut"
    )]
    StateLen {
        /// The state's name.
        name: &'static str,
        /// The number of values found.
        found: usize,
        /// The number of params of the segment.
        expected: usize,
    },
    /// A schedule option is set that the chosen schedule has no use for.
    #[error("option {option} is not used by the {kind} schedule; drop it or choose the step schedule")]
    UnusedScheduleOption {
        /// The option as written in flags and files.
        option: &'static str,
        /// The chosen schedule.
        kind: super::ScheduleKind,
    },
    /// An option that shapes the warm-up is set, and there is none.
    #[error(
        "option {option} does nothing without a warm-up, and warmup-steps is 0; set warmup-steps above 0 or drop {option}"
    )]
    NeedsWarmup {
        /// The option as written in flags and files.
        option: &'static str,
    },
    /// A constant warm-up whose rate is not said.
    #[error(
        "a constant warm-up needs the share of the rate that it has; give warmup-start, such as the base batch size over \
         the batch size"
    )]
    NeedsWarmupStart,
    /// A schedule that decays after its warm-up has no step left to decay in.
    #[error(
        "warmup-steps is {warmup_steps}, but the run has {total_steps} steps, so that the {kind} schedule never decays; \
         warm up for fewer steps or train for more"
    )]
    WarmupTooLong {
        /// The chosen schedule.
        kind: super::ScheduleKind,
        /// Steps of warm-up.
        warmup_steps: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
}

/// Joins names for a message; an empty list reads as "none".
fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
