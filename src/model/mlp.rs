//! The multi-layer perceptron: its shape, the layout of its layers in the params, and the forward
//! and backward pass.

mod as_model;

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::activation::{Activation, DerivativeInput};
use super::fused::ShardRun;
use super::init::Init;
use super::kernel::{Epilogue, Panels};
use super::layer::{Layer, LayerProducts};
use super::loss::{Loss, SquaredLoss, TargetScale};
use super::real::Real;
use super::samples::Samples;
use crate::num::largest_magnitude;
use crate::simd::vectorized;

/// The shape of an [`Mlp`]; stored in the model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpShape {
    /// The number of features of a sample.
    pub inputs: usize,
    /// The widths of the hidden layers; without hidden layers, the model is linear, logistic or
    /// softmax regression.
    pub hidden: Vec<usize>,
    /// K: the number of classes, or of values to predict.
    pub outputs: usize,
    /// The activation function after each hidden layer.
    pub activation: Activation,
    /// The loss function.
    pub loss: Loss,
}

impl MlpShape {
    /// Returns the number of params, Σ (I + 1)·O; `None` if a layer has width 0 or the number
    /// exceeds the address space.
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

    /// Returns the widths of the inputs, the hidden layers and the outputs.
    pub(super) fn widths(&self) -> Vec<usize> {
        [self.inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.outputs]).collect()
    }
}

/// A multi-layer perceptron of any depth.
///
/// Layer l of L has weight W_l (O, I) and bias b_l (O), stored consecutively in the flat params, as
/// PyTorch's `Linear` stores them. With A_0 the inputs (B, I):
///
/// Z_l = A_{l−1} W_lᵀ + b_l,  A_l = activation(Z_l) for l < L,  loss on Z_L.
///
/// # Cost
///
/// A gradient takes 2·B·(3P − P_1) floating-point operations, where P is the number of params in
/// weights and P_1 that of the first layer, which propagates no gradient to its inputs. A workspace
/// holds about B numbers for each output of a layer, B more for each hidden output, and with gelu
/// another B for each hidden output; if the gradient is computed by segments, B more for each input
/// of a layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    shape: MlpShape,
    layers: Vec<LayerSpan>,
    targets: Option<TargetScale>,
    /// Of weights and of biases.
    init: [Init; 2],
}

/// The maximum number of values of samples per param at which ranks read these values instead of
/// gradients. Both come from another core, but with values, gradients need not be written and read
/// twice. 784-128-10 with 128 samples has a ratio of 1.3 and becomes faster; softmax regression
/// with 128 samples has 13 and would take a fourth longer.
const ROWS_FOR_PARAMS: usize = 4;

/// The position of one layer in the flat params.
#[derive(Clone, Debug)]
struct LayerSpan {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl LayerSpan {
    /// (I, O).
    fn shape(&self) -> (usize, usize) {
        (self.inputs, self.outputs)
    }

    fn layer<'a, R>(&self, params: &'a [R]) -> Layer<'a, R> {
        Layer { weight: &params[self.weight.clone()], bias: &params[self.bias.clone()] }
    }
}

impl Mlp {
    /// Creates a perceptron.
    ///
    /// # Panics
    ///
    /// If [`MlpShape::params_len`] is `None`, or the output function of a squared loss is gelu.
    pub fn new(shape: MlpShape) -> Self {
        assert!(
            shape.params_len().is_some(),
            "each layer has a width of at least 1, and the params fit into the address space: {shape:?}"
        );
        let gelu = |loss| matches!(loss, Loss::Squared(SquaredLoss { output: Some(Activation::Gelu), .. }));
        assert!(!gelu(shape.loss), "gelu cannot be an output function");
        let mut start = 0;
        let layers = shape
            .widths()
            .windows(2)
            .map(|pair| {
                let weight = start..start + pair[0] * pair[1];
                let bias = weight.end..weight.end + pair[1];
                start = bias.end;
                LayerSpan { inputs: pair[0], outputs: pair[1], weight, bias }
            })
            .collect();
        Self { shape, layers, targets: None, init: [Init::Auto, Init::Zero] }
    }

