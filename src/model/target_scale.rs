//! Mean squared error on standardized targets, reported in the units of the targets.

use super::{Real, Samples, Score, Targets};

/// Mean m_k and standard deviation s_k of each target k. With z_k an output of the model and t_k its target:
///
/// | | |
/// |---|---|
/// | error, in deviations | e_k = z_k − (t_k − m_k)/s_k |
/// | gradient | ∂ℓ/∂z_k = 2 e_k/K, that of (1/K) Σ_k e_k² |
/// | loss, in squared units | (1/K) Σ_k s_k² e_k² |
/// | prediction | s_k z_k + m_k |
///
/// The loss is that of the predictions, up to rounding; it is taken of e_k because s_k z_k + m_k − t_k would cancel digits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TargetScale {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl TargetScale {
    /// One finite mean and one finite deviation above 0 for each output.
    pub(super) fn new(mean: &[f32], std: &[f32], outputs: usize) -> Self {
        assert_eq!((mean.len(), std.len()), (outputs, outputs), "a mean and a deviation for each output");
        assert!(mean.iter().all(|mean| mean.is_finite()), "means are finite: {mean:?}");
        assert!(std.iter().all(|std| std.is_finite() && *std > 0.0), "deviations are above 0: {std:?}");
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }

    /// Adds up the weighted losses of `outputs` (B, K), and replaces each output by w_i ∂ℓ_i/∂z, divided by `divisor` if there is
    /// one. A sample of weight 0 is ignored, whatever its outputs are.
    pub(super) fn backward<R: Real>(
        &self,
        outputs: &mut [R],
        samples: &Samples<'_, R>,
        divisor: Option<R>,
    ) -> f64 {
        let width = self.mean.len();
        let share = R::from_f64(2.0) / R::from_f64(width as f64);
        let mut loss_sum = 0.0;
        for (index, row) in outputs.chunks_exact_mut(width).enumerate() {
            let weight = samples.weight(index);
            if weight == R::ZERO {
                row.fill(R::ZERO);
                continue;
            }
            self.errors(row, samples, index);
            loss_sum += weight.to_f64() * self.loss(row);
            let factor = divisor.map_or(weight, |divisor| weight / divisor);
            row.iter_mut().for_each(|value| *value = *value * share * factor);
        }
        loss_sum
    }

    /// Scores `outputs` (B, K), which it replaces by their errors.
    pub(super) fn score<R: Real>(&self, outputs: &mut [R], samples: &Samples<'_, R>) -> Score {
        let mut score = Score::default();
        for (index, row) in outputs.chunks_exact_mut(self.mean.len()).enumerate() {
            let weight = samples.weight(index).to_f64();
            if weight != 0.0 {
                self.errors(row, samples, index);
                score.loss_sum += weight * self.loss(row);
                score.weight += weight;
            }
        }
        score
    }

    /// Replaces the outputs of one sample by its predictions.
    pub(super) fn predict<R: Real>(&self, outputs: &mut [R]) {
        for ((z, mean), std) in outputs.iter_mut().zip(&self.mean).zip(&self.std) {
            *z = *z * real(*std) + real(*mean);
        }
    }

    /// Replaces the outputs of one sample by e.
    fn errors<R: Real>(&self, row: &mut [R], samples: &Samples<'_, R>, index: usize) {
        let Targets::Values(values) = samples.targets else { panic!("mse needs values") };
        let values = values.to_slice().expect("target values lie row-major");
        let targets = &values[index * row.len()..][..row.len()];
        for (((z, target), mean), std) in row.iter_mut().zip(targets).zip(&self.mean).zip(&self.std) {
            *z = *z - (*target - real(*mean)) / real(*std);
        }
    }

    /// The loss of one sample with these errors. The squares are those of the gradient's precision, so that a loss overflows where
    /// that of unstandardized targets would; their scale is f64's.
    fn loss<R: Real>(&self, errors: &[R]) -> f64 {
        let scaled =
            errors.iter().zip(&self.std).map(|(e, std)| (*e * *e).to_f64() * f64::from(*std).powi(2));
        scaled.sum::<f64>() / self.std.len() as f64
    }
}

fn real<R: Real>(value: f32) -> R {
    R::from_f64(f64::from(value))
}
