//! Models: arrays, parameters and losses, with each forward function next to its backward function.
//!
//! A model is a function of one flat `[f32]` of *params*. It works on samples and is independent of
//! ranks, threads and optimizers: given the params and some samples, it writes the **sum** of the
//! samples' gradients, each multiplied by the weight of the sample. The step, not the model,
//! divides that sum.
//!
//! Shapes are written with these letters, as (rows, columns), row-major:
//!
//! | letter | meaning |
//! |---|---|
//! | B | samples in the call |
//! | I | inputs of a layer (features, for the first) |
//! | O | outputs of a layer |
//! | K | outputs of the model: classes, or regression targets |
//!
//! * [`Model`] is the trait, with five required methods: implement it for your own model, or wrap a
//!   closure with [`from_fn`] or [`from_score_fn`]. `fused.rs` contains the additional methods that
//!   make a perceptron fast.
//! * [`Mlp`] is the multi-layer perceptron; without hidden layers it is linear, softmax or logistic
//!   regression.
//! * [`Samples`] are the input of a model; [`Score`] is the result of evaluating it on samples.
//! * [`Activation`] and [`Loss`] match PyTorch's, each with its derivative next to it.
//! * [`DataMismatch`] is the reason why a model cannot be used with some data.
//!
//! The matrix products of a layer are computed by kernels whose results have the same bits
//! whichever thread computes them. The number type of the perceptron is f32, or f64 in tests that
//! check gradients against central differences.

mod activation;
mod any;
mod closure;
pub(crate) mod fused;
mod init;
pub(crate) mod kernel;
mod layer;
mod loss;
pub(crate) mod mlp;
pub(crate) mod real;
mod samples;

pub use activation::Activation;
pub(crate) use any::{AnyModel, AnyWorkspace, ErasedModel, segment_model};
pub use closure::{from_fn, from_score_fn};
pub(crate) use fused::{FusedModel, SegmentModel, ShardRun};
pub use init::Init;
pub use loss::{Loss, SquaredForm, SquaredLoss};
pub use mlp::{Mlp, MlpShape};
pub use samples::{BatchTargets, DataMismatch, Samples, Score, TargetShape, Tensor};

/// A model on flat params.
///
/// The trainer calls [`gradient`](Model::gradient) from many threads at once, each with its own
/// workspace.
///
/// # Examples
///
/// A line through the origin, y = p·x, with the squared error:
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
///         for (index, (x, y)) in samples.inputs.iter().zip(values).enumerate() {
///             let (weight, error) = (samples.weight(index), params[0] * x - y);
///             grads[0] += weight * 2.0 * error * x;
///             loss_sum += f64::from(weight * error * error);
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
    /// The buffers that one rank needs to compute a gradient, created once and reused in every
    /// step.
    type Workspace: Send + Sync + 'static;

    /// Returns the tensors, in the order in which they are stored in the flat params, without gaps.
    fn tensors(&self) -> Vec<Tensor>;

    /// Returns the number of params: the sum of the tensors' lengths.
    fn params_len(&self) -> usize {
        self.tensors().iter().map(Tensor::len).sum()
    }

    /// Checks that the model can be trained and scored on samples with this number of `features`
    /// and these `targets`.
    ///
    /// # Errors
    ///
    /// A [`DataMismatch`] if it cannot. By default, a model accepts all samples.
    fn check(&self, features: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        let _ = targets;
        self.check_features(features)
    }

    /// Checks that the model can predict samples with this number of features.
    ///
    /// # Errors
    ///
    /// A [`DataMismatch`] if it cannot. By default, a model accepts all samples.
    fn check_features(&self, features: usize) -> Result<(), DataMismatch> {
        let _ = features;
        Ok(())
    }

    /// Returns the initial params, a function of the seed and the model only.
    fn initial_params(&self, seed: u64) -> Vec<f32>;

    /// Returns buffers for calls with up to `max_samples` samples.
    fn workspace(&self, max_samples: usize) -> Self::Workspace;

    /// Writes the weighted sum of the gradients of the samples, grads = Σ_i w_i ∂ℓ_i/∂params,
    /// overwriting `grads`, and returns the weighted sum of their losses, Σ_i w_i ℓ_i.
    ///
    /// The result must be a function of the arguments only; otherwise the bits of training depend
    /// on the number of threads. The function must not allocate if training is to be free of
    /// allocation.
    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut Self::Workspace,
    ) -> f64;

    /// Returns the score of the params on samples: the loss, and for classes the weight of correct
    /// predictions.
    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut Self::Workspace) -> Score;

    /// Returns the number of values that [`predict_samples`](Self::predict_samples) writes for each
    /// sample; 0, the default, if the model does not predict.
    fn prediction_len(&self) -> usize {
        0
    }

    /// Writes the predictions (B, [`prediction_len`](Self::prediction_len)) of the samples,
    /// row-major. The targets are not used and may be missing; the content of `predictions` before
    /// is not specified.
    ///
    /// # Panics
    ///
    /// By default, as the model does not predict.
    fn predict_samples(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        predictions: &mut [f32],
        workspace: &mut Self::Workspace,
    ) {
        let _ = (params, samples, predictions, workspace);
        unimplemented!("a model whose `prediction_len` is not 0 implements `predict_samples`")
    }

    /// Returns the model as a [`FusedModel`] if it computes several shards faster than one by one;
    /// by default, returns `None`.
    #[doc(hidden)]
    fn fused(&self) -> Option<&dyn FusedModel<Self::Workspace>> {
        None
    }
}