    /// Sets the mean m_k and the standard deviation s_k with which the model standardizes each
    /// target k.
    ///
    /// The model then learns (t_k − m_k)/s_k: its gradient is that of the mean squared error of
    /// these standardized targets, so that learning rates do not depend on the units of the
    /// targets. The data is unchanged, and losses, scores and [predictions](Self::predict) are in
    /// the units of the data: the reported loss is (1/K) Σ_k s_k² e_k², where e_k is the error in
    /// standard deviations. For one output, this is s² times the loss that is minimized; several
    /// outputs have equal influence on the gradient, but contribute to the reported loss in
    /// proportion to their variance.
    ///
    /// # Panics
    ///
    /// Unless the loss is mse, and `mean` and `std` have one finite value per output, those of
    /// `std` above 0.
    ///
    /// # Cost
    ///
    /// One division per output of a sample.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Standardize, Targets};
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    /// use phalanx::train::{Length, Options, Trainer, predict};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prices = Targets::Values { values: vec![100_000.0, 300_000.0, 500_000.0], outputs: 1 };
    /// let data = Dataset::from_arrays(array![[-1.0], [0.0], [1.0]], prices, None)?;
    /// let learned = Standardize::learn_targets(&data)?;
    /// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
    /// let shape = MlpShape { inputs: 1, hidden, outputs: 1, activation, loss };
    /// let model = Mlp::new(shape).standardize_targets(learned.mean(), learned.std());
    /// let options = Options { length: Length::Epochs(100), rate: Some(0.5), ..Options::default() };
    /// let outcome = Trainer::new(&model, &data, options).run()?;
    /// let predicted = predict(&model, &outcome.params, &data)?;
    /// assert!((predicted[[2, 0]] - 500_000.0).abs() < 1.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn standardize_targets(self, mean: &[f32], std: &[f32]) -> Self {
        assert_eq!(self.shape.loss, Loss::MSE, "targets can be standardized only with mse");
        let targets = Some(TargetScale::new(mean, std, self.shape.outputs));
        Self { targets, ..self }
    }

    /// Sets the distributions of the initial weights and biases; without it they are
    /// [`Init::Auto`] and [`Init::Zero`].
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Activation, Init, Loss, Mlp, MlpShape, Model};
    ///
    /// let (hidden, activation, loss) = (vec![3], Activation::Tanh, Loss::CrossEntropy);
    /// let model = Mlp::new(MlpShape { inputs: 4, hidden, outputs: 2, activation, loss });
    /// let params = model.initialize(Init::Pytorch, Init::Pytorch).initial_params(42);
    /// assert!(params[..15].iter().all(|param| *param != 0.0 && param.abs() <= 0.5));
    /// ```
    pub fn initialize(self, weights: Init, biases: Init) -> Self {
        Self { init: [weights, biases], ..self }
    }

    /// Returns the shape of the model.
    pub fn shape(&self) -> &MlpShape {
        &self.shape
    }

    /// Returns the number of floating-point operations in the matrix products of the gradient of
    /// one sample: 2·(3P − P_1), since forward, ∂W and ∂A each take 2 per weight, and the first
    /// layer computes no ∂A.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    ///
    /// let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
    /// let mlp = Mlp::new(MlpShape { inputs: 784, hidden: vec![128], outputs: 10, activation, loss });
    /// assert_eq!(mlp.flops_per_sample(), 2 * (2 * 784 * 128 + 3 * 128 * 10));
    /// ```
    pub fn flops_per_sample(&self) -> u64 {
        let weights = |layer: &LayerSpan| layer.weight.len() as u64;
        let all: u64 = self.layers.iter().map(weights).sum();
        2 * (3 * all - self.layers.first().map_or(0, weights))
    }

    /// Creates a workspace for up to `max_samples` samples, in f32 or f64.
    pub fn workspace_of<R: LayerProducts>(&self, max_samples: usize) -> MlpWorkspace<R> {
        let room = |width: usize| vec![R::ZERO; max_samples * width];
        let hidden = &self.layers[..self.layers.len() - 1];
        let keeps_input = self.shape.activation.keeps() == DerivativeInput::Input;
        MlpWorkspace {
            outputs: self.layers.iter().map(|layer| room(layer.outputs)).collect(),
            kept: hidden.iter().map(|layer| room(if keeps_input { layer.outputs } else { 0 })).collect(),
            deltas: hidden.iter().map(|layer| room(layer.outputs)).collect(),
            panels: self.layers.iter().map(|_| Panels::default()).collect(),
            ends: Vec::with_capacity(max_samples),
            scratch: R::Scratch::default(),
        }
    }

    /// Computes the outputs Z_L, (B, K), of inputs (B, I); [`predict`](Self::predict) turns a row
    /// of them into predictions.
    ///
    /// # Panics
    ///
    /// If the inputs are not contiguous and row-major, are more than the workspace was created for,
    /// or do not have I columns; or if there are fewer params than the model has.
    pub fn outputs<'w, R: LayerProducts>(
        &self,
        params: &[R],
        inputs: ArrayView2<'_, R>,
        workspace: &'w mut MlpWorkspace<R>,
    ) -> ArrayViewMut2<'w, R> {
        let samples = inputs.nrows();
        self.forward(params, contiguous(&inputs), samples, workspace);
        let outputs = last(workspace, samples, self.shape.outputs);
        ArrayViewMut2::from_shape((samples, self.shape.outputs), outputs)
            .expect("the slice has samples × outputs values")
    }

    /// Converts the outputs of one sample to predictions: probabilities, or with mse values in the
    /// units of the targets.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    ///
    /// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
    /// let model = Mlp::new(MlpShape { inputs: 1, hidden, outputs: 1, activation, loss });
    /// let mut outputs = [1.5_f32];
    /// model.standardize_targets(&[100.0], &[10.0]).predict(&mut outputs);
    /// assert_eq!(outputs, [115.0]);
    /// ```
    pub fn predict<R: Real>(&self, outputs: &mut [R]) {
        match &self.targets {
            Some(scale) => scale.predict(outputs),
            None => self.shape.loss.predict(outputs),
        }
    }

    /// [`Model::gradient`](super::Model::gradient) in f32 or f64.
    pub fn gradient_of<R: LayerProducts>(
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
        let inputs = contiguous(&samples.inputs);
        self.forward(params, inputs, samples.len(), workspace);
        let outputs = last(workspace, samples.len(), self.shape.outputs);
        let loss_sum = self.loss_backward(outputs, samples, None);
        workspace.ends.clear();
        workspace.ends.push(samples.len());
        self.backward(params, samples.len(), workspace);
        self.params_gradient(inputs, grads, workspace);
        loss_sum
    }

    /// Returns the sum of the weighted losses, and replaces each output by ∂ℓ/∂z.
    fn loss_backward<R: Real>(&self, outputs: &mut [R], samples: &Samples<'_, R>, divisor: Option<R>) -> f64 {
        match &self.targets {
            Some(scale) => scale.backward(outputs, samples, divisor),
            None => self.shape.loss.backward(outputs, samples, divisor),
        }
    }

    /// Computes `workspace.outputs` from the first layer to the last.
    fn forward<R: LayerProducts>(
        &self,
        params: &[R],
        inputs: &[R],
        samples: usize,
        workspace: &mut MlpWorkspace<R>,
    ) {
        let MlpWorkspace { outputs, kept, scratch, .. } = workspace;
        for (l, place) in self.layers.iter().enumerate() {
            let (before, from) = outputs.split_at_mut(l);
            let inputs = before.last().map_or(inputs, |previous| &previous[..samples * place.inputs]);
            let outputs = &mut from[0][..samples * place.outputs];
            let activation = (l < kept.len()).then_some(self.shape.activation);
            // Z = A Wᵀ + b
            let epilogue =
                if activation == Some(Activation::Relu) { Epilogue::Relu } else { Epilogue::Identity };
            R::forward(place.layer(params), inputs, outputs, epilogue, scratch);
            if activation.is_some_and(|activation| activation.keeps() == DerivativeInput::Input) {
                kept[l][..outputs.len()].copy_from_slice(outputs);
            }
            // A = activation(Z)
            match activation {
                None | Some(Activation::Relu) => {}
                Some(activation) => activation.forward(outputs),
            }
        }
    }

    /// Computes `workspace.deltas` from the last layer to the first; ∂ℓ/∂Z_L is in the last element
    /// of `workspace.outputs`.
    fn backward<R: LayerProducts>(&self, params: &[R], samples: usize, workspace: &mut MlpWorkspace<R>) {
        let MlpWorkspace { outputs, kept, deltas, scratch, .. } = workspace;
        for (l, place) in self.layers.iter().enumerate().skip(1).rev() {
            let (before, delta) = deltas.split_at_mut(l);
            let delta = &delta.first().unwrap_or(&outputs[l])[..samples * place.outputs];
            let previous = &mut before[l - 1][..samples * place.inputs];
            // Z = A Wᵀ + b: ∂A = ∂Z W
            R::backward_inputs(place.layer(params), delta, previous, scratch);
            // A = activation(Z)
            let kept = match self.shape.activation.keeps() {
                DerivativeInput::Input => &kept[l - 1],
                DerivativeInput::Output => &outputs[l - 1],
            };
            self.shape.activation.backward(&kept[..previous.len()], previous);
        }
    }

    /// Writes `grads` of the current samples, whose deltas have been computed.
    fn params_gradient<R: LayerProducts>(
        &self,
        inputs: &[R],
        grads: &mut [R],
        workspace: &mut MlpWorkspace<R>,
    ) {
        // Moved out, because the rest of the workspace is read at the same time.
        let mut scratch = std::mem::take(&mut workspace.scratch);
        for (l, place) in self.layers.iter().enumerate() {
            let [delta, inputs] = workspace.rows(l, place.shape(), inputs);
            // Z = A Wᵀ + b: ∂W = ∂Zᵀ A, ∂b = Σ_B ∂Z
            let grads = grads[place.weight.start..place.bias.end].split_at_mut(place.weight.len());
            R::backward_params(delta, inputs, &workspace.ends, grads, &mut scratch);
        }
        workspace.scratch = scratch;
    }

    /// Runs the forward pass, the losses and the backward pass of shards: everything except the
    /// gradients of the params.
    fn propagate_shards(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        losses: &mut [f64],
        workspace: &mut MlpWorkspace,
    ) {
        let (samples, first, width) = (shards.all_samples(), shards.bounds[0], self.shape.outputs);
        workspace.ends.clear();
        workspace.ends.extend(shards.bounds[1..].iter().map(|bound| bound - first));
        if samples.is_empty() {
            return;
        }
        self.forward(params, contiguous(&samples.inputs), samples.len(), workspace);
        for (shard, loss) in losses.iter_mut().enumerate() {
            let rows = shards.bounds[shard] - first..shards.bounds[shard + 1] - first;
            let outputs = &mut last(workspace, rows.end, width)[rows.start * width..];
            let divisor = shards.divisors.map(|divisors| divisors[shard]);
            *loss = self.loss_backward(outputs, &samples.range(rows), divisor);
        }
        self.backward(params, samples.len(), workspace);
    }

    /// Returns an upper bound for all sums of the gradients of samples: |Σ ∂z a| ≤
    /// B·max|∂z|·max|a|, summed over the layers.
    fn bound(&self, inputs: &[f32], workspace: &MlpWorkspace) -> f64 {
        let samples = workspace.samples() as f64;
        let layers = self.layers.iter().enumerate().map(|(l, place)| {
            let [delta, inputs] = workspace.rows(l, place.shape(), inputs);
            let (delta, input) = (largest_magnitude(delta), largest_magnitude(inputs));
            // The 1 is the input of the bias.
            samples * f64::from(delta) * (f64::from(input) + 1.0)
        });
        // NaN propagates through the sum.
        layers.sum()
    }
}

