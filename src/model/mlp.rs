//! The multi-layer perceptron.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::activation::Keeps;
use super::init::Uniform;
use super::{Activation, Loss, Misfit, Model, Real, Samples, Score, TargetShape, Targets, Tensor, product};

/// What an [`Mlp`] is made of; a model file carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpShape {
    /// Features of a sample.
    pub inputs: usize,
    /// Widths of the hidden layers; none of them gives linear, logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// K: classes, or values to predict.
    pub outputs: usize,
    /// The function after each hidden layer.
    pub activation: Activation,
    /// What is made small.
    pub loss: Loss,
}

impl MlpShape {
    /// Number of params, Σ (I + 1)·O; `None` if a layer is 0 wide or the number exceeds what can be addressed.
    pub fn params_len(&self) -> Option<usize> {
        let widths = self.widths();
        if widths.contains(&0) {
            return None;
        }
        widths.windows(2).try_fold(0_usize, |sum, pair| {
            let layer = pair[0].checked_add(1)?.checked_mul(pair[1])?;
            sum.checked_add(layer).filter(|sum| *sum <= isize::MAX as usize / size_of::<f64>())
        })
    }

    /// Inputs, hidden widths, outputs.
    fn widths(&self) -> Vec<usize> {
        [self.inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.outputs]).collect()
    }
}

/// A multi-layer perceptron of any depth.
///
/// Layer l of L has weight W_l (O, I) and bias b_l (O), which lie one after the other in the flat params, as
/// PyTorch's `Linear` stores them. With A_0 the inputs (B, I):
///
/// Z_l = A_{l−1} W_lᵀ + b_l,  A_l = activation(Z_l) for l < L,  loss on Z_L.
///
/// # Cost
///
/// A gradient takes 2·B·(3P − P_1) floating-point operations, P the params in weights and P_1 those of the first
/// layer, which passes no gradient on. A workspace holds about B·(Σ O + 2·max O) numbers.
#[derive(Clone, Debug)]
pub struct Mlp {
    shape: MlpShape,
    layers: Vec<Layer>,
}

/// Where one layer lies in the flat params.
#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Layer {
    /// W, (O, I).
    fn weight<'a, R>(&self, params: &'a [R]) -> ArrayView2<'a, R> {
        view(&params[self.weight.clone()], self.outputs)
    }
}

/// What [`Mlp`] computes in. Rows beyond those of the samples in hand are left over from other calls.
pub struct MlpWorkspace<R = f32> {
    /// A_l of each layer, (B, O); of the last layer Z_L and then ∂ℓ/∂Z_L.
    outputs: Vec<Vec<R>>,
    /// Z_l of each hidden layer whose activation keeps its input; otherwise empty.
    kept: Vec<Vec<R>>,
    /// ∂ℓ/∂Z_l of a hidden layer, (B, O).
    deltas: Vec<Vec<R>>,
}

impl Mlp {
    /// Lays the layers out.
    ///
    /// # Panics
    ///
    /// If [`MlpShape::params_len`] is `None`.
    pub fn new(shape: MlpShape) -> Self {
        assert!(
            shape.params_len().is_some(),
            "each layer is at least 1 wide, and all can be addressed: {shape:?}"
        );
        let mut start = 0;
        let layers = shape
            .widths()
            .windows(2)
            .map(|pair| {
                let weight = start..start + pair[0] * pair[1];
                let bias = weight.end..weight.end + pair[1];
                start = bias.end;
                Layer { inputs: pair[0], outputs: pair[1], weight, bias }
            })
            .collect();
        Self { shape, layers }
    }

    /// What it is made of.
    pub fn shape(&self) -> &MlpShape {
        &self.shape
    }

    /// Says whether samples with so many features can be predicted.
    ///
    /// # Errors
    ///
    /// [`Misfit::Features`] if the model takes another number.
    pub fn check_features(&self, found: usize) -> Result<(), Misfit> {
        let expected = self.shape.inputs;
        if found == expected { Ok(()) } else { Err(Misfit::Features { found, expected }) }
    }

