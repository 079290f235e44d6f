//! Export of a trained model to ONNX, a model format for use in other programs: the file, the graph
//! of operators in the order in which `predict` computes, and the protocol buffer messages that a
//! multi-layer perceptron needs. Comments name the fields as they are written.

use std::path::Path;

use super::error::CheckpointError;
use super::model_file::{ModelFile, params_sha256};
use super::safetensors::f32_bytes;
use super::whole_file::write_whole;
use crate::data::{AS_GATHERED, Standardize};
use crate::model::{Activation, Loss, MlpShape, Model, SquaredLoss, Tensor};
use crate::protobuf::MessageBuffer;

/// The version of the operators, of 2022, and of the format released with it.
const OPSET: i64 = 17;

const IR_VERSION: i64 = 8;

/// The upper bound (exclusive) on the bytes of a protocol buffer message.
const LIMIT_BYTES: usize = i32::MAX as usize;

/// A model as ONNX, as [`ModelFile::save_onnx`] writes it.
///
/// # Examples
///
/// ```
/// use phalanx::checkpoint::ModelFile;
/// use phalanx::data::Classes;
/// use phalanx::internals::OnnxModel;
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
    bytes: Vec<u8>,
    outputs: Vec<(String, usize)>,
}

impl ModelFile {
    /// Writes the model as ONNX of opset 17: standardization, layers, and the outputs of
    /// [`predict`](crate::train::predict), with targets in their original units.
    ///
    /// | | name | f32 of shape |
    /// |---|---|---|
    /// | input | `input` | (samples, features) |
    /// | output, except with `mse` | `logits` | (samples, outputs): the last layer |
    /// | output, with classes | `probabilities` | (samples, classes), in the order of [`classes`](Self::classes); with `bce` 1 − σ and σ |
    /// | output, without classes | `values` | (samples, outputs): with `bce` and `bce-sum` σ, with `mse` and other squared losses the activations of the last layer, in the units of the targets; also with classes for squared losses |
    ///
    /// The number of samples is not fixed. Features are as returned by
    /// [`Dataset::gather`](crate::data::Dataset::gather) before standardization: numbers of CSV,
    /// npy and libsvm files unchanged, pixels of IDX images divided by 255, pixels of the built-in
    /// digits as (pixel − 5)/3. Weights keep the names and shapes of the model file.
    ///
    /// The metadata contain `loss`, `params_sha256`, `options` (JSON, by flag), `features` (the
    /// sentence above) and, for a model with classes, `classes` (a JSON list of names).
    ///
    /// # Trade-offs
    ///
    /// Other programs add in a different order, so results are not bit-identical: for MNIST, 99 %
    /// of the probabilities agree with onnxruntime to 1e-6, and all to 1e-5
    /// (`checks/onnx_export.py`).
    ///
    /// Source: `onnx/onnx.proto3` and `docs/Operators.md` of ONNX 1.12.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OnnxSize`] if the model exceeds the 2 GiB of an ONNX file;
    /// [`CheckpointError::Write`]; an existing file is then unchanged.
    /// [`CheckpointError::NotSynced`]; the file has then been replaced.
    ///
    /// # Panics
    ///
    /// If the params or the standardizations do not match the shape; in a [loaded](ModelFile::load)
    /// file they do.
    ///
    /// # Cost
    ///
    /// Memory: two copies of the params.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::checkpoint::ModelFile;
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
    ///
    /// let (activation, loss) = (Activation::Relu, Loss::MSE);
    /// let shape = MlpShape { inputs: 4, hidden: vec![8], outputs: 1, activation, loss };
    /// let params = Mlp::new(shape.clone()).initial_params(42);
    /// let (classes, standardize, standardize_targets, train, test, data, options) = Default::default();
    /// let file = ModelFile { shape, params, classes, standardize, standardize_targets, options, train, test, data };
    /// let folder = tempfile::tempdir()?;
    /// file.save_onnx(&folder.path().join("model.onnx"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_onnx(&self, path: &Path) -> Result<(), CheckpointError> {
        OnnxModel::new(self)?.save(path)
    }
}

