//! What a multi-layer perceptron computes in.

use super::kernel::Panels;
use super::layer::LayerProducts;

/// What [`Mlp`](super::Mlp) computes in. Rows beyond those of the samples in hand are left over from other calls.
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
