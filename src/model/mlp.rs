//! The multi-layer perceptron: its shape, where its layers lie in the params, the forward and the backward pass.

mod as_model;

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::activation::{Activation, DerivativeInput};
use super::fused::ShardRun;
use super::kernel::{Epilogue, Panels};
use super::layer::{Layer, LayerProducts};
use super::loss::{Loss, TargetScale};
use super::real::Real;
use super::samples::{DataMismatch, Samples};
use crate::num::largest_magnitude;
use crate::simd::vectorized;

/// The shape of an [`Mlp`]; a model file carries it.
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
    /// The loss function.
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
    pub(super) fn widths(&self) -> Vec<usize> {
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
/// layer, which passes no gradient on. A workspace holds about B numbers for each output of a layer, B more for
/// each hidden one, and with gelu as many again.
#[derive(Clone, Debug)]
pub struct Mlp {
    shape: MlpShape,
    layers: Vec<LayerSpan>,
    targets: Option<TargetScale>,
}

/// The most values of samples that a rank reads for each param, rather than gradients: they come from another core, as the
/// gradients would, but spare them being written and read twice. 784-128-10 with 128 samples has 1.3 and gains, softmax
/// regression with 128 has 13 and would take a fourth longer.
const ROWS_FOR_PARAMS: usize = 4;

/// The place of one layer in the flat params.
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
                LayerSpan { inputs: pair[0], outputs: pair[1], weight, bias }
            })
            .collect();
        Self { shape, layers, targets: None }
    }

    /// Sets the mean m_k and the standard deviation s_k that the model standardizes each target k by.
    ///
    /// The model then learns (t_k − m_k)/s_k: its gradient is that of the mean squared error of these, so that learning rates do not
    /// depend on the units of the targets. Data stays as it is, and losses, scores and [predictions](Self::predict) are in its units:
    /// the reported loss is (1/K) Σ_k s_k² e_k², with e_k the error in deviations. For one output that is s² times the loss that is
    /// minimized; several outputs count alike in the gradient, and by their variance in the reported loss.
    ///
    /// # Panics
    ///
    /// Unless the loss is mse, and `mean` and `std` have a finite value for each output, those of `std` above 0.
    ///
    /// # Cost
    ///
    /// A division for each output of a sample.
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
    /// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::Mse);
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
        assert_eq!(self.shape.loss, Loss::Mse, "only the targets of mse are standardized");
        let targets = Some(TargetScale::new(mean, std, self.shape.outputs));
        Self { targets, ..self }
    }

    /// The shape of the model.
    pub fn shape(&self) -> &MlpShape {
        &self.shape
    }

    /// Floating-point operations that the gradient of one sample takes in matrix products: 2·(3P − P_1), as forward,
    /// ∂W and ∂A take 2 a weight each, and the first layer passes no ∂A on.
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

    /// Checks the number of features of samples to predict.
    ///
    /// # Errors
    ///
    /// [`DataMismatch::Features`] if the model takes another number.
    pub fn check_features(&self, found: usize) -> Result<(), DataMismatch> {
        let expected = self.shape.inputs;
        if found == expected { Ok(()) } else { Err(DataMismatch::Features { found, expected }) }
    }

    /// Makes a workspace for up to `max_samples` samples, in f32 or f64.
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

    /// Computes the outputs Z_L, (B, K), of inputs (B, I); [`predict`](Self::predict) turns a row of them into predictions.
    pub fn outputs<'w, R: LayerProducts>(
        &self,
        params: &[R],
        inputs: ArrayView2<'_, R>,
        workspace: &'w mut MlpWorkspace<R>,
    ) -> ArrayViewMut2<'w, R> {
        let samples = inputs.nrows();
        self.forward(params, contiguous(&inputs), samples, workspace);
        let outputs = last(workspace, samples, self.shape.outputs);
        ArrayViewMut2::from_shape((samples, self.shape.outputs), outputs).expect("as many outputs as samples")
    }

    /// Turns the outputs of one sample into what a user asks for: probabilities, or with mse values in the units of the targets.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    ///
    /// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::Mse);
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

    /// Adds up the weighted losses, and replaces each output by ∂ℓ/∂z.
    fn loss_backward<R: Real>(&self, outputs: &mut [R], samples: &Samples<'_, R>, divisor: Option<R>) -> f64 {
        match &self.targets {
            Some(scale) => scale.backward(outputs, samples, divisor),
            None => self.shape.loss.backward(outputs, samples, divisor),
        }
    }

    /// Fills `workspace.outputs` from the first layer to the last.
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

    /// Fills `workspace.deltas` from the last layer to the first; ∂ℓ/∂Z_L is in the last of `workspace.outputs`.
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

    /// Writes `grads` of the samples in hand, whose deltas are known.
    fn params_gradient<R: LayerProducts>(
        &self,
        inputs: &[R],
        grads: &mut [R],
        workspace: &mut MlpWorkspace<R>,
    ) {
        // Taken out, as the rest is read meanwhile.
        let mut scratch = std::mem::take(&mut workspace.scratch);
        for (l, place) in self.layers.iter().enumerate() {
            let [delta, inputs] = workspace.rows(l, place.shape(), inputs);
            // Z = A Wᵀ + b: ∂W = ∂Zᵀ A, ∂b = Σ_B ∂Z
            let grads = grads[place.weight.start..place.bias.end].split_at_mut(place.weight.len());
            R::backward_params(delta, inputs, &workspace.ends, grads, &mut scratch);
        }
        workspace.scratch = scratch;
    }

    /// Forward, losses and backward of shards: all but the gradients.
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

    /// Returns a bound of all sums of samples' gradients: |Σ ∂z a| ≤ B·max|∂z|·max|a|, added up over the layers.
    fn bound(&self, inputs: &[f32], workspace: &MlpWorkspace) -> f64 {
        let samples = workspace.samples() as f64;
        let layers = self.layers.iter().enumerate().map(|(l, place)| {
            let [delta, inputs] = workspace.rows(l, place.shape(), inputs);
            let (delta, input) = (largest_magnitude(delta), largest_magnitude(inputs));
            // The 1 is what a bias is multiplied by.
            samples * f64::from(delta) * (f64::from(input) + 1.0)
        });
        // A NaN is not lost in a sum.
        layers.sum()
    }
}

