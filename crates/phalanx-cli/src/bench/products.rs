//! The speed of the machine for products of large matrices: the limit that training is compared
//! with.
//!
//! The products are computed by the crate `gemm`, with its own parallelism off. `gemm` takes raw
//! pointers, hence the unsafe block; `benches/kernels.rs` of the library shows its gain over the
//! safe product of ndarray.
#![allow(unsafe_code)]

use std::hint::black_box;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use serde::Serialize;

use super::BenchError;
use super::timing::{Interval, Statistics, from_first_start, on_ranks};

/// Number of takes, of which the best counts: a limit is the speed of an undisturbed machine.
const TAKES: usize = 5;

/// The measured speed of products of large f32 matrices, one on each thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProductRate {
    /// Rows and columns of each matrix.
    pub side: usize,
    /// Threads, each computing its own products.
    pub threads: usize,
    /// 10⁹ floating-point operations per second over all threads, in the best take.
    pub gflop_per_sec: f64,
}

impl ProductRate {
    /// Returns the larger of two measurements of the same products.
    pub fn or_better(self, other: Self) -> Self {
        if other.gflop_per_sec > self.gflop_per_sec { other } else { self }
    }

    /// Multiplies (side, side) matrices on `threads` threads at once with the crate gemm, and
    /// measures the time.
    ///
    /// # Errors
    ///
    /// [`BenchError::ZeroThreads`], [`BenchError::Spawn`].
    ///
    /// # Panics
    ///
    /// If `side` is 0.
    ///
    /// # Cost
    ///
    /// 6 products of 2·side³ operations per thread; (threads + 2)·side² values.
    pub fn measure(side: usize, threads: usize) -> Result<Self, BenchError> {
        assert!(side > 0, "a matrix must have at least one row");
        if threads == 0 {
            return Err(BenchError::ZeroThreads);
        }
        let left = Array2::from_shape_fn((side, side), |(row, column)| ((row * 7 + column) % 13) as f32);
        let right = left.t().to_owned();
        let ranks = on_ranks(threads, |mut comm| {
            let mut result = Array2::zeros((side, side));
            // The first product brings code and matrices into the caches, and does not count.
            (0..=TAKES)
                .map(|_| {
                    comm.barrier()?;
                    let multiply =
                        || product(black_box(left.view()), black_box(right.view()), result.view_mut());
                    Ok(Interval::of(multiply).0)
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        let flops = threads as f64 * 2.0 * (side as f64).powi(3);
        let rate = |take| flops / from_first_start(ranks.iter().map(|rank| rank[take])).as_secs_f64() / 1e9;
        let rates: Vec<f64> = (1..=TAKES).map(rate).collect();
        Ok(Self { side, threads, gflop_per_sec: Statistics::of(&rates).max })
    }
}

/// destination = left · right, for left (M, N), right (N, P), destination (M, P) with any strides.
///
/// # Panics
///
/// If the shapes do not match.
///
/// # Cost
///
/// 2·M·N·P floating-point operations; allocates only on a thread's first call.
fn product(left: ArrayView2<'_, f32>, right: ArrayView2<'_, f32>, mut destination: ArrayViewMut2<'_, f32>) {
    let (m, n) = left.dim();
    let p = right.ncols();
    assert_eq!(right.nrows(), n, "left has {n} columns");
    assert_eq!(destination.dim(), (m, p), "left has {m} rows and right {p} columns");
    let ([d_row, d_column], [l_row, l_column], [r_row, r_column]) =
        (strides(destination.strides()), strides(left.strides()), strides(right.strides()));
    // SAFETY: each pointer, shape and pair of strides is that of one live ndarray view, checked
    // above to fit; the destination is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            p,
            n,
            destination.as_mut_ptr(),
            d_column,
            d_row,
            false,
            left.as_ptr(),
            l_column,
            l_row,
            right.as_ptr(),
            r_column,
            r_row,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn strides(strides: &[isize]) -> [isize; 2] {
    [strides[0], strides[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_run_on_any_number_of_threads() {
        for threads in [1, 3] {
            let rate = ProductRate::measure(64, threads).unwrap();
            assert_eq!((rate.side, rate.threads), (64, threads));
            assert!(rate.gflop_per_sec > 0.0 && rate.gflop_per_sec.is_finite(), "{rate:?}");
        }
    }

    #[test]
    fn zero_threads_are_rejected() {
        assert!(matches!(ProductRate::measure(8, 0), Err(BenchError::ZeroThreads)));
    }

    /// Small integers multiply and add exactly, so that any order of additions must give the same.
    #[test]
    fn a_product_equals_that_of_ndarray() {
        for (m, n, p) in [(1, 1, 1), (3, 40, 7), (19, 5, 20)] {
            let left = Array2::from_shape_fn((m, n), |(r, c)| ((r * 31 + c * 17 + 1) % 23) as f32 - 11.0);
            let right = Array2::from_shape_fn((p, n), |(r, c)| ((r * 31 + c * 17 + 2) % 23) as f32 - 11.0);
            let mut found = Array2::from_elem((m, p), f32::NAN);
            product(left.view(), right.t(), found.view_mut());
            assert_eq!(found, left.dot(&right.t()));
        }
    }
}
