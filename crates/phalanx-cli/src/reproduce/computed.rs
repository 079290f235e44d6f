//! The claims that are computed, not trained.

use ndarray::Array2;
use phalanx::data::{Dataset, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::optim::Reduction;
use phalanx::train::{Length, Options, Trainer, score};

/// Returns 100 if a linear unit converges at a rate of LeCun 1998, and 0 if not: at rates for the
/// mean of all samples, and at a hundredth of them for their sum; each under the right reduction
/// and under the other one.
///
/// The two classes are drawn with a seed and moved and stretched so that all samples have mean 0
/// and a covariance with the eigenvalues 0.84 and 0.036, as in the paper.
pub fn two_gaussians(seed: u64, setting: usize, is_right: bool) -> f64 {
    let data = two_classes(seed);
    let (hidden, activation, loss) =
        (vec![], Activation::Relu, "half-squared".parse::<Loss>().expect("a name"));
    let unit = Mlp::new(MlpShape { inputs: 2, hidden, outputs: 1, activation, loss });
    let (mean, sum) = (Reduction::Mean, Reduction::Sum);
    let (rate, right, wrong) = [
        (1.5, mean, sum),
        (0.95 * 2.0 / 0.84, mean, sum),
        (2.5, mean, sum),
        (0.015, sum, mean),
        (0.025, sum, mean),
    ][setting];
    let options = Options {
        rate: Some(rate),
        reduction: if is_right { right } else { wrong },
        seed,
        threads: 1,
        batch_size: data.len(),
        length: Length::Epochs(1000),
        ..Options::default()
    };
    let initial = score(&unit, &unit.initial_params(seed), &data).map(|score| score.mean_loss());
    let outcome = Trainer::new(&unit, &data, options).run().expect("the options are valid");
    let last = score(&unit, &outcome.params, &data).map(|score| score.mean_loss());
    // False if the loss is not finite.
    if last.ok().zip(initial.ok()).is_some_and(|(last, initial)| last < initial) { 100.0 } else { 0.0 }
}

/// Draws 50 samples around each of (−0.4, −0.8) and (0.4, 0.8), with targets −1 and 1.
fn two_classes(seed: u64) -> Dataset {
    const SAMPLES: usize = 100;
    // Every model draws its params from the normal distribution of the program.
    let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
    let source = Mlp::new(MlpShape { inputs: 2 * SAMPLES, hidden, outputs: 1, activation, loss });
    let normal =
        source.initialize(phalanx::model::Init::Normal(0.3), phalanx::model::Init::Zero).initial_params(seed);
    let sign = |sample: usize| if sample < SAMPLES / 2 { -1.0 } else { 1.0 };
    let mut points: Vec<[f64; 2]> = (0..SAMPLES)
        .map(|k| [0.4 * sign(k) + f64::from(normal[2 * k]), 0.8 * sign(k) + f64::from(normal[2 * k + 1])])
        .collect();
    let mean = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / SAMPLES as f64);
    points.iter_mut().for_each(|point| [0, 1].iter().for_each(|&axis| point[axis] -= mean[axis]));
    let moment = |a: usize, b: usize| points.iter().map(|p| p[a] * p[b]).sum::<f64>() / SAMPLES as f64;
    let (xx, xy, yy) = (moment(0, 0), moment(0, 1), moment(1, 1));
    // The direction of the larger eigenvalue, and both eigenvalues.
    let angle = 0.5 * (2.0 * xy).atan2(xx - yy);
    let (sin, cos) = angle.sin_cos();
    let root = (0.25 * (xx - yy).powi(2) + xy * xy).sqrt();
    let stretch = [0.84 / (0.5 * (xx + yy) + root), 0.036 / (0.5 * (xx + yy) - root)].map(f64::sqrt);
    let stretched = |[x, y]: [f64; 2]| {
        let (along, across) = ((x * cos + y * sin) * stretch[0], (y * cos - x * sin) * stretch[1]);
        [along * cos - across * sin, along * sin + across * cos]
    };
    let features = Array2::from_shape_fn((SAMPLES, 2), |(k, axis)| stretched(points[k])[axis] as f32);
    let targets = Targets::Values { values: (0..SAMPLES).map(|k| sign(k) as f32).collect(), outputs: 1 };
    Dataset::from_arrays(features, targets, None).expect("one target for each sample")
}