/// The outputs of the last layer, B·K of them.
fn last<R: LayerProducts>(workspace: &mut MlpWorkspace<R>, samples: usize, outputs: usize) -> &mut [R] {
    let last = workspace.outputs.last_mut().expect("a perceptron has a layer");
    &mut last[..samples * outputs]
}

/// The values of inputs (B, I), row after row.
fn contiguous<'a, R>(inputs: &ArrayView2<'a, R>) -> &'a [R] {
    inputs.to_slice().expect("the rows of inputs follow one another")
}

/// The buffers in which an [`Mlp`] computes. Rows beyond those of the samples in hand are left over from other calls.
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
/// // Made once for the largest number of samples, used again in each call.
/// let mut workspace: MlpWorkspace = model.workspace(1);
/// let inputs = array![[1.0, -1.0]];
/// let samples = Samples { inputs: inputs.view(), targets: BatchTargets::Classes(&[0]), weights: None };
/// let mut grads = [0.0; 6];
/// let loss = model.gradient(&[0.0; 6], &samples, &mut grads, &mut workspace);
/// assert!((loss - 2_f64.ln()).abs() < 1e-6);
/// assert_eq!(sum(&grads), 0.0);
/// ```
pub struct MlpWorkspace<R: LayerProducts = f32> {
    /// A_l of each layer, (B, O); of the last layer Z_L and then ∂ℓ/∂Z_L.
    pub(super) outputs: Vec<Vec<R>>,
    /// Z_l of each hidden layer whose activation keeps its input; otherwise empty.
    pub(super) kept: Vec<Vec<R>>,
    /// ∂ℓ/∂Z_l of a hidden layer, (B, O).
    pub(super) deltas: Vec<Vec<R>>,
    /// A_{l−1} of each layer, packed, if the gradient is cut by params.
    pub(super) panels: Vec<Panels>,
    /// The end of each shard among the current samples.
    pub(super) ends: Vec<usize>,
    pub(super) scratch: R::Scratch,
}

