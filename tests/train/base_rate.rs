//! Masters and Luschi 2018 (arXiv:1804.07612) state the learning rate of a sample, η̃ = η/m, rather
//! than that of a batch: the rate under a sum. Linear scaling of the rate under a mean should then
//! change nothing, which holds for small batches.

use phalanx::data::{Dataset, LoadOptions, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerOptions, Reduction, ScaleRate};
use phalanx::train::{Length, Options, Plan, Trainer, score};

const BASE_RATE: f64 = 1.0 / 1024.0;

fn digits() -> Dataset {
    "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train
}

fn perceptron() -> Mlp {
    let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
    Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss })
}

fn summed(batch_size: usize) -> Options {
    let (reduction, rate) = (Reduction::Sum, Some(BASE_RATE));
    Options { batch_size, reduction, rate, length: Length::Epochs(3), ..Options::default() }
}

#[test]
fn one_rate_under_a_sum_is_the_linear_rule_under_a_mean_bit_by_bit() {
    let (data, model) = (digits(), perceptron());
    for batch_size in [1, 2, 4, 8, 16, 32, 64, 128] {
        let optimizer = OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() };
        let sum = Options { optimizer, drop_last: true, ..summed(batch_size) };
        let mean = Options {
            reduction: Reduction::Mean,
            rate: Some(16.0 * BASE_RATE),
            scale_rate: ScaleRate::Linear,
            base_batch_size: Some(16),
            ..sum.clone()
        };
        let params = |options| Trainer::new(&model, &data, options).run().unwrap().params;
        assert_eq!(params(mean), params(sum), "batches of {batch_size}");
    }
}

#[test]
fn the_linear_rule_under_a_sum_changes_nothing_for_any_batch_size() {
    let (data, model) = (digits(), perceptron());
    for batch_size in 1..=256 {
        let (scale_rate, base_batch_size) = (ScaleRate::Linear, Some(48));
        let scaled = Options { scale_rate, base_batch_size, ..summed(batch_size) };
        assert_eq!(Plan::new(&scaled, &model, &data, None).unwrap().rate(), BASE_RATE);
    }
}

/// The loss after three epochs: 0.291 to 0.293 under a sum; 0.056 to 1.368 under a mean with a rate
/// tuned for batches of 8.
#[test]
fn after_the_same_samples_the_loss_is_independent_of_small_batch_sizes_under_a_sum_only() {
    let (data, model) = (digits(), perceptron());
    let spread = |change: fn(&mut Options)| {
        let losses = [1, 2, 4, 8, 16, 32, 64].map(|batch_size| {
            let mut options = summed(batch_size);
            change(&mut options);
            let outcome = Trainer::new(&model, &data, options).run().unwrap();
            score(&model, &outcome.params, &data).unwrap().mean_loss()
        });
        losses.iter().copied().fold(0.0, f64::max) / losses.iter().copied().fold(f64::INFINITY, f64::min)
    };
    let sum = spread(|_| {});
    assert!(sum < 1.03, "losses differ by a factor of up to {sum} under a sum");
    let mean = spread(|options| (options.reduction, options.rate) = (Reduction::Mean, Some(8.0 * BASE_RATE)));
    assert!(mean > 15.0, "losses differ by a factor of only {mean} under a mean");
}
