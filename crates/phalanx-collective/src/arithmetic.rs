//! The arithmetic of reductions: the operators, the element types, and the loops over slices.
//!
//! For each element, the leaves are combined in the fixed tree over the ranks. Two ranks, the most
//! common case, take a single loop without intermediate storage; with more ranks the work proceeds
//! in blocks, so that intermediate results stay in the L1 cache.

use super::tree::split;
use std::fmt;
use std::ops::{BitAnd, BitOr, Range};

/// The operator of a reduction, applied element by element over the ranks.
///
/// The operands are combined along the fixed [`tree`](super::tree) over the ranks, so the result
/// depends only on the world size and the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `Σ x_r`. Integers wrap around.
    Sum,
    /// `(Σ x_r) / n` for `n` ranks: the sum, then one division (at most 1 ulp from the exact
    /// quotient of the sum). Rejects integers.
    Mean,
    /// The smallest `x_r`, as in IEEE 754-2019 `minimum`: a NaN on any rank gives NaN, and −0.0 is
    /// less than +0.0.
    Min,
    /// The largest `x_r`, as in IEEE 754-2019 `maximum`: a NaN on any rank gives NaN, and +0.0 is
    /// greater than −0.0.
    Max,
    /// `Π x_r`. Integers wrap around.
    Product,
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Product => "product",
        })
    }
}

/// A type that the reducer supports: `f32`, `f64`, all integers, and `bool`; with the feature
/// `half` also `half::f16` and `half::bf16`, which are reduced in `f32` and rounded once at the
/// end.
///
/// Sums and products of integers wrap around. For `bool`, sum and maximum are *or*, product and
/// minimum are *and*. The trait is sealed; for other types use
/// [`all_reduce_with`](super::Communicator::all_reduce_with).
pub trait Element: ElementArithmetic + Copy + Send + Sync + 'static {}

/// An [`Element`] that is a floating-point type, and therefore has a weighted mean.
///
/// # Examples
///
/// ```
/// use phalanx_collective::{CollectiveError, Communicator, Element, Float, Op, World};
///
/// fn total<T: Element>(rank: &mut Communicator, value: T) -> Result<T, CollectiveError> {
///     rank.all_reduce_value(value, Op::Sum)
/// }
///
/// fn mean<T: Float>(rank: &mut Communicator, mut value: T, weight: f64) -> Result<T, CollectiveError> {
///     rank.all_reduce_weighted_mean(std::slice::from_mut(&mut value), weight)?;
///     Ok(value)
/// }
///
/// let mut rank = World::new(1)?.communicators().next().unwrap();
/// assert_eq!((total(&mut rank, 5_u8)?, mean(&mut rank, 2.5_f32, 3.0)?), (5, 2.5));
/// # Ok::<(), CollectiveError>(())
/// ```
pub trait Float: Element + FloatConversion {}

