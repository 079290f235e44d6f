//! What a multi-layer perceptron computes in.

use super::kernel::Panels;
use super::layer::LayerProducts;

/// What [`Mlp`](super::Mlp) computes in. Rows beyond those of the samples in hand are left over from other calls.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, MlpWorkspace, Model, Real, Samples, Targets};
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
/// let samples = Samples { inputs: inputs.view(), targets: Targets::Classes(&[0]), weights: None };
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
    /// Where each shard ends among the samples in hand.
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