impl<R: LayerProducts> MlpWorkspace<R> {
    /// Samples in hand.
    pub(super) fn samples(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// ∂ℓ/∂Z_l (B, O) and A_{l−1} (B, I) of the samples in hand, whose A_0 is `inputs`, for a layer of (I, O).
    pub(super) fn rows<'a>(&'a self, l: usize, (ins, outs): (usize, usize), inputs: &'a [R]) -> [&'a [R]; 2] {
        let inputs = if l == 0 { inputs } else { &self.outputs[l - 1] };
        [self.delta(l, outs), &inputs[..self.samples() * ins]]
    }

    /// ∂ℓ/∂Z_l (B, O) of the samples in hand.
    pub(super) fn delta(&self, l: usize, outs: usize) -> &[R] {
        &self.deltas.get(l).unwrap_or(&self.outputs[l])[..self.samples() * outs]
    }
}

/// The ChaCha stream of initial params. Of the same seed, sample orders use the streams 0, 1, 2 ..., one an epoch, and the
/// split of a test part the last one.
const STREAM: u64 = u64::MAX - 1;

/// Draws numbers of U(−bound, bound) from a seed; ChaCha8's values are promised to be the same on all machines and
/// in all versions of the crate.
pub(super) struct Uniform(ChaCha8Rng);

impl Uniform {
    pub(super) fn new(seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(STREAM);
        Self(generator)
    }

    /// Fills `params` with 2·bound·(u − ½), u one of the 2²⁴ multiples of 2⁻²⁴ in [0, 1).
    pub(super) fn fill(&mut self, params: &mut [f32], bound: f32) {
        for param in params {
            let unit = (self.0.next_u32() >> 8) as f32 * 2.0_f32.powi(-24);
            *param = (unit - 0.5) * (2.0 * bound);
        }
    }
}

/// Adds ‖∂W_i‖² + ‖∂b_i‖² = |δ_i|² (|a_i|² + 1) to `squares[i]` for each row of ∂Z (B, O) and A (B, I): of one sample
/// ∂W = δ aᵀ, whose squares add up to the product of both sums, and ∂b = δ.
///
/// In f64, where the square of an f32 is exact, and in one order: the bits of a row do not depend on the others. Goodfellow 2015,
/// "Efficient per-example gradient computations", arXiv:1510.01799.
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

/// Partial sums: two vectors of the widest machines, so that one addition need not wait for the last.
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
    fn the_square_of_a_sample_is_that_of_its_outer_product() {
        let (ins, outs, rows) = (37, 5, 3);
        let value = |i: usize| ((i * 31) % 17) as f32 - 8.0;
        let d_outputs: Vec<f32> = (0..rows * outs).map(value).collect();
        let inputs: Vec<f32> = (0..rows * ins).map(|i| value(i + 7)).collect();
        let mut found = vec![1.0; rows];
        add_row_squares(&d_outputs, &inputs, (ins, outs), &mut found);
        for (row, found) in found.iter().enumerate() {
            let (delta, input) = (&d_outputs[row * outs..][..outs], &inputs[row * ins..][..ins]);
            // Whole numbers, so that any order is exact.
            let weight = delta.iter().flat_map(|d| input.iter().map(move |a| f64::from(d * a).powi(2)));
            let bias = delta.iter().map(|d| f64::from(*d).powi(2));
            assert_eq!(*found, 1.0 + weight.chain(bias).sum::<f64>());
        }
    }
}