impl OnnxModel {
    /// Creates the graph of a model.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OnnxSize`] if the model exceeds the 2 GiB of an ONNX file.
    ///
    /// # Panics
    ///
    /// If the params or the standardizations do not match the shape; in a [loaded](ModelFile::load)
    /// file they do.
    ///
    /// # Cost
    ///
    /// Memory: two copies of the params, of which the result keeps one.
    pub fn new(model: &ModelFile) -> Result<Self, CheckpointError> {
        let ModelFile { shape, params, standardize, standardize_targets, .. } = model;
        assert_eq!(Some(params.len()), shape.params_len(), "the params do not match the shape");
        assert!(
            standardize.iter().all(|s| s.mean().len() == shape.inputs),
            "the standardization does not match the inputs"
        );
        let outputs = standardize_targets.iter().all(|s| s.mean().len() == shape.outputs);
        assert!(outputs, "the standardization of targets does not match the outputs");
        check_size(params.len())?;
        let Graph { nodes, constants, outputs } = graph(model);
        let input = value("input", shape.inputs).bytes(3, AS_GATHERED); // doc_string
        // GraphProto.
        let graph = MessageBuffer::default()
            .messages(1, nodes) // node
            .bytes(2, "phalanx") // name
            .messages(5, constants.into_iter().map(|(_, constant)| constant)) // initializer
            .message(11, input) // input
            .messages(12, outputs.iter().map(|(name, width)| value(name, *width))); // output
        // ModelProto.
        let file = MessageBuffer::default()
            .int(1, IR_VERSION) // ir_version
            .bytes(2, "phalanx") // producer_name
            .bytes(3, env!("CARGO_PKG_VERSION")) // producer_version
            .message(7, graph) // graph
            .message(8, MessageBuffer::default().int(2, OPSET)) // opset_import: version, for the default domain, which has no name
            .messages(14, metadata(model)); // metadata_props
        Ok(Self { bytes: file.into_bytes(), outputs })
    }

    /// Returns the outputs: their names and their numbers of values per sample.
    pub fn outputs(&self) -> Vec<(String, usize)> {
        self.outputs.clone()
    }

    /// Returns the bytes of the file, which depend only on the model and the version of this
    /// program.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; an existing file is then unchanged.
    /// [`CheckpointError::NotSynced`]; the file has then been replaced.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        write_whole(path, &self.bytes)
    }
}

/// Checks the size, with a generous margin for names, classes and options.
fn check_size(params: usize) -> Result<(), CheckpointError> {
    const REST_BYTES: usize = 64 << 20;
    match params.checked_mul(4).is_some_and(|bytes| bytes <= LIMIT_BYTES - REST_BYTES) {
        true => Ok(()),
        false => Err(CheckpointError::OnnxSize { params }),
    }
}

/// Returns a `StringStringEntryProto` for each entry.
fn metadata(model: &ModelFile) -> impl Iterator<Item = MessageBuffer> {
    let json = |value: serde_json::Result<String>| value.expect("names and options are plain data");
    let classes = model.classes.as_ref().map(|classes| ("classes", json(serde_json::to_string(classes))));
    let rest = [
        ("features", AS_GATHERED.to_owned()),
        ("loss", model.shape.loss.to_string()),
        ("options", json(serde_json::to_string(&model.options))),
        ("params_sha256", params_sha256(&model.params)),
    ];
    let entry = |(key, value): (&str, String)| MessageBuffer::default().bytes(1, key).bytes(2, value); // key, value
    classes.into_iter().chain(rest).map(entry)
}

