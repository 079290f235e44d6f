//! `phalanx inspect`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use phalanx::checkpoint::{CheckpointError, ModelFile};
use phalanx::data::{Column, Dataset, HeaderRow, InputFormat, Source, Targets};
use phalanx::internals::{FileSummary, summarize};
use phalanx::model::Loss;

use crate::args::flags::TrainFlags;
use crate::args::values::{Auto, choices, header_row};
use crate::numbers::grouped;
use crate::run::data::named_data;
use crate::run::tables::{about_data, one_scale, standardized_by};
use crate::terminal::failure::Failure;
use crate::terminal::output::results;
use crate::text::TextTable;

/// Print the contents of a model or checkpoint, or how training would interpret data
#[derive(Args)]
#[command(after_help = "Examples:
  phalanx inspect runs/1                             shapes, options and hash of the model
  phalanx inspect iris.csv                           columns, label, classes and their counts
  phalanx inspect houses.csv --loss mse              the same, with numbers to predict")]
pub struct InspectFlags {
    /// Run directory or safetensors file; or data, as for phalanx train
    #[arg(value_name = "FILE|DATA")]
    file: String,
    /// Label column of a CSV: a name, an index from 0, or -1 for the last [default: -1]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    label_column: Option<Column>,
    /// Column with the sample weights in a CSV
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    weight_column: Option<Column>,
    /// First line of a CSV: present (column names), absent (a sample), or auto, which reports an
    /// error if it could be either [default: auto]
    #[arg(long, value_name = "WHICH", help_heading = "Data", value_parser = header_row(), hide_possible_values = true)]
    header: Option<HeaderRow>,
    /// Format of the data if its name does not show it: csv, npy or libsvm
    #[arg(long, value_name = "FORMAT", help_heading = "Data", value_parser = choices!(InputFormat), hide_possible_values = true)]
    input_format: Option<InputFormat>,
    /// Loss to assume: with cross-entropy the labels are classes, with mse numbers [default:
    /// depends on the labels]
    #[arg(long, help_heading = "Data", value_parser = choices!(Loss), hide_possible_values = true)]
    loss: Option<Loss>,
}

/// Prints the contents of the file, or describes the data.
pub fn run(flags: &InspectFlags) -> Result<ExitCode, Failure> {
    let path = Path::new(&flags.file);
    if is_data(flags, path) {
        let table = about_samples(flags)?;
        results(|out| write!(out, "{table}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let summary = summarize(path).map_err(|error| match error {
        CheckpointError::Read { .. } => anyhow!("{error}, or data as for phalanx train").into(),
        error => Failure::from(error),
    })?;
    results(|out| {
        write!(out, "{}", about_file(&summary))?;
        summary.model.as_ref().map_or(Ok(()), |model| write!(out, "\n{}", about_options(model)))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns whether the argument is data rather than a model: by the other flags, by its name, or
/// because it is a folder of images.
fn is_data(flags: &InspectFlags, path: &Path) -> bool {
    let InspectFlags { label_column, weight_column, header, input_format, loss, .. } = flags;
    let has_columns = label_column.is_some() || weight_column.is_some() || header.is_some();
    if has_columns || input_format.is_some() || loss.is_some() || flags.file == "-" {
        return true;
    }
    if path.is_dir() {
        let has_images = |name: &str| {
            ["-idx3-ubyte", ".idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte.gz"]
                .iter()
                .any(|end| path.join(format!("{name}-images{end}")).is_file())
        };
        return has_images("train") || has_images("t10k");
    }
    let is_model = path.extension().is_some_and(|ending| ending == "safetensors") || has_tensors(path);
    flags.file.parse::<Source>().is_ok() || (path.exists() && !is_model)
}

/// Returns whether a file begins like a safetensors file: eight bytes with the length of a JSON
/// object, then the object.
fn has_tensors(path: &Path) -> bool {
    let mut beginning = [0; 9];
    File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok() && beginning[8] == b'{'
}

fn about_samples(flags: &InspectFlags) -> Result<TextTable, Failure> {
    let data = TrainFlags {
        data: Some(flags.file.clone()),
        label_column: flags.label_column.clone(),
        weight_column: flags.weight_column.clone(),
        header: flags.header,
        input_format: flags.input_format,
        loss: flags.loss.map(Auto::Given),
        ..TrainFlags::default()
    };
    let (train, test) = named_data(&data)?;
    let mut table = TextTable::default();
    table.row("data", &flags.file);
    table.row("samples", grouped(train.len() as u64));
    if let Some(test) = test {
        table.row("test samples", grouped(test.len() as u64));
    }
    about_data(&mut table, &train);
    about_targets(&mut table, &train);
    Ok(table)
}

/// Adds a row with the range of each value to predict.
fn about_targets(table: &mut TextTable, train: &Dataset) {
    let Targets::Values { values, outputs } = train.targets() else { return };
    for output in 0..(*outputs).min(8) {
        let of = || values.iter().skip(output).step_by(*outputs).copied();
        let (least, most) = (of().fold(f32::INFINITY, f32::min), of().fold(f32::NEG_INFINITY, f32::max));
        let mean = of().map(f64::from).sum::<f64>() / of().count().max(1) as f64;
        let name = if *outputs == 1 { "values".to_owned() } else { format!("values {output}") };
        table.row(name, format!("{least:?} to {most:?}, mean {:?}", mean as f32));
    }
}

fn about_file(summary: &FileSummary) -> TextTable {
    let mut table = TextTable::default();
    table.row("file", summary.path.display());
    table.row("bytes", grouped(summary.len_bytes));
    let elements = match &summary.model {
        Some(model) => model.params.len(),
        None => summary.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum(),
    };
    let name = if summary.model.is_some() { "params" } else { "elements" };
    table.row(name, grouped(elements as u64));
    if let Some(position) = &summary.position {
        let (step, epoch, batch) = (grouped(position.step), position.epoch, position.batch);
        table.row("checkpoint", format!("after step {step}: {epoch} epochs and {batch} steps"));
    }
    if let Some(hash) = &summary.params_sha256 {
        table.row("params sha256", hash);
    }
    for tensor in &summary.tensors {
        table.row(&tensor.name, format!("{} {:?}", tensor.element, tensor.shape));
    }
    if let Some(model) = &summary.model {
        about_model(model, &mut table);
    }
    table
}

fn about_model(model: &ModelFile, table: &mut TextTable) {
    let shape = &model.shape;
    table.row("hidden", if shape.hidden.is_empty() { "none".to_owned() } else { listed(&shape.hidden) });
    table.row("activation", shape.activation);
    table.row("loss", shape.loss);
    if let Some(classes) = &model.classes {
        table.row("classes", format!("{}: {}", classes.len(), listed(classes.names())));
    }
    match &model.standardize {
        Some(scaling) => table.row("standardized", one_scale(scaling).unwrap_or_else(|| "yes".to_owned())),
        None => table.row("standardized", "no"),
    }
    if let Some(standardize) = &model.standardize_targets {
        table.row("targets", standardized_by(standardize));
    }
}

/// Lists the values; if there are many, only the first few and the last.
fn listed<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [first @ .., last] if first.len() > 12 => format!("{} ... {last}", first[..10].join(", ")),
        all => all.join(", "),
    }
}

fn about_options(model: &ModelFile) -> TextTable {
    let mut table = TextTable::default();
    for (name, value) in &model.options {
        table.row(format!("--{name}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    table
}
