//! An exported ONNX file contains the model: its bytes are parsed here by the rules of Protocol
//! Buffers and the field numbers of `onnx/onnx.proto3`, and its graph is evaluated in f64, operator
//! by operator. `checks/onnx_export.py` runs the same check with onnxruntime.

use std::collections::{BTreeMap, HashMap};

use ndarray::Array2;
use phalanx::checkpoint::{ModelFile, params_sha256};
use phalanx::data::{Classes, Dataset, Standardize, Targets};
use phalanx::internals::OnnxModel;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::train::predict;

/// The fields of a message, in order: a number, or bytes that may be text or a message.
struct Message<'a>(Vec<(u64, Field<'a>)>);

#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

impl<'a> Message<'a> {
    fn read(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                2 => {
                    let len = varint(&mut bytes) as usize;
                    let (content, rest) = bytes.split_at(len);
                    bytes = rest;
                    Field::Bytes(content)
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        let bytes = move |field: &Field<'a>| match *field {
            Field::Bytes(bytes) => bytes,
            Field::Number(_) => panic!("field {number} is a number"),
        };
        self.0.iter().filter(move |field| field.0 == number).map(move |field| bytes(&field.1))
    }

    fn messages(&self, number: u64) -> impl Iterator<Item = Message<'a>> {
        self.all(number).map(Message::read)
    }

    fn message(&self, number: u64) -> Message<'a> {
        self.messages(number).next().unwrap_or_else(|| panic!("no field {number}"))
    }

    fn texts(&self, number: u64) -> Vec<String> {
        self.all(number).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
    }

    fn text(&self, number: u64) -> String {
        self.texts(number).concat()
    }

    fn number(&self, number: u64) -> i64 {
        let found = self.0.iter().find_map(|(at, field)| match field {
            Field::Number(value) if *at == number => Some(*value as i64),
            _ => None,
        });
        found.unwrap_or(0)
    }
}

/// An array: dimensions, and numbers in row-major order.
#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    dims: Vec<usize>,
    values: Vec<f64>,
}

impl Tensor {
    /// `TensorProto`: dims = 1 (packed), data_type = 2, raw_data = 9.
    fn read(message: &Message<'_>) -> Self {
        assert_eq!(message.number(2), 1, "f32");
        let mut packed = message.all(1).next().unwrap_or_default();
        let mut dims = Vec::new();
        while !packed.is_empty() {
            dims.push(varint(&mut packed) as usize);
        }
        let raw = message.all(9).next().unwrap().as_chunks::<4>().0;
        let values: Vec<f64> = raw.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect();
        assert_eq!(values.len(), dims.iter().product::<usize>());
        Self { dims, values }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { dims: self.dims.clone(), values: self.values.iter().map(|x| f(*x)).collect() }
    }

    /// Applies `f` elementwise; the smaller array is repeated along the first dimensions of the
    /// larger one.
    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let larger = if self.values.len() < other.values.len() { other } else { self };
        let smaller = if self.values.len() < other.values.len() { self } else { other };
        assert!(larger.dims.ends_with(&smaller.dims), "{:?} and {:?}", self.dims, other.dims);
        let at = |tensor: &Self, k: usize| tensor.values[k % tensor.values.len()];
        let values = (0..larger.values.len()).map(|k| f(at(self, k), at(other, k))).collect();
        Self { dims: larger.dims.clone(), values }
    }

    /// Returns A Bᵀ + c.
    fn gemm(&self, b: &Self, c: &Self) -> Self {
        let (outputs, inputs) = (b.dims[0], b.dims[1]);
        assert_eq!((self.dims[1], c.dims.as_slice()), (inputs, &[outputs][..]));
        let dot = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
        let row = |x| b.values.chunks(inputs).zip(&c.values).map(move |(w, c)| dot(x, w) + c);
        let values = self.values.chunks(inputs).flat_map(row).collect();
        Self { dims: vec![self.dims[0], outputs], values }
    }

    fn softmax(&self) -> Self {
        let row = |z: &[f64]| {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            z.iter().map(|z| z.exp() / sum).collect::<Vec<_>>()
        };
        Self { dims: self.dims.clone(), values: self.values.chunks(self.dims[1]).flat_map(row).collect() }
    }

    fn concatenate(&self, other: &Self) -> Self {
        let rows = self.values.chunks(self.dims[1]).zip(other.values.chunks(other.dims[1]));
        let values = rows.flat_map(|(a, b)| [a, b].concat()).collect();
        Self { dims: vec![self.dims[0], self.dims[1] + other.dims[1]], values }
    }
}