/// The arithmetic of an element type, performed in the type `Wide`.
pub trait ElementArithmetic: Copy {
    /// The type in which the elements are combined.
    type Wide: Copy;
    /// The neutral element of a sum.
    const ZERO: Self;
    /// True if a mean is rejected.
    const IS_INTEGER: bool;
    /// Converts to the wide type, exactly.
    fn widen(self) -> Self::Wide;
    /// Converts to the element type: rounds to nearest, ties to even.
    fn narrow(wide: Self::Wide) -> Self;
    /// `left + right`.
    fn add(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// `left · right`.
    fn multiply(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// The smaller of the two, as in IEEE 754-2019 `minimum`.
    fn lesser(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// The larger of the two, as in IEEE 754-2019 `maximum`.
    fn greater(left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// `sum / count`; never called for integers.
    fn divide(sum: Self::Wide, count: usize) -> Self::Wide;
}

/// Conversions of a float type to and from f64.
pub trait FloatConversion {
    /// Converts to f64, exactly.
    fn to_f64(self) -> f64;
    /// Converts from f64: rounds to nearest, ties to even. For f16 and bf16, the conversion is that
    /// of the crate `half`, which can be one ulp off close to a tie.
    fn from_f64(value: f64) -> Self;
}

/// The arithmetic of a float type, in the type itself or in a wider one.
macro_rules! float {
    ($type:ty, $zero:expr, in $wide:ty: $widen:expr, $narrow:expr, $to_f64:expr, $from_f64:expr) => {
        impl Element for $type {}
        impl Float for $type {}

        impl ElementArithmetic for $type {
            type Wide = $wide;
            const ZERO: $type = $zero;
            const IS_INTEGER: bool = false;

            #[inline]
            fn widen(self) -> $wide {
                $widen(self)
            }

            #[inline]
            fn narrow(wide: $wide) -> $type {
                $narrow(wide)
            }

            #[inline]
            fn add(left: $wide, right: $wide) -> $wide {
                left + right
            }

            #[inline]
            fn multiply(left: $wide, right: $wide) -> $wide {
                left * right
            }

            /// Written with selects, which vectorise. Equal operands differ at most in the sign of
            /// zero, the top bit: `|` keeps a minus. The sum is NaN if either operand is.
            #[inline]
            fn lesser(left: $wide, right: $wide) -> $wide {
                let lower = if left < right { left } else { right };
                let either = <$wide>::from_bits(left.to_bits() | right.to_bits());
                let lower = if left == right { either } else { lower };
                if left.is_nan() || right.is_nan() { left + right } else { lower }
            }

            /// Same as `lesser`, with `&` to keep a plus.
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
        }

        impl FloatConversion for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                $to_f64(self)
            }

            #[inline]
            fn from_f64(value: f64) -> $type {
                $from_f64(value)
            }
        }
    };
}

/// The arithmetic of a type whose operations are exact, and that has no mean.
macro_rules! exact {
    ($type:ty, $zero:expr, $add:expr, $multiply:expr, $lesser:expr, $greater:expr) => {
        impl Element for $type {}

        impl ElementArithmetic for $type {
            type Wide = $type;
            const ZERO: $type = $zero;
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
                $add(left, right)
            }

            #[inline]
            fn multiply(left: $type, right: $type) -> $type {
                $multiply(left, right)
            }

            #[inline]
            fn lesser(left: $type, right: $type) -> $type {
                $lesser(left, right)
            }

            #[inline]
            fn greater(left: $type, right: $type) -> $type {
                $greater(left, right)
            }

            fn divide(_: $type, _: usize) -> $type {
                unreachable!("a mean is rejected before any arithmetic")
            }
        }
    };
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(exact!($type, 0, <$type>::wrapping_add, <$type>::wrapping_mul, Ord::min, Ord::max);)*
    };
}

float!(f32, 0.0, in f32: |x| x, |x| x, f64::from, |x| x as f32);
float!(f64, 0.0, in f64: |x| x, |x| x, |x| x, |x| x);
integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);
exact!(bool, false, BitOr::bitor, BitAnd::bitand, BitAnd::bitand, BitOr::bitor);
#[cfg(feature = "half")]
float!(half::f16, half::f16::ZERO, in f32: half::f16::to_f32, half::f16::from_f32, half::f16::to_f64, half::f16::from_f64);
#[cfg(feature = "half")]
float!(half::bf16, half::bf16::ZERO, in f32: half::bf16::to_f32, half::bf16::from_f32, half::bf16::to_f64, half::bf16::from_f64);

/// The arithmetic of one reduction: `finish(combine(leaf(x_0), leaf(x_1), ...))` over the fixed
/// tree.
pub(super) trait Fold<T> {
    /// The type in which elements are combined.
    type Wide: Copy;

    /// Returns the function that turns an element of `rank` into a leaf. Called once per rank and
    /// block, so that whatever depends on the rank stays out of the innermost loop.
    fn leaf(&self, rank: usize) -> impl Fn(T) -> Self::Wide;
    /// Combines two neighbouring nodes of the tree.
    fn combine(&self, left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// Turns the root of the tree into the result.
    fn finish(&self, root: Self::Wide) -> T;
}

/// Sum, product, min, max: just an operator on the wide type.
pub(super) struct OperatorFold<F>(pub(super) F);

impl<T: Element, F: Fn(T::Wide, T::Wide) -> T::Wide> Fold<T> for OperatorFold<F> {
    type Wide = T::Wide;

