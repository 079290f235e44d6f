//! Where two reductions are multiples of each other.

use super::super::{BatchCut, Reduction};

/// Two reductions of the same batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement {
    pub(super) from: (Reduction, usize),
    pub(super) to: (Reduction, usize),
}

impl Agreement {
    pub(super) fn new(from: Reduction, to: Reduction, [old, new]: [BatchCut; 2]) -> Self {
        Self { from: (from, old.shards), to: (to, new.shards) }
    }

    /// c = (gradient of `to`)/(gradient of `from`) on a batch, if it is one number.
    pub(super) fn factor(&self, batch: usize) -> Option<f64> {
        let is_one = divides_shards(self.from.0) && divides_shards(self.to.0) && self.from.1 == self.to.1
            || is_even(self.from, batch) && is_even(self.to, batch);
        is_one.then(|| per_mean(self.to, batch) / per_mean(self.from, batch))
    }

    /// The one of both that has a mean of its own for each of some uneven shards, as its number of shards.
    pub(super) fn uneven(&self, batch: usize) -> Option<usize> {
        [self.from, self.to].into_iter().find(|side| !is_even(*side, batch)).map(|(_, shards)| shards)
    }

    /// Whether batches of all sizes have the same c.
    pub(super) fn is_constant(&self, largest: usize) -> bool {
        let factor = self.factor(largest);
        [1, largest / 2, largest - 1]
            .into_iter()
            .filter(|batch| *batch > 0)
            .all(|batch| self.factor(batch) == factor)
    }

    /// Whether every division that only one of both does is by a power of two, so that it rounds nothing.
    pub(super) fn rounds_nothing(&self, batch: usize) -> bool {
        let [from, to] = [self.from, self.to].map(|side| divisors(side, batch));
        from.iter()
            .zip(to)
            .all(|(from, to)| *from == to || [*from, to].into_iter().flatten().all(is_power_of_two))
    }
}

fn divides_shards(reduction: Reduction) -> bool {
    matches!(reduction, Reduction::MeanOfShardMeans | Reduction::SumOfShardMeans)
}

fn is_even((reduction, shards): (Reduction, usize), batch: usize) -> bool {
    !divides_shards(reduction) || batch.is_multiple_of(shards.min(batch))
}

fn per_mean((reduction, shards): (Reduction, usize), batch: usize) -> f64 {
    reduction.per_mean(batch, shards.min(batch))
}

fn divisors((reduction, shards): (Reduction, usize), batch: usize) -> [Option<f64>; 2] {
    let shards = shards.min(batch);
    [reduction.shard_divisor(batch as f64 / shards as f64), reduction.step_divisor(shards, batch as f64)]
}

/// Whether multiplying by it rounds nothing.
pub(super) fn is_power_of_two(value: f64) -> bool {
    value.is_normal() && value.to_bits() << 12 == 0
}
