//! Loading of the data for a command.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdin};
use std::path::Path;

use anyhow::anyhow;
use phalanx::checkpoint::ModelFile;
use phalanx::data::{
    Column, Columns, DataError, Dataset, HeaderRow, InputFormat, LoadOptions, LoadedData, Source,
    Standardize, TargetKind, Targets,
};
use phalanx::internals::{FeatureScale, Fingerprint, RunFacts, summarize};
use phalanx::model::{Activation, Loss, SquaredLoss};
use phalanx::train::Options;
use serde_json::Value;

use crate::args::flags::{DEFAULT_DATA, TrainFlags};
use crate::args::parser;
use crate::args::values::{Auto, TargetForm};
use crate::numbers::{grouped, short_number};
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{info, warn};

/// The data of a training run.
pub struct TrainingData {
    pub train: Dataset,
    pub test: Option<Dataset>,
    /// Mean and deviation of the features of the training samples, applied to both parts.
    pub standardize: Option<Standardize>,
    /// Mean and deviation by which the model standardizes targets; those in the data are unchanged.
    pub standardize_targets: Option<Standardize>,
}

/// Loads the training and test samples given by the flags, with the features and the classes of the
/// run that is resumed, if there is one.
pub fn training_data(flags: &TrainFlags, resumed: Option<&RunFacts>) -> Result<TrainingData, Failure> {
    refuse_unused(flags)?;
    let options = LoadOptions {
        features: resumed.map(|facts| facts.train.features),
        classes: resumed.and_then(|facts| facts.classes.clone()),
        ..options_by_name(flags, resumed.and_then(|facts| facts.data.columns.clone()))
    };
    let (train, test) = parts(flags, &options)?;
    prepared(flags, train, test)
}

/// Scales the features as the flags state, and determines how targets are standardized.
pub fn prepared(
    flags: &TrainFlags,
    mut train: Dataset,
    mut test: Option<Dataset>,
) -> Result<TrainingData, Failure> {
    let standardize = match (flags.standardize, flags.scale) {
        (Some(true), Some(_)) => {
            return Err(usage!(
                "--standardize brings features to one scale whatever --scale is; drop one of them"
            ));
        }
        (Some(true), None) => Some(Standardize::learn(&train)?),
        (_, Some(scale)) => Some(Standardize::of_file(&train, scale.0)?),
        (_, None) => None,
    };
    if let Some(standardize) = &standardize {
        train.standardize(standardize.clone())?;
        test.as_mut().map_or(Ok(()), |test| test.standardize(standardize.clone()))?;
    }
    if let Targets::Values { values, .. } = train.targets()
        && values.iter().all(|value| *value == values[0])
    {
        let value = values[0];
        warn(format!(
            "all targets are {value:?}: there is nothing to learn; use other labels (for a table, see --label-column)"
        ));
    }
    let standardize_targets =
        standardizes_targets(flags, &train)?.then(|| Standardize::learn_targets(&train)).transpose()?;
    Ok(TrainingData { train, test, standardize, standardize_targets })
}

/// Returns whether targets are standardized: as the flag states, or by default if the loss is mse
/// and any initial params are from a model trained with it.
fn standardizes_targets(flags: &TrainFlags, train: &Dataset) -> Result<bool, Failure> {
    let loss = loss(flags, train)?;
    let is_mse = is_mse_of_values(loss, train);
    match (flags.standardize_targets, &flags.init) {
        (Some(true), _) if loss == Loss::MSE && !is_mse => {
            Err(usage!("--standardize-targets is for values, but the targets are classes; drop it"))
        }
        (Some(true), _) if !is_mse => Err(usage!(
            "--standardize-targets is for the loss mse, but the loss is {loss}; drop it, or give --loss mse"
        )),
        (Some(standardizes), _) => Ok(standardizes),
        (None, Some(init)) if is_mse => {
            let made = summarize(init.as_ref())?.model;
            Ok(made.is_some_and(|model| model.standardize_targets.is_some()))
        }
        (None, _) => Ok(is_mse),
    }
}

