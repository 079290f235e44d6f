//! How long the gradients of single samples are, without computing them.

use crate::vectorized::vectorized;

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