    /// Makes a workspace for up to `max_samples` samples, in f32 or f64.
    pub fn workspace_of<R: Real>(&self, max_samples: usize) -> MlpWorkspace<R> {
        let room = |width: usize| vec![R::ZERO; max_samples * width];
        let hidden = &self.layers[..self.layers.len() - 1];
        let keeps_input = self.shape.activation.keeps() == Keeps::Input;
        MlpWorkspace {
            outputs: self.layers.iter().map(|layer| room(layer.outputs)).collect(),
            kept: hidden.iter().map(|layer| room(if keeps_input { layer.outputs } else { 0 })).collect(),
            deltas: hidden.iter().map(|layer| room(layer.outputs)).collect(),
        }
    }

    /// Computes the outputs Z_L, (B, K), of inputs (B, I).
    pub fn outputs<'w, R: Real>(
        &self,
        params: &[R],
        inputs: ArrayView2<'_, R>,
        workspace: &'w mut MlpWorkspace<R>,
    ) -> ArrayViewMut2<'w, R> {
        let samples = inputs.nrows();
        self.forward(params, inputs, workspace);
        view_mut(last(workspace, samples, self.shape.outputs), samples)
    }

    /// [`Model::gradient`] in f32 or f64.
    pub fn gradient_of<R: Real>(
        &self,
        params: &[R],
        samples: &Samples<'_, R>,
        grads: &mut [R],
        workspace: &mut MlpWorkspace<R>,
    ) -> f64 {
        if samples.is_empty() {
            grads.fill(R::ZERO);
            return 0.0;
        }
        self.forward(params, samples.inputs, workspace);
        let loss_sum = self.shape.loss.backward(last(workspace, samples.len(), self.shape.outputs), samples);
        self.backward(params, samples.inputs, grads, workspace);
        loss_sum
    }

    /// Fills `workspace.outputs` from the first layer to the last.
    fn forward<R: Real>(&self, params: &[R], inputs: ArrayView2<'_, R>, workspace: &mut MlpWorkspace<R>) {
        let samples = inputs.nrows();
        let depth = self.layers.len();
        for (l, layer) in self.layers.iter().enumerate() {
            let (before, from) = workspace.outputs.split_at_mut(l);
            let inputs =
                before.last().map_or(inputs, |previous| view(&previous[..samples * layer.inputs], samples));
            let outputs = &mut from[0][..samples * layer.outputs];
            // Z = A Wᵀ + b
            product(inputs, layer.weight(params).reversed_axes(), view_mut(outputs, samples));
            add_bias(outputs, &params[layer.bias.clone()]);
            if l + 1 < depth {
                if let Some(kept) = workspace.kept[l].get_mut(..outputs.len()) {
                    kept.copy_from_slice(outputs);
                }
                self.shape.activation.forward(outputs);
            }
        }
    }

    /// Writes `grads` from the last layer to the first; ∂ℓ/∂Z_L is in the last of `workspace.outputs`.
    fn backward<R: Real>(
        &self,
        params: &[R],
        inputs: ArrayView2<'_, R>,
        grads: &mut [R],
        workspace: &mut MlpWorkspace<R>,
    ) {
        let samples = inputs.nrows();
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let (before, delta) = workspace.deltas.split_at_mut(l);
            let delta = delta.first().unwrap_or(&workspace.outputs[l]);
            let delta = view(&delta[..samples * layer.outputs], samples);
            let (d_weight, d_bias) =
                grads[layer.weight.start..layer.bias.end].split_at_mut(layer.weight.len());
            // Z = A Wᵀ + b: ∂W = ∂Zᵀ A, ∂b = Σ_B ∂Z, ∂A = ∂Z W
            let inputs = if l == 0 {
                inputs
            } else {
                view(&workspace.outputs[l - 1][..samples * layer.inputs], samples)
            };
            product(delta.reversed_axes(), inputs, view_mut(d_weight, layer.outputs));
            sum_rows(delta, d_bias);
            let Some(previous) = before.last_mut() else { continue };
            let previous = &mut previous[..samples * layer.inputs];
            product(delta, layer.weight(params), view_mut(previous, samples));
            // A = activation(Z)
            let kept = match self.shape.activation.keeps() {
                Keeps::Input => &workspace.kept[l - 1],
                Keeps::Output => &workspace.outputs[l - 1],
            };
            self.shape.activation.backward(&kept[..previous.len()], previous);
        }
    }
}

