//! Interpretation of two results of a run: the gradient noise scale as a guide to the batch size,
//! and the loss compared with that of a model that ignores the features.

use phalanx::data::{Dataset, Targets};
use phalanx::model::Loss;
use phalanx::train::NoiseEstimate;

use crate::numbers::grouped;

/// The factor by which a batch must differ from the noise scale to be called too small or too
/// large: at 3, a step makes a quarter, or three quarters, of the progress of the exact gradient.
const FAR: f64 = 3.0;

/// Returns one sentence that interprets a noise scale for batches of `batch` samples.
///
/// A step of B samples makes 1/(1 + B_noise/B) of the progress of the exact gradient, each with its
/// best rate (McCandlish 2018, arXiv:1812.06162, eq. 2.7).
pub fn noise_advice(noise_scale: Option<NoiseEstimate>, batch: usize) -> String {
    let Some(NoiseEstimate { value, error }) = noise_scale else {
        return "too few measurements for this noise level: train longer, measure more often (--noise-scale=1), or raise -b"
            .to_owned();
    };
    let size = batch as f64;
    let (name, about) = (grouped(batch as u64), grouped(rounded(value)));
    let done = 100.0 / (1.0 + value.max(0.0) / size);
    if value < 1.0 {
        return format!(
            "there is almost no noise: a batch of {name} gives the same gradient as a single sample"
        );
    }
    let advice = if size < value / FAR {
        format!(
            "batches larger than about {about} are mostly wasted; at {name} each step is noisy and makes {done:.0} % of the \
             progress of the exact gradient, and the rate can grow with the batch (under sum it stays the same)"
        )
    } else if size > value * FAR {
        format!(
            "batches of {name} are mostly wasted: {about} samples would make half of the progress of the exact gradient, these \
             make {done:.0} %; smaller batches reach the same loss with fewer samples"
        )
    } else {
        format!(
            "batches of {name} are about right: they make {done:.0} % of the progress of the exact gradient; larger batches \
             save steps, smaller ones save samples"
        )
    };
    if error > value / 4.0 {
        format!("{advice}; this is a rough estimate, because the error is large")
    } else {
        advice
    }
}

/// Formats a noise scale as "1230 ± 90": rounded to two digits of its error from 10 on, and to
/// whole numbers or hundredths below.
pub fn with_error(estimate: &NoiseEstimate) -> String {
    let NoiseEstimate { value, error } = *estimate;
    if !error.is_finite() || value.abs() >= 1e15 {
        return format!("{value:.3e} ± {error:.1e}");
    }
    if error >= 10.0 {
        let unit = 10_f64.powf(error.log10().floor() - 1.0);
        let round = |number: f64| grouped(((number / unit).round() * unit).round() as u64);
        return format!("{} ± {}", round(value), round(error));
    }
    if error >= 1.0 { format!("{value:.0} ± {error:.0}") } else { format!("{value:.2} ± {error:.2}") }
}

/// Rounds to two significant digits.
fn rounded(value: f64) -> u64 {
    let unit = 10_f64.powf((value.log10().floor() - 1.0).max(0.0));
    ((value / unit).round() * unit) as u64
}

