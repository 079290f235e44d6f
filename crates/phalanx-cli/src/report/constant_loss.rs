//! The loss of a model that ignores the features.

use phalanx::data::{Dataset, Targets};
use phalanx::model::Loss;

/// Returns the lowest mean loss that one prediction for all samples can have on them: that of the class frequencies, or of the mean of
/// the targets. A model with no lower loss has learned nothing from the features. `None` without targets or weight, and where that
/// loss is 0, as all targets are the same and there is nothing to learn.
///
/// With f_c the share of the weight that has class c, t̄_k the weighted mean of target k of K, and H(p) = −p ln p − (1 − p) ln(1 − p):
///
/// | loss | value |
/// |---|---|
/// | `cross-entropy`, and `bce` of classes | −Σ_c f_c ln f_c |
/// | `bce` of values | (1/K) Σ_k H(t̄_k) |
/// | `mse` | (1/K) Σ_k of the weighted mean of (t_k − t̄_k)² |
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
            shares.into_iter().map(surprise).sum()
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
                    Loss::Mse => mean(&|target| (target - middle).powi(2), output),
                    Loss::Bce | Loss::CrossEntropy => surprise(middle) + surprise(1.0 - middle),
                }
            };
            (0..*outputs).map(of).sum::<f64>() / *outputs as f64
        }
        Targets::None => return None,
    };
    Some(least).filter(|least| *least > 0.0)
}

/// −p ln p, and 0 at 0.
fn surprise(share: f64) -> f64 {
    if share > 0.0 { -share * share.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use phalanx::model::{Activation, Mlp, MlpShape};
    use phalanx::train::score;

    /// Scores a model of no features that count, whose biases alone are the prediction.
    fn scored(data: &Dataset, loss: Loss, biases: &[f32]) -> f64 {
        let (hidden, activation) = (vec![], Activation::Relu);
        let model = Mlp::new(MlpShape { inputs: 1, hidden, outputs: biases.len(), activation, loss });
        let params: Vec<f32> = biases.iter().map(|_| 0.0).chain(biases.iter().copied()).collect();
        score(&model, &params, data).unwrap().mean_loss()
    }

    #[test]
    fn the_loss_is_that_of_the_model_whose_biases_alone_are_at_their_best() {
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
            (&values, Loss::Mse, vec![(1.0 + 2.0 * 0.25 + 3.0 * 0.5) / 6.0, (0.5 + 3.0) / 6.0]),
            (&values, Loss::Bce, vec![logit(0.5), logit((0.5 + 3.0) / 6.0)]),
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
    fn targets_that_are_all_the_same_leave_nothing_to_learn() {
        let of = |targets| Dataset::from_arrays(array![[1.0], [2.0]], targets, None).unwrap();
        let classes = of(Targets::Classes { labels: vec![1, 1], count: 2 });
        let values = of(Targets::Values { values: vec![3.0, 3.0], outputs: 1 });
        assert_eq!(
            (constant_loss(&classes, Loss::CrossEntropy), constant_loss(&values, Loss::Mse)),
            (None, None)
        );
    }

    #[test]
    fn halves_of_two_classes_and_of_two_values_have_the_loss_of_the_formula() {
        let features = array![[0.0_f32], [1.0], [2.0], [3.0]];
        let of = |targets| Dataset::from_arrays(features.clone(), targets, None).unwrap();
        let classes = of(Targets::Classes { labels: vec![0, 0, 1, 1], count: 2 });
        assert_eq!(constant_loss(&classes, Loss::CrossEntropy), Some(2_f64.ln()));
        let values = of(Targets::Values { values: vec![1.0, 1.0, 5.0, 5.0], outputs: 1 });
        assert_eq!(constant_loss(&values, Loss::Mse), Some(4.0));
    }
}
