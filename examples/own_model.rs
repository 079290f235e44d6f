//! A custom model: Poisson regression, for example for counts per minute, which is not among the
//! built-in losses.
//!
//! λ = exp(w·x + b), loss λ − y ln λ, gradient (λ − y)·x. The example implements only these;
//! Phalanx provides shards, threads, the all-reduce, momentum and the schedule.
//!
//! Run with: cargo run --release --example own_model

use ndarray::Array2;
use phalanx::data::{Dataset, Targets};
use phalanx::model::{self, Model, Samples, Score, Tensor};
use phalanx::optim::{OptimizerOptions, ScheduleKind, ScheduleOptions};
use phalanx::train::{Event, Length, Options, Trainer};

/// The model. Its params are one weight per feature, followed by the bias.
struct Poisson {
    features: usize,
}

impl Poisson {
    /// Calls `visit` with the index, the rate λ, the count and the weight of each sample.
    fn each(&self, params: &[f32], samples: &Samples<'_>, mut visit: impl FnMut(usize, f32, f32, f32)) {
        let model::BatchTargets::Values(counts) = samples.targets else {
            panic!("Poisson regression needs counts")
        };
        let (weights, bias) = params.split_at(self.features);
        for (k, inputs) in samples.inputs.rows().into_iter().enumerate() {
            let sum: f32 = inputs.iter().zip(weights).map(|(x, w)| x * w).sum();
            visit(k, (sum + bias[0]).exp(), counts[[k, 0]], samples.weight(k));
        }
    }
}

impl Model for Poisson {
    type Workspace = ();

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("weight", &[self.features]), Tensor::new("bias", &[1])]
    }

    fn initial_params(&self, _seed: u64) -> Vec<f32> {
        vec![0.0; self.features + 1]
    }

    fn workspace(&self, _max_samples: usize) {}

    fn gradient(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32], (): &mut ()) -> f64 {
        grads.fill(0.0);
        let mut loss_sum = 0.0;
        self.each(params, samples, |k, rate, count, weight| {
            let error = weight * (rate - count);
            let (weights, bias) = grads.split_at_mut(self.features);
            weights.iter_mut().zip(samples.inputs.row(k)).for_each(|(grad, x)| *grad += error * x);
            bias[0] += error;
            loss_sum += f64::from(weight * (rate - count * rate.ln()));
        });
        loss_sum
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut ()) -> Score {
        let loss_sum = self.gradient(params, samples, &mut vec![0.0; params.len()], workspace);
        Score { loss_sum, weight: samples.total_weight(), correct: None }
    }
}

/// Returns counts around exp(0.5 x₀ − 0.25 x₁ + 1). Features and noise are evenly spread points
/// instead of random ones: the fractional parts of multiples of these three numbers (M. Roberts' R₃
/// sequence).
fn counts() -> Result<Dataset, phalanx::data::DataError> {
    const SPREAD: [f64; 3] = [0.819_172_513, 0.671_043_607, 0.549_700_478];
    let spread = |k: usize, which: usize| ((k as f64 * SPREAD[which]).fract()) as f32;
    let features = Array2::from_shape_fn((2000, 2), |(k, feature)| 2.0 * spread(k, feature) - 1.0);
    let rate = |x: ndarray::ArrayView1<'_, f32>| (0.5 * x[0] - 0.25 * x[1] + 1.0).exp();
    let values = features
        .rows()
        .into_iter()
        .enumerate()
        .map(|(k, x)| (rate(x) + spread(k, 2) - 0.5).round())
        .collect();
    Dataset::from_arrays(features, Targets::Values { values, outputs: 1 }, None)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = counts()?;
    let options = Options {
        threads: 2,
        length: Length::Epochs(20),
        optimizer: OptimizerOptions { momentum: Some(0.9), ..OptimizerOptions::default() },
        rate: Some(0.02),
        schedule: ScheduleOptions { kind: ScheduleKind::Cosine, ..ScheduleOptions::default() },
        ..Options::default()
    };
    let outcome = Trainer::new(&Poisson { features: 2 }, &data, options)
        .on_event(|event| {
            if let Event::Epoch(epoch) = event
                && epoch.epoch % 5 == 4
            {
                println!("epoch {:2}  loss {:.4}", epoch.epoch + 1, epoch.train_loss);
            }
        })
        .run()?;
    println!("trained params {:.3?}, true params [0.5, -0.25, 1.0]", outcome.params);
    let close =
        outcome.params.iter().zip([0.5, -0.25, 1.0]).all(|(trained, exact)| (trained - exact).abs() < 0.05);
    if close { Ok(()) } else { Err("the trained params differ from the true params of the data".into()) }
}
