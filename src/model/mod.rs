//! Arrays, parameters and losses: forward and backward side by side.
//!
//! A model is a function of one flat `[f32]` of *params*. It knows samples, and nothing of ranks, threads or
//! optimizers: given the params and some samples it writes the **sum** of the samples' gradients, each times the
//! sample's weight. Who divides that sum, and by what, is the business of the step.
//!
//! Shapes are written with these letters, (rows, columns), row-major:
//!
//! | letter | meaning |
//! |---|---|
//! | B | samples in the call |
//! | I | inputs of a layer (features, for the first) |
//! | O | outputs of a layer |
//! | K | outputs of the model: classes, or regression targets |
//!
//! * [`Model`] is the trait: implement it for a model of your own, or wrap a closure with [`from_fn`].
//! * [`Mlp`] is the multi-layer perceptron, and with no hidden layer linear, softmax or logistic regression.
//! * [`Samples`] are the input of a model, [`ShardRun`] several shards of them; [`Score`] is the result of evaluating it.
//! * [`Activation`] and [`Loss`] are PyTorch's, each with its derivative beside it.
//! * [`DataMismatch`] is the reason why a model and data do not fit each other.
//!
//! The products of a layer are kernels whose bits do not depend on who computes them. The number type of the perceptron is f32, or
//! f64 where tests check gradients against central differences.

use std::ops::Range;

mod activation;
mod closure;
pub(crate) mod kernel;
mod layer;
mod loss;
pub(crate) mod mlp;
pub(crate) mod real;
mod samples;
mod shard_run;

pub use activation::Activation;
pub use closure::{Closure, from_fn};
pub use loss::Loss;
pub use mlp::{Mlp, MlpShape};
pub use samples::{BatchTargets, DataMismatch, Samples, Score, TargetShape, Tensor};
pub use shard_run::{ShardRun, SubtreeSums};

/// A model on flat params.
///
/// The trainer calls [`gradient`](Model::gradient) from many threads at once, each with a workspace of its own.
///
/// # Examples
///
/// A line through the origin, y = p·x, under the squared error:
///
/// ```
/// use phalanx::model::{Model, Samples, Score, BatchTargets, Tensor};
///
/// struct Slope;
///
/// impl Model for Slope {
///     type Workspace = ();
///
///     fn tensors(&self) -> Vec<Tensor> {
///         vec![Tensor::new("slope", &[1])]
///     }
///
///     fn initial_params(&self, _seed: u64) -> Vec<f32> {
///         vec![0.0]
///     }
///
///     fn workspace(&self, _max_samples: usize) {}
///
///     fn gradient(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32], _: &mut ()) -> f64 {
///         let BatchTargets::Values(values) = samples.targets else { panic!("a slope needs values") };
///         grads[0] = 0.0;
///         let mut loss_sum = 0.0;
///         for (x, y) in samples.inputs.iter().zip(values) {
///             let error = params[0] * x - y;
///             grads[0] += 2.0 * error * x;
///             loss_sum += f64::from(error * error);
///         }
///         loss_sum
///     }
///
///     fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut ()) -> Score {
///         let loss_sum = self.gradient(params, samples, &mut [0.0], workspace);
///         Score { loss_sum, weight: samples.total_weight(), correct: None }
///     }
/// }
/// ```
pub trait Model: Sync {
    /// What one rank needs to compute a gradient: buffers, made once and used for every step.
    type Workspace: Send + Sync + 'static;

    /// The tensors in the order in which they lie in the flat params, without gaps.
    fn tensors(&self) -> Vec<Tensor>;

    /// Number of params: the sum of the tensors' lens.
    fn params_len(&self) -> usize {
        self.tensors().iter().map(Tensor::len).sum()
    }

    /// Says whether the model can learn from, and be scored on, samples with so many `features` and such `targets`.
    ///
    /// # Errors
    ///
    /// A [`DataMismatch`] if not. Without an implementation of its own a model takes whatever it is given.
    fn check(&self, features: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        let _ = (features, targets);
        Ok(())
    }

    /// Params to start from, a function of the seed and the model alone.
    fn initial_params(&self, seed: u64) -> Vec<f32>;

    /// Buffers for calls with up to `max_samples` samples.
    fn workspace(&self, max_samples: usize) -> Self::Workspace;