/// Returns the lowest mean loss that a constant prediction can reach: the loss of always predicting
/// the class frequencies, or the mean of the targets. A model whose loss is not lower has learned
/// nothing from the features. `None` without targets or weight, and if this loss is 0, because all
/// targets are equal and there is nothing to learn.
///
/// With f_c the share of the weight that has class c, t̄_k the weighted mean of target k of K, and
/// H(p) = −p ln p − (1 − p) ln(1 − p):
///
/// | loss | value |
/// |---|---|
/// | `cross-entropy`, and `bce` of classes | −Σ_c f_c ln f_c |
/// | `bce` of values, `bce-sum` | (1/K) Σ_k H(t̄_k), Σ_k H(t̄_k) |
/// | squared with factor c | c Σ_k of the weighted mean of (t_k − t̄_k)² |
///
/// The targets t_k of a class are those of the loss.
///
/// # Cost
///
/// Two passes over the targets.
pub fn constant_loss(data: &Dataset, loss: Loss) -> Option<f64> {
    let weight = |sample: usize| data.weights().map_or(1.0, |weights| f64::from(weights[sample]));
    let total: f64 = (0..data.len()).map(weight).sum();
    let least = match data.targets() {
        Targets::Classes { labels, count } => {
            let mut shares = vec![0.0; *count];
            labels
                .iter()
                .enumerate()
                .for_each(|(sample, label)| shares[*label as usize] += weight(sample) / total);
            let each = shares.into_iter();
            match loss {
                Loss::CrossEntropy | Loss::Bce => each.map(surprise).sum(),
                Loss::BceSum => each.map(|share| surprise(share) + surprise(1.0 - share)).sum(),
                Loss::Squared(loss) => {
                    // The two targets of an output are 1 or 2 apart.
                    let apart = if loss.plus_minus { 2.0_f64 } else { 1.0 };
                    let variance = |share: f64| apart.powi(2) * share * (1.0 - share);
                    each.map(variance).sum::<f64>() / loss.divisor(*count)
                }
            }
        }
        Targets::Values { values, outputs } => {
            let mean = |value: &dyn Fn(f64) -> f64, output: usize| {
                let targets = values[output..].iter().step_by(*outputs);
                targets.enumerate().map(|(k, target)| weight(k) * value(f64::from(*target))).sum::<f64>()
                    / total
            };
            let of = |output: usize| {
                let middle = mean(&|target| target, output);
                match loss {
                    Loss::Squared(_) => mean(&|target| (target - middle).powi(2), output),
                    _ => surprise(middle) + surprise(1.0 - middle),
                }
            };
            let divisor = match loss {
                Loss::Squared(loss) => loss.divisor(*outputs),
                Loss::BceSum => 1.0,
                _ => *outputs as f64,
            };
            (0..*outputs).map(of).sum::<f64>() / divisor
        }
        Targets::None => return None,
    };
    Some(least).filter(|least| *least > 0.0)
}

