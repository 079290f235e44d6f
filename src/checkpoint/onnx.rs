//! A trained model in ONNX, the format that other programs run models from: the file, the graph of operators in the order in which
//! `predict` computes, and the messages of protocol buffers that a perceptron needs.

use std::path::Path;

use prost::Message;

use super::error::CheckpointError;
use super::model_file::{ModelFile, params_sha256};
use super::whole_file::write_whole;
use crate::data::{AS_GATHERED, Standardize};
use crate::model::{Activation, Loss, Model, Tensor};

/// The version of the operators, of 2022, and that of the format which came with it.
const OPSET: i64 = 17;

const IR_VERSION: i64 = 8;

/// A message of protocol buffers has fewer bytes than this.
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
    message: ModelProto,
}

impl ModelFile {
    /// Writes the model as ONNX of opset 17: standardization, layers, and what [`predict`](crate::train::predict) makes of them, targets in their units.
    ///
    /// | | name | f32 of shape |
    /// |---|---|---|
    /// | input | `input` | (samples, features) |
    /// | output, but of `mse` | `logits` | (samples, outputs): the last layer |
    /// | output, of a model with classes | `probabilities` | (samples, classes), as [`classes`](Self::classes) orders them; of a `bce` model 1 − σ and σ |
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
    /// # Errors
    ///
    /// [`CheckpointError::OnnxSize`] if the model does not fit into an ONNX file, which ends at 2 GiB; [`CheckpointError::Write`]; what was
    /// there before is then untouched.
    ///
    /// # Panics
    ///
    /// If the params or the standardizations are not as many as the shape says; a [loaded](ModelFile::load) file is whole.
    ///
    /// # Cost
    ///
    /// Two copies of the params.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::checkpoint::ModelFile;
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
    ///
    /// let (activation, loss) = (Activation::Relu, Loss::Mse);
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

/// Builds the graph: standardize, layers, and what is made of the last one.
fn graph(model: &ModelFile) -> GraphProto {
    let mut graph = Graph::default();
    graph.input(model.shape.inputs);
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
            graph.activate(&linear, model.shape.activation, &name)
        } else {
            graph.linear(&at, tensors, outcome(model).to_owned())
        };
    }
    graph.answer(model);
    graph.0
}

/// The name of what the last layer computes: values, unless something is made of them.
fn outcome(model: &ModelFile) -> &'static str {
    match model {
        ModelFile { standardize_targets: Some(_), .. } => "standardized_values",
        ModelFile { shape, .. } if shape.loss == Loss::Mse => "values",
        _ => "logits",
    }
}

#[derive(Default)]
struct Graph(GraphProto);

impl Graph {
    fn input(&mut self, features: usize) {
        self.0.name = "phalanx".to_owned();
        self.0.input.push(ValueInfoProto { doc_string: AS_GATHERED.to_owned(), ..value("input", features) });
    }

    /// (x − mean) / deviation.
    fn standardize(&mut self, from: &str, standardize: &Standardize) -> String {
        let shape = [standardize.mean().len()];
        self.constant("standardize.mean", &shape, standardize.mean());
        self.constant("standardize.std", &shape, standardize.std());
        self.node("Sub", &[from, "standardize.mean"], "centred", None);
        self.node("Div", &["centred", "standardize.std"], "standardized", None)
    }

    /// z · deviation + mean.
    fn unstandardize(&mut self, from: &str, standardize: &Standardize) -> String {
        let shape = [standardize.mean().len()];
        self.constant("standardize_targets.mean", &shape, standardize.mean());
        self.constant("standardize_targets.std", &shape, standardize.std());
        self.node("Mul", &[from, "standardize_targets.std"], "scaled_values", None);
        self.node("Add", &["scaled_values", "standardize_targets.mean"], "values", None)
    }

    /// Z = A Wᵀ + b.
    fn linear(&mut self, from: &str, tensors: &[Tensor], to: String) -> String {
        self.node("Gemm", &[from, &tensors[0].name, &tensors[1].name], &to, Some(("transB", 1)))
    }

    /// A = f(Z). Opset 17 has no operator for gelu, z · ½(1 + erf(z/√2)).
    fn activate(&mut self, z: &str, activation: Activation, name: &str) -> String {
        let to = format!("{name}.{activation}");
        match activation {
            Activation::Relu => self.node("Relu", &[z], &to, None),
            Activation::Tanh => self.node("Tanh", &[z], &to, None),
            Activation::Sigmoid => self.node("Sigmoid", &[z], &to, None),
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
                self.node("Mul", &[z, &below], &to, None)
            }
        }
    }

    /// Declares what the last layer computes as an output, and what `predict` makes of it.
    fn answer(&mut self, model: &ModelFile) {
        let outputs = model.shape.outputs;
        if let Some(standardize) = &model.standardize_targets {
            let to = self.unstandardize(outcome(model), standardize);
            self.0.output.push(value(&to, outputs));
            return;
        }
        self.0.output.push(value(outcome(model), outputs));
        let answer = if model.classes.is_some() { "probabilities" } else { "values" };
        match model.shape.loss {
            Loss::Mse => return,
            Loss::CrossEntropy => self.node("Softmax", &["logits"], answer, Some(("axis", -1))),
            Loss::Bce if outputs == 1 && model.classes.is_some() => {
                // One output speaks for the second of two classes.
                let one = self.number("one", 1.0);
                let second = self.node("Sigmoid", &["logits"], "second", None);
                let first = self.node("Sub", &[&one, &second], "first", None);
                self.node("Concat", &[&first, &second], answer, Some(("axis", 1)));
                self.0.output.push(value(answer, 2));
                return;
            }
            Loss::Bce => self.node("Sigmoid", &["logits"], answer, None),
        };
        self.0.output.push(value(answer, outputs));
    }

    /// Adds a node; gives the name of what it computes.
    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Option<(&str, i64)>,
    ) -> String {
        let attribute =
            attribute.map(|(name, i)| AttributeProto { name: name.to_owned(), i, r#type: ATTRIBUTE_INT });
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: attribute.into_iter().collect(),
        });
        output.to_owned()
    }

    /// One number, which every node that needs it shares.
    fn number(&mut self, name: &str, number: f32) -> String {
        if self.0.initializer.iter().all(|tensor| tensor.name != name) {
            self.constant(name, &[], &[number]);
        }
        name.to_owned()
    }

    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.0.initializer.push(TensorProto {
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }
}

/// An f32 array of (samples, width), for any number of samples.
fn value(name: &str, width: usize) -> ValueInfoProto {
    let samples = Dimension { dim_param: Some("samples".to_owned()), dim_value: None };
    let width = Dimension { dim_value: Some(width as i64), dim_param: None };
    let shape = Some(TensorShapeProto { dim: vec![samples, width] });
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type }),
        doc_string: String::new(),
    }
}

/// The value of `elem_type` and `data_type` for f32.
const FLOAT: i32 = 1;

/// The value of `AttributeProto.type` for an integer.
const ATTRIBUTE_INT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// The default domain has no name.
#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian, the last extent the fastest.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

impl ValueInfoProto {
    /// The last extent, which is known.
    fn width(&self) -> usize {
        let shape = self.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
        let last = shape.and_then(|shape| shape.dim.last()?.dim_value);
        last.expect("every value is made with its width") as usize
    }
}

/// Of the kinds of a type only the tensor.
#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: an extent, or the name of one that is open. Either way it is one of a choice, and written.
#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
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
