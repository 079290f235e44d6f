//! The five rules that reduce per-shard sums to the gradient of a step, and the only function that
//! divides gradients.

use super::error::OptimError;
use crate::num::names;
use crate::simd::vectorized;
use serde::{Deserialize, Serialize};

/// The rule by which per-sample gradients become the one gradient of a step.
///
/// A step has S shards. Shard k has the total weight w_k (its number of samples, if samples have no
/// weights); W = Σ w_k, and s_k is the weighted sum of the per-sample gradients of shard k. A shard
/// without samples does not count. A shard whose samples all have weight 0 adds nothing to the sum;
/// [`counts_shard`](Self::counts_shard) returns whether it is one of the S.
///
/// gradient = (Σ s_k / [`shard_divisor`](Self::shard_divisor)) /
/// [`step_divisor`](Self::step_divisor)
///
/// # Examples
/// ```
/// use phalanx::optim::Reduction;
///
/// let (weights, sums) = ([3.0, 1.0], [6.0, 10.0]);
/// let gradient = |reduction: Reduction| {
///     let shards = weights.iter().zip(sums).map(|(&w, s)| s / reduction.shard_divisor(w).unwrap_or(1.0));
///     shards.sum::<f64>() / reduction.step_divisor(2, 4.0).unwrap_or(1.0)
/// };
/// assert_eq!(Reduction::ALL.iter().map(|&r| gradient(r)).collect::<Vec<_>>(), [4.0, 16.0, 6.0, 12.0, 8.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// (Σ s_k)/W: the exact mean over the batch, as one process with a mean loss computes it.
    #[default]
    Mean,
    /// Σ s_k: as one process with a summed loss computes it.
    Sum,
    /// (1/S) Σ s_k/w_k: PyTorch DDP and Horovod's Average, with a mean loss.
    MeanOfShardMeans,
    /// Σ s_k/w_k: Horovod's Sum with a mean loss, MindSpore's default.
    SumOfShardMeans,
    /// (1/S) Σ s_k: PyTorch DDP with a summed loss.
    MeanOfShardSums,
}

names!(Reduction, "reduction", OptimError, [
    Mean => "mean",
    Sum => "sum",
    MeanOfShardMeans => "mean-of-shard-means",
    SumOfShardMeans => "sum-of-shard-means",
    MeanOfShardSums => "mean-of-shard-sums",
]);

impl Reduction {
    /// Returns whether a non-empty shard of this total weight is counted in S, the number of shards
    /// that is passed to [`step_divisor`](Self::step_divisor).
    ///
    /// A shard of weight 0 has no mean, so a mean of shard means excludes it. A mean of shard sums
    /// counts it: PyTorch DDP divides by the number of processes, regardless of the weights of
    /// their samples.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::optim::Reduction;
    ///
    /// let counted = |reduction: Reduction| [0.0, 2.0].iter().filter(|&&weight| reduction.counts_shard(weight)).count();
    /// assert_eq!(counted(Reduction::MeanOfShardMeans), 1);
    /// assert_eq!(counted(Reduction::MeanOfShardSums), 2);
    /// ```
    #[must_use]
    pub fn counts_shard(self, shard_weight: f64) -> bool {
        self == Self::MeanOfShardSums || shard_weight > 0.0
    }

    /// Returns the divisor of a shard's gradient sum before shards are added, or `None` if it is
    /// added undivided.
    ///
    /// # Panics
    /// If the weight is zero, negative, NaN or infinite. A shard of weight 0 contributes nothing
    /// and must be excluded.
    #[must_use]
    pub fn shard_divisor(self, shard_weight: f64) -> Option<f64> {
        assert!(
            shard_weight > 0.0 && shard_weight.is_finite(),
            "a shard of weight {shard_weight} has no gradient"
        );
        match self {
            Self::Mean | Self::Sum | Self::MeanOfShardSums => None,
            Self::MeanOfShardMeans | Self::SumOfShardMeans => Some(shard_weight),
        }
    }

    /// Returns the divisor of the combined shards, or `None` if they already are the gradient.
    /// `shards` is the number of shards that [count](Self::counts_shard), `weight` the total weight
    /// of the step.
    ///
    /// # Panics
    /// If there is no shard, or the weight is zero, negative, NaN or infinite. A step of weight 0
    /// changes nothing and must be skipped.
    #[must_use]
    pub fn step_divisor(self, shards: usize, weight: f64) -> Option<f64> {
        assert!(shards > 0, "a step without shards has no gradient");
        assert!(weight > 0.0 && weight.is_finite(), "a step of weight {weight:?} has no gradient");
        match self {
            Self::Mean => Some(weight),
            Self::Sum | Self::SumOfShardMeans => None,
            Self::MeanOfShardMeans | Self::MeanOfShardSums => Some(shards as f64),
        }
    }

    /// Returns c in gradient = c·(mean gradient) if the batch is split into equal shards: 1, B, 1,
    /// S, B/S in the order of [`ALL`](Self::ALL).
    ///
    /// # Panics
    /// If `batch_size` or `shards` is 0.
    #[must_use]
    pub fn per_mean(self, batch_size: usize, shards: usize) -> f64 {
        assert!(
            batch_size > 0 && shards > 0,
            "{batch_size} samples in {shards} shards have no gradient; both must be at least 1"
        );
        match self {
            Self::Mean | Self::MeanOfShardMeans => 1.0,
            Self::Sum => batch_size as f64,
            Self::SumOfShardMeans => shards as f64,
            Self::MeanOfShardSums => batch_size as f64 / shards as f64,
        }
    }