/// Computes every value of a `GraphProto`: node = 1, initializer = 5, input = 11.
fn evaluate(graph: &Message<'_>, input: Tensor) -> HashMap<String, Tensor> {
    let mut values: HashMap<_, _> =
        graph.messages(5).map(|tensor| (tensor.text(8), Tensor::read(&tensor))).collect();
    values.insert(graph.message(11).text(1), input);
    for node in graph.messages(1) {
        let inputs: Vec<_> = node.texts(1).iter().map(|name| values[name].clone()).collect();
        // AttributeProto: name = 1, i = 3, type = 20 (2 is an integer).
        let attribute = |name: &str| {
            let found = node.messages(5).find(|attribute| attribute.text(1) == name).unwrap();
            assert_eq!(found.number(20), 2);
            found.number(3)
        };
        let output = match (node.text(4).as_str(), inputs.as_slice()) {
            ("Sub", [a, b]) => a.zip(b, |a, b| a - b),
            ("Div", [a, b]) => a.zip(b, |a, b| a / b),
            ("Mul", [a, b]) => a.zip(b, |a, b| a * b),
            ("Add", [a, b]) => a.zip(b, |a, b| a + b),
            ("Relu", [z]) => z.map(|z| z.max(0.0)),
            ("Tanh", [z]) => z.map(f64::tanh),
            ("Sigmoid", [z]) => z.map(|z| 1.0 / (1.0 + (-z).exp())),
            ("Erf", [z]) => z.map(libm::erf),
            ("Gemm", [a, b, c]) if attribute("transB") == 1 => a.gemm(b, c),
            ("Softmax", [z]) if attribute("axis") == -1 => z.softmax(),
            ("Concat", [a, b]) if attribute("axis") == 1 => a.concatenate(b),
            (other, _) => panic!("{other} of {} inputs", inputs.len()),
        };
        assert!(values.insert(node.text(2), output).is_none(), "each value is evaluated once");
    }
    values
}

const SAMPLES: usize = 50;
const FEATURES: usize = 6;

/// Numbers of various magnitudes, the same in every run.
fn features() -> Array2<f32> {
    Array2::from_shape_fn((SAMPLES, FEATURES), |(row, column)| {
        ((row * 31 + column * 17) % 23) as f32 / 4.0 - 2.5 + column as f32
    })
}

fn model(hidden: &[usize], outputs: usize, activation: Activation, loss: Loss) -> ModelFile {
    let shape = MlpShape { inputs: FEATURES, hidden: hidden.to_vec(), outputs, activation, loss };
    let params = Mlp::new(shape.clone()).initial_params(7);
    ModelFile {
        shape,
        params,
        standardize: None,
        standardize_targets: None,
        classes: None,
        options: BTreeMap::new(),
        train: None,
        test: None,
        data: Default::default(),
    }
}

/// Checks that the last output of the graph equals the result of `predict`, a row of probabilities
/// or values per sample.
fn check(model: &ModelFile, names: &[(&str, usize)]) {
    check_to(model, names, 1e-6);
}

fn check_to(model: &ModelFile, names: &[(&str, usize)], tolerance: f64) {
    let mut data = Dataset::from_arrays(features(), Targets::None, None).unwrap();
    if let Some(standardize) = &model.standardize {
        data.standardize(standardize.clone()).unwrap();
    }
    let predicted = predict(&model.model(), &model.params, &data).unwrap();
    let onnx = OnnxModel::new(model).unwrap();
    let found: Vec<_> = onnx.outputs();
    assert_eq!(found.iter().map(|(name, width)| (name.as_str(), *width)).collect::<Vec<_>>(), names);

    let bytes = onnx.to_bytes();
    let graph = Message::read(&bytes).message(7);
    let input =
        Tensor { dims: vec![SAMPLES, FEATURES], values: features().iter().map(|x| f64::from(*x)).collect() };
    let values = evaluate(&graph, input);
    for (declared, (name, width)) in graph.messages(12).zip(names) {
        assert_eq!((declared.text(1).as_str(), &values[*name].dims), (*name, &vec![SAMPLES, *width]));
    }
    let (name, width) = names.last().unwrap();
    let answer = &values[*name];
    for (row, predicted) in answer.values.chunks(*width).zip(predicted.rows()) {
        let predicted = predicted.as_slice().unwrap();
        let expected = match (predicted, width) {
            ([second], 2) => vec![1.0 - second, *second],
            (all, _) => all.to_vec(),
        };
        for (found, expected) in row.iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < tolerance, "{name}: {found} and {expected}");
        }
    }
}

