//! The speed of the machine for products of large matrices, with the kernel of a layer's outputs
//! and the instruction set in use: the limit that training is compared with. `benches/kernels.rs`
//! compares the kernel with other libraries.

use std::hint::black_box;

use phalanx::internals::kernel::{Epilogue, Linear, Scratch};
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

    /// Multiplies (side, side) matrices on `threads` threads at once, and measures the time.
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
    /// 6 products of 2·side³ operations per thread; (threads + 1)·side² values.
    pub fn measure(side: usize, threads: usize) -> Result<Self, BenchError> {
        assert!(side > 0, "a matrix must have at least one row");
        if threads == 0 {
            return Err(BenchError::ZeroThreads);
        }
        let matrix: Vec<f32> = (0..side * side).map(|index| (index * 7 % 13) as f32).collect();
        let zeros = vec![0.0; side];
        let ranks = on_ranks(threads, |mut comm| {
            let (mut result, mut scratch) = (vec![0.0; side * side], Scratch::default());
            let layer = Linear::new(&matrix, &zeros);
            // The first product brings code and matrices into the caches, and does not count.
            (0..=TAKES)
                .map(|_| {
                    comm.barrier()?;
                    let multiply = || {
                        layer.forward(black_box(&matrix), &mut result, Epilogue::Identity, &mut scratch);
                    };
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
}