    fn leaf(&self, _: usize) -> impl Fn(T) -> T::Wide {
        T::widen
    }

    #[inline]
    fn combine(&self, left: T::Wide, right: T::Wide) -> T::Wide {
        (self.0)(left, right)
    }

    #[inline]
    fn finish(&self, root: T::Wide) -> T {
        T::narrow(root)
    }
}

/// `(Σ x_r) / n`: one division, then one rounding to the element type.
pub(super) struct Mean {
    pub(super) world_size: usize,
}

impl<T: Element> Fold<T> for Mean {
    type Wide = T::Wide;

    fn leaf(&self, _: usize) -> impl Fn(T) -> T::Wide {
        T::widen
    }

    #[inline]
    fn combine(&self, left: T::Wide, right: T::Wide) -> T::Wide {
        T::add(left, right)
    }

    #[inline]
    fn finish(&self, root: T::Wide) -> T {
        T::narrow(T::divide(root, self.world_size))
    }
}

/// `(Σ w_r x_r) / (Σ w_r)` in f64, then rounded to the element type.
pub(super) struct WeightedMean<W> {
    /// The weight of each rank.
    pub(super) weight: W,
    pub(super) total: f64,
}

impl<T: Float, W: Fn(usize) -> f64> Fold<T> for WeightedMean<W> {
    type Wide = f64;

    /// A weight of 0 gives the neutral −0.0 for every value: `x + −0.0` is `x`, even for −0.0,
    /// whereas 0 · NaN is NaN.
    fn leaf(&self, rank: usize) -> impl Fn(T) -> f64 {
        let weight = (self.weight)(rank);
        move |value| if weight == 0.0 { -0.0 } else { weight * value.to_f64() }
    }

    #[inline]
    fn combine(&self, left: f64, right: f64) -> f64 {
        left + right
    }

    #[inline]
    fn finish(&self, root: f64) -> T {
        T::from_f64(root / self.total)
    }
}

/// A function supplied by the caller, on values of any type.
pub(super) struct With<F>(pub(super) F);

impl<T: Copy, F: Fn(T, T) -> T> Fold<T> for With<F> {
    type Wide = T;

    fn leaf(&self, _: usize) -> impl Fn(T) -> T {
        |value| value
    }

    #[inline]
    fn combine(&self, left: T, right: T) -> T {
        (self.0)(left, right)
    }

    #[inline]
    fn finish(&self, root: T) -> T {
        root
    }
}

/// The number of elements combined at a time: 4 KiB of f64 for each level of the tree.
pub(super) const BLOCK: usize = 512;

/// Reduces the leaves of each rank, one per result, in blocks of at most `N`.
pub(super) fn reduce_slices<'l, T: Copy + 'l, F: Fold<T>, const N: usize>(
    fold: &F,
    world_size: usize,
    leaves: impl Fn(usize) -> &'l [T],
    results: &mut [T],
) {
    for (block, results) in results.chunks_mut(N).enumerate() {
        let range = block * N..block * N + results.len();
        let slices = |rank| &leaves(rank)[range.clone()];
        let filling = fold.leaf(0)(slices(0)[0]);
        let mut roots = [filling; N];
        let roots = &mut roots[..results.len()];
        Leaves::<_, _, _, N> { fold, slices, filling }.combine(0..world_size, roots);
        finish(fold, roots, results);
    }
}

/// The loop for two ranks. It is a separate function because the compiler only knows that exclusive
/// references do not overlap if they are parameters.
#[inline(never)]
pub(super) fn reduce_two<T: Copy>(fold: &impl Fold<T>, first: &mut [T], second: &mut [T]) {
    let (left_leaf, right_leaf) = (fold.leaf(0), fold.leaf(1));
    for (left, right) in first.iter_mut().zip(second) {
        let result = fold.finish(fold.combine(left_leaf(*left), right_leaf(*right)));
        *left = result;
        *right = result;
    }
}

/// Turns the roots of the trees into results.
pub(super) fn finish<T, F: Fold<T>>(fold: &F, roots: &[F::Wide], results: &mut [T]) {
    for (result, &root) in results.iter_mut().zip(roots) {
        *result = fold.finish(root);
    }
}

/// At most `N` leaves of each rank.
pub(super) struct Leaves<'a, F, L, W, const N: usize> {
    pub(super) fold: &'a F,
    /// Returns the leaves of a rank.
    pub(super) slices: L,
    /// Any value, used to initialise intermediate storage.
    pub(super) filling: W,
}

