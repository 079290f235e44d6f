//! A model defined by a closure.

use super::{Model, Samples, Score, Tensor};

/// Creates a model from a function that writes the gradient sum and returns the loss sum, as
/// [`Model::gradient`] does. Its params are one tensor named `params`, initialized to `initial`.
///
/// The workspace is a buffer for the gradient, which the function writes even if only the score is
/// needed.
///
/// # Cost
///
/// [`Model::score`] computes a gradient and discards it.
///
/// # Examples
///
/// Computes the mean of numbers as the minimum of Σ (p − x)²:
///
/// ```
/// use phalanx::model::{Model, Samples, from_fn};
///
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// assert_eq!((mean.params_len(), mean.initial_params(42)), (1, vec![0.0]));
/// ```
pub fn from_fn<F>(initial: Vec<f32>, gradient: F) -> impl Model<Workspace = Vec<f32>>
where
    F: Fn(&[f32], &Samples<'_>, &mut [f32]) -> f64 + Sync,
{
    Closure { initial, gradient }
}

/// A model created by [`from_fn`].
struct Closure<F> {
    initial: Vec<f32>,
    gradient: F,
}

impl<F> Model for Closure<F>
where
    F: Fn(&[f32], &Samples<'_>, &mut [f32]) -> f64 + Sync,
{
    type Workspace = Vec<f32>;

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("params", &[self.initial.len()])]
    }

    fn initial_params(&self, _seed: u64) -> Vec<f32> {
        self.initial.clone()
    }

    fn workspace(&self, _max_samples: usize) -> Vec<f32> {
        vec![0.0; self.initial.len()]
    }

    fn gradient(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32], _: &mut Vec<f32>) -> f64 {
        (self.gradient)(params, samples, grads)
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, unused: &mut Vec<f32>) -> Score {
        let loss_sum = (self.gradient)(params, samples, unused);
        Score { loss_sum, weight: samples.total_weight(), correct: None }
    }
}
