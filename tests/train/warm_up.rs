//! The pattern of a table of Goyal et al. 2017 (arXiv:1706.02677) on the digits: a batch 16 times
//! as large, with 16 times the rate, does worse than the small one; a gradual warm-up recovers most
//! of the difference, a constant one does not. `phalanx reproduce goyal-warm-up` does it on MNIST.

use phalanx::data::{LoadOptions, LoadedData, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerOptions, ScaleRate, ScheduleKind, ScheduleOptions, WarmupForm};
use phalanx::train::{Length, Options, Trainer, score};
use rayon::prelude::*;

const SMALL: usize = 16;
const LARGE: usize = 256;

/// Mean test error over five seeds, in percent.
fn test_error(batch_size: usize, warmup: Option<WarmupForm>) -> f64 {
    let LoadedData { train, test, .. } =
        "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
    let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    let cosine = ScheduleOptions { kind: ScheduleKind::Cosine, ..ScheduleOptions::default() };
    let options = Options {
        batch_size,
        rate: Some(0.03),
        scale_rate: ScaleRate::Linear,
        base_batch_size: Some(SMALL),
        length: Length::Epochs(30),
        optimizer: OptimizerOptions { momentum: Some(0.9), ..OptimizerOptions::default() },
        schedule: warmup.map_or(cosine, |warmup_form| ScheduleOptions {
            warmup_steps: 10 * (train.len() / batch_size) as u64,
            warmup_form,
            warmup_start: Some(SMALL as f64 / batch_size as f64),
            ..cosine
        }),
        drop_last: true,
        ..Options::default()
    };
    let error = |seed| {
        let outcome = Trainer::new(&model, &train, Options { seed, ..options.clone() }).run().unwrap();
        let accuracy = score(&model, &outcome.params, test.as_ref().unwrap()).unwrap().accuracy();
        100.0 * (1.0 - accuracy.unwrap())
    };
    (1..=5).into_par_iter().map(error).collect::<Vec<f64>>().iter().sum::<f64>() / 5.0
}

/// Measured: 2.39 with the small batch; 4.39 without, 4.44 with a constant and 2.83 with a gradual
/// warm-up.
#[test]
fn a_gradual_warm_up_recovers_the_loss_of_a_large_batch_but_a_constant_one_does_not() {
    let (small, without) = (test_error(SMALL, None), test_error(LARGE, None));
    let constant = test_error(LARGE, Some(WarmupForm::Constant));
    let gradual = test_error(LARGE, Some(WarmupForm::Linear));
    let lost = without - small;
    assert!(lost > 1.0, "small {small:.2}, large {without:.2}");
    assert!(gradual - small < 0.5 * lost, "small {small:.2}, large {without:.2}, gradual {gradual:.2}");
    assert!(constant - small > 0.5 * lost, "small {small:.2}, large {without:.2}, constant {constant:.2}");
}
