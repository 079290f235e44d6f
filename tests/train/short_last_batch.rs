//! The short last batch of an epoch: r samples instead of m. Under a mean each of them counts m/r
//! times as much as the others, and the loss jumps if the rate is close to the largest that the
//! model tolerates. It does not jump under a sum, nor with the last rate multiplied by r/m, which
//! is equivalent; nor without the short batch.

use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::Blocks;
use phalanx::internals::{GatherBuffer, divide_grads, sample_order};
use phalanx::model::{self, Activation, Loss, Mlp, MlpShape, Model, Samples};
use phalanx::optim::{MomentumForm, Optimizer, OptimizerOptions, Reduction};
use phalanx::train::{Length, Options, Shards, Trainer, score};

/// The first digits, and a softmax regression model for them.
fn digits(samples: usize) -> (Dataset, Mlp) {
    let train = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
    let first: Vec<u32> = (0..samples as u32).collect();
    let mut gathered = GatherBuffer::new(samples, train.features(), 0);
    train.gather(&first, &mut gathered);
    let targets = Targets::Classes { labels: gathered.labels().to_vec(), count: 10 };
    let data = Dataset::from_arrays(gathered.inputs().to_owned(), targets, None).unwrap();
    let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
    (data, Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss }))
}

/// 11 batches of 130 and one of 7.
const SAMPLES: usize = 1437;
const BATCH: usize = 130;
const RATE: f64 = 0.8;

/// The factors by which single steps change the loss over all samples, from the second epoch to the
/// fourth.
struct Changes {
    /// The largest factor of a step on a full batch.
    whole: f64,
    /// The factors of the steps on short batches, one per epoch.
    short: Vec<f64>,
}

fn changes(options: &Options) -> Changes {
    let (data, model) = digits(SAMPLES);
    let steps_per_epoch = if options.drop_last { 11 } else { 12 };
    let loss_after = |steps| {
        let options = Options { batch_size: BATCH, length: Length::Steps(steps), ..options.clone() };
        let outcome = Trainer::new(&model, &data, options).run().unwrap();
        score(&model, &outcome.params, &data).unwrap().mean_loss()
    };
    let losses: Vec<f64> = (steps_per_epoch..=4 * steps_per_epoch).map(loss_after).collect();
    let mut changes = Changes { whole: 0.0, short: Vec::new() };
    for (step, pair) in losses.windows(2).enumerate() {
        let change = pair[1] / pair[0];
        if step % 12 == 11 && !options.drop_last {
            changes.short.push(change);
        } else {
            changes.whole = changes.whole.max(change);
        }
    }
    changes
}

/// Measured: 5.7, 95 and 8.7 under the mean, and at most 1.09 under the sum. The rate is close to
/// the limit: a full batch at most doubles the loss, in each of the three.
#[test]
fn the_loss_jumps_after_a_short_batch_under_a_mean_only() {
    let mean = Options { rate: Some(RATE), ..Options::default() };
    let sum = Options { reduction: Reduction::Sum, rate: Some(RATE / BATCH as f64), ..Options::default() };

    let Changes { short, whole } = changes(&mean);
    assert!(short.len() == 3 && short.iter().all(|change| *change > 4.0), "mean: {short:.2?}");
    assert!(whole < 2.2, "mean: {whole:.2}");

    let Changes { short, whole } = changes(&sum);
    assert!(short.len() == 3 && short.iter().all(|change| *change < 1.2), "sum: {short:.2?}");
    assert!(whole < 2.2, "sum: {whole:.2}");

    let Changes { short, whole } = changes(&Options { drop_last: true, ..mean });
    assert!(short.is_empty() && whole < 2.2, "mean without short batches: {whole:.2}");
}

/// 22 batches of 64 and one of 16, so that every factor is a power of two.
const EXACT_SAMPLES: usize = 22 * 64 + 16;

/// Three epochs of mean gradients, written out, each step at `RATE` times the number of its samples
/// over 64.
fn manually(optimizer: OptimizerOptions) -> Vec<f32> {
    let (data, model) = digits(EXACT_SAMPLES);
    let mut params = model.initial_params(Options::default().seed);
    let mut grads = vec![0.0; params.len()];
    let blocks = Blocks::new(&[params.len()]);
    let mut optimizer = Optimizer::for_segment(&optimizer.hyper().unwrap(), &blocks, 0..blocks.len());
    let (mut gathered, mut workspace) = (GatherBuffer::new(64, 64, 0), model.workspace(64));
    let mut order = vec![0; data.len()];
    for epoch in 0..3 {
        sample_order(Options::default().seed, epoch, &mut order);
        for batch in order.chunks(64) {
            data.gather(batch, &mut gathered);
            let targets = model::BatchTargets::Classes(gathered.labels());
            let samples = Samples::new(gathered.inputs(), targets);
            model.gradient(&params, &samples, &mut grads, &mut workspace);
            divide_grads(&mut grads, batch.len() as f64);
            optimizer.update(0.5 * batch.len() as f64 / 64.0, &mut params, &mut grads);
        }
    }
    params
}

/// The trainer's params under a sum, at the rate that `manually` uses under a mean of 64.
fn by_sum(optimizer: OptimizerOptions) -> Vec<f32> {
    let (data, model) = digits(EXACT_SAMPLES);
    let (reduction, rate) = (Reduction::Sum, Some(0.5 / 64.0));
    let (shards, length) = (Shards::Count(1), Length::Epochs(3));
    let options = Options { reduction, rate, optimizer, shards, length, ..Options::default() };
    Trainer::new(&model, &data, options).run().unwrap().params
}

#[test]
fn a_mean_whose_last_rate_is_scaled_by_its_samples_is_the_sum_bit_by_bit() {
    assert_eq!(manually(OptimizerOptions::default()), by_sum(OptimizerOptions::default()));
}

/// With momentum this also requires Caffe's form, whose velocity contains the rate of each
/// gradient. It is not corrected when the rate changes: PyTorch's form is equivalent to a corrected
/// one, and gives different params.
#[test]
fn with_momentum_short_batches_agree_only_in_the_caffe_form() {
    let momentum = |form| OptimizerOptions {
        momentum: Some(0.75),
        momentum_form: Some(form),
        ..OptimizerOptions::default()
    };
    let sum = by_sum(momentum(MomentumForm::Pytorch));
    assert_eq!(by_sum(momentum(MomentumForm::Caffe)), sum, "the rate under a sum is constant");
    assert_eq!(manually(momentum(MomentumForm::Caffe)), sum);
    let elsewhere = manually(momentum(MomentumForm::Pytorch));
    let square = |x: f32| f64::from(x).powi(2);
    let apart: f64 = elsewhere.iter().zip(&sum).map(|(a, b)| square(a - b)).sum();
    let whole: f64 = sum.iter().map(|a| square(*a)).sum();
    // Measured: 0.12 of the params' norm.
    assert!((apart / whole).sqrt() > 0.05, "only {} apart", (apart / whole).sqrt());
}