/// Returns the B·K outputs of the last layer.
fn last<R: LayerProducts>(workspace: &mut MlpWorkspace<R>, samples: usize, outputs: usize) -> &mut [R] {
    let last = workspace.outputs.last_mut().expect("a perceptron has a layer");
    &mut last[..samples * outputs]
}

/// Returns the values of inputs (B, I), row by row.
fn contiguous<'a, R>(inputs: &ArrayView2<'a, R>) -> &'a [R] {
    inputs.to_slice().expect("the inputs are contiguous")
}

/// The buffers in which an [`Mlp`] computes. Rows past the current samples hold data of earlier
/// calls.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model, Samples, BatchTargets};
/// use phalanx::internals::{MlpWorkspace, Real};
///
/// fn sum<R: Real>(values: &[R]) -> R {
///     values.iter().copied().sum()
/// }
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 2, hidden, outputs: 2, activation, loss });
/// // Created once for the largest number of samples, and reused in each call.
/// let mut workspace: MlpWorkspace = model.workspace(1);
/// let inputs = array![[1.0, -1.0]];
/// let samples = Samples::new(inputs.view(), BatchTargets::Classes(&[0]));
/// let mut grads = [0.0; 6];
/// let loss = model.gradient(&[0.0; 6], &samples, &mut grads, &mut workspace);
/// assert!((loss - 2_f64.ln()).abs() < 1e-6);
/// assert_eq!(sum(&grads), 0.0);
/// ```
pub struct MlpWorkspace<R: LayerProducts = f32> {
    /// A_l of each layer, (B, O); for the last layer, Z_L and then ∂ℓ/∂Z_L.
    pub(super) outputs: Vec<Vec<R>>,
    /// Z_l of each hidden layer whose derivative is computed from its input; otherwise empty.
    pub(super) kept: Vec<Vec<R>>,
    /// ∂ℓ/∂Z_l of a hidden layer, (B, O).
    pub(super) deltas: Vec<Vec<R>>,
    /// A_{l−1} of each layer, packed, if the gradient is computed by segments of params.
    pub(super) panels: Vec<Panels>,
    /// The end of each shard among the current samples.
    pub(super) ends: Vec<usize>,
    pub(super) scratch: R::Scratch,
}

