//! Who measures the gradient noise scale: each rank the parts of its shards, and all of them the whole gradient.
//!
//! Where the model knows how long the gradients of single samples are, parts are samples; otherwise they are shards, whose
//! gradients a measuring step computes one by one. Which of them depends on the model alone.

use super::{BatchParts, Plan};
use crate::model::{Model, ShardRun};
use crate::optim::sum_of_squares;

/// What a rank knows of the parts of its shards.
pub(super) struct Parts {
    /// One entry a sample in hand, if parts are samples.
    squares: Vec<f64>,
    /// One entry a shard, in their order.
    shards: Vec<BatchParts>,
}

impl Parts {
    /// Reserves room for so many shards, of which so many samples are in hand at a time; none if the plan never measures.
    pub(super) fn new<M: Model>(plan: &Plan, model: &M, shards: usize, samples: usize) -> Self {
        let on = plan.noise_interval().is_some();
        let squares = if on && model.knows_sample_squares() { samples } else { 0 };
        Self { squares: vec![0.0; squares], shards: Vec::with_capacity(if on { shards } else { 0 }) }
    }

    pub(super) fn clear(&mut self) {
        self.shards.clear();
    }

    /// Notes a shard by the gradient of the whole of it.
    pub(super) fn note_shard(&mut self, shard: &ShardRun<'_>, gradient: &[f32]) {
        let (mut weight, mut squares) = (0.0, 0.0);
        sample_weights(shard, 0).for_each(|w| (weight, squares) = (weight + w, squares + w * w));
        let mut parts = BatchParts::default();
        parts.add(sum_of_squares(gradient), weight, squares);
        self.shards.push(parts);
    }

    /// Notes shards by the samples that the model computed last.
    pub(super) fn note_samples<M: Model>(
        &mut self,
        shards: &ShardRun<'_>,
        model: &M,
        workspace: &M::Workspace,
    ) {
        let squares = &mut self.squares[..shards.all_samples().len()];
        model.sample_squares(shards, squares, workspace);
        let mut squares = squares.iter();
        for shard in 0..shards.len() {
            let mut parts = BatchParts::default();
            // The weights end first.
            for (weight, square) in sample_weights(shards, shard).zip(&mut squares) {
                parts.add(*square, weight, weight * weight);
            }
            self.shards.push(parts);
        }
    }

    /// One entry a shard, in their order; none in a step that does not measure.
    pub(super) fn iter(&self) -> impl Iterator<Item = &BatchParts> {
        self.shards.iter()
    }
}

/// Whether a measuring step computes the gradients of shards one by one.
pub(super) fn measures_shards<M: Model>(plan: &Plan, model: &M) -> bool {
    plan.noise_interval().is_some() && !model.knows_sample_squares()
}

/// w_i of each sample of a shard, divided as its gradient is.
fn sample_weights(shards: &ShardRun<'_>, shard: usize) -> impl Iterator<Item = f64> {
    let divisor = shards.divisors.map_or(1.0, |divisors| f64::from(divisors[shard]));
    let samples = shards.samples;
    (shards.bounds[shard]..shards.bounds[shard + 1]).map(move |i| f64::from(samples.weight(i)) / divisor)
}
