//! The size of values.

use crate::vectorized::vectorized;

/// The largest magnitude among the values; NaN if one is NaN, and 0 of none.
///
/// By the bits, whose order is that of magnitudes with NaN above infinity: without branches, so that it takes many values
/// at a time.
pub(super) fn largest_magnitude(values: &[f32]) -> f32 {
    let magnitude = |value: &f32| (value.to_bits() & 0x7fff_ffff) as i32;
    let largest = vectorized(
        #[inline(always)]
        || values.iter().fold(0, |largest, value| largest.max(magnitude(value))),
    );
    f32::from_bits(largest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_magnitude_is_that_of_either_sign_and_a_nan_is_not_lost() {
        assert_eq!(largest_magnitude(&[]), 0.0);
        assert_eq!(largest_magnitude(&[1.0, -3.0, 2.0]), 3.0);
        assert_eq!(largest_magnitude(&[1.0, f32::NEG_INFINITY]), f32::INFINITY);
        assert!(largest_magnitude(&[f32::INFINITY, -f32::NAN, 1.0]).is_nan());
    }
}