/// The root mean square of a feature above which training often fails. With the default rate, iris
/// and the digits (as 0 to 16) train well at 18 and 13, and no better than chance at 59 and 39,
/// that is, multiplied by ten and by three.
const LARGE_FEATURE: f64 = 30.0;

/// Warns of features that are too large for training without standardization.
pub fn warn_of_scales(flags: &TrainFlags, train: &Dataset) -> Result<(), Failure> {
    if let Some(unscaled) = unscaled(flags, train)? {
        warn(format!(
            "features are not standardized: {unscaled}; with features this large, training often diverges or learns nothing; give \
             --standardize"
        ));
    }
    Ok(())
}

/// Describes the feature that is too large for training, if there is one and features are not
/// standardized.
pub fn unscaled(flags: &TrainFlags, train: &Dataset) -> Result<Option<String>, Failure> {
    if flags.standardize == Some(true) || flags.scale.is_some() {
        return Ok(None);
    }
    let extremes = FeatureScale::extremes(train)?;
    Ok(extremes.filter(|[_, largest]| largest.rms > LARGE_FEATURE).map(|[smallest, largest]| {
        let name = |feature: usize| match train.columns() {
            Some(columns) => columns.text(columns.features()[feature]),
            None => format!("{feature}, counted from 0,"),
        };
        let of = |scale: FeatureScale| (name(scale.feature), short_number(scale.rms));
        let ((large, large_size), (small, small_size)) = (of(largest), of(smallest));
        let smallest =
            if large == small { String::new() } else { format!(", that of feature {small} {small_size}") };
        format!("the root mean square of feature {large} is {large_size}{smallest}")
    }))
}

/// Returns an error for flags about columns if the data is not a table, so that a missing weight
/// column is noticed.
fn refuse_unused(flags: &TrainFlags) -> Result<(), Failure> {
    let data = data_name(flags);
    if is_stdin(data) && flags.test.as_deref().is_some_and(is_stdin) {
        return Err(usage!(
            "stdin can be read only once and cannot be both the training data and --test; save one of them to a file",
        ));
    }
    let is_named_table = |data: &str| {
        let lower = data.to_ascii_lowercase();
        lower.ends_with(".csv") || lower.ends_with(".csv.gz") || is_stdin(data) || is_pipe(data)
    };
    let is_table = match flags.input_format {
        Some(format) => format == InputFormat::Csv,
        None => is_named_table(data) || flags.test.as_deref().is_some_and(is_named_table),
    };
    if is_table {
        return Ok(());
    }
    let columns = [
        ("label-column", flags.label_column.is_some()),
        ("weight-column", flags.weight_column.is_some()),
        ("header", flags.header.is_some()),
    ];
    match columns.iter().find(|(_, given)| *given) {
        Some((name, _)) if data == DEFAULT_DATA => Err(usage!(
            "--{name} is for tables, but the data is the built-in {data}; name the table, as in phalanx train FILE.csv --{name} ..."
        )),
        Some((name, _)) => Err(usage!(
            "--{name} is for tables (FILE.csv), but the data is {data}; drop it, or give --input-format csv if the data is a table"
        )),
        None => Ok(()),
    }
}

/// Loads the training and test samples given by the flags as a run would, for commands that do not
/// train.
pub fn named_data(flags: &TrainFlags) -> Result<(Dataset, Option<Dataset>), Failure> {
    refuse_unused(flags)?;
    Ok(parts(flags, &load_options(flags))?)
}