#[test]
fn the_graph_computes_the_result_of_predict() {
    for &activation in Activation::ALL {
        for hidden in [&[][..], &[9], &[9, 5, 7]] {
            let mut classes = model(hidden, 3, activation, Loss::CrossEntropy);
            classes.classes = Some(Classes::indices(3));
            check(&classes, &[("logits", 3), ("probabilities", 3)]);
            let mut two = model(hidden, 1, activation, Loss::Bce);
            check(&two, &[("logits", 1), ("values", 1)]);
            two.classes = Some(Classes::indices(2));
            check(&two, &[("logits", 1), ("probabilities", 2)]);
            check(&model(hidden, 4, activation, Loss::Bce), &[("logits", 4), ("values", 4)]);
            check(&model(hidden, 2, activation, Loss::MSE), &[("values", 2)]);
            let mut sums = model(hidden, 3, activation, Loss::BceSum);
            sums.classes = Some(Classes::indices(3));
            check(&sums, &[("logits", 3), ("probabilities", 3)]);
            for output in ["relu", "tanh", "sigmoid", "scaled-tanh"] {
                let mut squares =
                    model(hidden, 3, activation, format!("half-squared-of-{output}").parse().unwrap());
                squares.classes = Some(Classes::indices(3));
                check(&squares, &[("logits", 3), ("values", 3)]);
            }
        }
    }
}

#[test]
fn standardization_is_part_of_the_graph() {
    let data = Dataset::from_arrays(features(), Targets::None, None).unwrap();
    let mut model = model(&[9], 3, Activation::Relu, Loss::CrossEntropy);
    model.classes = Some(Classes::indices(3));
    model.standardize = Some(Standardize::learn(&data).unwrap());
    check(&model, &[("logits", 3), ("probabilities", 3)]);
}

#[test]
fn output_values_are_in_the_units_of_the_targets() {
    let values = (0..2 * SAMPLES).map(|at| (at % 2 * 10 + at * 7 % 13) as f32).collect();
    let data = Dataset::from_arrays(features(), Targets::Values { values, outputs: 2 }, None).unwrap();
    let mut model = model(&[9], 2, Activation::Relu, Loss::MSE);
    let before = predict(&model.model(), &model.params, &data).unwrap();
    model.standardize_targets = Some(Standardize::learn_targets(&data).unwrap());
    assert_ne!(predict(&model.model(), &model.params, &data).unwrap(), before);
    check_to(&model, &[("values", 2)], 1e-5);
}

#[test]
fn the_file_declares_its_versions_and_metadata() {
    let mut model = model(&[9], 3, Activation::Gelu, Loss::CrossEntropy);
    let names = ["a,b".to_owned(), "\"c\"\nd".to_owned(), "é".to_owned()];
    model.classes = Some(Classes::new(names.to_vec()));
    model.options.insert("lr".to_owned(), 0.1.into());
    let bytes = OnnxModel::new(&model).unwrap().to_bytes();
    let file = Message::read(&bytes);
    // ModelProto: ir_version = 1, producer_name = 2, producer_version = 3, opset_import = 8,
    // metadata_props = 14.
    assert_eq!((file.number(1), file.text(2)), (8, "phalanx".to_owned()));
    assert_eq!(file.text(3), env!("CARGO_PKG_VERSION"));
    let opsets: Vec<_> = file.messages(8).map(|opset| (opset.text(1), opset.number(2))).collect();
    assert_eq!(opsets, [(String::new(), 17)]);
    let metadata: HashMap<_, _> = file.messages(14).map(|entry| (entry.text(1), entry.text(2))).collect();
    assert_eq!(serde_json::from_str::<Vec<String>>(&metadata["classes"]).unwrap(), names);
    assert_eq!((metadata["loss"].as_str(), metadata["options"].as_str()), ("cross-entropy", r#"{"lr":0.1}"#));
    assert_eq!(metadata["params_sha256"], params_sha256(&model.params));
    assert!(metadata["features"].contains("IDX images / 255"));

    // ValueInfoProto.type = 2, TypeProto.tensor_type = 1: elem_type = 1, shape = 2, dim = 1:
    // dim_value = 1, dim_param = 2.
    let graph = file.message(7);
    let input = graph.message(11).message(2).message(1);
    let dims: Vec<_> = input.message(2).messages(1).map(|dim| (dim.number(1), dim.text(2))).collect();
    assert_eq!(input.number(1), 1);
    assert_eq!(dims, [(0, "samples".to_owned()), (FEATURES as i64, String::new())]);

    let mut params = model.params.iter().map(|param| f64::from(*param));
    for tensor in model.model().tensors() {
        let found = graph.messages(5).find(|found| found.text(8) == tensor.name).unwrap();
        let values = params.by_ref().take(tensor.shape.iter().product()).collect();
        assert_eq!(Tensor::read(&found), Tensor { dims: tensor.shape, values });
    }
    assert_eq!(OnnxModel::new(&model).unwrap().to_bytes(), bytes, "the same model gives the same bytes");
}
