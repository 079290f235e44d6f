//! Type erasure for models, so that the trainer is compiled once, not for each model type.

use std::any::Any;
use std::ops::Range;

use super::{DataMismatch, FusedModel, Model, Samples, Score, SegmentModel, ShardRun, TargetShape, Tensor};

/// A workspace of any type.
pub(crate) type AnyWorkspace = Box<dyn Any + Send + Sync>;

/// A model of any type.
pub(crate) type AnyModel<'a> = dyn Model<Workspace = AnyWorkspace> + 'a;

/// Wraps a [`Model`] as an [`AnyModel`], with bit-identical results.
///
/// # Cost
///
/// One virtual call per shard, or per group of shards that the model computes in one call.
pub(crate) struct ErasedModel<'a, M>(pub(crate) &'a M);

impl<M: Model> ErasedModel<'_, M> {
    fn fused_part(&self) -> &dyn FusedModel<M::Workspace> {
        self.0.fused().expect("the caller has checked that the model has one")
    }

    fn segment_part(&self) -> &dyn SegmentModel<M::Workspace> {
        self.fused_part().by_segment().expect("the caller has checked that the model has one")
    }
}

fn inner<W: 'static>(workspace: &AnyWorkspace) -> &W {
    workspace.downcast_ref().expect("the workspace belongs to this model")
}

fn inner_mut<W: 'static>(workspace: &mut AnyWorkspace) -> &mut W {
    workspace.downcast_mut().expect("the workspace belongs to this model")
}

impl<M: Model> Model for ErasedModel<'_, M> {
    type Workspace = AnyWorkspace;

    fn tensors(&self) -> Vec<Tensor> {
        self.0.tensors()
    }

    fn params_len(&self) -> usize {
        self.0.params_len()
    }

    fn check(&self, features: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        self.0.check(features, targets)
    }

    fn initial_params(&self, seed: u64) -> Vec<f32> {
        self.0.initial_params(seed)
    }

    fn workspace(&self, max_samples: usize) -> AnyWorkspace {
        Box::new(self.0.workspace(max_samples))
    }

    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut AnyWorkspace,
    ) -> f64 {
        self.0.gradient(params, samples, grads, inner_mut(workspace))
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut AnyWorkspace) -> Score {
        self.0.score(params, samples, inner_mut(workspace))
    }

    fn fused(&self) -> Option<&dyn FusedModel<AnyWorkspace>> {
        self.0.fused().map(|_| self as _)
    }
}

impl<M: Model> FusedModel<AnyWorkspace> for ErasedModel<'_, M> {
    fn subtree_gradient(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        grads: &mut [f32],
        losses: &mut [f64],
        workspace: &mut AnyWorkspace,
    ) {
        self.fused_part().subtree_gradient(params, shards, grads, losses, inner_mut(workspace));
    }

    fn gradient_bound(&self, shards: &ShardRun<'_>, workspace: &AnyWorkspace) -> f64 {
        self.fused_part().gradient_bound(shards, inner(workspace))
    }

    fn by_segment(&self) -> Option<&dyn SegmentModel<AnyWorkspace>> {
        self.fused_part().by_segment().map(|_| self as _)
    }
}

impl<M: Model> SegmentModel<AnyWorkspace> for ErasedModel<'_, M> {
    fn reduces_by_segment(&self, samples: usize) -> bool {
        self.segment_part().reduces_by_segment(samples)
    }

    fn propagate(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        losses: &mut [f64],
        workspace: &mut AnyWorkspace,
    ) {
        self.segment_part().propagate(params, shards, losses, inner_mut(workspace));
    }

    fn segment_gradient<'a>(
        &self,
        ranks: usize,
        workspace_of: &dyn Fn(usize) -> &'a AnyWorkspace,
        segment: Range<usize>,
        spare: &mut AnyWorkspace,
        sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
    ) {
        let workspace_of = |rank| inner(workspace_of(rank));
        self.segment_part().segment_gradient(ranks, &workspace_of, segment, inner_mut(spare), sink);
    }

    fn sample_squares(&self, shards: &ShardRun<'_>, squares: &mut [f64], workspace: &AnyWorkspace) {
        self.segment_part().sample_squares(shards, squares, inner(workspace));
    }
}

/// Returns the model as a [`SegmentModel`], if it is one.
pub(crate) fn segment_model<'a>(model: &'a AnyModel<'_>) -> Option<&'a dyn SegmentModel<AnyWorkspace>> {
    model.fused()?.by_segment()
}
