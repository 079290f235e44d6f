//! A perceptron whose gradient is computed shard by shard, as in the definition.

use phalanx::internals::{FusedModel, MlpWorkspace, ShardRun};
use phalanx::model::{Mlp, Model, Samples, Score, Tensor};

/// A perceptron that does not implement [`SegmentModel`](phalanx::internals::SegmentModel).
pub struct ByShards<'a>(pub &'a Mlp);

impl Model for ByShards<'_> {
    type Workspace = MlpWorkspace;

    fn tensors(&self) -> Vec<Tensor> {
        self.0.tensors()
    }

    fn initial_params(&self, seed: u64) -> Vec<f32> {
        self.0.initial_params(seed)
    }

    fn workspace(&self, max_samples: usize) -> MlpWorkspace {
        self.0.workspace(max_samples)
    }

    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        work: &mut MlpWorkspace,
    ) -> f64 {
        self.0.gradient(params, samples, grads, work)
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, work: &mut MlpWorkspace) -> Score {
        self.0.score(params, samples, work)
    }

    fn fused(&self) -> Option<&dyn FusedModel<MlpWorkspace>> {
        Some(self)
    }
}

impl FusedModel<MlpWorkspace> for ByShards<'_> {
    fn subtree_gradient(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        grads: &mut [f32],
        losses: &mut [f64],
        work: &mut MlpWorkspace,
    ) {
        self.0.subtree_gradient(params, shards, grads, losses, work);
    }
}