/// Returns the steps to a loss of 0.01 on the noisy quadratic of Zhang 2019, divided by those at
/// the best rate of the batch, for batches of 4, 16, 64 and 256: at the best rate of a batch of 4
/// kept for the sum, and kept for the mean.
///
/// With curvatures h_i = 1/i, i = 1 to 10,000, noise of covariance H/B and E\[x_i²\] = 1 at the
/// start, E\[x_i²\] after t steps at a rate η is s + (1 − ηh)^2t (1 − s), s = η² (h/B)/(1 − (1 −
/// ηh)²).
pub fn noisy_quadratic(_: u64, setting: usize, is_right: bool) -> f64 {
    const BATCHES: [f64; 4] = [4.0, 16.0, 64.0, 256.0];
    let rates: Vec<f64> = (0..100).map(|k| 10_f64.powf(-5.0 + 5.3 * f64::from(k) / 99.0)).collect();
    let best = |batch: f64| {
        let all = rates.iter().map(|rate| (steps(*rate, batch), *rate));
        all.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are rates")
    };
    let batch = BATCHES[setting];
    let (_, first) = best(BATCHES[0]);
    let (least, _) = best(batch);
    let rate = if is_right { first * batch / BATCHES[0] } else { first };
    steps(rate, batch) / least
}

/// Returns the steps to a loss of 0.01, found by bisection; infinite if there are more than 10⁹.
fn steps(rate: f64, batch: f64) -> f64 {
    const GOAL: f64 = 0.01;
    let reaches = |steps: f64| expected_loss(rate, batch, steps) <= GOAL;
    let (mut low, mut high) = (0.0, 1e9);
    if !reaches(high) {
        return f64::INFINITY;
    }
    while high - low > 1.0 {
        let middle = f64::midpoint(low, high).floor();
        if reaches(middle) { high = middle } else { low = middle }
    }
    high
}

fn expected_loss(rate: f64, batch: f64, steps: f64) -> f64 {
    let term = |index: u32| {
        let curvature = f64::from(index).recip();
        let shrinks = (1.0 - rate * curvature).powi(2);
        let rest = rate * rate * curvature / batch / (1.0 - shrinks);
        0.5 * curvature * (rest + shrinks.powf(steps) * (1.0 - rest))
    };
    (1..=10_000).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_classes_have_the_eigenvalues_of_the_paper() {
        let data = two_classes(3);
        let mut gathered = phalanx::internals::GatherBuffer::new(100, 2, 1);
        data.gather(&(0..100).collect::<Vec<_>>(), &mut gathered);
        let inputs = gathered.inputs();
        let moment = |a: usize, b: usize| {
            inputs.rows().into_iter().map(|row| f64::from(row[a] * row[b])).sum::<f64>() / 100.0
        };
        let (trace, determinant) =
            (moment(0, 0) + moment(1, 1), moment(0, 0) * moment(1, 1) - moment(0, 1).powi(2));
        assert!(
            (trace - 0.876).abs() < 1e-5 && (determinant - 0.84 * 0.036).abs() < 1e-5,
            "{trace} {determinant}"
        );
    }

    #[test]
    fn the_expected_loss_is_that_of_the_recursion() {
        let (rate, batch) = (0.3, 7.0);
        let mut squares = vec![1.0_f64; 10_000];
        for _ in 0..20 {
            for (index, square) in squares.iter_mut().enumerate() {
                let curvature = 1.0 / (index as f64 + 1.0);
                *square = (1.0 - rate * curvature).powi(2) * *square + rate * rate * curvature / batch;
            }
        }
        let loss: f64 =
            squares.iter().enumerate().map(|(index, square)| 0.5 * square / (index as f64 + 1.0)).sum();
        assert!((loss - expected_loss(rate, batch, 20.0)).abs() < 1e-9);
    }
}
