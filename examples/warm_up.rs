//! Reproduction of warm-up and rate scaling: a large batch at the rate of the linear rule, without
//! warm-up and with the two forms of Goyal et al. 2017 (arXiv:1706.02677); the base rate of Masters
//! and Luschi 2018 (arXiv:1804.07612); and the effect of a short last batch under a mean.
//!
//! Run with: cargo run --release --example warm_up -- data/mnist
//! Without a folder, the first table uses the built-in digits.
//!
//! MNIST, 784-128-10, momentum 0.9, 15 epochs with 5 of warm-up, cosine schedule; mean and standard
//! deviation over 5 seeds. Measured 2026-11-25 on an AMD EPYC (Zen 4); each run has one thread, and
//! any number of threads gives the same bits. The last column is ImageNet, with batches of 256 and
//! 8192, from the paper:
//!
//! | | batch | rate | test error, % | ImageNet, % |
//! |---|---|---|---|---|
//! | small batch | 64 | 0.05 | 1.84 ± 0.09 | 23.60 |
//! | large batch, no warm-up | 1024 | 0.8 | 2.89 ± 0.31 | 24.84 |
//! | large batch, constant warm-up | 1024 | 0.8 | 2.93 ± 0.92 | |
//! | large batch, gradual warm-up | 1024 | 0.8 | 1.83 ± 0.08 | 23.74 |
//!
//! The constant warm-up only delays what it should prevent: the rate still jumps to 16 times its
//! value. `tests/train/warm_up.rs` tests this pattern on the digits, `tests/train/goyal_remarks.rs`
//! the paper's four remarks, `tests/train/base_rate.rs` and `tests/train/short_last_batch.rs` the
//! two other tables. The last row with the program:
//!
//! ```sh
//! phalanx train data/mnist -b 1024 --lr 0.05 --scale-lr linear --base-batch-size 64 --momentum 0.9 --drop-last \
//!     --epochs 15 --lr-schedule cosine --warmup-steps 290 --warmup-start 0.0625 --seed 1
//! ```

use phalanx::data::{Dataset, LoadOptions, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerOptions, Reduction, ScaleRate, ScheduleKind, ScheduleOptions, WarmupForm};
use phalanx::train::{Length, Options, StopReason, TrainError, Trainer, score};
use rayon::prelude::*;

/// The factor between the two batch sizes and, by the linear rule, between the two rates.
const KAPPA: usize = 16;
const SEEDS: u64 = 5;

/// The options for the small batch, and the warm-up of the large one.
struct Recipe {
    hidden: usize,
    batch_size: usize,
    rate: f64,
    epochs: u64,
    warmup_epochs: u64,
}

const MNIST: Recipe = Recipe { hidden: 128, batch_size: 64, rate: 0.05, epochs: 15, warmup_epochs: 5 };
const DIGITS: Recipe = Recipe { hidden: 32, batch_size: 16, rate: 0.03, epochs: 30, warmup_epochs: 10 };

fn perceptron(data: &Dataset, hidden: Vec<usize>) -> Mlp {
    let (inputs, activation, loss) = (data.features(), Activation::Relu, Loss::CrossEntropy);
    Mlp::new(MlpShape { inputs, hidden, outputs: 10, activation, loss })
}

/// Returns the options for the small batch: momentum 0.9, full batches only, cosine schedule to 0.
fn small_batch(recipe: &Recipe) -> Options {
    Options {
        batch_size: recipe.batch_size,
        rate: Some(recipe.rate),
        length: Length::Epochs(recipe.epochs),
        optimizer: OptimizerOptions { momentum: Some(0.9), ..OptimizerOptions::default() },
        schedule: ScheduleOptions { kind: ScheduleKind::Cosine, ..ScheduleOptions::default() },
        drop_last: true,
        ..Options::default()
    }
}

/// Returns the same options with κ times the batch size and, by the linear rule, κ times the rate.
fn large_batch(recipe: &Recipe, samples: usize, warmup: Option<WarmupForm>) -> Options {
    let small = small_batch(recipe);
    let batch_size = KAPPA * recipe.batch_size;
    let steps_per_epoch = (samples / batch_size) as u64;
    let schedule = warmup.map_or(small.schedule, |warmup_form| ScheduleOptions {
        warmup_steps: recipe.warmup_epochs * steps_per_epoch,
        warmup_form,
        warmup_start: Some(1.0 / KAPPA as f64),
        ..small.schedule
    });
    let base_batch_size = Some(recipe.batch_size);
    Options { batch_size, scale_rate: ScaleRate::Linear, base_batch_size, schedule, ..small }
}

