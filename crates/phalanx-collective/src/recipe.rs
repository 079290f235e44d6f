//! Recipes: what happens to an element on its way from the ranks to the result.

use super::element::{Element, Float};

/// The arithmetic of one reduction: `finish(combine(leaf(x_0), leaf(x_1), ...))` over the fixed tree.
pub(super) trait Recipe<T> {
    /// The type in which elements are combined.
    type Wide: Copy;

    /// Returns what turns an element of `rank` into a leaf. Asked once per rank and block, so that what depends on the
    /// rank stays out of the innermost loop.
    fn leaf(&self, rank: usize) -> impl Fn(T) -> Self::Wide;
    /// Combines two neighbours in the tree.
    fn combine(&self, left: Self::Wide, right: Self::Wide) -> Self::Wide;
    /// Turns the root of the tree into the result.
    fn finish(&self, root: Self::Wide) -> T;
}

/// Sum, product, min, max: an operator on the wide type and nothing else.
pub(super) struct Plain<F>(pub(super) F);

impl<T: Element, F: Fn(T::Wide, T::Wide) -> T::Wide> Recipe<T> for Plain<F> {
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

/// `(Σ x_r) / n`: one division, one rounding to the element type.
pub(super) struct Mean {
    pub(super) world_size: usize,
}

impl<T: Element> Recipe<T> for Mean {
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

/// `(Σ w_r x_r) / (Σ w_r)` in f64, rounded once to the element type.
pub(super) struct WeightedMean<W> {
    /// The weight of each rank.
    pub(super) weight: W,
    pub(super) total: f64,
}

impl<T: Float, W: Fn(usize) -> f64> Recipe<T> for WeightedMean<W> {
    type Wide = f64;

    /// A weight of 0 gives the neutral −0.0 whatever the value: `x + −0.0` is `x`, also for −0.0, and 0 · NaN is NaN.
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

/// A function of the caller on values of any type.
pub(super) struct With<F>(pub(super) F);

impl<T: Copy, F: Fn(T, T) -> T> Recipe<T> for With<F> {
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
