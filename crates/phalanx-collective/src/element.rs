//! The element types of reductions, and their arithmetic.

/// A number that the reducer can reduce: `f32`, `f64`, `i32`, `i64`, `u32`, `u64`; with the feature `half` also
/// `half::f16` and `half::bf16`, which are reduced in `f32` and rounded once at the end.
///
/// Sums and products of integers wrap around. The trait is sealed: for other types there is
/// [`all_reduce_with`](super::Communicator::all_reduce_with).
pub trait Element: Number + Copy + Send + Sync + 'static {}

/// An [`Element`] that is a float, and so has a weighted mean.
///
/// # Examples
///
/// ```
/// use phalanx_collective::{Element, Float, reference};
///
/// fn bytes<T: Element>(values: &[T]) -> usize {
///     size_of_val(values)
/// }
///
/// fn mean<T: Float>(ranks: &[Vec<T>], weights: &[f64]) -> Vec<T> {
///     reference::weighted_mean(ranks, weights)
/// }
///
/// assert_eq!(bytes(&[1_u64, 2]), 16);
/// assert_eq!(mean(&[vec![1.0_f32], vec![5.0]], &[3.0, 1.0]), [2.0]);
/// ```
pub trait Float: Element + Real {}

/// The arithmetic of an element type, in the type `Wide`.
pub trait Number: Copy {
    /// The type in which the elements are combined.
    type Wide: Copy;
    /// Whether a mean is refused.
    const IS_INTEGER: bool;
    /// Exact.
    fn widen(self) -> Self::Wide;
    /// Rounds to nearest, ties to even.
    fn narrow(wide: Self::Wide) -> Self;
    /// `left + right`.
    fn add(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// `left · right`.
    fn multiply(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// The lesser, as IEEE 754-2019 `minimum`.
    fn lesser(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// The greater, as IEEE 754-2019 `maximum`.
    fn greater(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// `sum / count`; never called for integers.
    fn divide(sum: Self::Wide, count: usize) -> Self::Wide;
}

/// Conversions of a float, for arithmetic in f64.
pub trait Real {
    /// Exact.
    fn to_f64(self) -> f64;
    /// Rounds to nearest, ties to even.
    fn from_f64(value: f64) -> Self;
}

/// The arithmetic of a float type in itself or a wider one.
macro_rules! float_arithmetic {
    ($wide:ty) => {
        type Wide = $wide;
        const IS_INTEGER: bool = false;

        #[inline]
        fn add(left: $wide, right: $wide) -> $wide {
            left + right
        }

        #[inline]
        fn multiply(left: $wide, right: $wide) -> $wide {
            left * right
        }

        /// Written with selects, which vectorise. Equal operands differ at most in the sign of zero, the top bit: `|`
        /// keeps a minus. A sum has a NaN if an operand has.
        #[inline]
        fn lesser(left: $wide, right: $wide) -> $wide {
            let lower = if left < right { left } else { right };
            let either = <$wide>::from_bits(left.to_bits() | right.to_bits());
            let lower = if left == right { either } else { lower };
            if left.is_nan() || right.is_nan() { left + right } else { lower }
        }

        /// As `lesser`, with `&` to keep a plus.
        #[inline]
        fn greater(left: $wide, right: $wide) -> $wide {
            let higher = if left > right { left } else { right };
            let either = <$wide>::from_bits(left.to_bits() & right.to_bits());
            let higher = if left == right { either } else { higher };
            if left.is_nan() || right.is_nan() { left + right } else { higher }
        }

        #[inline]
        fn divide(sum: $wide, count: usize) -> $wide {
            sum / count as $wide
        }
    };
}

macro_rules! native_float {
    ($($type:ty),*) => {$(
        impl Element for $type {}
        impl Float for $type {}

        impl Number for $type {
            float_arithmetic!($type);

            #[inline]
            fn widen(self) -> $type {
                self
            }

            #[inline]
            fn narrow(wide: $type) -> $type {
                wide
            }
        }

        impl Real for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline]
            fn from_f64(value: f64) -> $type {
                value as $type
            }
        }
    )*};
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Element for $type {}

        impl Number for $type {
            type Wide = $type;
            const IS_INTEGER: bool = true;

            #[inline]
            fn widen(self) -> $type {
                self
            }

            #[inline]
            fn narrow(wide: $type) -> $type {
                wide
            }

            #[inline]
            fn add(left: $type, right: $type) -> $type {
                left.wrapping_add(right)
            }

            #[inline]
            fn multiply(left: $type, right: $type) -> $type {
                left.wrapping_mul(right)
            }

            #[inline]
            fn lesser(left: $type, right: $type) -> $type {
                left.min(right)
            }

            #[inline]
            fn greater(left: $type, right: $type) -> $type {
                left.max(right)
            }

            fn divide(_: $type, _: usize) -> $type {
                unreachable!("a mean of integers is refused before any arithmetic")
            }
        }
    )*};
}

#[cfg(feature = "half")]
macro_rules! half_float {
    ($($type:ty),*) => {$(
        impl Element for $type {}
        impl Float for $type {}

        impl Number for $type {
            float_arithmetic!(f32);

            #[inline]
            fn widen(self) -> f32 {
                self.to_f32()
            }

            #[inline]
            fn narrow(wide: f32) -> $type {
                <$type>::from_f32(wide)
            }
        }

        impl Real for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                <$type>::to_f64(self)
            }

            #[inline]
            fn from_f64(value: f64) -> $type {
                <$type>::from_f64(value)
            }
        }
    )*};
}

native_float!(f32, f64);
integer!(i32, i64, u32, u64);
#[cfg(feature = "half")]
half_float!(half::f16, half::bf16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_zero_is_less_than_plus_zero() {
        for (left, right) in [(-0.0f32, 0.0), (0.0, -0.0)] {
            assert!(f32::lesser(left, right).is_sign_negative());
            assert!(f32::greater(left, right).is_sign_positive());
        }
        assert!(f64::greater(-0.0, -0.0).is_sign_negative());
        assert!(f64::lesser(0.0, 0.0).is_sign_positive());
    }

    #[test]
    fn a_nan_on_either_side_gives_nan() {
        for (left, right) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::NEG_INFINITY, f64::NAN)] {
            assert!(<f64 as Number>::lesser(left, right).is_nan());
            assert!(<f64 as Number>::greater(left, right).is_nan());
        }
    }

    #[test]
    fn extremes_of_ordinary_and_infinite_floats_are_those_of_the_order() {
        let values = [f32::NEG_INFINITY, -3.5, -f32::MIN_POSITIVE, 1e-45, 2.0, 7.0, f32::INFINITY];
        for (index, &left) in values.iter().enumerate() {
            for &right in &values[index..] {
                assert_eq!(<f32 as Number>::lesser(left, right), left);
                assert_eq!(<f32 as Number>::lesser(right, left), left);
                assert_eq!(<f32 as Number>::greater(left, right), right);
                assert_eq!(<f32 as Number>::greater(right, left), right);
            }
        }
    }

    #[test]
    fn sums_and_products_of_integers_wrap() {
        assert_eq!(<u32 as Number>::add(u32::MAX, 2), 1);
        assert_eq!(<i64 as Number>::multiply(i64::MAX, 2), -2);
    }
}
