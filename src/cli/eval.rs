//! `phalanx eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::report::{Table, grouped};
use phalanx::train::score;

use super::failure::Failure;
use super::input::{Labels, samples_for};
use super::output::results;
use super::summary::right;

/// Score a model on data
#[derive(Args)]
pub(super) struct EvalFlags {
    /// A run directory, a model.safetensors, or a checkpoint
    model: PathBuf,
    /// What to score it on: the test part if it has one, else all of it [default: what the run was tested on, or
    /// trained on if it had no test]
    data: Option<String>,
}

/// Prints loss and accuracy.
pub(super) fn run(flags: &EvalFlags) -> Result<ExitCode, Failure> {
    let file = ModelFile::load(&flags.model)?;
    let (name, data) = samples_for(&file, flags.data.as_deref(), Labels::Needed)?;
    let score = score(&file.model(), &file.params, &data)?;
    let mut table = Table::default();
    table.row("data", name);
    table.row("samples", grouped(data.len() as u64));
    table.row("loss", score.mean_loss());
    if let Some(accuracy) = score.accuracy() {
        table.row("accuracy", format!("{accuracy}{}", right(accuracy, data.len())));
    }
    results(|out| write!(out, "{table}"))?;
    Ok(ExitCode::SUCCESS)
}
