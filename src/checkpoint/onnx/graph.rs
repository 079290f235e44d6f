//! A perceptron as a graph of ONNX operators, in the order in which `predict` computes.

use super::message::{
    ATTRIBUTE_INT, AttributeProto, Dimension, FLOAT, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::checkpoint::ModelFile;
use crate::data::{AS_GATHERED, Standardize};
use crate::model::{Activation, Loss, Model, Tensor};

/// Builds the graph: standardize, layers, and what is made of the last one.
pub(super) fn graph(model: &ModelFile) -> GraphProto {
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
