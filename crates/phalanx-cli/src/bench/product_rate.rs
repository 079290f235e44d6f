//! How fast the machine multiplies matrices: the limit that training can come near to.

use std::hint::black_box;

use ndarray::Array2;
use serde::Serialize;

use super::product::product;
use super::ranks::{Interval, from_first_start, on_ranks};
use super::{BenchError, Spread};

/// Takes, of which the best counts: a limit is what the machine can do when nobody disturbs it.
const TAKES: usize = 5;

/// The measured speed of products of large f32 matrices, one on each thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProductRate {
    /// Rows and columns of each matrix.
    pub side: usize,
    /// Threads, each with products of its own.
    pub threads: usize,
    /// 10⁹ floating-point operations a second over all threads, in the best take.
    pub gflop_per_sec: f64,
}

impl ProductRate {
    /// The larger of two measurements of the same products.
    pub(super) fn or_better(self, other: Self) -> Self {
        if other.gflop_per_sec > self.gflop_per_sec { other } else { self }
    }

    /// Multiplies (side, side) matrices on so many threads at once with the crate gemm, and takes the time.
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
    /// 6 products of 2·side³ operations a thread; (threads + 2)·side² values.
    pub fn measure(side: usize, threads: usize) -> Result<Self, BenchError> {
        assert!(side > 0, "a matrix without elements has no product");
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
        Ok(Self { side, threads, gflop_per_sec: Spread::of(&rates).max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_multiplies() {
        for threads in [1, 3] {
            let rate = ProductRate::measure(64, threads).unwrap();
            assert_eq!((rate.side, rate.threads), (64, threads));
            assert!(rate.gflop_per_sec > 0.0 && rate.gflop_per_sec.is_finite(), "{rate:?}");
        }
    }

    #[test]
    fn no_threads_are_refused() {
        assert!(matches!(ProductRate::measure(8, 0), Err(BenchError::ZeroThreads)));
    }
}