/// Loads the training and the test part without standardization, and prints the remarks of the
/// readers.
fn parts(flags: &TrainFlags, options: &LoadOptions) -> Result<(Dataset, Option<Dataset>), DataError> {
    let loaded = named_source(data_name(flags), flags.input_format)?.load(options)?;
    loaded.train.check_classes(data_name(flags))?;
    loaded.train.remarks().for_each(warn);
    match (&flags.test, flags.test_split) {
        (Some(test), _) => {
            let test = named_source(test, flags.input_format)?.load(&like(&loaded.train, options))?;
            let test = all(test);
            test.remarks().for_each(warn);
            warn_of_another_scale(loaded.train.summary().scale, &test);
            Ok((loaded.train, Some(test)))
        }
        (None, Some(share)) if share != 0.0 => {
            let (train, test) = loaded.train.split(share, flags.seed.unwrap_or(Options::default().seed))?;
            if let Some(own) = &loaded.test {
                warn(format!(
                    "the {} test samples of {} itself are not used, because of --test-split",
                    grouped(own.len() as u64),
                    data_name(flags)
                ));
            }
            warn_of_lost_classes(&train);
            Ok((train, Some(test)))
        }
        (None, _) => Ok((loaded.train, loaded.test)),
    }
}

/// Warns of samples whose features are scaled differently from those of the training data; images
/// are scaled in one format and not in others.
fn warn_of_another_scale(train: Option<String>, samples: &Dataset) {
    let found = samples.summary().scale;
    if train != found {
        let words = |scale: Option<String>| {
            scale.map_or_else(|| "as stored".to_owned(), |scale| format!("as {scale}"))
        };
        warn(format!(
            "features are used {}, but the model was trained on features {}; use data of the same format, or scale it in the same way",
            words(found),
            words(train)
        ));
    }
}

/// Warns of classes that have no training samples after a split.
fn warn_of_lost_classes(train: &Dataset) {
    let (Some(classes), Some(counts)) = (train.classes(), train.summary().class_counts) else { return };
    let lost: Vec<_> = classes.names().iter().zip(counts).filter(|(_, count)| *count == 0).collect();
    if let Some((name, _)) = lost.first() {
        let more = if lost.len() > 1 { format!(" and {} more", lost.len() - 1) } else { String::new() };
        warn(format!(
            "class {name:?}{more} has no training samples, because --test-split set all of them aside; train with another fraction or --seed"
        ));
    }
}

/// Returns the options for reading the data.
pub fn load_options(flags: &TrainFlags) -> LoadOptions {
    LoadOptions {
        label_column: flags.label_column.clone(),
        weight_column: flags.weight_column.clone(),
        header: flags.header.unwrap_or_default(),
        target: match (flags.targets, flags.loss) {
            (Some(TargetForm::Values), _) => TargetKind::Values,
            (Some(TargetForm::OneHot | TargetForm::PlusMinus), _) => TargetKind::Classes,
            (None, Some(Auto::Given(Loss::CrossEntropy))) => TargetKind::Classes,
            (None, Some(Auto::Given(Loss::MSE))) => TargetKind::Values,
            (None, _) => TargetKind::Auto,
        },
        ..LoadOptions::default()
    }
}

/// Returns the options for reading the data of a model, whose columns include that of the labels.
fn options_by_name(flags: &TrainFlags, columns: Option<Columns>) -> LoadOptions {
    let label_column = flags.label_column.clone().filter(|_| columns.is_none());
    LoadOptions { columns, label_column, ..load_options(flags) }
}

/// Returns whether the targets can be standardized: they are values, and the loss is mse.
pub fn is_mse_of_values(loss: Loss, data: &Dataset) -> bool {
    loss == Loss::MSE && matches!(data.targets(), Targets::Values { .. })
}