    /// Writes the weighted sum of the samples' gradients, grads = Σ_i w_i ∂ℓ_i/∂params, over whatever `grads`
    /// held, and returns the weighted sum of their losses, Σ_i w_i ℓ_i.
    ///
    /// The result must be a function of the arguments alone: the sameness of training over thread counts rests
    /// on it. It must not allocate if training is to be free of allocation.
    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut Self::Workspace,
    ) -> f64;

    /// Writes the gradient of a subtree of shards, and the weighted loss sum of each shard.
    ///
    /// That is [`gradient`](Self::gradient) of each shard, divided as the subtree says, combined in the tree; a shard of
    /// weight 0 counts as 0 whatever the model makes of it. A model may do it in fewer passes over the grads, as
    /// [`Mlp`] does, if the bits of a subtree do not depend on the larger one that it may be a part of.
    fn subtree_gradient(
        &self,
        params: &[f32],
        subtree: &ShardRun<'_>,
        sums: SubtreeSums<'_>,
        workspace: &mut Self::Workspace,
    ) {
        subtree.gradient_by_definition(self, params, sums, workspace);
    }

    /// Gradients that [`subtree_gradient`](Self::subtree_gradient) needs beside the result for a subtree of so many
    /// shards: one a level.
    fn spare_gradients(&self, shards: usize) -> usize {
        shards.ilog2() as usize
    }

    /// Whether the gradient of `samples` samples should be cut by params, not by samples, for which
    /// [`propagate`](Self::propagate) and [`segment_gradient`](Self::segment_gradient) are needed.
    ///
    /// Each rank then computes the gradient of the params that it updates, from what all ranks computed of their samples, and
    /// no gradient crosses from one core to another. It pays where that is little beside a gradient; the bits are the same.
    fn reduces_by_segment(&self, samples: usize) -> bool {
        let _ = samples;
        false
    }

    /// Computes of some shards all that [`segment_gradient`](Self::segment_gradient) needs, and leaves it in the workspace;
    /// writes the weighted loss sum of each shard. There may be no shard.
    ///
    /// # Panics
    ///
    /// Unless the model [reduces by segment](Self::reduces_by_segment).
    fn propagate(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        losses: &mut [f64],
        workspace: &mut Self::Workspace,
    ) {
        let _ = (params, shards, losses, workspace);
        panic!("the model does not reduce by segment");
    }

    /// A bound of the shards that the model computed last with this workspace, by [`propagate`](Self::propagate) or
    /// [`subtree_gradient`](Self::subtree_gradient): no sum over the samples that the gradient of any param is made of exceeds it. NaN,
    /// which is what models say without an implementation of their own, or infinite, if the model knows none.
    ///
    /// A gradient that cannot but be finite is used for the update while it is computed.
    fn gradient_bound(&self, shards: &ShardRun<'_>, workspace: &Self::Workspace) -> f64 {
        let _ = (shards, workspace);
        f64::NAN
    }

    /// Computes a segment of the gradient of all shards, combined in the tree, and hands it to `sink` piece by piece: indices
    /// among the params, and their values, which are the sink's to change. Each index of the segment comes once.
    ///
    /// `ranks` are workspaces as [`propagate`](Self::propagate) left them, in the order of the shards. `room` is a workspace for no
    /// samples, kept from call to call.
    ///
    /// # Panics
    ///
    /// Unless the model [reduces by segment](Self::reduces_by_segment).
    fn segment_gradient<'a>(
        &self,
        ranks: impl Iterator<Item = &'a Self::Workspace> + Clone,
        segment: Range<usize>,
        room: &mut Self::Workspace,
        sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
    ) where
        Self::Workspace: 'a,
    {
        let _ = (ranks, segment, room, sink);
        panic!("the model does not reduce by segment");
    }

    /// Whether the model knows how long the gradient of each sample is without computing it, which
    /// [`sample_squares`](Self::sample_squares) is needed for.
    ///
    /// The gradient noise scale is then measured from samples rather than shards: more exactly, and at less cost.
    fn knows_sample_squares(&self) -> bool {
        false
    }

    /// Writes |w_i ∂ℓ_i/∂params|², over all params, of each sample of the shards that the model computed last with this workspace,
    /// by [`subtree_gradient`](Self::subtree_gradient) or [`propagate`](Self::propagate). What divided a shard's gradient
    /// has divided those of its samples.
    ///
    /// # Panics
    ///
    /// Unless the model [knows them](Self::knows_sample_squares).
    fn sample_squares(&self, shards: &ShardRun<'_>, squares: &mut [f64], workspace: &Self::Workspace) {
        let _ = (shards, squares, workspace);
        panic!("the model does not know the gradients of samples");
    }

    /// Says how well the params do on samples: loss, and for classes how many are right.
    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut Self::Workspace) -> Score;
}
