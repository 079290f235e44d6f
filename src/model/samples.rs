//! What a model is given, and what it says of it.

use std::ops::AddAssign;

use ndarray::ArrayView2;

use super::Real;

/// Samples as dense views: inputs (B, I), one target and perhaps one weight a sample.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a, R = f32> {
    /// Inputs, (B, I), rows contiguous.
    pub inputs: ArrayView2<'a, R>,
    /// What the model should say, B of them.
    pub targets: Targets<'a, R>,
    /// Weight of each sample, B of them; without, each weighs 1.
    pub weights: Option<&'a [R]>,
}

/// The targets of B samples.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, R = f32> {
    /// One class index a sample.
    Classes(&'a [u32]),
    /// Values, (B, K).
    Values(ArrayView2<'a, R>),
    /// None are known: the samples can be predicted, not learned from.
    None,
}

impl<R: Real> Samples<'_, R> {
    /// Number of samples, B.
    pub fn len(&self) -> usize {
        self.inputs.nrows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weight of sample `index`: 1 without weights.
    pub fn weight(&self, index: usize) -> R {
        self.weights.map_or(R::ONE, |weights| weights[index])
    }

    /// W = Σ w_i, the number of samples if they carry no weights. Added up in order, in f64.
    pub fn total_weight(&self) -> f64 {
        self.weights.map_or(self.len() as f64, |weights| weights.iter().map(|weight| weight.to_f64()).sum())
    }
}

/// How well a model does on some samples. Scores of parts add up to the score of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Σ w_i ℓ_i.
    pub loss_sum: f64,
    /// Σ w_i.
    pub weight: f64,
    /// Σ w_i over the samples whose class is predicted right; `None` where there are no classes.
    pub correct: Option<f64>,
}

impl Score {
    /// Its three sums, to be sent elsewhere; NaN for what there is none of.
    pub(crate) fn sums(&self) -> [f64; 3] {
        [self.loss_sum, self.weight, self.correct.unwrap_or(f64::NAN)]
    }

    pub(crate) fn of_sums([loss_sum, weight, correct]: [f64; 3]) -> Self {
        Self { loss_sum, weight, correct: (!correct.is_nan()).then_some(correct) }
    }

    /// Mean loss of a sample, Σ w_i ℓ_i / Σ w_i.
    pub fn mean_loss(&self) -> f64 {
        self.loss_sum / self.weight
    }

    /// Share of the weight that is predicted right, between 0 and 1; `None` where there are no classes.
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|correct| correct / self.weight)
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, part: Self) {
        self.loss_sum += part.loss_sum;
        self.weight += part.weight;
        self.correct = match (self.correct, part.correct) {
            (Some(left), Some(right)) => Some(left + right),
            (one, None) | (None, one) => one,
        };
    }
}
