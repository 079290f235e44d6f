//! The products of a layer in f32. The bits of a result depend neither on the number of rows in a
//! call nor on which thread computes them.
//!
//! With the letters of [`model`](super), W (O, I) and b (O) as PyTorch's `Linear` stores them:
//!
//! | kernel | writes | sums over |
//! |---|---|---|
//! | [`Linear::forward`] | Z (B, O) = A Wᵀ + b, optionally with relu | I, starting from b |
//! | [`Linear::backward_inputs`] | ∂A (B, I) = ∂Z W | O |
//! | [`backward_weight`] | ∂W (O, I) = ∂Zᵀ A, shard by shard, in the tree | the rows of a shard |
//! | [`backward_bias`] | ∂b (O) = Σ_B ∂Z, shard by shard, in the tree | the rows of a shard |
//!
//! # Order
//!
//! Each element is one *chain*: it starts from 0 or from the bias, and the products are added one
//! after another. Each addition rounds once if the machine has a fused multiply-add (x86-64 with
//! AVX2 and FMA, aarch64), and twice otherwise. All instruction sets with such an instruction give
//! the same bits; those without it give different bits.
//!
//! A chain is independent of its neighbours. Therefore the rows of a call may be split, joined or
//! moved to another position in another call; tiles, blocks and edges determine only which chains
//! are computed at the same time and where their intermediate values are stored, so they can be
//! chosen for speed, even based on the number of rows.
//!
//! A gradient is a sum over samples, whose order would depend on which thread owns which samples.
//! Therefore it is split at the shards: the sum of each shard is a chain that starts from 0, and
//! the sums are combined in the fixed binary tree over the shards, left + right. The thread that
//! owns all shards below a node of the tree computes the value of the node in one call.
//!
//! # Speed
//!
//! A *tile* of up to 6 × 16 elements, or 12 × 32 with AVX-512, is held in registers. One operand is
//! packed into *panels* of sixteen columns, so that the inner loop reads memory in order; of the
//! other operand, it reads one value per row of the tile. Sums of shards that wait for their right
//! neighbour are tiles in the first-level cache: a gradient is computed once, whatever the number
//! of shards. Everything is compiled once per instruction set, and the best one is chosen at run
//! time.
//!
//! [`weight_gradient`] and [`bias_gradient`] compute a part of a gradient from the rows of all
//! ranks, each of which has packed its own rows as [`Panels`], and pass it on while it is in the
//! cache.
//!
//! # Examples
//!
//! ```
//! use phalanx::internals::kernel::{Epilogue, Linear, Scratch, backward_bias, backward_weight};
//!
//! // Two inputs, one output: z = 2 a_0 + 3 a_1 + 1.
//! let (layer, mut scratch) = (Linear::new(&[2.0, 3.0], &[1.0]), Scratch::default());
//! let (inputs, mut outputs) = ([1.0, 1.0, 0.0, -1.0, 5.0, 0.0], [0.0; 3]);
//! layer.forward(&inputs, &mut outputs, Epilogue::Relu, &mut scratch);
//! assert_eq!(outputs, [6.0, 0.0, 11.0]);
//!
//! // The first shard has two samples, the second has one.
//! let (d_outputs, ends) = ([1.0, 0.0, 1.0], [2, 3]);
//! let (mut d_weight, mut d_bias) = ([0.0; 2], [0.0]);
//! backward_weight(&d_outputs, &inputs, &ends, &mut d_weight, &mut scratch);
//! backward_bias(&d_outputs, &ends, &mut d_bias, &mut scratch);
//! assert_eq!((d_weight, d_bias), ([6.0, 1.0], [2.0]));
//! ```

mod gradient;
mod panels;
mod rows;
mod tile;

pub use gradient::{ShardRows, backward_bias, backward_weight, bias_gradient, weight_gradient};
pub use panels::{Panels, Scratch};
pub use rows::{Epilogue, Linear};

#[cfg(test)]
mod tests {
    use super::gradient::Gradient;
    use super::rows::{InputGradient, RowProduct};
    use super::*;
    use crate::simd::{Arithmetic, SeparateArithmetic, WideArithmetic};

    const ROWS: usize = 45;

    /// Two blocks of depth, and an odd number of panels, so that one has no neighbour.
    const INS: usize = 584;

    const OUTS: usize = 70;

    fn thirds(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i % 101) as f32 / 3.0 - 16.0).collect()
    }

    /// Returns outputs, gradients of inputs and the gradient of the weight.
    fn results(arithmetic: impl Arithmetic) -> [Vec<f32>; 3] {
        let (inputs, weight, d_outputs) = (thirds(ROWS * INS), thirds(INS * OUTS), thirds(ROWS * OUTS));
        let (mut scratch, mut packed) = (Scratch::default(), Panels::default());
        let mut outputs = vec![0.0; ROWS * OUTS];
        arithmetic.run(RowProduct {
            inputs: &inputs,
            weight: &weight,
            bias: &thirds(OUTS),
            epilogue: Epilogue::Relu,
            outputs: &mut outputs,
            scratch: &mut scratch,
        });
        let mut d_inputs = vec![0.0; ROWS * INS];
        arithmetic.run(InputGradient {
            d_outputs: &d_outputs,
            weight: &weight,
            outs: OUTS,
            d_inputs: &mut d_inputs,
            scratch: &mut scratch,
        });
        let (ends, mut d_weight) = ([8, 16, 17, 30, 45], vec![0.0; OUTS * INS]);
        packed.pack(&inputs, (ROWS, INS));
        arithmetic.run(Gradient {
            parts: std::iter::once(ShardRows { d_outputs: &d_outputs, inputs: &packed, ends: &ends }),
            shape: (OUTS, INS),
            rows: 0..OUTS,
            columns: 0..INS,
            scratch: &mut scratch,
            sink: &mut |range, values| d_weight[range].copy_from_slice(values),
        });
        [outputs, d_inputs, d_weight]
    }

    #[test]
    fn all_sizes_of_tiles_give_the_same_bits() {
        assert_eq!(results(WideArithmetic), results(SeparateArithmetic));
        #[cfg(target_arch = "x86_64")]
        if let (Some(avx512), Some(avx2)) = (crate::simd::Avx512::detect(), crate::simd::Avx2::detect()) {
            assert_eq!(results(avx512), results(avx2));
        }
    }
}
