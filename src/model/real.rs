//! The number types of the arithmetic: f32 for training, f64 for gradient checks.
//!
//! The elementary functions are implemented here or come from the crate `libm`, not from the C
//! library of the machine, so the bits of a run depend only on the program. The f32 functions `exp`
//! and `tanh` have no branches and no fused multiply-adds, so they vectorize and give the same bits
//! with any instruction set.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// f32 or f64; no other type implements the layer products.
pub trait Real:
    sealed::Sealed
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Returns the nearest value to `value`.
    fn from_f64(value: f64) -> Self;
    /// Returns the value as f64, exactly.
    fn to_f64(self) -> f64;
    /// |x|.
    fn abs(self) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// ln(x).
    fn ln(self) -> Self;
    /// ln(1 + x).
    fn ln_1p(self) -> Self;
    /// tanh(x).
    fn tanh(self) -> Self;
    /// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
    fn erf(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp(self)
    }
    fn ln(self) -> Self {
        libm::logf(self)
    }
    fn ln_1p(self) -> Self {
        libm::log1pf(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        tanh(self)
    }
    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn abs(self) -> Self {
        f64::abs(self)
    }
    fn exp(self) -> Self {
        libm::exp(self)
    }
    fn ln(self) -> Self {
        libm::log(self)
    }
    fn ln_1p(self) -> Self {
        libm::log1p(self)
    }
    fn tanh(self) -> Self {
        libm::tanh(self)
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// eˣ = 2ⁿ eʳ with n = round(x / ln 2) and |r| ≤ ln(2)/2; eʳ is computed by its Taylor polynomial
/// of degree 7, whose error in that range, (ln(2)/2)⁸/8! ≈ 5e-9, is below half an ulp of f32.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves no bits for a fraction: the sum is rounded to an integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has 9 significant bits, so that n times it is exact for |n| <
    // 2¹⁵.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Outside these bounds the result is 0 or infinite; clamp keeps NaN, which the polynomial
    // propagates.
    let bounded = x.clamp(-104.0, 89.0);
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut power = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + coefficient;
    }
    // 2ⁿ as two factors, because n reaches 128 and −150, outside the exponent range of a normal
    // f32.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    power * power_of_two(half) * power_of_two(n - half)
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// tanh x = ±(1 − t)/(1 + t) with t = exp(−2|x|); below 0.35, where the difference would lose
/// precision, the Taylor polynomial up to x¹¹ (relative error below 3e-8 in that range).
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let t = exp(-2.0 * x.abs());
    let far = ((1.0 - t) / (1.0 + t)).copysign(x);
    let square = x * x;
    let mut series = -1382.0 / 155_925.0;
    for coefficient in [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0, 1.0] {
        series = series * square + coefficient;
    }
    if x.abs() < 0.35 { series * x } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(found: f32, expected: f64) -> f64 {
        let ulp = f64::from(f32::from_bits((expected.abs() as f32).to_bits() + 1))
            - f64::from(expected.abs() as f32);
        (f64::from(found) - expected).abs() / ulp
    }

    fn worst(range: std::ops::Range<i32>, scale: f32, of: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        range.map(|k| k as f32 * scale).map(|x| ulps(of(x), truth(f64::from(x)))).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_two_ulps_over_its_whole_range() {
        assert!(worst(-87_000..88_700, 1e-3, exp, libm::exp) < 2.0);
    }

    #[test]
    fn exp_of_the_extremes_follows_ieee_754() {
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-104.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-100.0) > 0.0, "subnormal results are not flushed to zero");
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_three_ulps_and_odd() {
        assert!(worst(-20_000..20_000, 5e-4, tanh, libm::tanh) < 3.0);
        assert_eq!(tanh(-0.2), -tanh(0.2));
        assert_eq!(tanh(-2.0), -tanh(2.0));
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert!(tanh(f32::NAN).is_nan());
    }
}
