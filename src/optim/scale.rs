//! Rates for another batch size than the one they were found with.

use super::{OptimizerKind, Reduction, name::names};
use serde::{Deserialize, Serialize};

/// How a rate found with one batch size is carried over to another.
///
/// The rules are stated for the mean of gradients, η → η·κ^p with κ = B/B₀; under another reduction, whose gradient is c
/// times the mean ([`Reduction::per_mean`]), the same updates need
///
/// η = η₀·κ^p·c(B₀, S₀)/c(B, S)
///
/// so that under `sum` the linear rule changes nothing. For [scale-free](OptimizerKind::is_scale_free) rules the rate is
/// the same in all conventions, and c plays no part.
///
/// # Examples
/// ```
/// use phalanx::optim::{BatchCut, OptimizerKind, Reduction, ScaleRate};
///
/// let base = BatchCut { batch_size: 256, shards: 1 };
/// let now = BatchCut { batch_size: 1024, shards: 4 };
/// let factor = |scale: ScaleRate, reduction| scale.factor(OptimizerKind::Sgd, reduction, base, now);
/// assert_eq!(factor(ScaleRate::Linear, Reduction::Mean), 4.0);
/// assert_eq!(factor(ScaleRate::Linear, Reduction::Sum), 1.0);
/// assert_eq!(factor(ScaleRate::Sqrt, Reduction::Sum), 0.5);
/// assert_eq!(ScaleRate::Linear.factor(OptimizerKind::Adam, Reduction::Sum, base, now), 4.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleRate {
    /// The rate is used as given.
    #[default]
    None,
    /// p = 1: Goyal et al. 2017 (arXiv:1706.02677), to be used with a warm-up.
    Linear,
    /// p = ½: Krizhevsky 2014 (arXiv:1404.5997), Hoffer et al. 2017 (arXiv:1705.08741); for Adam, Malladi et al. 2022
    /// (arXiv:2205.10287), who also change β and ε, which this does not.
    Sqrt,
}

names!(ScaleRate, "rate scaling", [
    None => "none",
    Linear => "linear",
    Sqrt => "sqrt",
]);

/// A batch and the number of shards it is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCut {
    /// Samples in one step.
    pub batch_size: usize,
    /// Shards of that batch.
    pub shards: usize,
}

impl ScaleRate {
    /// What to multiply the rate by, that was found with the batches of `base`, for the batches of `now`.
    ///
    /// # Panics
    /// If a batch has no sample or no shard.
    #[must_use]
    pub fn factor(self, kind: OptimizerKind, reduction: Reduction, base: BatchCut, now: BatchCut) -> f64 {
        let c = |cut: BatchCut| {
            let c = reduction.per_mean(cut.batch_size, cut.shards);
            if kind.is_scale_free() { 1.0 } else { c }
        };
        // One quotient of exact products: B/B₀·c₀/c would not always be 1 under a sum.
        let (b0, b, c0, c) = (base.batch_size as f64, now.batch_size as f64, c(base), c(now));
        match self {
            Self::None => 1.0,
            Self::Linear => (b * c0) / (b0 * c),
            Self::Sqrt => ((b * c0 * c0) / (b0 * c * c)).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: BatchCut = BatchCut { batch_size: 48, shards: 3 };
    const NOW: BatchCut = BatchCut { batch_size: 480, shards: 5 };

    #[test]
    fn every_reduction_follows_the_rule_of_the_mean() {
        for (scale, power) in [(ScaleRate::Linear, 1.0), (ScaleRate::Sqrt, 0.5)] {
            for &reduction in Reduction::ALL {
                let factor = scale.factor(OptimizerKind::Sgd, reduction, BASE, NOW);
                let before = reduction.rate_under_mean(0.1, BASE.batch_size, BASE.shards);
                let after = reduction.rate_under_mean(0.1 * factor, NOW.batch_size, NOW.shards);
                assert!((after / before / 10_f64.powf(power) - 1.0).abs() < 1e-14, "{scale} {reduction}");
            }
        }
    }

    #[test]
    fn linear_scaling_changes_nothing_at_all_under_a_sum() {
        for batch_size in 1..2000 {
            let now = BatchCut { batch_size, shards: 7 };
            assert_eq!(ScaleRate::Linear.factor(OptimizerKind::Sgd, Reduction::Sum, BASE, now), 1.0);
        }
    }

    #[test]
    fn root_scaling_under_a_sum_falls_with_the_root_of_the_batch() {
        let factor = ScaleRate::Sqrt.factor(OptimizerKind::Sgd, Reduction::Sum, BASE, NOW);
        assert!((factor * 10_f64.sqrt() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn scale_free_rules_scale_alike_under_every_reduction() {
        for &reduction in Reduction::ALL {
            assert_eq!(ScaleRate::Sqrt.factor(OptimizerKind::Adam, reduction, BASE, NOW), 10_f64.sqrt());
        }
    }

    #[test]
    fn no_scaling_leaves_the_rate_alone_whatever_the_batch() {
        for &reduction in Reduction::ALL {
            assert_eq!(ScaleRate::None.factor(OptimizerKind::Sgd, reduction, BASE, NOW), 1.0);
        }
    }
}
