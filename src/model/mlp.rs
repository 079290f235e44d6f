//! The multi-layer perceptron.

mod as_model;

use std::ops::Range;

use super::activation::Keeps;
use super::kernel::{Epilogue, Panels};
use super::layer::{Layer, LayerProducts};
use super::magnitude::largest_magnitude;
use super::target_scale::TargetScale;
use super::{Activation, Loss, Misfit, MlpShape, MlpWorkspace, Real, Samples, ShardRun};
use ndarray::{ArrayView2, ArrayViewMut2};

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
    layers: Vec<Place>,
    targets: Option<TargetScale>,
}

/// How many values of samples may be read by a rank for each param, rather than gradients: they come from another core, as the
/// gradients would, but spare them being written and read twice. 784-128-10 with 128 samples has 1.3 and gains, softmax
/// regression with 128 has 13 and would take a fourth longer.
const ROWS_FOR_PARAMS: usize = 4;

/// Where one layer lies in the flat params.
#[derive(Clone, Debug)]
struct Place {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Place {
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
                Place { inputs: pair[0], outputs: pair[1], weight, bias }
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

    /// What it is made of.
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
        let weights = |layer: &Place| layer.weight.len() as u64;
        let all: u64 = self.layers.iter().map(weights).sum();
        2 * (3 * all - self.layers.first().map_or(0, weights))
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
    pub fn workspace_of<R: LayerProducts>(&self, max_samples: usize) -> MlpWorkspace<R> {
        let room = |width: usize| vec![R::ZERO; max_samples * width];
        let hidden = &self.layers[..self.layers.len() - 1];
        let keeps_input = self.shape.activation.keeps() == Keeps::Input;
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
            if activation.is_some_and(|activation| activation.keeps() == Keeps::Input) {
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
                Keeps::Input => &kept[l - 1],
                Keeps::Output => &outputs[l - 1],
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

    /// What no sum of some samples' gradients exceeds: |Σ ∂z a| ≤ B·max|∂z|·max|a|, added up over the layers.
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