impl<'l, T: Copy + 'l, F: Fold<T>, L: Fn(usize) -> &'l [T], const N: usize> Leaves<'_, F, L, F::Wide, N> {
    /// Writes the roots of the trees over `ranks` to `roots`.
    pub(super) fn combine(&self, ranks: Range<usize>, roots: &mut [F::Wide]) {
        match ranks.len() {
            1 => self.load(ranks.start, roots),
            2 => self.combine_two(ranks.start, roots),
            count => {
                let middle = ranks.start + split(count);
                self.combine(ranks.start..middle, roots);
                self.combine_right(middle..ranks.end, roots);
            }
        }
    }

    /// Combines `roots` with the trees over `ranks`, which are to the right of them.
    fn combine_right(&self, ranks: Range<usize>, roots: &mut [F::Wide]) {
        if ranks.len() == 1 {
            let leaf = self.fold.leaf(ranks.start);
            for (root, &value) in roots.iter_mut().zip((self.slices)(ranks.start)) {
                *root = self.fold.combine(*root, leaf(value));
            }
            return;
        }
        let mut right = [self.filling; N];
        let right = &mut right[..roots.len()];
        self.combine(ranks, right);
        for (root, &right) in roots.iter_mut().zip(&*right) {
            *root = self.fold.combine(*root, right);
        }
    }

    fn load(&self, rank: usize, roots: &mut [F::Wide]) {
        let leaf = self.fold.leaf(rank);
        for (root, &value) in roots.iter_mut().zip((self.slices)(rank)) {
            *root = leaf(value);
        }
    }

    fn combine_two(&self, rank: usize, roots: &mut [F::Wide]) {
        let (left_leaf, right_leaf) = (self.fold.leaf(rank), self.fold.leaf(rank + 1));
        let pairs = (self.slices)(rank).iter().zip((self.slices)(rank + 1));
        for (root, (&left, &right)) in roots.iter_mut().zip(pairs) {
            *root = self.fold.combine(left_leaf(left), right_leaf(right));
        }
    }
}

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
            assert!(<f64 as ElementArithmetic>::lesser(left, right).is_nan());
            assert!(<f64 as ElementArithmetic>::greater(left, right).is_nan());
        }
    }

    #[test]
    fn min_and_max_of_finite_and_infinite_floats_follow_their_order() {
        let values = [f32::NEG_INFINITY, -3.5, -f32::MIN_POSITIVE, 1e-45, 2.0, 7.0, f32::INFINITY];
        for (index, &left) in values.iter().enumerate() {
            for &right in &values[index..] {
                assert_eq!(<f32 as ElementArithmetic>::lesser(left, right), left);
                assert_eq!(<f32 as ElementArithmetic>::lesser(right, left), left);
                assert_eq!(<f32 as ElementArithmetic>::greater(left, right), right);
                assert_eq!(<f32 as ElementArithmetic>::greater(right, left), right);
            }
        }
    }

    #[test]
    fn sums_and_products_of_integers_wrap() {
        assert_eq!(<u32 as ElementArithmetic>::add(u32::MAX, 2), 1);
        assert_eq!(<i64 as ElementArithmetic>::multiply(i64::MAX, 2), -2);
    }
}
