//! The interface between data and models: samples of a data set in the form that a model takes, and
//! a check of the memory for them.

use crate::data::{self, Dataset, GatherBuffer};
use crate::model::{BatchTargets, Samples, TargetShape};

/// Returns a buffer for `samples` samples of a data set.
pub(super) fn gathered_for(data: &Dataset, samples: usize) -> GatherBuffer {
    let outputs = match data.targets() {
        data::Targets::Values { outputs, .. } => *outputs,
        _ => 0,
    };
    GatherBuffer::new(samples, data.features(), outputs)
}

/// Returns the gathered samples in the form that a model takes.
pub(super) fn samples_of(gathered: &GatherBuffer) -> Samples<'_> {
    let targets = match (gathered.labels(), gathered.values()) {
        ([], values) if values.ncols() == 0 => BatchTargets::None,
        ([], values) => BatchTargets::Values(values),
        (labels, _) => BatchTargets::Classes(labels),
    };
    let (inputs, indices, weights) = (gathered.inputs(), gathered.indices(), gathered.weights());
    Samples { inputs, indices, targets, weights }
}

/// Returns the shape of a data set's targets, which a model validates.
pub(super) fn target_shape(data: &Dataset) -> TargetShape {
    match data.targets() {
        data::Targets::Classes { count, .. } => TargetShape::Classes(*count),
        data::Targets::Values { values, outputs } => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            TargetShape::Values { outputs: *outputs, least, most }
        }
        data::Targets::None => TargetShape::None,
    }
}

/// Returns whether the system provides this much memory, which is freed at once.
pub(super) fn memory_is_given(bytes: usize) -> bool {
    // The compiler may optimize away an allocation that is never used.
    let mut memory = std::hint::black_box(Vec::<u8>::new());
    let given = memory.try_reserve_exact(bytes).is_ok();
    std::hint::black_box(memory);
    given
}
