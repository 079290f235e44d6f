//! Faster computation of the gradients of several shards, for models that support it.

use std::ops::Range;

use ndarray::s;

use super::{BatchTargets, Samples};

/// Consecutive shards of a batch, such as those of a rank.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::internals::ShardRun;
/// use phalanx::model::{BatchTargets, Samples};
///
/// let inputs = array![[1.0], [2.0], [4.0]];
/// let samples = Samples::new(inputs.view(), BatchTargets::None);
/// // Shards of two samples and of one, each divided by its number of samples.
/// let shards = ShardRun { samples, bounds: &[0, 2, 3], divisors: Some(&[2.0, 1.0]) };
/// assert_eq!((shards.len(), shards.all_samples().len()), (2, 3));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ShardRun<'a> {
    /// The samples that contain those of the shards.
    pub samples: Samples<'a>,
    /// Ascending indices, one more than there are shards: shard k has the samples
    /// `bounds[k]..bounds[k + 1]`, at least one.
    pub bounds: &'a [usize],
    /// The divisor of each shard's gradient sum, applied before shards are added; `None` for no
    /// division. The divisor of a shard of weight 0 is not read.
    pub divisors: Option<&'a [f32]>,
}

impl<'a> ShardRun<'a> {
    /// Returns the number of shards.
    #[allow(clippy::len_without_is_empty)] // a rank without shards has bounds too
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Returns the samples of all shards.
    pub fn all_samples(&self) -> Samples<'a> {
        self.samples.range(self.bounds[0]..self.bounds[self.len()])
    }
}

/// A [`Model`](super::Model) that computes the combined gradient of several shards in fewer passes
/// than one per shard; `W` is its workspace type.
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
/// let samples = Samples::new(inputs.view(), BatchTargets::Classes(&[0, 1]));
/// let (mut grads, mut losses, mut workspace) = ([0.0; 4], [0.0; 2], model.workspace(2));
/// let shards = ShardRun { samples, bounds: &[0, 1, 2], divisors: None };
/// let fused = model.fused().expect("a perceptron is fused");
/// fused.subtree_gradient(&[0.0; 4], &shards, &mut grads, &mut losses, &mut workspace);
/// assert_eq!(grads, [0.5, -0.5, 0.0, 0.0]);
/// ```
pub trait FusedModel<W: 'static>: Sync {
    /// Writes the gradient of 2ʲ shards, combined in the fixed binary tree, and the weighted loss
    /// sum of each shard.
    ///
    /// The result is bit-identical to this definition: compute the gradient of each shard, divided
    /// by the shard's divisor (the sum, or each sample's derivatives, as the model chooses, but
    /// always the same), or 0 if the shard has weight 0; then combine neighbours, always
    /// `left + right`, then neighbours of neighbours, and so on. The bits of a subtree must not
    /// depend on a larger subtree that contains it.
    fn subtree_gradient(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        grads: &mut [f32],
        losses: &mut [f64],
        workspace: &mut W,
    );

    /// Returns an upper bound for the shards that the model computed last with this workspace: the
    /// magnitude of every partial sum over the samples, in the gradient of every param, is at most
    /// this bound. Returns NaN, the default, or infinity if the model has no bound.
    ///
    /// If this guarantees that a gradient is finite, the update can use it while it is being
    /// computed.
    fn gradient_bound(&self, shards: &ShardRun<'_>, workspace: &W) -> f64 {
        let _ = (shards, workspace);
        f64::NAN
    }

    /// Returns the model as a [`SegmentModel`] if its gradient can be computed by segments of
    /// params; by default, returns `None`.
    fn by_segment(&self) -> Option<&dyn SegmentModel<W>> {
        None
    }
}

/// A [`FusedModel`] whose workspace keeps everything that the gradients of its samples are computed
/// from, so that the gradient of any segment of the params can be computed from it, as well as the
/// norm of the gradient of each sample.
///
/// # Examples
///
/// ```
/// use phalanx::internals::{FusedModel, SegmentModel};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 100, hidden, outputs: 100, activation, loss });
/// let by_segment: &dyn SegmentModel<_> = model.fused().and_then(|fused| fused.by_segment()).expect("a perceptron supports segments");
/// assert!(by_segment.reduces_by_segment(1) && !by_segment.reduces_by_segment(1_000_000));
/// ```
pub trait SegmentModel<W: 'static>: Sync {
    /// Returns whether the gradient of `samples` samples should be divided among ranks by params
    /// rather than by samples.
    ///
    /// Each rank then computes the gradient of the params that it updates, from the values that all
    /// ranks kept for their samples, and no gradient is transferred between cores. This is faster
    /// if these values are small compared with a gradient; the bits are the same.
    fn reduces_by_segment(&self, samples: usize) -> bool;

    /// Computes everything that [`segment_gradient`](Self::segment_gradient) needs from some
    /// shards, stores it in the workspace, and writes the weighted loss sum of each shard. The
    /// number of shards may be zero.
    fn propagate(&self, params: &[f32], shards: &ShardRun<'_>, losses: &mut [f64], workspace: &mut W);

    /// Computes a segment of the gradient of all shards, combined in the tree, and passes it to
    /// `sink` in pieces: indices among the params, and their values, which the sink may modify.
    /// Each index of the segment is passed exactly once.
    ///
    /// `workspace_of(k)` is the workspace of the k-th of `ranks` ranks after its call of
    /// [`propagate`](Self::propagate); the ranks are in the order of their shards. `spare` is a
    /// workspace for no samples, reused from call to call.
    fn segment_gradient<'a>(
        &self,
        ranks: usize,
        workspace_of: &dyn Fn(usize) -> &'a W,
        segment: Range<usize>,
        spare: &mut W,
        sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
    );

    /// Writes |w_i ∂ℓ_i/∂params|², over all params, for each sample of the shards that the model
    /// computed last with this workspace, by [`propagate`](Self::propagate) or
    /// [`FusedModel::subtree_gradient`]. The divisor of a shard's gradient has already been applied
    /// to the gradients of its samples.
    ///
    /// The gradient noise scale is measured from these values rather than from shards: this is more
    /// accurate and cheaper.
    fn sample_squares(&self, shards: &ShardRun<'_>, squares: &mut [f64], workspace: &W);
}

impl<'a> Samples<'a> {
    /// Returns a range of the samples, without copying.
    ///
    /// # Panics
    ///
    /// If the range extends past the last sample.
    pub fn range(&self, range: Range<usize>) -> Samples<'a> {
        let targets = match self.targets {
            BatchTargets::Classes(labels) => BatchTargets::Classes(&labels[range.clone()]),
            BatchTargets::Values(values) => BatchTargets::Values(values.slice_move(s![range.clone(), ..])),
            BatchTargets::None => BatchTargets::None,
        };
        let weights = self.weights.map(|weights| &weights[range.clone()]);
        let indices = self.indices.get(range.clone()).unwrap_or_default();
        Samples { inputs: self.inputs.slice_move(s![range, ..]), indices, targets, weights }
    }
}