/// Builds the graph: standardization, layers, and the outputs.
fn graph(model: &ModelFile) -> Graph {
    let mut graph = Graph::default();
    let mut at = "input".to_owned();
    if let Some(standardize) = &model.standardize {
        at = graph.standardize(&at, standardize);
    }
    let tensors = model.model().tensors();
    let (mut params, last) = (model.params.as_slice(), tensors.len() / 2 - 1);
    for (layer, tensors) in tensors.chunks_exact(2).enumerate() {
        for tensor in tensors {
            let (values, rest) = params.split_at(tensor.shape.iter().product());
            graph.constant(&tensor.name, &tensor.shape, values);
            params = rest;
        }
        let name = format!("layers.{layer}");
        at = if layer < last {
            let linear = graph.linear(&at, tensors, format!("{name}.linear"));
            let activation = model.shape.activation;
            graph.activate(&linear, activation, &format!("{name}.{activation}"))
        } else {
            graph.linear(&at, tensors, outcome(model).to_owned())
        };
    }
    graph.answer(model);
    graph
}

/// Returns the name of the last layer's result: `values` if nothing else is computed from it.
fn outcome(model: &ModelFile) -> &'static str {
    match model {
        ModelFile { standardize_targets: Some(_), .. } => "standardized_values",
        ModelFile {
            shape: MlpShape { loss: Loss::Squared(SquaredLoss { output: None, .. }), .. }, ..
        } => "values",
        _ => "logits",
    }
}

#[derive(Default)]
struct Graph {
    nodes: Vec<MessageBuffer>,
    /// Arrays by name.
    constants: Vec<(String, MessageBuffer)>,
    /// Names and widths.
    outputs: Vec<(String, usize)>,
}

impl Graph {
    /// Adds (x − mean) / deviation.
    fn standardize(&mut self, from: &str, standardize: &Standardize) -> String {
        let shape = [standardize.mean().len()];
        self.constant("standardize.mean", &shape, standardize.mean());
        self.constant("standardize.std", &shape, standardize.std());
        self.node("Sub", &[from, "standardize.mean"], "centred", None);
        self.node("Div", &["centred", "standardize.std"], "standardized", None)
    }

    /// Adds z · deviation + mean.
    fn unstandardize(&mut self, from: &str, standardize: &Standardize) -> String {
        let shape = [standardize.mean().len()];
        self.constant("standardize_targets.mean", &shape, standardize.mean());
        self.constant("standardize_targets.std", &shape, standardize.std());
        self.node("Mul", &[from, "standardize_targets.std"], "scaled_values", None);
        self.node("Add", &["scaled_values", "standardize_targets.mean"], "values", None)
    }

    /// Adds Z = A Wᵀ + b.
    fn linear(&mut self, from: &str, tensors: &[Tensor], to: String) -> String {
        self.node("Gemm", &[from, &tensors[0].name, &tensors[1].name], &to, Some(("transB", 1)))
    }

    /// Adds A = f(Z). Opset 17 has no operator for gelu, z · ½(1 + erf(z/√2)).
    fn activate(&mut self, z: &str, activation: Activation, to: &str) -> String {
        match activation {
            Activation::Relu => self.node("Relu", &[z], to, None),
            Activation::Tanh => self.node("Tanh", &[z], to, None),
            Activation::Sigmoid => self.node("Sigmoid", &[z], to, None),
            Activation::ScaledTanh => {
                let [factor, most] =
                    [self.number("two_thirds", 2.0 / 3.0), self.number("tanh_scale", 1.7159)];
                let scaled = self.node("Mul", &[z, &factor], &format!("{to}.scaled"), None);
                let tanh = self.node("Tanh", &[&scaled], &format!("{to}.tanh"), None);
                self.node("Mul", &[&most, &tanh], to, None)
            }
            Activation::Gelu => {
                let [scale, one, half] = [
                    self.number("sqrt_half", std::f32::consts::FRAC_1_SQRT_2),
                    self.number("one", 1.0),
                    self.number("half", 0.5),
                ];
                let scaled = self.node("Mul", &[z, &scale], &format!("{to}.scaled"), None);
                let erf = self.node("Erf", &[&scaled], &format!("{to}.erf"), None);
                let sum = self.node("Add", &[&one, &erf], &format!("{to}.sum"), None);
                let below = self.node("Mul", &[&half, &sum], &format!("{to}.below"), None);
                self.node("Mul", &[z, &below], to, None)
            }
        }
    }

