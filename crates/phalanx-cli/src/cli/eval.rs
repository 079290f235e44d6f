//! `phalanx eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::numbers::grouped;
use crate::text::TextTable;
use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::data::{Column, HeaderRow, InputFormat};
use phalanx::train::score;

use super::failure::Failure;
use super::input::{Asked, Labels, samples_for};
use super::output::results;
use super::summary::right;

/// Score a model on data
#[derive(Args)]
#[command(after_help = "Examples:
  phalanx eval runs/1                              what the run was tested on
  phalanx eval runs/1 data/mnist                   its test part
  zcat test.csv.gz | phalanx eval runs/1 -         a table on stdin")]
pub(super) struct EvalFlags {
    /// A run directory, a model.safetensors, or a checkpoint
    model: PathBuf,
    /// What to score it on: the test part if it has one, else all of it [default: what the run was tested on, or
    /// trained on if it had no test]; - for stdin
    data: Option<String>,
    /// What stdin, a pipe or a file of any name holds: csv or libsvm [default: csv for stdin and pipes; by the ending for files]
    #[arg(long, value_name = "FORMAT", requires = "data")]
    input_format: Option<InputFormat>,
    /// Whether line 1 of a CSV names its columns: present, absent, or auto, which refuses a line that may be names or a sample
    /// [default: auto]
    #[arg(long, value_name = "WHICH", requires = "data")]
    header: Option<HeaderRow>,
    /// Column of the label in a CSV, if it is not that of the training data: a name, a number from 0, or -1 for the last
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, requires = "data")]
    label_column: Option<Column>,
}

/// Prints loss and accuracy.
pub(super) fn run(flags: &EvalFlags) -> Result<ExitCode, Failure> {
    let file = ModelFile::load(&flags.model)?;
    let (name, data) = samples_for(
        &file,
        Asked {
            data: flags.data.as_deref(),
            format: flags.input_format,
            header: flags.header.unwrap_or_default(),
            label_column: flags.label_column.as_ref(),
            labels: Labels::Needed,
        },
    )?;
    let score = score(&file.model(), &file.params, &data)?;
    let mut table = TextTable::default();
    table.row("data", name);
    table.row("samples", grouped(data.len() as u64));
    table.row("loss", format!("{:?}", score.mean_loss()));
    if let Some(accuracy) = score.accuracy() {
        table.row("accuracy", format!("{accuracy}{}", right(accuracy, data.len())));
    }
    results(|out| write!(out, "{table}"))?;
    Ok(ExitCode::SUCCESS)
}
