//! Whether options fit each other, the data and the model.

use super::super::score::{check_score_weights, target_shape};
use super::super::{Length, Metric, NoiseInterval, Options, Shards, TrainError};
use super::shards_of;
use crate::data::{Dataset, Targets};
use crate::model::Model;

/// Checks the options by themselves.
pub(super) fn check(options: &Options) -> Result<(), TrainError> {
    if options.threads == 0 {
        return Err(TrainError::ZeroThreads);
    }
    if options.batch_size == 0 {
        return Err(TrainError::ZeroBatch);
    }
    if options.shards == Shards::Count(0) {
        return Err(TrainError::ZeroShards);
    }
    if matches!(options.length, Length::Epochs(0) | Length::Steps(0)) {
        return Err(TrainError::ZeroLength);
    }
    match options.clip_grad_norm {
        Some(found) if !(found > 0.0 && found.is_finite()) => Err(TrainError::ClipNorm { found }),
        _ => Ok(()),
    }
}

/// Checks the data against the options and the model.
pub(super) fn check_data<M: Model>(
    options: &Options,
    model: &M,
    train: &Dataset,
    test: Option<&Dataset>,
) -> Result<(), TrainError> {
    let samples = train.len();
    if samples == 0 {
        return Err(TrainError::NoSamples);
    }
    if options.drop_last && samples < options.batch_size {
        return Err(TrainError::NoWholeBatch { samples, batch_size: options.batch_size });
    }
    if let Some(weights) = train.weights() {
        check_weights(weights)?;
    }
    test.map_or(Ok(()), check_score_weights)?;
    for data in [Some(train), test].into_iter().flatten() {
        model.check(data.features(), target_shape(data))?;
    }
    Ok(())
}

/// What the params are judged by: what is asked for, or the first that there is.
pub(super) fn metric(options: &Options, test: Option<&Dataset>) -> Result<Metric, TrainError> {
    if !(options.min_gain >= 0.0 && options.min_gain.is_finite()) {
        return Err(TrainError::MinGain { found: options.min_gain });
    }
    if options.early_stop == Some(0) {
        return Err(TrainError::ZeroEarlyStop);
    }
    let has_classes = test.is_some_and(|test| matches!(test.targets(), Targets::Classes { .. }));
    let missing = |metric| match metric {
        Metric::TestAccuracy | Metric::TestLoss if test.is_none() => Some("test samples"),
        Metric::TestAccuracy if !has_classes => Some("test samples that have classes"),
        _ => None,
    };
    match options.metric {
        None => {
            let first = Metric::ALL.into_iter().find(|metric| missing(*metric).is_none());
            Ok(first.expect("the training loss is always there"))
        }
        Some(metric) => {
            missing(metric).map_or(Ok(metric), |missing| Err(TrainError::Metric { metric, missing }))
        }
    }
}

/// Checks that every sum of some of the weights can divide a gradient.
fn check_weights(weights: &[f32]) -> Result<(), TrainError> {
    let positive = || weights.iter().copied().filter(|weight| *weight > 0.0);
    let (least, total) = (positive().fold(f32::INFINITY, f32::min), positive().map(f64::from).sum::<f64>());
    if total == 0.0 {
        return Err(TrainError::ZeroWeight { samples: weights.len() });
    }
    if least < f32::MIN_POSITIVE || total > f64::from(f32::MAX) {
        return Err(TrainError::ExtremeWeights { least, total });
    }
    Ok(())
}

/// How often the noise scale is measured, if the largest batch has parts to compare.
pub(super) fn noise_interval<M: Model>(
    options: &Options,
    model: &M,
    largest: usize,
) -> Result<Option<u64>, TrainError> {
    let interval = match options.noise_scale {
        None => return Ok(None),
        Some(NoiseInterval::Auto) => NoiseInterval::AUTO,
        Some(NoiseInterval::Steps(0)) => return Err(TrainError::ZeroNoiseInterval),
        Some(NoiseInterval::Steps(steps)) => steps,
    };
    if largest < 2 {
        return Err(TrainError::NoiseOfOneSample);
    }
    if !model.knows_sample_squares() && shards_of(options.shards, largest) < 2 {
        return Err(TrainError::NoiseOfOneShard { samples: largest });
    }
    Ok(Some(interval))
}