/// Returns the loss given by the flags, or else by the data.
pub fn loss(flags: &TrainFlags, data: &Dataset) -> Result<Loss, Failure> {
    let loss = match (flags.loss, data.targets()) {
        (Some(Auto::Given(loss)), _) => loss,
        (_, Targets::Values { .. }) => Loss::MSE,
        _ => Loss::CrossEntropy,
    };
    let given =
        [("output-activation", flags.output_activation.is_some()), ("targets", flags.targets.is_some())];
    match (loss, flags.output_activation, given.iter().find(|(_, given)| *given)) {
        (Loss::Squared(_), Some(Activation::Gelu), _) => Err(usage!(
            "--output-activation gelu is not possible, as its derivative is no function of the output; give relu, tanh, sigmoid or scaled-tanh"
        )),
        (Loss::Squared(_), Some(output @ (Activation::Relu | Activation::Sigmoid)), _)
            if flags.targets == Some(TargetForm::PlusMinus) =>
        {
            Err(usage!(
                "--output-activation {output} cannot reach the target -1; give tanh or scaled-tanh, or --targets one-hot"
            ))
        }
        (Loss::Squared(squared), output, _) => {
            let plus_minus = flags.targets == Some(TargetForm::PlusMinus);
            Ok(Loss::Squared(SquaredLoss { output, plus_minus, ..squared }))
        }
        (loss, _, Some((name, _))) => Err(usage!(
            "--{name} is for squared losses, but the loss is {loss}; drop it, or give --loss mse, half-mse, squared or half-squared"
        )),
        (loss, ..) => Ok(loss),
    }
}

/// A request for samples to use a model on.
#[derive(Clone, Copy)]
pub struct DataRequest<'a> {
    pub data: Option<&'a str>,
    pub format: Option<InputFormat>,
    /// The kind of the first line, if the data is a table.
    pub header: HeaderRow,
    /// The label column, if it differs from that of the model.
    pub label_column: Option<&'a Column>,
    pub labels: LabelUse,
}

/// Loads the samples to use a model on, and returns a description and the samples: the test part of
/// the data if it has one, otherwise all of it; without data, the samples that the model was tested
/// on.
pub fn samples_for(model: &ModelFile, request: DataRequest<'_>) -> Result<(String, Dataset), Failure> {
    let flags = training_flags(model)?;
    let (name, mut samples) = match request.data {
        Some(data) => {
            let source = named_source(data, request.format)?;
            let (name, samples) = named(&source, source.load(&options_of(model, &flags, request))?);
            samples.remarks().for_each(warn);
            // Older files do not record how the features were scaled.
            if model.train.is_some() {
                warn_of_another_scale(model.data.scale.clone(), &samples);
            }
            (name, samples)
        }
        None => tested_on(model, &flags)?,
    };
    if let Some(standardize) = &model.standardize {
        samples.standardize(standardize.clone())?;
    }
    Ok((name, samples))
}

/// Loads the samples that the model was tested on, or trained on if it was not tested.
fn tested_on(model: &ModelFile, flags: &TrainFlags) -> Result<(String, Dataset), Failure> {
    let data = data_name(flags);
    // Columns and labels are read as those of the model, because the data may have changed since.
    let options =
        LoadOptions { classes: model.classes.clone(), ..options_by_name(flags, model.data.columns.clone()) };
    let (train, test) = parts(flags, &options).map_err(|error| {
        anyhow!("the run's own data {data} cannot be used: {error}; phalanx eval and predict accept other data after the model")
    })?;
    let (name, samples, recorded) = match (test, &flags.test, flags.test_split) {
        (Some(samples), Some(test), _) => (test.clone(), samples, &model.test),
        (Some(samples), None, Some(share)) if share != 0.0 => {
            (format!("{data}, the fraction {share} set aside for testing"), samples, &model.test)
        }
        (Some(samples), ..) => (format!("test samples of {data}"), samples, &model.test),
        (None, ..) => (format!("training samples of {data}"), train, &model.train),
    };
    Ok(match recorded {
        Some(recorded) if *recorded != samples.fingerprint() => (changed(&name, recorded, &samples), samples),
        // A file of an older version does not record what the model was trained on.
        None if model.test.is_none() && model.train.is_none() => {
            (format!("{name} (may have changed since)"), samples)
        }
        _ => (name, samples),
    })
}

/// Warns that the samples have changed since the run, and returns a description that states this.
fn changed(name: &str, recorded: &Fingerprint, samples: &Dataset) -> String {
    let (then, now) = (grouped(recorded.samples as u64), grouped(samples.len() as u64));
    let difference = if recorded.samples == samples.len() {
        "it has other values".to_owned()
    } else {
        format!("it has {now} samples instead of {then}")
    };
    warn(format!("{name}: the data has changed since the run ({difference}); the current data is used"));
    format!("{name}, changed since the run")
}

