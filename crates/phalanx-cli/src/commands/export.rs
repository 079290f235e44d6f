//! `phalanx export`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::internals::OnnxModel;

use crate::numbers::grouped;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{check_folder, results};
use crate::text::TextTable;

/// Write a trained model as ONNX, for onnxruntime and other programs to run
///
/// Standardization of features and targets is part of it; class names, options and the hash of the params are in its metadata. Opset 17. For PyTorch no
/// export is needed: model.safetensors has the names and shapes of torch.nn.Linear.
#[derive(Args)]
#[command(after_help = "Input and outputs, f32, of any number of samples:
  input          (samples, features), as phalanx reads them: pixels of IDX images
                 / 255, those of the built-in digits (x - 5) / 3, else as they are
  probabilities  (samples, classes), as predict gives them; of a model without
                 classes values (samples, values), in the units of the targets
  logits         what probabilities are made of; none of models with loss mse

Examples:
  phalanx export runs/1 digits.onnx
  phalanx export runs/1/checkpoints/step-00000230.safetensors early.onnx

In Python:
  session = onnxruntime.InferenceSession(\"digits.onnx\")
  names = json.loads(session.get_modelmeta().custom_metadata_map[\"classes\"])
  [p] = session.run([\"probabilities\"], {\"input\": x.astype(numpy.float32)})")]
pub struct ExportFlags {
    /// A run directory, a model.safetensors, or a checkpoint
    model: PathBuf,
    /// Where to write; a file that is there is replaced
    #[arg(value_name = "FILE.onnx")]
    file: PathBuf,
}

/// Writes the file, and prints how to use it.
pub fn run(flags: &ExportFlags) -> Result<ExitCode, Failure> {
    let path = &flags.file;
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
        return Err(usage!(
            "{} does not end in .onnx, the format that is written; for PyTorch take the model.safetensors as it is",
            path.display()
        ));
    }
    check_folder(path)?;
    let model = ModelFile::load(&flags.model)?;
    let onnx = OnnxModel::new(&model)?;
    onnx.save(path)?;
    let mut table = TextTable::default();
    table.row("file", path.display());
    table.row("params", grouped(model.params.len() as u64));
    table.row("input", format!("input (samples, {})", model.shape.inputs));
    for (name, width) in onnx.outputs() {
        table.row("output", format!("{name} (samples, {width})"));
    }
    table.row("standardize", if model.standardize.is_some() { "in the graph" } else { "no" });
    if model.standardize_targets.is_some() {
        table.row("targets", "values are in their units, by the graph");
    }
    results(|out| write!(out, "{table}"))?;
    Ok(ExitCode::SUCCESS)
}