impl<R: LayerProducts> MlpWorkspace<R> {
    /// Returns the number of current samples.
    pub(super) fn samples(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Returns ∂ℓ/∂Z_l (B, O) and A_{l−1} (B, I) of the current samples, whose A_0 is `inputs`, for
    /// a layer of (I, O).
    pub(super) fn rows<'a>(&'a self, l: usize, (ins, outs): (usize, usize), inputs: &'a [R]) -> [&'a [R]; 2] {
        let inputs = if l == 0 { inputs } else { &self.outputs[l - 1] };
        [self.delta(l, outs), &inputs[..self.samples() * ins]]
    }

    /// Returns ∂ℓ/∂Z_l (B, O) of the current samples.
    pub(super) fn delta(&self, l: usize, outs: usize) -> &[R] {
        &self.deltas.get(l).unwrap_or(&self.outputs[l])[..self.samples() * outs]
    }
}

/// Adds ‖∂W_i‖² + ‖∂b_i‖² = |δ_i|² (|a_i|² + 1) to `squares[i]` for each row of ∂Z (B, O) and A (B,
/// I): for one sample, ∂W = δ aᵀ, whose sum of squares is the product of the sums of squares of δ
/// and a, and ∂b = δ.
///
/// Computed in f64, where the square of an f32 is exact, and in a fixed order: the bits of a row do
/// not depend on other rows. Goodfellow 2015, "Efficient per-example gradient computations",
/// arXiv:1510.01799.
pub(super) fn add_row_squares(
    d_outputs: &[f32],
    inputs: &[f32],
    (ins, outs): (usize, usize),
    squares: &mut [f64],
) {
    let rows = d_outputs.chunks_exact(outs).zip(inputs.chunks_exact(ins));
    vectorized(
        #[inline(always)]
        || {
            for ((delta, input), square) in rows.zip(squares) {
                *square += sum_of_squares(delta) * (sum_of_squares(input) + 1.0);
            }
        },
    );
}

/// The number of partial sums: two vectors of the widest machines, so that one addition need not
/// wait for the previous one.
const LANES: usize = 16;

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(x) * f64::from(x);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_squared_norm_of_a_sample_is_that_of_its_outer_product() {
        let (ins, outs, rows) = (37, 5, 3);
        let value = |i: usize| ((i * 31) % 17) as f32 - 8.0;
        let d_outputs: Vec<f32> = (0..rows * outs).map(value).collect();
        let inputs: Vec<f32> = (0..rows * ins).map(|i| value(i + 7)).collect();
        let mut found = vec![1.0; rows];
        add_row_squares(&d_outputs, &inputs, (ins, outs), &mut found);
        for (row, found) in found.iter().enumerate() {
            let (delta, input) = (&d_outputs[row * outs..][..outs], &inputs[row * ins..][..ins]);
            // Whole numbers, so that every order of summation is exact.
            let weight = delta.iter().flat_map(|d| input.iter().map(move |a| f64::from(d * a).powi(2)));
            let bias = delta.iter().map(|d| f64::from(*d).powi(2));
            assert_eq!(*found, 1.0 + weight.chain(bias).sum::<f64>());
        }
    }
}
