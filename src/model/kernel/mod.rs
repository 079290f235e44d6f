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
//! other operand, it reads one value per row of the tile. Sums of shards that
//! wait for their right neighbour are tiles in the first-level cache: a gradient is computed once,
//! whatever the number of shards. Everything is compiled once per instruction set, and the best one
//! is chosen at run time.
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

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::gradient::Gradient;
    use super::rows::{InputGradient, RowProduct};
    use super::*;
    use crate::simd::{Arithmetic as _, Avx2, Avx512};

    const ROWS: usize = 45;

    const INS: usize = 600;

    const OUTS: usize = 70;

    fn thirds(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i % 101) as f32 / 3.0 - 16.0).collect()
    }

    #[test]
    fn avx_512_gives_the_bits_of_avx2() {
        let (Some(avx512), Some(avx2)) = (Avx512::detect(), Avx2::detect()) else { return };
        let (weight, bias) = (thirds(INS * OUTS), thirds(OUTS));
        let outputs = |arithmetic: &dyn Fn(RowProduct<'_>)| {
            let mut outputs = vec![0.0; ROWS * OUTS];
            arithmetic(RowProduct {
                inputs: &thirds(ROWS * INS),
                weight: &weight,
                bias: &bias,
                epilogue: Epilogue::Relu,
                outputs: &mut outputs,
                scratch: &mut Scratch::default(),
            });
            outputs
        };
        assert_eq!(outputs(&|product| avx512.run(product)), outputs(&|product| avx2.run(product)));
        let gradient = |arithmetic: &dyn Fn(InputGradient<'_>)| {
            let mut d_inputs = vec![0.0; ROWS * INS];
            arithmetic(InputGradient {
                d_outputs: &thirds(ROWS * OUTS),
                weight: &weight,
                outs: OUTS,
                d_inputs: &mut d_inputs,
                scratch: &mut Scratch::default(),
            });
            d_inputs
        };
        assert_eq!(gradient(&|product| avx512.run(product)), gradient(&|product| avx2.run(product)));
        let (d_outputs, inputs, ends) = (thirds(ROWS * OUTS), thirds(ROWS * INS), [8, 16, 17, 30, 45]);
        let (mut found, mut expected) = (vec![0.0; OUTS * INS], vec![0.0; OUTS * INS]);
        let (mut scratch, mut packed) = (Scratch::default(), Panels::default());
        packed.pack(&inputs, (ROWS, INS));
        avx2.run(Gradient {
            parts: std::iter::once(ShardRows { d_outputs: &d_outputs, inputs: &packed, ends: &ends }),
            shape: (OUTS, INS),
            rows: 0..OUTS,
            columns: 0..INS,
            scratch: &mut scratch,
            sink: &mut |range, values| expected[range].copy_from_slice(values),
        });
        backward_weight(&d_outputs, &inputs, &ends, &mut found, &mut scratch);
        assert_eq!(found, expected);
    }
}
