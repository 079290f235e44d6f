//! Loading the data of a command.

use phalanx::checkpoint::ModelFile;
use phalanx::data::{Dataset, LoadOptions, Source, Standardize, TargetKind};
use serde_json::Value;

use super::failure::Failure;
use super::flags::TrainFlags;
use super::settings::load_options;

/// The data of a training run.
pub(super) struct TrainingData {
    pub(super) train: Dataset,
    pub(super) test: Option<Dataset>,
    /// What was learned from the training samples, and is applied to both.
    pub(super) standardize: Option<Standardize>,
}

/// Loads the training and the test samples that flags name.
pub(super) fn training_data(flags: &TrainFlags) -> Result<TrainingData, Failure> {
    let options = load_options(flags);
    let loaded = source(flags.data.as_deref().unwrap_or("digits"))?.load(&options)?;
    let (train, own_test) = (loaded.train, loaded.test);
    let (mut train, mut test) = match (&flags.test, flags.test_split) {
        (Some(test), _) => {
            let test = all(source(test)?, &like(&train, &options))?;
            (train, Some(test))
        }
        (None, Some(share)) if share != 0.0 => {
            let (train, test) = train.split(share, flags.seed.unwrap_or(42))?;
            (train, Some(test))
        }
        (None, _) => (train, own_test),
    };
    let standardize = flags.standardize.unwrap_or(false).then(|| Standardize::learn(&train)).transpose()?;
    if let Some(standardize) = &standardize {
        train.standardize(standardize.clone())?;
        test.as_mut().map_or(Ok(()), |test| test.standardize(standardize.clone()))?;
    }
    Ok(TrainingData { train, test, standardize })
}

/// Loads the samples to use a model on: the test part of `data` if it has one, else all of it; without `data`, what the
/// model was tested on.
pub(super) fn samples_for(model: &ModelFile, data: Option<&str>, labels: Labels) -> Result<Dataset, Failure> {
    let flags = training_flags(model)?;
    let mut samples = match data {
        Some(data) => all(source(data)?, &known(model, &flags, labels))?,
        None => {
            let TrainingData { train, test, .. } = training_data(&TrainFlags { standardize: None, ..flags })?;
            test.unwrap_or(train)
        }
    };
    if let Some(standardize) = &model.standardize {
        samples.standardize(standardize.clone())?;
    }
    Ok(samples)
}

/// Whether a command needs to know the right answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    Needed,
    Ignored,
}

fn source(text: &str) -> Result<Source, Failure> {
    Ok(text.parse::<Source>()?)
}

/// The test part if there is one, else everything.
fn all(source: Source, options: &LoadOptions) -> Result<Dataset, Failure> {
    let loaded = source.load(options)?;
    Ok(loaded.test.unwrap_or(loaded.train))
}

/// How to read samples of the same kind as those at hand.
fn like(data: &Dataset, options: &LoadOptions) -> LoadOptions {
    let target = match data.classes() {
        Some(_) => TargetKind::Classes,
        None => TargetKind::Values,
    };
    LoadOptions {
        features: Some(data.features()),
        classes: data.classes().cloned(),
        target,
        ..options.clone()
    }
}

/// How to read samples that a model is to be used on.
fn known(model: &ModelFile, flags: &TrainFlags, labels: Labels) -> LoadOptions {
    let target = match (labels, &model.classes) {
        (Labels::Ignored, _) => TargetKind::None,
        (Labels::Needed, Some(_)) => TargetKind::Classes,
        (Labels::Needed, None) => TargetKind::Values,
    };
    LoadOptions {
        features: Some(model.shape.inputs),
        classes: model.classes.clone(),
        target,
        ..load_options(flags)
    }
}

/// The flags that a model was trained with.
fn training_flags(model: &ModelFile) -> Result<TrainFlags, Failure> {
    let options: serde_json::Map<String, Value> = model.options.clone().into_iter().collect();
    Ok(serde_json::from_value(Value::Object(options))?)
}
