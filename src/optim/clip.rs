//! Sums of squares in one fixed order, and clipping by the global norm.

use crate::simd::vectorized;

/// Partial sums of [`sum_of_squares`]: enough for the compiler to keep four two-wide adders busy.
const LANES: usize = 8;

/// Σ x² in `f64`, in one fixed order whatever the machine.
///
/// Element i goes to lane i mod 8; lanes are added as ((0+4)+(2+6)) + ((1+5)+(3+7)). The square of an `f32` is exact in
/// `f64`, so that only additions round. Multiplying all values by a power of two multiplies the sum by its square,
/// exactly.
///
/// # Examples
/// ```
/// assert_eq!(phalanx::optim::sum_of_squares(&[3.0, -4.0]), 25.0);
/// ```
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    vectorized(
        #[inline(always)]
        || sum_in_lanes(values),
    )
}

#[inline(always)]
fn sum_in_lanes(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for (lane, &x) in lanes.iter_mut().zip(row) {
            *lane += square(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += square(x);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[inline(always)]
fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// √(Σ block sums), added in index order: the norm of the params or grads that the blocks cover.
///
/// # Examples
/// ```
/// assert_eq!(phalanx::optim::norm_of_squares(&[9.0, 16.0]), 5.0);
/// ```
#[must_use]
pub fn norm_of_squares(block_sums: &[f64]) -> f64 {
    block_sums.iter().sum::<f64>().sqrt()
}

/// min(1, max_norm/norm): what to multiply grads of this global norm by, with [`scale_grads`], so that it is at most
/// `max_norm`.
///
/// There is no ε: PyTorch's `clip_grad_norm_` divides by norm + 1e-6, which is not the same rule for sums as for means
/// and shortens grads that are within the bound. Under a sum over m samples the bound is m times the bound of the mean.
/// A norm that is NaN gives NaN, an infinite one 0 (and 0·∞ is NaN): bad grads stay visible.
///
/// # Panics
/// If `max_norm` is not above 0.
///
/// # Examples
/// ```
/// use phalanx::optim::clip_factor;
///
/// assert_eq!(clip_factor(4.0, 1.0), 0.25);
/// assert_eq!(clip_factor(0.5, 1.0), 1.0);
/// ```
#[must_use]
pub fn clip_factor(norm: f64, max_norm: f64) -> f32 {
    assert!(max_norm > 0.0, "grads cannot be clipped to a norm of {max_norm:?}");
    if norm <= max_norm { 1.0 } else { (max_norm / norm) as f32 }
}

/// Multiplies grads by a factor, such as that of [`clip_factor`].
///
/// # Examples
///
/// ```
/// use phalanx::optim::{clip_factor, scale_grads, sum_of_squares};
///
/// let mut grads = [3.0, 4.0];
/// let norm = sum_of_squares(&grads).sqrt();
/// scale_grads(&mut grads, clip_factor(norm, 2.5));
/// assert_eq!(grads, [1.5, 2.0]);
/// ```
pub fn scale_grads(grads: &mut [f32], factor: f32) {
    vectorized(
        #[inline(always)]
        || grads.iter_mut().for_each(|g| *g *= factor),
    );
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sum_of_squares_has_the_bits_of_its_slow_definition(values in prop::collection::vec(-1e3_f32..1e3, 0..300)) {
            prop_assert_eq!(sum_of_squares(&values).to_bits(), reference::sum_of_squares(&values).to_bits());
        }

        #[test]
        fn sum_of_squares_scales_exactly_by_powers_of_two(values in prop::collection::vec(-1e3_f32..1e3, 0..300)) {
            let scaled: Vec<f32> = values.iter().map(|x| 64.0 * x).collect();
            prop_assert_eq!(sum_of_squares(&scaled).to_bits(), (4096.0 * sum_of_squares(&values)).to_bits());
        }

        #[test]
        fn clipped_grads_have_the_bound_for_norm(values in prop::collection::vec(-1e3_f32..1e3, 1..300), bound in 0.1..10.0) {
            let norm = sum_of_squares(&values).sqrt();
            let mut grads = values.clone();
            scale_grads(&mut grads, clip_factor(norm, bound));
            let clipped = sum_of_squares(&grads).sqrt();
            prop_assert!((clipped - norm.min(bound)).abs() <= 1e-6 * bound.max(clipped));
        }
    }

    #[test]
    fn sums_of_values_beyond_the_range_of_f32_squares_stay_finite() {
        assert_eq!(sum_of_squares(&[1e30, 1e-30]), f64::from(1e30_f32).powi(2));
        assert!(sum_of_squares(&[1e-30]) > 0.0);
    }

    #[test]
    fn bad_norms_give_factors_that_keep_them_visible() {
        assert!(clip_factor(f64::NAN, 1.0).is_nan());
        assert_eq!(clip_factor(f64::INFINITY, 1.0), 0.0);
        assert_eq!(clip_factor(0.0, 1.0), 1.0);
        assert_eq!(clip_factor(1.0, 1.0), 1.0);
    }

    #[test]
    #[should_panic(expected = "clipped to a norm of 0")]
    fn a_bound_of_zero_is_a_bug() {
        let _ = clip_factor(1.0, 0.0);
    }
}
