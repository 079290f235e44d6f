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
//! * [`Model`] is the trait, of five required methods: implement it for your own model, or wrap a closure with [`from_fn`].
//!   What a perceptron adds to it for speed is in `fused.rs`.
//! * [`Mlp`] is the multi-layer perceptron, and with no hidden layer linear, softmax or logistic regression.
//! * [`Samples`] are given to a model; [`Score`] is its result on samples that it does not learn from.
//! * [`Activation`] and [`Loss`] are PyTorch's, each with its derivative next to it.
//! * [`DataMismatch`] is the reason why a model and data do not fit each other.
//!
//! The products of a layer are kernels whose bits do not depend on who computes them. The number type of the perceptron is f32, or
//! f64 where tests check gradients against central differences.

mod activation;
mod any;
mod closure;
pub(crate) mod fused;
pub(crate) mod kernel;
mod layer;
mod loss;
pub(crate) mod mlp;
pub(crate) mod real;
mod samples;

pub use activation::Activation;
pub(crate) use any::{AnyModel, AnyWorkspace, Erased};
pub use closure::from_fn;
pub(crate) use fused::{FusedModel, SegmentModel, ShardRun, segment_model};
pub use loss::Loss;
pub use mlp::{Mlp, MlpShape};
pub use samples::{BatchTargets, DataMismatch, Samples, Score, TargetShape, Tensor};

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
    /// The buffers that one rank needs to compute a gradient, made once and used for every step.
    type Workspace: Send + Sync + 'static;

    /// Returns the tensors in the order in which they lie in the flat params, without gaps.
    fn tensors(&self) -> Vec<Tensor>;

    /// Returns the number of params: the sum of the tensors' lengths.
    fn params_len(&self) -> usize {
        self.tensors().iter().map(Tensor::len).sum()
    }

    /// Checks that the model can learn from, and be scored on, samples with this number of `features` and these `targets`.
    ///
    /// # Errors
    ///
    /// A [`DataMismatch`] if not. By default a model accepts all samples.
    fn check(&self, features: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        let _ = (features, targets);
        Ok(())
    }

    /// Returns the params to start from, a function of the seed and the model alone.
    fn initial_params(&self, seed: u64) -> Vec<f32>;

    /// Returns buffers for calls with up to `max_samples` samples.
    fn workspace(&self, max_samples: usize) -> Self::Workspace;

    /// Writes the weighted sum of the samples' gradients, grads = Σ_i w_i ∂ℓ_i/∂params, over whatever `grads`
    /// held, and returns the weighted sum of their losses, Σ_i w_i ℓ_i.
    ///
    /// The result must be a function of the arguments alone, or the bits of training depend on the number of threads. It must not
    /// allocate if training is to be free of allocation.
    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut Self::Workspace,
    ) -> f64;

    /// Returns how well the params do on samples: the loss, and for classes how many are right.
    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut Self::Workspace) -> Score;

    /// Returns the model as one that is faster on several shards than on one after the other, if it is; by default it is not.
    #[doc(hidden)]
    fn fused(&self) -> Option<&dyn FusedModel<Self::Workspace>> {
        None
    }
}