    /// Declares the outputs: the last layer, and the results of `predict`.
    fn answer(&mut self, model: &ModelFile) {
        let outputs = model.shape.outputs;
        if let Some(standardize) = &model.standardize_targets {
            let to = self.unstandardize(outcome(model), standardize);
            self.outputs.push((to, outputs));
            return;
        }
        self.outputs.push((outcome(model).to_owned(), outputs));
        let is_squared = matches!(model.shape.loss, Loss::Squared(_));
        let answer = if model.classes.is_some() && !is_squared { "probabilities" } else { "values" };
        match model.shape.loss {
            Loss::Squared(SquaredLoss { output: None, .. }) => return,
            Loss::Squared(SquaredLoss { output: Some(output), .. }) => {
                self.activate("logits", output, answer)
            }
            Loss::CrossEntropy => self.node("Softmax", &["logits"], answer, Some(("axis", -1))),
            Loss::Bce if outputs == 1 && model.classes.is_some() => {
                // The single output is the logit of the second of two classes.
                let one = self.number("one", 1.0);
                let second = self.node("Sigmoid", &["logits"], "second", None);
                let first = self.node("Sub", &[&one, &second], "first", None);
                self.node("Concat", &[&first, &second], answer, Some(("axis", 1)));
                self.outputs.push((answer.to_owned(), 2));
                return;
            }
            Loss::Bce | Loss::BceSum => self.node("Sigmoid", &["logits"], answer, None),
        };
        self.outputs.push((answer.to_owned(), outputs));
    }

    /// Adds a node (`NodeProto`) and returns the name of its result.
    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Option<(&str, i64)>,
    ) -> String {
        // AttributeProto: name, i, type.
        let attribute = attribute
            .map(|(name, i)| MessageBuffer::default().bytes(1, name).int(3, i).int(20, ATTRIBUTE_INT));
        let inputs = inputs.iter().fold(MessageBuffer::default(), |node, input| node.bytes(1, input)); // input
        let node = inputs.bytes(2, output).bytes(3, output).bytes(4, operator); // output, name, op_type
        self.nodes.push(node.messages(5, attribute)); // attribute
        output.to_owned()
    }

    /// Adds a scalar constant, shared by all nodes that use it, and returns its name.
    fn number(&mut self, name: &str, number: f32) -> String {
        if self.constants.iter().all(|(taken, _)| taken != name) {
            self.constant(name, &[], &[number]);
        }
        name.to_owned()
    }

    /// Adds an array (`TensorProto`) in row-major order.
    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let tensor = MessageBuffer::default()
            .ints(1, shape.iter().map(|&extent| extent as i64)) // dims
            .int(2, FLOAT) // data_type
            .bytes(8, name) // name
            .bytes(9, f32_bytes(values)); // raw_data, little-endian
        self.constants.push((name.to_owned(), tensor));
    }
}

/// Returns the `ValueInfoProto` of an f32 array of (samples, width), for any number of samples.
fn value(name: &str, width: usize) -> MessageBuffer {
    let samples = MessageBuffer::default().bytes(2, "samples"); // dim_param
    let width = MessageBuffer::default().int(1, width as i64); // dim_value
    let shape = MessageBuffer::default().messages(1, [samples, width]); // dim
    let tensor = MessageBuffer::default().int(1, FLOAT).message(2, shape); // elem_type, shape
    let kind = MessageBuffer::default().message(1, tensor); // tensor_type
    MessageBuffer::default().bytes(1, name).message(2, kind) // name, type
}

/// The value of `elem_type` and `data_type` for f32.
const FLOAT: i64 = 1;

/// The value of `AttributeProto.type` for an integer.
const ATTRIBUTE_INT: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_too_large_for_onnx_is_refused() {
        assert!(check_size(500_000_000).is_ok());
        for params in [536_870_912, usize::MAX] {
            assert!(check_size(params).unwrap_err().to_string().contains("2 GiB"));
        }
    }
}
