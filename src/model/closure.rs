//! A model defined by a closure.

use super::{Model, Samples, Score, Tensor};

/// Creates a model from a function that writes the gradient sum and returns the loss sum, as
/// [`Model::gradient`] does. Its params are one tensor named `params`, initialized to `initial`.
///
/// The slice for the gradient holds values of an earlier call: the function must overwrite all of
/// them, as with `grads.fill(0.0)`.
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
    from_score_fn(initial, move |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| Score {
        loss_sum: gradient(params, samples, grads),
        weight: samples.total_weight(),
        correct: None,
    })
}

/// Same as [`from_fn`], for a function that returns a whole [`Score`], so that an accuracy is
/// reported, too. For data without classes, it cannot be the
/// [`Metric`](crate::train::Metric).
///
/// # Examples
///
/// The sign of p·x, for classes 0 and 1, with the hinge loss:
/// ```
/// use phalanx::model::{BatchTargets, Model, Samples, Score, from_score_fn};
/// let sign = from_score_fn(vec![1.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     let BatchTargets::Classes(labels) = samples.targets else { panic!("classes are needed") };
///     let mut score = Score { loss_sum: 0.0, weight: samples.total_weight(), correct: Some(0.0) };
///     grads[0] = 0.0;
///     for (k, (x, label)) in samples.inputs.iter().zip(labels).enumerate() {
///         let (weight, sign) = (samples.weight(k), if *label == 1 { 1.0 } else { -1.0 });
///         let margin = sign * params[0] * x;
///         score.loss_sum += f64::from(weight * (1.0 - margin).max(0.0));
///         score.correct = score.correct.map(|sum| if margin > 0.0 { sum + f64::from(weight) } else { sum });
///         grads[0] -= if margin < 1.0 { weight * sign * x } else { 0.0 };
///     }
///     score
/// });
/// let inputs = ndarray::array![[2.0], [-2.0], [0.5], [1.0]];
/// let samples = Samples::new(inputs.view(), BatchTargets::Classes(&[1, 0, 1, 0]));
/// assert_eq!(sign.score(&[1.0], &samples, &mut vec![0.0]).accuracy(), Some(0.75));
/// ```
pub fn from_score_fn<F>(initial: Vec<f32>, gradient: F) -> impl Model<Workspace = Vec<f32>>
where
    F: Fn(&[f32], &Samples<'_>, &mut [f32]) -> Score + Sync,
{
    Closure { initial, gradient }
}

/// A model created by [`from_score_fn`].
struct Closure<F> {
    initial: Vec<f32>,
    gradient: F,
}

impl<F> Model for Closure<F>
where
    F: Fn(&[f32], &Samples<'_>, &mut [f32]) -> Score + Sync,
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
        (self.gradient)(params, samples, grads).loss_sum
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, unused: &mut Vec<f32>) -> Score {
        (self.gradient)(params, samples, unused)
    }
}
