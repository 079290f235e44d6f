//! A trained model in ONNX, the format that other programs run models from.

mod graph;
mod message;

use std::path::Path;

use prost::Message;

use super::{CheckpointError, ModelFile, params_sha256, write_whole};
use crate::data::AS_GATHERED;
use crate::model::Loss;
use graph::graph;
use message::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// The version of the operators, of 2022, and that of the format which came with it.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// A message of protocol buffers has fewer bytes than this.
const LIMIT_BYTES: usize = i32::MAX as usize;

/// A model as ONNX of opset 17: standardization, layers, and what [`predict`](crate::train::predict) makes of them, targets in their units.
///
/// | | name | f32 of shape |
/// |---|---|---|
/// | input | `input` | (samples, features) |
/// | output, but of `mse` | `logits` | (samples, outputs): the last layer |
/// | output, of a model with classes | `probabilities` | (samples, classes), as [`ModelFile::classes`] orders them; of a `bce` model 1 − σ and σ |
/// | output, of one without | `values` | (samples, outputs): of `bce` σ, of `mse` the last layer, in the units of the targets |
///
/// The number of samples is open. Features are what [`Dataset::gather`](crate::data::Dataset::gather) gives before standardization:
/// numbers of CSV, npy and libsvm files as they are, pixels of IDX images divided by 255, those of the built-in digits as
/// (pixel − 5)/3. Weights keep the names and shapes of the model file.
///
/// The metadata hold `loss`, `params_sha256`, `options` (JSON, by flag), `features` (the sentence above) and, of a model with
/// classes, `classes` (a JSON list of names).
///
/// # Trade-offs
///
/// Other programs add up in another order, so that nothing agrees in every bit: of MNIST 99 % of the probabilities agree with
/// onnxruntime to 1e-6, and all to 1e-5 (`checks/onnx_export.py`).
///
/// Source: `onnx/onnx.proto3` and `docs/Operators.md` of ONNX 1.12.
///
/// # Examples
///
/// ```
/// use phalanx::checkpoint::{ModelFile, OnnxModel};
/// use phalanx::data::Classes;
/// use phalanx::model::{Activation, Loss, MlpShape, Mlp, Model};
///
/// let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
/// let shape = MlpShape { inputs: 4, hidden: vec![8], outputs: 3, activation, loss };
/// let params = Mlp::new(shape.clone()).initial_params(42);
/// let classes = Some(Classes::indices(3));
/// let (standardize, standardize_targets, train, test, data, options) = Default::default();
/// let file = ModelFile { shape, params, classes, standardize, standardize_targets, options, train, test, data };
/// let onnx = OnnxModel::new(&file)?;
/// assert_eq!(onnx.outputs(), [("logits".to_owned(), 3), ("probabilities".to_owned(), 3)]);
/// # Ok::<(), phalanx::checkpoint::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxModel {
    message: ModelProto,
}

impl OnnxModel {
    /// Makes the graph of a model.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OnnxSize`] if the model does not fit into an ONNX file, which ends at 2 GiB.
    ///
    /// # Panics
    ///
    /// If the params or the standardizations are not as many as the shape says; a [loaded](ModelFile::load) file is whole.
    ///
    /// # Cost
    ///
    /// A copy of the params.
    pub fn new(model: &ModelFile) -> Result<Self, CheckpointError> {
        let ModelFile { shape, params, standardize, standardize_targets, .. } = model;
        assert_eq!(Some(params.len()), shape.params_len(), "params of this shape");
        assert!(standardize.iter().all(|s| s.mean().len() == shape.inputs), "standardization of this shape");
        let outputs = standardize_targets.iter().all(|s| s.mean().len() == shape.outputs);
        assert!(outputs, "standardization of these outputs");
        check_size(params.len())?;
        let message = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "phalanx".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph(model)),
            opset_import: vec![OperatorSetIdProto { version: OPSET }],
            metadata_props: metadata(model),
        };
        Ok(Self { message })
    }

    /// The outputs: their names, and how many numbers each has for a sample.
    pub fn outputs(&self) -> Vec<(String, usize)> {
        let graph = self.message.graph.iter();
        graph.flat_map(|graph| &graph.output).map(|output| (output.name.clone(), output.width())).collect()
    }

    /// The bytes of the file: a function of the model and the version of this program.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.message.encode_to_vec()
    }

    /// Writes the file whole.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; what was there before is then untouched.
    ///
    /// # Cost
    ///
    /// Another copy of the params.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        write_whole(path, &self.to_bytes())
    }
}

/// Leaves as much room for names, classes and options as they could ever need.
fn check_size(params: usize) -> Result<(), CheckpointError> {
    const REST_BYTES: usize = 64 << 20;
    match params.checked_mul(4).is_some_and(|bytes| bytes <= LIMIT_BYTES - REST_BYTES) {
        true => Ok(()),
        false => Err(CheckpointError::OnnxSize { params }),
    }
}

fn metadata(model: &ModelFile) -> Vec<StringStringEntryProto> {
    let json = |value: serde_json::Result<String>| value.expect("names and options are plain data");
    let classes = model.classes.as_ref().filter(|_| model.shape.loss != Loss::Mse);
    let classes = classes.map(|classes| ("classes", json(serde_json::to_string(classes))));
    let rest = [
        ("features", AS_GATHERED.to_owned()),
        ("loss", model.shape.loss.to_string()),
        ("options", json(serde_json::to_string(&model.options))),
        ("params_sha256", params_sha256(&model.params)),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    classes.into_iter().chain(rest).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_no_onnx_file_holds_is_refused() {
        assert!(check_size(500_000_000).is_ok());
        for params in [536_870_912, usize::MAX] {
            assert!(check_size(params).unwrap_err().to_string().contains("2 GiB"));
        }
    }
}
