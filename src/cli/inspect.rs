//! `phalanx inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::{FileSummary, ModelFile, summarize};
use phalanx::report::Table;

use super::failure::Failure;

/// Say what is in a model file: shapes, counts, options, hash
#[derive(Args)]
pub(super) struct InspectFlags {
    /// A run directory, or a safetensors file
    file: PathBuf,
}

/// Prints what is in the file.
pub(super) fn run(flags: &InspectFlags) -> Result<ExitCode, Failure> {
    let summary = summarize(&flags.file)?;
    print!("{}", about_file(&summary));
    if let Some(model) = &summary.model {
        print!("\n{}", about_options(model));
    }
    Ok(ExitCode::SUCCESS)
}

fn about_file(summary: &FileSummary) -> Table {
    let mut table = Table::default();
    table.row("file", summary.path.display());
    table.row("bytes", summary.len_bytes);
    let elements: usize = summary.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    table.row("elements", elements);
    for tensor in &summary.tensors {
        table.row(&tensor.name, format!("{} {:?}", tensor.element, tensor.shape));
    }
    if let Some(model) = &summary.model {
        about_model(model, &mut table);
    }
    if let Some(hash) = &summary.params_sha256 {
        table.row("params sha256", hash);
    }
    table
}

fn about_model(model: &ModelFile, table: &mut Table) {
    let shape = &model.shape;
    table.row(
        "hidden",
        if shape.hidden.is_empty() { "none".to_owned() } else { format!("{:?}", shape.hidden) },
    );
    table.row("activation", shape.activation);
    table.row("loss", shape.loss);
    if let Some(classes) = &model.classes {
        table.row("classes", classes.names().join(", "));
    }
    table.row("standardized", if model.standardize.is_some() { "yes" } else { "no" });
}

fn about_options(model: &ModelFile) -> Table {
    let mut table = Table::default();
    for (name, value) in &model.options {
        table.row(format!("--{name}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    table
}
