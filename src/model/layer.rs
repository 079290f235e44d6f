//! The matrix products of a layer for both number types: f32 with the kernels, f64 with ndarray.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::kernel::{Epilogue, Linear, Scratch, backward_bias, backward_weight};
use super::real::Real;

/// The weight (O, I) and bias (O) of a layer.
#[derive(Clone, Copy)]
pub struct Layer<'a, R> {
    pub(super) weight: &'a [R],
    pub(super) bias: &'a [R],
}

/// A number type in which layers can be computed. See [`kernel`](super::kernel) for the definition
/// of each product; all matrices are row-major.
pub trait LayerProducts: Real {
    /// Buffers that are reused by every call.
    type Scratch: Default + Send;

    /// Computes Z (B, O) = A (B, I) Wᵀ + b and applies the epilogue.
    fn forward(
        layer: Layer<'_, Self>,
        inputs: &[Self],
        outputs: &mut [Self],
        epilogue: Epilogue,
        scratch: &mut Self::Scratch,
    );

    /// Computes ∂A (B, I) = ∂Z (B, O) W.
    fn backward_inputs(
        layer: Layer<'_, Self>,
        d_outputs: &[Self],
        d_inputs: &mut [Self],
        scratch: &mut Self::Scratch,
    );

    /// Computes ∂W (O, I) = ∂Zᵀ A followed by ∂b (O) = Σ ∂Z, contiguous in `grads`; shards are
    /// combined in the tree, and shard s ends before row `ends[s]`.
    fn backward_params(
        d_outputs: &[Self],
        inputs: &[Self],
        ends: &[usize],
        grads: (&mut [Self], &mut [Self]),
        scratch: &mut Self::Scratch,
    );
}

impl LayerProducts for f32 {
    type Scratch = Scratch;

    fn forward(
        layer: Layer<'_, f32>,
        inputs: &[f32],
        outputs: &mut [f32],
        epilogue: Epilogue,
        scratch: &mut Scratch,
    ) {
        Linear::new(layer.weight, layer.bias).forward(inputs, outputs, epilogue, scratch);
    }

    fn backward_inputs(
        layer: Layer<'_, f32>,
        d_outputs: &[f32],
        d_inputs: &mut [f32],
        scratch: &mut Scratch,
    ) {
        Linear::new(layer.weight, layer.bias).backward_inputs(d_outputs, d_inputs, scratch);
    }

    fn backward_params(
        d_outputs: &[f32],
        inputs: &[f32],
        ends: &[usize],
        (d_weight, d_bias): (&mut [f32], &mut [f32]),
        scratch: &mut Scratch,
    ) {
        backward_weight(d_outputs, inputs, ends, d_weight, scratch);
        backward_bias(d_outputs, ends, d_bias, scratch);
    }
}

/// The reference formulas, for gradient checks; one shard at a time.
impl LayerProducts for f64 {
    type Scratch = ();

    fn forward(layer: Layer<'_, f64>, inputs: &[f64], outputs: &mut [f64], epilogue: Epilogue, (): &mut ()) {
        let out = layer.bias.len();
        let weight = view(layer.weight, layer.weight.len() / out);
        general_mat_mul(
            1.0,
            &view(inputs, weight.ncols()),
            &weight.reversed_axes(),
            0.0,
            &mut view_mut(outputs, out),
        );
        for row in outputs.chunks_exact_mut(out) {
            for (value, bias) in row.iter_mut().zip(layer.bias) {
                *value += bias;
                if epilogue == Epilogue::Relu && *value < 0.0 {
                    *value = 0.0;
                }
            }
        }
    }

    fn backward_inputs(layer: Layer<'_, f64>, d_outputs: &[f64], d_inputs: &mut [f64], (): &mut ()) {
        let (out, ins) = (layer.bias.len(), layer.weight.len() / layer.bias.len());
        general_mat_mul(
            1.0,
            &view(d_outputs, out),
            &view(layer.weight, ins),
            0.0,
            &mut view_mut(d_inputs, ins),
        );
    }

    fn backward_params(
        d_outputs: &[f64],
        inputs: &[f64],
        ends: &[usize],
        (d_weight, d_bias): (&mut [f64], &mut [f64]),
        (): &mut (),
    ) {
        assert_eq!(ends.len(), 1, "f64 gradients are computed one shard at a time");
        let (out, ins) = (d_bias.len(), d_weight.len() / d_bias.len());
        let d_outputs_t = view(d_outputs, out).reversed_axes();
        general_mat_mul(1.0, &d_outputs_t, &view(inputs, ins), 0.0, &mut view_mut(d_weight, ins));
        d_bias.fill(0.0);
        for row in d_outputs.chunks_exact(out) {
            d_bias.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// Views values as (length/columns, columns).
fn view<R>(values: &[R], columns: usize) -> ArrayView2<'_, R> {
    ArrayView2::from_shape((values.len() / columns, columns), values)
        .expect("the length is a multiple of `columns`")
}

/// Views values as (length/columns, columns), mutably.
fn view_mut<R>(values: &mut [R], columns: usize) -> ArrayViewMut2<'_, R> {
    ArrayViewMut2::from_shape((values.len() / columns, columns), values)
        .expect("the length is a multiple of `columns`")
}
