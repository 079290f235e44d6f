//! `phalanx eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::report::Table;
use phalanx::train::score;

use super::failure::Failure;
use super::input::{Labels, samples_for};

/// Score a model on data
#[derive(Args)]
pub(super) struct EvalFlags {
    /// A run directory, or a model.safetensors
    model: PathBuf,
    /// What to score it on: the test part if it has one, else all of it [default: what the run was tested on]
    data: Option<String>,
}

/// Prints loss and accuracy.
pub(super) fn run(flags: &EvalFlags) -> Result<ExitCode, Failure> {
    let file = ModelFile::load(&flags.model)?;
    let data = samples_for(&file, flags.data.as_deref(), Labels::Needed)?;
    let score = score(&file.model(), &file.params, &data)?;
    let mut table = Table::default();
    table.row("samples", data.len());
    table.row("loss", score.mean_loss());
    if let Some(accuracy) = score.accuracy() {
        table.row("accuracy", format!("{accuracy:.4}"));
    }
    print!("{table}");
    Ok(ExitCode::SUCCESS)
}
