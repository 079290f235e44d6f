//! Checks that the gradient of every loss, activation and depth is the derivative of its loss, by
//! central differences in f64 (row B8): (ℓ(p + h) − ℓ(p − h)) / 2h, whose error is of order h².

use super::tally::{Tally, count};
use ndarray::Array2;
use phalanx::model::{Activation, BatchTargets, Loss, Mlp, MlpShape, Model, Samples};

const SAMPLES: usize = 5;
const INPUTS: usize = 3;

/// Returns pseudo-random numbers between −1 and 1; none is at the kink of relu.
fn noise(index: usize) -> f64 {
    ((index as f64 + 1.0) * 12.9898).sin() * 43758.5453 % 1.0
}

struct Case {
    mlp: Mlp,
    inputs: Array2<f64>,
    labels: Vec<u32>,
    values: Option<Array2<f64>>,
    weights: Option<Vec<f64>>,
}

impl Case {
    fn samples(&self) -> Samples<'_, f64> {
        let targets = match &self.values {
            Some(values) => BatchTargets::Values(values.view()),
            None => BatchTargets::Classes(&self.labels),
        };
        Samples { weights: self.weights.as_deref(), ..Samples::new(self.inputs.view(), targets) }
    }

    fn loss(&self, params: &[f64]) -> f64 {
        let mut grads = vec![0.0; params.len()];
        self.mlp.gradient_of(params, &self.samples(), &mut grads, &mut self.mlp.workspace_of(SAMPLES))
    }

    /// Computes the largest relative error, at params that depend on `start`.
    fn worst_relative_error(&self, start: usize) -> f64 {
        let mut params: Vec<f64> =
            (0..self.mlp.params_len()).map(|index| noise(index + 1000 * start)).collect();
        let mut grads = vec![f64::NAN; params.len()];
        self.mlp.gradient_of(&params, &self.samples(), &mut grads, &mut self.mlp.workspace_of(SAMPLES));
        let scale = grads.iter().fold(0.0_f64, |most, grad| most.max(grad.abs()));
        assert!(scale > 1e-3, "the gradient is too close to zero to be compared");
        let step = 1e-5;
        let mut worst = 0.0_f64;
        for index in 0..params.len() {
            let param = params[index];
            params[index] = param + step;
            let above = self.loss(&params);
            params[index] = param - step;
            let below = self.loss(&params);
            params[index] = param;
            worst = worst.max((grads[index] - (above - below) / (2.0 * step)).abs() / scale);
        }
        worst
    }
}

fn case(hidden: &[usize], activation: Activation, loss: Loss, of_classes: bool, weighted: bool) -> Case {
    let outputs = if loss == Loss::Bce && of_classes { 1 } else { 3 };
    let shape = MlpShape { inputs: INPUTS, hidden: hidden.to_vec(), outputs, activation, loss };
    let classes = if outputs == 1 { 2 } else { 3 };
    Case {
        mlp: Mlp::new(shape),
        inputs: Array2::from_shape_fn((SAMPLES, INPUTS), |(b, i)| noise(100 + b * INPUTS + i)),
        labels: (0..SAMPLES as u32).map(|b| b * 7 % classes).collect(),
        values: (!of_classes)
            .then(|| Array2::from_shape_fn((SAMPLES, outputs), |(b, k)| noise(b * 3 + k).abs())),
        weights: weighted.then(|| vec![1.0, 0.5, 0.0, 2.0, 3.0]),
    }
}

/// Relative to the largest element of the gradient.
const TOLERANCE: f64 = 1e-6;

