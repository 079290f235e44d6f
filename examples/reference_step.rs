//! A training step in plain loops on one thread: the definition of the trainer's computation on
//! many threads.
//!
//! The model is linear regression, y = w·x + b, with the squared error. If all sums are exact, as
//! with the small integers here, the trainer returns the same bits for any number of shards,
//! threads and processes; `tests/train/reference_step.rs` checks this.
//!
//! Run with: cargo run --release --example reference_step

use phalanx::data::{Dataset, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerOptions, Reduction};
use phalanx::train::{Length, Options, Shards, Trainer};

/// The number of features of a sample.
pub const FEATURES: usize = 3;

/// The features and target of one sample.
pub type Sample = ([f32; FEATURES], f32);

/// The state of a run.
#[derive(Default)]
pub struct Line {
    /// The weights, then the bias.
    pub params: [f64; FEATURES + 1],
    /// The momentum buffer, one value per param.
    pub velocity: [f64; FEATURES + 1],
}

impl Line {
    /// Performs one step on a batch, and returns the mean loss of its samples before the update.
    pub fn step(&mut self, batch: &[Sample], options: &Options) -> f64 {
        let count = options.shards.count(batch.len()).min(batch.len());
        let (size, larger) = (batch.len() / count, batch.len() % count);
        let (mut loss, mut start, mut shards) = (0.0, 0, Vec::new());

        // Contribute: the gradient sum of each shard, a contiguous range of samples. The sizes
        // differ by at most one, the larger first.
        for shard in 0..count {
            let samples = &batch[start..start + size + usize::from(shard < larger)];
            start += samples.len();
            let mut gradient = [0.0; FEATURES + 1];
            for (features, target) in samples {
                let inputs = [features[0], features[1], features[2], 1.0].map(f64::from);
                let output: f64 = inputs.iter().zip(self.params).map(|(input, param)| input * param).sum();
                let error = output - f64::from(*target);
                loss += error * error;
                gradient.iter_mut().zip(inputs).for_each(|(grad, input)| *grad += 2.0 * error * input);
            }
            shards.push((gradient, samples.len() as f64));
        }

        for param in 0..=FEATURES {
            // Reduce: combine the gradients of all shards into the gradient of the step.
            let sum: f64 = shards.iter().map(|(gradient, _)| gradient[param]).sum();
            let sum_of_means: f64 = shards.iter().map(|(gradient, samples)| gradient[param] / samples).sum();
            let gradient = match options.reduction {
                Reduction::Mean => sum / batch.len() as f64,
                Reduction::Sum => sum,
                Reduction::MeanOfShardMeans => sum_of_means / count as f64,
                Reduction::SumOfShardMeans => sum_of_means,
                Reduction::MeanOfShardSums => sum / count as f64,
            };
            // Update: stochastic gradient descent with momentum.
            let momentum = options.optimizer.momentum.unwrap_or(0.0);
            self.velocity[param] = momentum * self.velocity[param] + gradient;
            self.params[param] -= options.rate.unwrap_or(0.01) * self.velocity[param];
        }
        loss / batch.len() as f64
    }
}

/// Returns 24 samples of y = 2·x₀ − x₁ + 3 with an error of −1, 0 or 1; all numbers are small
/// integers.
pub fn samples() -> Vec<Sample> {
    let ternary = |k: usize| (k % 3) as f32 - 1.0;
    let sample = |k: usize| {
        let features = [ternary(k), ternary(k / 3), ternary(k / 2)];
        (features, 2.0 * features[0] - features[1] + 3.0 + ternary(k / 5))
    };
    (0..24).map(sample).collect()
}

/// Returns the same samples and the same model for the trainer.
pub fn trained(samples: &[Sample]) -> Result<(Dataset, Mlp), phalanx::data::DataError> {
    let features =
        ndarray::Array2::from_shape_fn((samples.len(), FEATURES), |(k, feature)| samples[k].0[feature]);
    let values = samples.iter().map(|(_, target)| *target).collect();
    let data = Dataset::from_arrays(features, Targets::Values { values, outputs: 1 }, None)?;
    let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
    Ok((data, Mlp::new(MlpShape { inputs: FEATURES, hidden, outputs: 1, activation, loss })))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        batch_size: 8,
        shards: Shards::Count(4),
        length: Length::Steps(3),
        optimizer: OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() },
        rate: Some(0.25),
        shuffle: false,
        threads: 2,
        ..Options::default()
    };
    let samples = samples();
    let mut line = Line::default();
    for batch in samples.chunks(8) {
        println!("loss {:.4}, then params {:.4?}", line.step(batch, &options), line.params);
    }
    let (data, model) = trained(&samples)?;
    let outcome = Trainer::new(&model, &data, options).initial_params(vec![0.0; FEATURES + 1]).run()?;
    assert_eq!(
        outcome.params,
        line.params.map(|param| param as f32),
        "the trainer must return the same bits"
    );
    Ok(())
}