    /// Returns the sgd rate under `mean` that makes the same updates as `rate` under this
    /// reduction: η·c.
    ///
    /// The rate of an optimizer that is [scale-free](super::OptimizerKind::is_scale_free) is the
    /// same under all reductions.
    ///
    /// # Panics
    /// If `batch_size` or `shards` is 0.
    #[must_use]
    pub fn rate_under_mean(self, rate: f64, batch_size: usize, shards: usize) -> f64 {
        rate * self.per_mean(batch_size, shards)
    }

    /// Returns the sgd rate under `sum` that makes the same updates as `rate` under this reduction:
    /// η·c/B.
    ///
    /// The rate of an optimizer that is [scale-free](super::OptimizerKind::is_scale_free) is the
    /// same under all reductions.
    ///
    /// # Panics
    /// If `batch_size` or `shards` is 0.
    #[must_use]
    pub fn rate_under_sum(self, rate: f64, batch_size: usize, shards: usize) -> f64 {
        self.rate_under_mean(rate, batch_size, shards) / batch_size as f64
    }
}

/// Divides gradient sums, in place, by a divisor from [`Reduction`]. The divisor is cast to `f32`
/// once.
///
/// It divides instead of multiplying by the inverse, which would round once more for divisors that
/// are not powers of two.
///
/// # Panics
/// If the divisor, as `f32`, is zero, negative, NaN or infinite.
///
/// # Examples
///
/// ```
/// use phalanx::internals::divide_grads;
/// use phalanx::optim::Reduction;
///
/// let mut grads = [3.0, -6.0]; // the sum over three samples in two shards
/// divide_grads(&mut grads, Reduction::Mean.step_divisor(2, 3.0).expect("the batch has weight"));
/// assert_eq!(grads, [1.0, -2.0]);
/// ```
pub fn divide_grads(grads: &mut [f32], divisor: f64) {
    let divisor_f32 = divisor as f32;
    assert!(divisor_f32 > 0.0 && divisor_f32.is_finite(), "grads cannot be divided by {divisor}");
    vectorized(
        #[inline(always)]
        || {
            // The inverse of a power of two is exact, so the product has the bits of the quotient,
            // in a tenth of the time.
            let inverse = divisor_f32.recip();
            if inverse.is_normal() && divisor_f32.to_bits() << 9 == 0 {
                grads.iter_mut().for_each(|g| *g *= inverse);
            } else {
                grads.iter_mut().for_each(|g| *g /= divisor_f32);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(reduction: Reduction, sums: &[f64], weights: &[f64]) -> f64 {
        let shard = |(&s, &w): (&f64, &f64)| s / reduction.shard_divisor(w).unwrap_or(1.0);
        let sum: f64 = sums.iter().zip(weights).map(shard).sum();
        let counted = weights.iter().filter(|&&weight| reduction.counts_shard(weight)).count();
        sum / reduction.step_divisor(counted, weights.iter().sum()).unwrap_or(1.0)
    }

    #[test]
    fn gradients_of_uneven_shards_follow_their_formulas() {
        let (sums, weights) = ([34.0, 66.0, 99.0], [34.0, 33.0, 33.0]);
        let expected = [199.0 / 100.0, 199.0, (1.0 + 2.0 + 3.0) / 3.0, 6.0, 199.0 / 3.0];
        for (&reduction, expected) in Reduction::ALL.iter().zip(expected) {
            assert_eq!(gradient(reduction, &sums, &weights), expected, "{reduction}");
        }
    }

    #[test]
    fn equal_shards_give_per_mean_times_the_mean() {
        let (sums, weights) = ([8.0, 24.0, -4.0, 100.0], [16.0; 4]);
        let mean = sums.iter().sum::<f64>() / 64.0;
        for &reduction in Reduction::ALL {
            assert_eq!(gradient(reduction, &sums, &weights), reduction.per_mean(64, 4) * mean, "{reduction}");
        }
    }

    #[test]
    fn a_rate_is_translated_to_both_conventions() {
        let rates = |reduction: Reduction| {
            (reduction.rate_under_mean(0.5, 64, 4), reduction.rate_under_sum(0.5, 64, 4))
        };
        let actual: Vec<_> = Reduction::ALL.iter().map(|&reduction| rates(reduction)).collect();
        let s = 0.5 / 64.0;
        assert_eq!(actual, [(0.5, s), (32.0, 0.5), (0.5, s), (2.0, 4.0 * s), (8.0, 16.0 * s)]);
    }

    #[test]
    fn division_rounds_once() {
        let mut grads = [7.0_f32, 1.0, 10.0];
        divide_grads(&mut grads, 10.0);
        assert_eq!(grads, [0.7, 0.1, 1.0]);
    }

    #[test]
    fn division_by_a_power_of_two_has_the_same_bits_as_a_plain_division() {
        for exponent in -126..128 {
            let divisor = 2.0_f32.powi(exponent);
            let values = [1.0, 1.0 / 3.0, -f32::MIN_POSITIVE, 1e-40, f32::MAX, f32::NAN, -0.0];
            let mut grads = values;
            divide_grads(&mut grads, f64::from(divisor));
            let expected = values.map(|g| (g / divisor).to_bits());
            assert_eq!(grads.map(f32::to_bits), expected, "2^{exponent}");
        }
    }

    #[test]
    #[should_panic(expected = "a shard of weight 0 has no gradient")]
    fn an_empty_shard_has_no_divisor() {
        let _ = Reduction::MeanOfShardMeans.shard_divisor(0.0);
    }
}
