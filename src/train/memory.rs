//! Whether the system gives the memory that something takes, before it begins.

use super::{Plan, TrainError};

/// Asks the system for the least that a run of this plan holds, params and the copy that is kept of them, a gradient, the optimizer's state,
/// the best params and the samples of a shard a rank, and gives it back: an error here is better than the end of the program by an
/// allocation that fails on the way.
pub(super) fn check_memory(plan: &Plan, features: usize) -> Result<(), TrainError> {
    let (params, vectors) =
        (plan.params_len(), 3 + plan.hyper().state_names().len() + usize::from(plan.keep_best()));
    let samples = plan.max_shard_samples() * plan.threads().min(plan.shards());
    let numbers = params.saturating_mul(vectors).saturating_add(samples.saturating_mul(features));
    let bytes = numbers.saturating_mul(size_of::<f32>());
    if is_given(bytes) { Ok(()) } else { Err(TrainError::Memory { params, samples, features, bytes }) }
}

/// Whether the system gives so much memory, which is given back.
pub(super) fn is_given(bytes: usize) -> bool {
    // An allocation that nobody looks at may be left out by the compiler.
    let mut room = std::hint::black_box(Vec::<u8>::new());
    let found = room.try_reserve_exact(bytes);
    std::hint::black_box(room);
    found.is_ok()
}