/// Returns the mean and standard deviation over the seeds of the test error in percent; a run that
/// diverges counts as 90, the same as guessing.
fn test_error(
    model: &Mlp,
    train: &Dataset,
    test: &Dataset,
    options: &Options,
) -> Result<(f64, f64), TrainError> {
    let error = |seed| {
        let outcome = Trainer::new(model, train, Options { seed, ..options.clone() }).run()?;
        let accuracy = score(model, &outcome.params, test)?.accuracy().expect("digits are classes");
        Ok(if outcome.reason == StopReason::Diverged { 90.0 } else { 100.0 * (1.0 - accuracy) })
    };
    let errors = (1..=SEEDS).into_par_iter().map(error).collect::<Result<Vec<f64>, TrainError>>()?;
    let mean = errors.iter().sum::<f64>() / SEEDS as f64;
    let squares: f64 = errors.iter().map(|error| (error - mean).powi(2)).sum();
    Ok((mean, (squares / (SEEDS - 1) as f64).sqrt()))
}

fn goyal(recipe: &Recipe, train: &Dataset, test: &Dataset) -> Result<(), TrainError> {
    let Recipe { hidden, batch_size, rate, epochs, warmup_epochs } = recipe;
    println!(
        "{} samples, {hidden} hidden units, {epochs} epochs, {warmup_epochs} of them warm-up, {SEEDS} seeds\n",
        train.len()
    );
    println!("{:32}   batch    rate   test error, %", "");
    let model = perceptron(train, vec![*hidden]);
    let large = |warmup| large_batch(recipe, train.len(), warmup);
    for (name, options, kappa) in [
        ("small batch", small_batch(recipe), 1),
        ("large batch, no warm-up", large(None), KAPPA),
        ("large batch, constant warm-up", large(Some(WarmupForm::Constant)), KAPPA),
        ("large batch, gradual warm-up", large(Some(WarmupForm::Linear)), KAPPA),
    ] {
        let (mean, deviation) = test_error(&model, train, test, &options)?;
        let (batch_size, rate) = (kappa * batch_size, kappa as f64 * rate);
        println!("{name:32} {batch_size:7} {rate:7} {mean:7.2} ± {deviation:.2}");
    }
    Ok(())
}

/// Returns the loss over all training samples at the end of a run.
fn loss_after(model: &Mlp, data: &Dataset, options: Options) -> Result<f64, TrainError> {
    let outcome = Trainer::new(model, data, options).run()?;
    Ok(score(model, &outcome.params, data)?.mean_loss())
}

/// Prints the losses with one rate for every batch size, which works under a sum, but not under a
/// mean.
fn masters_and_luschi(data: &Dataset) -> Result<(), TrainError> {
    const BASE_RATE: f64 = 1.0 / 1024.0;
    let model = perceptron(data, vec![32]);
    println!("\nOne rate for every batch size: loss after 3 epochs of the digits, plain sgd\n");
    println!("  batch   sum, 1/1024   mean, 8/1024");
    for batch_size in [1, 2, 4, 8, 16, 32, 64] {
        let loss = |reduction, rate| {
            let length = Length::Epochs(3);
            loss_after(
                &model,
                data,
                Options { batch_size, reduction, rate: Some(rate), length, ..Options::default() },
            )
        };
        let (sum, mean) = (loss(Reduction::Sum, BASE_RATE)?, loss(Reduction::Mean, 8.0 * BASE_RATE)?);
        println!("{batch_size:7}   {sum:11.3}   {mean:12.3}");
    }
    Ok(())
}

/// Prints the losses before and after a short last batch: 11 batches of 130 digits are followed by
/// one of 7, whose samples have 19 times the weight under a mean.
fn short_last_batch(data: &Dataset) -> Result<(), TrainError> {
    const BATCH: usize = 130;
    const RATE: f64 = 0.8;
    let model = perceptron(data, vec![]);
    let steps = data.len().div_ceil(BATCH) as u64;
    println!(
        "\nA short last batch, of {} instead of {BATCH} digits: loss before and after it\n",
        data.len() % BATCH
    );
    println!("  epoch              mean               sum");
    for epoch in 1..=4 {
        let losses = |reduction, rate| {
            let loss = |steps| {
                let length = Length::Steps(steps);
                let options =
                    Options { batch_size: BATCH, reduction, rate: Some(rate), length, ..Options::default() };
                loss_after(&model, data, options)
            };
            Ok::<_, TrainError>(format!("{:.3} → {:.3}", loss(epoch * steps - 1)?, loss(epoch * steps)?))
        };
        let (mean, sum) = (losses(Reduction::Mean, RATE)?, losses(Reduction::Sum, RATE / BATCH as f64)?);
        println!("{epoch:7}   {mean:>15}   {sum:>15}");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
    match std::env::args().nth(1) {
        Some(folder) => {
            let data = folder.parse::<Source>()?.load(&LoadOptions::default())?;
            let test = data.test.ok_or("the folder has no test files")?;
            goyal(&MNIST, &data.train, &test)?;
        }
        None => {
            goyal(&DIGITS, &digits.train, digits.test.as_ref().ok_or("the digits have no test samples")?)?
        }
    }
    masters_and_luschi(&digits.train)?;
    short_last_batch(&digits.train)?;
    Ok(())
}