fn named(source: &Source, loaded: LoadedData) -> (String, Dataset) {
    let name = if loaded.test.is_some() { format!("test samples of {source}") } else { source.to_string() };
    (name, all(loaded))
}

/// Returns the source that the user gives, in the given format or that of its name; without either,
/// stdin and pipes are tables.
fn named_source(data: &str, format: Option<InputFormat>) -> Result<Source, DataError> {
    match (data, format) {
        ("-" | "/dev/stdin", format) => {
            let format = format.unwrap_or_default();
            if stdin().is_terminal() {
                let name = format.name();
                info(format!("reading samples as {name} from the terminal until the end of input (Ctrl-D)"));
            }
            Ok(Source::in_format("-", format))
        }
        (path, Some(format)) => Ok(Source::in_format(path, format)),
        (path, None) => match path.parse::<Source>() {
            Err(DataError::UnknownKind { .. }) if is_pipe(path) => {
                Ok(Source::in_format(path, InputFormat::default()))
            }
            found => found,
        },
    }
}

fn is_stdin(data: &str) -> bool {
    matches!(data, "-" | "/dev/stdin")
}

/// Returns whether the data is neither a file nor a folder, such as a shell's `<(command)`.
fn is_pipe(path: &str) -> bool {
    Path::new(path).metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Returns the data as given by the user.
pub fn data_name(flags: &TrainFlags) -> &str {
    flags.data.as_deref().unwrap_or(DEFAULT_DATA)
}

/// The use that a command makes of labels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LabelUse {
    Needed,
    Ignored,
}

/// Returns the test part if there is one, otherwise all samples.
fn all(loaded: LoadedData) -> Dataset {
    loaded.test.unwrap_or(loaded.train)
}

/// Returns the options for reading samples of the same kind as `data`, with columns of the same
/// names and the same classes.
fn like(data: &Dataset, options: &LoadOptions) -> LoadOptions {
    let target = match data.classes() {
        Some(_) => TargetKind::Classes,
        None => TargetKind::Values,
    };
    LoadOptions {
        features: Some(data.features()),
        classes: data.classes().cloned(),
        columns: data.columns().cloned(),
        label_column: options.label_column.clone().filter(|_| data.columns().is_none()),
        target,
        ..options.clone()
    }
}

/// Returns the options for reading samples to use a model on.
fn options_of(model: &ModelFile, flags: &TrainFlags, request: DataRequest<'_>) -> LoadOptions {
    let target = match (request.labels, &model.classes) {
        (LabelUse::Ignored, _) => TargetKind::None,
        (LabelUse::Needed, Some(_)) => TargetKind::Classes,
        (LabelUse::Needed, None) => TargetKind::Values,
    };
    LoadOptions {
        features: Some(model.shape.inputs),
        classes: model.classes.clone(),
        columns: model.data.columns.clone(),
        target,
        // The header of the training data may differ from that of other files, and its label column
        // is among the columns of the model.
        header: request.header,
        label_column: match (request.label_column, &model.data.columns) {
            (Some(column), _) => Some(column.clone()),
            (None, Some(_)) => None,
            (None, None) => flags.label_column.clone(),
        },
        ..load_options(flags)
    }
}

/// Returns the flags that a model was trained with.
fn training_flags(model: &ModelFile) -> Result<TrainFlags, Failure> {
    flags_of(&model.options)
}

/// Returns the flags recorded in a file.
pub fn flags_of(options: &BTreeMap<String, Value>) -> Result<TrainFlags, Failure> {
    let options = Value::Object(options.clone().into_iter().collect());
    Ok(parser::deserialize(options).map_err(|error| {
        anyhow!(
            "the options in the model file cannot be read: {error}; use the version of phalanx that wrote it"
        )
    })?)
}
