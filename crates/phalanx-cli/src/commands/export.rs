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

/// Export a trained model as ONNX, for onnxruntime and other programs
///
/// The graph includes the standardization of features and targets; its metadata contains the class
/// names, the options and the hash of the params. The opset is 17. PyTorch needs no export:
/// model.safetensors has the names and shapes of torch.nn.Linear.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{TENSORS}\n\n{EXAMPLES}"))]
pub struct ExportFlags {
    /// Run directory, model.safetensors, or checkpoint
    model: PathBuf,
    /// Output file; an existing file is replaced
    #[arg(value_name = "FILE.onnx")]
    file: PathBuf,
}

const TENSORS: &str = "Input and outputs, f32, for any number of samples:
  input          (samples, features), as phalanx reads them: pixels of IDX images
                 / 255, those of the built-in digits (x - 5) / 3, otherwise unscaled
  probabilities  (samples, classes), as written by predict; for a model without
                 classes instead values (samples, values), in the units of the targets
  logits         the logits of the probabilities; not for models with the loss mse";

const EXAMPLES: &str = "Examples:
  phalanx export runs/1 digits.onnx
  phalanx export runs/1/checkpoints/step-00000230.safetensors early.onnx

In Python:
  session = onnxruntime.InferenceSession(\"digits.onnx\")
  names = json.loads(session.get_modelmeta().custom_metadata_map[\"classes\"])
  [p] = session.run([\"probabilities\"], {\"input\": x.astype(numpy.float32)})";

/// Writes the file and prints its inputs and outputs.
pub fn run(flags: &ExportFlags) -> Result<ExitCode, Failure> {
    let path = &flags.file;
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
        return Err(usage!(
            "{} does not end in .onnx, the only format of export; PyTorch can load model.safetensors directly",
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
        table.row("targets", "values are in the units of the targets");
    }
    results(|out| write!(out, "{table}"))?;
    Ok(ExitCode::SUCCESS)
}
