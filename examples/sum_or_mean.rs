//! Sum or mean: what the convention does to the best learning rate, measured on the built-in digits.
//!
//! For batch sizes from 8 to 512, a grid of rates is tried under the mean of the gradients, each for the same number of
//! samples. The best rate is printed in both conventions: η under mean is η/B under sum, exactly (see the last lines).
//! Small batches want nearly the same rate under *sum*, whatever the batch; large ones nearly the same under *mean*.
//!
//! Run with: cargo run --release --example sum_or_mean

use phalanx::data::{LoadOptions, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::Reduction;
use phalanx::train::{Event, Length, Options, Outcome, Trainer};

/// Trains, and returns the outcome with the training loss of the last epoch.
fn train(
    model: &Mlp,
    data: &phalanx::data::Dataset,
    options: Options,
) -> Result<(Outcome, f64), phalanx::train::TrainError> {
    let mut last = f64::INFINITY;
    let outcome = Trainer::new(model, data, options).run(|event| {
        if let Event::Epoch(epoch) = event {
            last = epoch.train_loss;
        }
    })?;
    Ok((outcome, last))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?.train;
    let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    let base = Options { length: Length::Epochs(3), drop_last: true, ..Options::default() };

    println!("batch   best rate under mean   the same under sum   loss");
    for batch_size in [8, 32, 128, 512] {
        let mut best = (f64::INFINITY, 0.0);
        for power in -9..=2 {
            let rate = 2.0_f64.powi(power);
            let (_, loss) = train(&model, &digits, Options { batch_size, rate: Some(rate), ..base.clone() })?;
            if loss < best.0 {
                best = (loss, rate);
            }
        }
        let (loss, rate) = best;
        println!("{batch_size:5}   {rate:20.5}   {:18.6}   {loss:.4}", rate / batch_size as f64);
    }

    let mean = Options { batch_size: 64, rate: Some(0.1), ..base };
    let sum = Options { reduction: Reduction::Sum, rate: Some(0.1 / 64.0), ..mean.clone() };
    let (mean, sum) = (train(&model, &digits, mean)?.0, train(&model, &digits, sum)?.0);
    println!("\nmean with 0.1 and sum with 0.1/64 end in the same bits: {}", mean.params == sum.params);
    if mean.params == sum.params { Ok(()) } else { Err("the translation is not exact".into()) }
}