impl Model for Mlp {
    type Workspace = MlpWorkspace;

    /// `layers.0.weight` (O, I), `layers.0.bias` (O), `layers.1.weight` ...
    fn tensors(&self) -> Vec<Tensor> {
        let pair = |(l, layer): (usize, &Layer)| {
            let weight = Tensor::new(format!("layers.{l}.weight"), &[layer.outputs, layer.inputs]);
            [weight, Tensor::new(format!("layers.{l}.bias"), &[layer.outputs])]
        };
        self.layers.iter().enumerate().flat_map(pair).collect()
    }

    fn params_len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.end)
    }

    fn check(&self, features: usize, targets: TargetShape) -> Result<(), Misfit> {
        self.check_features(features)?;
        self.shape.loss.check(self.shape.outputs, targets)
    }

    /// Weights are drawn from U(−√(3g/I), √(3g/I)), whose variance is g/I, with g = 2 before relu and gelu, which pass
    /// half of the variance on, and 1 elsewhere; biases are 0 (He, Zhang, Ren, Sun 2015, arXiv:1502.01852, eq. 10).
    fn initial_params(&self, seed: u64) -> Vec<f32> {
        let mut params = vec![0.0; self.params_len()];
        let mut uniform = Uniform::new(seed);
        for (l, layer) in self.layers.iter().enumerate() {
            let gain = if l < self.shape.hidden.len() { self.shape.activation.gain() } else { 1.0 };
            uniform.fill(&mut params[layer.weight.clone()], (3.0 * gain / layer.inputs as f32).sqrt());
        }
        params
    }

    fn workspace(&self, max_samples: usize) -> MlpWorkspace {
        self.workspace_of(max_samples)
    }

    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut MlpWorkspace,
    ) -> f64 {
        self.gradient_of(params, samples, grads, workspace)
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut MlpWorkspace) -> Score {
        if samples.is_empty() {
            let correct = matches!(samples.targets, Targets::Classes(_)).then_some(0.0);
            return Score { correct, ..Score::default() };
        }
        self.forward(params, samples.inputs, workspace);
        self.shape.loss.score(last(workspace, samples.len(), self.shape.outputs), samples)
    }
}

/// The outputs of the last layer, B·K of them.
fn last<R>(workspace: &mut MlpWorkspace<R>, samples: usize, outputs: usize) -> &mut [R] {
    let last = workspace.outputs.last_mut().expect("a perceptron has a layer");
    &mut last[..samples * outputs]
}

/// Adds b (O) to each row of `outputs` (B, O).
fn add_bias<R: Real>(outputs: &mut [R], bias: &[R]) {
    for row in outputs.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += *bias);
    }
}

/// `sums` (O) = Σ over the rows of `values` (B, O), in order.
fn sum_rows<R: Real>(values: ArrayView2<'_, R>, sums: &mut [R]) {
    sums.fill(R::ZERO);
    let add = |row: ArrayView1<'_, R>| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
    values.rows().into_iter().for_each(add);
}

/// Values as (rows, len/rows).
fn view<R>(values: &[R], rows: usize) -> ArrayView2<'_, R> {
    ArrayView2::from_shape((rows, values.len() / rows), values).expect("rows divide the len")
}

/// Values as (rows, len/rows), to write to.
fn view_mut<R>(values: &mut [R], rows: usize) -> ArrayViewMut2<'_, R> {
    let columns = values.len() / rows;
    ArrayViewMut2::from_shape((rows, columns), values).expect("rows divide the len")
}