/// Returns −p ln p, and 0 at 0.
fn surprise(share: f64) -> f64 {
    if share > 0.0 { -share * share.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use phalanx::model::{Activation, Mlp, MlpShape};
    use phalanx::train::score;

    use super::*;

    fn of(value: f64, error: f64, batch: usize) -> String {
        noise_advice(Some(NoiseEstimate { value, error }), batch)
    }

    #[test]
    fn the_advice_depends_on_whether_the_batch_is_smaller_or_larger_than_the_noise_scale() {
        assert!(of(1220.0, 80.0, 64).contains("at 64 each step is noisy and makes 5 %"));
        assert!(of(1220.0, 80.0, 1024).contains("1024 are about right: they make 46 %"));
        assert!(of(64.0, 5.0, 1024).contains("1024 are mostly wasted: 64 samples"));
        assert!(of(0.0, 0.0, 8).contains("almost no noise"));
        assert!(noise_advice(None, 8).contains("too few measurements"));
    }

    #[test]
    fn the_advice_mentions_a_large_error() {
        assert!(of(1220.0, 500.0, 64).ends_with("because the error is large"));
        assert!(!of(1220.0, 80.0, 64).contains("rough"));
    }

    #[test]
    fn a_value_is_rounded_to_the_precision_of_its_error() {
        let text = |value, error| with_error(&NoiseEstimate { value, error });
        assert_eq!(text(1219.8, 85.2), "1220 ± 85");
        assert_eq!(text(1219.8, 451.0), "1220 ± 450");
        assert_eq!(text(123_456.0, 5_432.0), "123,500 ± 5400");
        assert_eq!(text(64.4, 3.3), "64 ± 3");
        assert_eq!(text(0.5, 0.25), "0.50 ± 0.25");
        assert_eq!([rounded(1234.0), rounded(64.4), rounded(203.0), rounded(99.6)], [1200, 64, 200, 100]);
    }

    #[test]
    fn the_advice_begins_with_the_largest_useful_batch_size() {
        let advice = of(1219.8, 85.2, 64);
        let expected = "batches larger than about 1200 are mostly wasted; at 64 each step is noisy";
        assert!(advice.starts_with(expected), "{advice}");
    }

    /// Scores a model that ignores the features: its weights are 0, and it predicts its biases.
    fn scored(data: &Dataset, loss: Loss, biases: &[f32]) -> f64 {
        let (hidden, activation) = (vec![], Activation::Relu);
        let model = Mlp::new(MlpShape { inputs: 1, hidden, outputs: biases.len(), activation, loss });
        let params: Vec<f32> = biases.iter().map(|_| 0.0).chain(biases.iter().copied()).collect();
        score(&model, &params, data).unwrap().mean_loss()
    }

    #[test]
    fn the_loss_is_that_of_the_optimal_model_with_biases_only() {
        let weights = Some(vec![1.0, 2.0, 0.0, 3.0]);
        let of = |targets| Dataset::from_arrays(Array2::zeros((4, 1)), targets, weights.clone()).unwrap();
        let logit = |share: f32| (share / (1.0 - share)).ln();
        let classes = of(Targets::Classes { labels: vec![0, 1, 2, 1], count: 3 });
        let yes_or_no = of(Targets::Classes { labels: vec![0, 1, 0, 0], count: 2 });
        let values =
            of(Targets::Values { values: vec![1.0, 0.5, 0.25, 0.0, 0.9, 0.0, 0.5, 1.0], outputs: 2 });
        for (data, loss, best) in [
            (&classes, Loss::CrossEntropy, vec![(1.0_f32 / 6.0).ln(), (5.0_f32 / 6.0).ln(), -100.0]),
            (&yes_or_no, Loss::Bce, vec![logit(2.0 / 6.0)]),
            (&values, Loss::MSE, vec![(1.0 + 2.0 * 0.25 + 3.0 * 0.5) / 6.0, (0.5 + 3.0) / 6.0]),
            (&values, Loss::Bce, vec![logit(0.5), logit((0.5 + 3.0) / 6.0)]),
            (&values, Loss::BceSum, vec![logit(0.5), logit((0.5 + 3.0) / 6.0)]),
            (
                &classes,
                Loss::BceSum,
                [1.0_f32, 5.0].map(|share| logit(share / 6.0)).into_iter().chain([-30.0]).collect(),
            ),
            (
                &classes,
                "half-squared-plus-minus".parse().unwrap(),
                [1.0_f32, 5.0, 0.0].map(|share| share / 3.0 - 1.0).to_vec(),
            ),
            (
                &values,
                "half-mse".parse().unwrap(),
                vec![(1.0 + 2.0 * 0.25 + 3.0 * 0.5) / 6.0, (0.5 + 3.0) / 6.0],
            ),
        ] {
            let (found, expected) = (constant_loss(data, loss).unwrap(), scored(data, loss, &best));
            assert!((found - expected).abs() < 1e-6, "{loss}: {found} {expected}");
            for (output, change) in (0..best.len()).flat_map(|output| [(output, 0.1), (output, -0.1)]) {
                let mut other = best.clone();
                other[output] += change;
                assert!(scored(data, loss, &other) >= found - 1e-6, "{loss} is lower at {other:?}");
            }
        }
    }

    #[test]
    fn equal_targets_leave_nothing_to_learn() {
        let of = |targets| Dataset::from_arrays(array![[1.0], [2.0]], targets, None).unwrap();
        let classes = of(Targets::Classes { labels: vec![1, 1], count: 2 });
        let values = of(Targets::Values { values: vec![3.0, 3.0], outputs: 1 });
        assert_eq!(
            (constant_loss(&classes, Loss::CrossEntropy), constant_loss(&values, Loss::MSE)),
            (None, None)
        );
    }

    #[test]
    fn two_balanced_classes_and_two_balanced_values_have_the_loss_of_the_formula() {
        let features = array![[0.0_f32], [1.0], [2.0], [3.0]];
        let of = |targets| Dataset::from_arrays(features.clone(), targets, None).unwrap();
        let classes = of(Targets::Classes { labels: vec![0, 0, 1, 1], count: 2 });
        assert_eq!(constant_loss(&classes, Loss::CrossEntropy), Some(2_f64.ln()));
        let values = of(Targets::Values { values: vec![1.0, 1.0, 5.0, 5.0], outputs: 1 });
        assert_eq!(constant_loss(&values, Loss::MSE), Some(4.0));
    }
}