#[test]
fn every_gradient_agrees_with_central_differences() {
    let mut errors = Vec::new();
    let mut losses = vec![(Loss::CrossEntropy, true), (Loss::Bce, true)];
    losses.extend([Loss::Bce, Loss::BceSum, Loss::MSE].map(|loss| (loss, false)));
    for of_classes in [false, true] {
        // Every form, every output function, and both targets of classes.
        for name in [
            "bce-sum",
            "half-mse-of-tanh",
            "squared-of-relu",
            "half-squared-of-sigmoid",
            "mse-of-scaled-tanh-plus-minus",
            "squared-plus-minus",
        ] {
            losses.push((name.parse().unwrap(), of_classes));
        }
    }
    for (loss, of_classes) in losses {
        for &activation in Activation::ALL {
            for hidden in [&[][..], &[4], &[5, 4], &[4, 3, 5]] {
                for weighted in [false, true] {
                    for start in 0..count(1, 100) as usize {
                        let error =
                            case(hidden, activation, loss, of_classes, weighted).worst_relative_error(start);
                        errors.push((
                            error,
                            format!("{loss} {activation} {hidden:?} weighted {weighted}, params {start}"),
                        ));
                    }
                }
            }
        }
    }
    assert_eq!(errors.len() as u64, 17 * 5 * 4 * 2 * count(1, 100));
    let worst = errors.iter().map(|(error, _)| *error).fold(0.0, f64::max);
    let mut tally = Tally::new(
        "B8",
        format!("losses, activations, depths and weights whose gradient agrees; largest error: {worst:.1e}"),
    );
    for (error, name) in errors {
        tally.case(error <= TOLERANCE, || format!("{name}: {error:e}"));
    }
    tally.end();
}

#[test]
fn a_wrong_gradient_is_detected() {
    let right = case(&[4], Activation::Tanh, Loss::MSE, false, false);
    let params: Vec<f64> = (0..right.mlp.params_len()).map(noise).collect();
    let other = case(&[4], Activation::Sigmoid, Loss::MSE, false, false);
    let mut grads = [vec![0.0; params.len()], vec![0.0; params.len()]];
    for (case, grads) in [&right, &other].into_iter().zip(&mut grads) {
        case.mlp.gradient_of(&params, &case.samples(), grads, &mut case.mlp.workspace_of(SAMPLES));
    }
    let difference = grads[0].iter().zip(&grads[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(difference > 1e-2);
}

#[test]
fn a_sample_of_weight_0_contributes_nothing_however_large_it_is() {
    let mut with = case(&[4], Activation::Relu, Loss::CrossEntropy, true, true);
    let params: Vec<f64> = (0..with.mlp.params_len()).map(noise).collect();
    let mut expected = vec![0.0; params.len()];
    let loss =
        with.mlp.gradient_of(&params, &with.samples(), &mut expected, &mut with.mlp.workspace_of(SAMPLES));
    with.inputs.row_mut(2).fill(1e300);
    let mut found = vec![0.0; params.len()];
    let again =
        with.mlp.gradient_of(&params, &with.samples(), &mut found, &mut with.mlp.workspace_of(SAMPLES));
    assert_eq!(loss.to_bits(), again.to_bits());
    assert!(
        expected.iter().zip(&found).all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs()),
        "{expected:?} {found:?}"
    );
}

#[test]
fn a_score_and_the_gradient_have_the_same_loss() {
    let mlp = Mlp::new(MlpShape {
        inputs: 2,
        hidden: vec![3],
        outputs: 2,
        activation: Activation::Gelu,
        loss: Loss::CrossEntropy,
    });
    let params = mlp.initial_params(1);
    let inputs = ndarray::arr2(&[[0.5_f32, -1.0], [2.0, 0.25], [-0.75, 1.5]]);
    let samples = Samples {
        weights: Some(&[1.0, 2.0, 0.5]),
        ..Samples::new(inputs.view(), BatchTargets::Classes(&[0, 1, 1]))
    };
    let mut workspace = mlp.workspace(8);
    let loss_sum = mlp.gradient(&params, &samples, &mut vec![0.0; mlp.params_len()], &mut workspace);
    let score = mlp.score(&params, &samples, &mut workspace);
    assert_eq!(score.loss_sum.to_bits(), loss_sum.to_bits());
    assert_eq!(score.weight, 3.5);
}
