//! `phalanx inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::{FileSummary, ModelFile, summarize};
use phalanx::report::{Table, grouped};

use super::failure::Failure;
use super::output::results;
use super::preview::standardized_by;

/// Say what is in a model file or a checkpoint: shapes, counts, options, hash
#[derive(Args)]
pub(super) struct InspectFlags {
    /// A run directory, or a safetensors file
    file: PathBuf,
}

/// Prints what is in the file.
pub(super) fn run(flags: &InspectFlags) -> Result<ExitCode, Failure> {
    let summary = summarize(&flags.file)?;
    results(|out| {
        write!(out, "{}", about_file(&summary))?;
        summary.model.as_ref().map_or(Ok(()), |model| write!(out, "\n{}", about_options(model)))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn about_file(summary: &FileSummary) -> Table {
    let mut table = Table::default();
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

fn about_model(model: &ModelFile, table: &mut Table) {
    let shape = &model.shape;
    table.row("hidden", if shape.hidden.is_empty() { "none".to_owned() } else { listed(&shape.hidden) });
    table.row("activation", shape.activation);
    table.row("loss", shape.loss);
    if let Some(classes) = &model.classes {
        table.row("classes", format!("{}: {}", classes.len(), listed(classes.names())));
    }
    table.row("standardized", if model.standardize.is_some() { "yes" } else { "no" });
    if let Some(standardize) = &model.standardize_targets {
        table.row("targets", standardized_by(standardize));
    }
}

/// The first few, and the last if there are more.
fn listed<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [first @ .., last] if first.len() > 12 => format!("{} ... {last}", first[..10].join(", ")),
        all => all.join(", "),
    }
}

fn about_options(model: &ModelFile) -> Table {
    let mut table = Table::default();
    for (name, value) in &model.options {
        table.row(format!("--{name}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    table
}
