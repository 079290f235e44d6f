//! Faster ways to the gradients of several shards, for models that have them.

use std::ops::Range;

use ndarray::s;

use super::{AnyModel, AnyWorkspace, BatchTargets, Samples};

/// Successive shards of a batch, such as those of a rank.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::internals::ShardRun;
/// use phalanx::model::{BatchTargets, Samples};
///
/// let inputs = array![[1.0], [2.0], [4.0]];
/// let samples = Samples { inputs: inputs.view(), targets: BatchTargets::None, weights: None };
/// // A shard of two samples and one of one, each divided by its number.
/// let shards = ShardRun { samples, bounds: &[0, 2, 3], divisors: Some(&[2.0, 1.0]) };
/// assert_eq!((shards.len(), shards.all_samples().len()), (2, 3));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ShardRun<'a> {
    /// Samples among which those of the shards are.
    pub samples: Samples<'a>,
    /// Ascending indices, one more than shards: shard k has the samples `bounds[k]..bounds[k + 1]`, at least one.
    pub bounds: &'a [usize],
    /// Divisor of each shard's gradient sum, which is divided before shards are added; `None` for no division. The divisor of a shard of
    /// weight 0 is not read.
    pub divisors: Option<&'a [f32]>,
}

impl<'a> ShardRun<'a> {
    /// Returns the number of shards.
    #[allow(clippy::len_without_is_empty)] // a rank without shards has bounds all the same
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Returns the samples of all its shards.
    pub fn all_samples(&self) -> Samples<'a> {
        self.samples.range(self.bounds[0]..self.bounds[self.len()])
    }
}

/// A [`Model`](super::Model) that computes the combined gradient of several shards in fewer passes than one a shard; `W` is its workspace.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::internals::{FusedModel, ShardRun};
/// use phalanx::model::{Activation, BatchTargets, Loss, Mlp, MlpShape, Model, Samples};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 1, hidden, outputs: 2, activation, loss });
/// let inputs = array![[1.0], [2.0]];
/// let samples = Samples { inputs: inputs.view(), targets: BatchTargets::Classes(&[0, 1]), weights: None };
/// let (mut grads, mut losses, mut workspace) = ([0.0; 4], [0.0; 2], model.workspace(2));
/// let shards = ShardRun { samples, bounds: &[0, 1, 2], divisors: None };
/// let fused = model.fused().expect("a perceptron is");
/// fused.subtree_gradient(&[0.0; 4], &shards, &mut grads, &mut losses, &mut workspace);
/// assert_eq!(grads, [0.5, -0.5, 0.0, 0.0]);
/// ```
pub trait FusedModel<W: 'static>: Sync {
    /// Writes the gradient of 2ʲ shards, combined in the fixed binary tree, and the weighted loss sum of each shard.
    ///
    /// The result has the bits of this definition: the gradient of each shard, divided as the shards say, or 0 if the shard weighs 0;
    /// then neighbours combined, always left + right, then neighbours of neighbours. The bits of a subtree must not depend on a larger one
    /// that it may be a part of.
    fn subtree_gradient(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        grads: &mut [f32],
        losses: &mut [f64],
        workspace: &mut W,
    );

    /// Returns a bound of the shards that the model computed last with this workspace: no sum over the samples that the gradient of any
    /// param is made of exceeds it. NaN, which is the default, or infinite, if the model knows none.
    ///
    /// A gradient that is guaranteed to be finite is used for the update while it is computed.
    fn gradient_bound(&self, shards: &ShardRun<'_>, workspace: &W) -> f64 {
        let _ = (shards, workspace);
        f64::NAN
    }

    /// Returns the model as one whose gradient can be cut by params, if it is; by default it is not.
    fn by_segment(&self) -> Option<&dyn SegmentModel<W>> {
        None
    }
}

/// A [`FusedModel`] that keeps of its samples all that their gradients are made of, so that the gradient of any segment of the params can be
/// computed from it, and the norm of the gradient of each sample.
///
/// # Examples
///
/// ```
/// use phalanx::internals::{FusedModel, SegmentModel};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 100, hidden, outputs: 100, activation, loss });
/// let by_segment: &dyn SegmentModel<_> = model.fused().and_then(|fused| fused.by_segment()).expect("a perceptron is");
/// assert!(by_segment.reduces_by_segment(1) && !by_segment.reduces_by_segment(1_000_000));
/// ```
pub trait SegmentModel<W: 'static>: Sync {
    /// Returns whether the gradient of `samples` samples should be cut by params, not by samples.
    ///
    /// Each rank then computes the gradient of the params that it updates, from what all ranks kept of their samples, and
    /// no gradient crosses from one core to another. It pays where that is little compared with a gradient; the bits are the same.
    fn reduces_by_segment(&self, samples: usize) -> bool;

    /// Computes of some shards all that [`segment_gradient`](Self::segment_gradient) needs, and leaves it in the workspace;
    /// writes the weighted loss sum of each shard. There may be no shard.
    fn propagate(&self, params: &[f32], shards: &ShardRun<'_>, losses: &mut [f64], workspace: &mut W);

    /// Computes a segment of the gradient of all shards, combined in the tree, and passes it to `sink` piece by piece: indices
    /// among the params, and their values, which the sink may change. Each index of the segment comes once.
    ///
    /// `workspace_of(k)` is the workspace of the k-th of `ranks` ranks as [`propagate`](Self::propagate) left it; the ranks are in the order
    /// of their shards. `spare` is a workspace for no samples, kept from call to call.
    fn segment_gradient<'a>(
        &self,
        ranks: usize,
        workspace_of: &dyn Fn(usize) -> &'a W,
        segment: Range<usize>,
        spare: &mut W,
        sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
    );

    /// Writes |w_i ∂ℓ_i/∂params|², over all params, of each sample of the shards that the model computed last with this workspace,
    /// by [`propagate`](Self::propagate) or [`FusedModel::subtree_gradient`]. The divisor of a shard's gradient has divided those of its
    /// samples.
    ///
    /// The gradient noise scale is measured from them rather than from shards: more exactly, and at less cost.
    fn sample_squares(&self, shards: &ShardRun<'_>, squares: &mut [f64], workspace: &W);
}

/// Returns the model as one whose gradient can be cut by params, if it is.
pub(crate) fn segment_model<'a>(model: &'a AnyModel<'_>) -> Option<&'a dyn SegmentModel<AnyWorkspace>> {
    model.fused()?.by_segment()
}

impl<'a> Samples<'a> {
    /// Returns some of the samples, in place.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the samples.
    pub fn range(&self, range: Range<usize>) -> Samples<'a> {
        let targets = match self.targets {
            BatchTargets::Classes(labels) => BatchTargets::Classes(&labels[range.clone()]),
            BatchTargets::Values(values) => BatchTargets::Values(values.slice_move(s![range.clone(), ..])),
            BatchTargets::None => BatchTargets::None,
        };
        let weights = self.weights.map(|weights| &weights[range.clone()]);
        Samples { inputs: self.inputs.slice_move(s![range, ..]), targets, weights }
    }
}
