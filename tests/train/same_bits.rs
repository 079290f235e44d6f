//! Shows the promise of identical bits: params, losses and optimizer state have the same bits for
//! every number of threads, with every reduction and every optimizer, with short last batches, and
//! with fewer samples than threads; and whether the gradient is divided by params or, as in the
//! definition, by shards (rows B5 and B6).

use ndarray::Array2;
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::optim::{OptimizerKind, OptimizerOptions, Reduction, ScheduleKind, ScheduleOptions};
use phalanx::train::{Event, Length, Options, Shards, Trainer};

use super::by_shards::ByShards;
use super::optimizers::optimizers;
use super::tally::{Tally, count, is_full};

const THREADS: [usize; 8] = [1, 2, 3, 4, 5, 7, 8, 9];

/// All that must be the same: params, optimizer state, the loss and gradient norm of each step, the
/// test scores.
#[derive(Debug, PartialEq)]
struct Bits {
    params: Vec<u32>,
    state: Vec<Vec<u32>>,
    losses: Vec<u64>,
    norms: Vec<Option<u64>>,
    scores: Vec<u64>,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn run(model: &impl Model, train: &Dataset, test: &Dataset, options: &Options, threads: usize) -> Bits {
    let options = Options { threads, ..options.clone() };
    let (mut losses, mut norms, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let trainer = Trainer::new(model, train, options).test(test).score_at(vec![3, 2]);
    let outcome = trainer
        .on_event(|event| match event {
            Event::Step(step) => {
                losses.push(step.loss.to_bits());
                norms.push(step.grad_norm.map(f64::to_bits));
            }
            Event::Epoch(epoch) => scores.push(epoch.test.unwrap().loss_sum.to_bits()),
            Event::Score { test, .. } => scores.push(test.loss_sum.to_bits()),
            _ => {}
        })
        .run();
    let outcome = outcome.unwrap();
    let state = outcome.state.iter().map(|(_, values)| bits(values)).collect();
    Bits { params: bits(&outcome.params), state, losses, norms, scores }
}

/// Compares training with each of `THREADS`, and by shards, with the bits of one thread; returns
/// each result with the name of the comparison.
fn comparisons(hidden: &[usize], train: &Dataset, test: &Dataset, options: &Options) -> Vec<(bool, String)> {
    let loss = if matches!(train.targets(), Targets::Values { .. }) { Loss::MSE } else { Loss::CrossEntropy };
    let outputs = if loss == Loss::MSE { 2 } else { 10 };
    let (inputs, hidden) = (train.features(), hidden.to_vec());
    let model = Mlp::new(MlpShape { inputs, hidden, outputs, activation: Activation::Gelu, loss });
    let expected = run(&model, train, test, options, 1);
    assert!(expected.losses.first() != expected.losses.last(), "training must change something");
    let threads = THREADS.map(|threads| {
        let found = run(&model, train, test, options, threads);
        (found == expected, format!("{threads} threads, {options:?}"))
    });
    let by_shards = [1, 3].map(|threads| {
        let found = run(&ByShards(&model), train, test, options, threads);
        (found == expected, format!("by shards, {threads} threads, {options:?}"))
    });
    threads.into_iter().chain(by_shards).collect()
}

fn same_for_all_threads(hidden: &[usize], train: &Dataset, test: &Dataset, options: &Options) {
    for (same, name) in comparisons(hidden, train, test, options) {
        assert!(same, "{name}");
    }
}

fn digits() -> (Dataset, Dataset) {
    let loaded = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
    (loaded.train, loaded.test.unwrap())
}

/// A rate that suits sgd about as well under every reduction; other optimizers use their own.
fn rate(reduction: Reduction, kind: OptimizerKind) -> Option<f64> {
    (!kind.is_scale_free()).then_some(match reduction {
        Reduction::Sum => 1e-4,
        Reduction::MeanOfShardSums => 1e-3,
        _ => 1e-2,
    })
}

#[test]
fn every_reduction_and_optimizer_has_the_same_bits_for_every_number_of_threads() {
    let (train, test) = digits();
    let steps = count(20, 200);
    let mut tally = Tally::new("B5", format!("runs of {steps} steps with the bits of one thread"));
    for (row, &reduction) in Reduction::ALL.iter().enumerate() {
        for (column, optimizer) in optimizers().into_iter().enumerate() {
            let is_odd = (row + column) % 2 == 1;
            // 100 is not a multiple of the number of shards, and the last batch of an epoch has 37.
            let options = Options {
                reduction,
                optimizer,
                rate: rate(reduction, optimizer.kind),
                schedule: ScheduleOptions {
                    kind: ScheduleKind::Cosine,
                    warmup_steps: 3,
                    ..ScheduleOptions::default()
                },
                clip_grad_norm: is_odd.then_some(0.5),
                batch_size: 100,
                shards: if is_odd { Shards::Auto } else { Shards::Count(7) },
                length: Length::Steps(steps),
                ..Options::default()
            };
            for (same, name) in comparisons(&[32, 20], &train, &test, &options) {
                tally.case(same, || name);
            }
        }
    }
    tally.end();
}

#[test]
fn requested_norms_are_those_of_clipping_and_change_no_bit() {
    let (train, test) = digits();
    let [inputs, outputs] = [64, 10];
    let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs, hidden: vec![16], outputs, activation, loss });
    for kind in [OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::Lars, OptimizerKind::Lamb] {
        for noise_scale in [None, Some(2)] {
            let (optimizer, length) = (OptimizerOptions::new(kind), Length::Steps(25));
            let options = Options { optimizer, length, noise_scale, ..Options::default() };
            // A bound so large that nothing is clipped, but every step reports its norm.
            let all =
                run(&model, &train, &test, &Options { clip_grad_norm: Some(1e30), ..options.clone() }, 1);
            let asked = Options { grad_norm_every: 3, ..options };
            for threads in [1, 3] {
                let Bits { norms, ref params, ref losses, .. } = run(&model, &train, &test, &asked, threads);
                let thirds =
                    all.norms.iter().enumerate().map(|(at, norm)| norm.filter(|_| (at + 1) % 3 == 0));
                assert_eq!(norms, thirds.collect::<Vec<_>>(), "{kind:?}, {threads} threads");
                assert!(*params == all.params && *losses == all.losses, "{kind:?}, {threads} threads");
            }
        }
    }
}

/// `samples` samples of three classes, weighted or not.
fn noise(samples: usize, is_weighted: bool) -> Dataset {
    let features =
        Array2::from_shape_fn((samples, 5), |(b, i)| ((b * 7 + i * 3 + b * i) % 11) as f32 / 5.0 - 1.0);
    let labels = (0..samples as u32).map(|b| b * 5 % 3).collect();
    let weights = is_weighted.then(|| (0..samples).map(|b| (b % 5) as f32 * 0.3).collect());
    Dataset::from_arrays(features, Targets::Classes { labels, count: 3 }, weights).unwrap()
}

/// The momentum after the first step is its gradient; after more steps, the last of them short, it
/// combines the gradients of all. With fewer samples than a batch the first step is short.
#[test]
fn batches_of_1_to_33_samples_have_the_same_gradient_for_1_to_8_threads() {
    let mut tally = Tally::new(
        "B6",
        "batch sizes, thread counts, reductions and weights with the gradient of one thread",
    );
    let optimizer = OptimizerOptions { momentum: Some(0.9), nesterov: true, ..OptimizerOptions::default() };
    let model =
        |activation, loss| Mlp::new(MlpShape { inputs: 5, hidden: vec![6], outputs: 3, activation, loss });
    let model = model(Activation::Gelu, Loss::CrossEntropy);
    for batch_size in 1..=33 {
        for (row, &reduction) in Reduction::ALL.iter().enumerate() {
            let shards = [Shards::Auto, Shards::Count(batch_size % 6 + 1), Shards::Count(7)];
            let choices = shards.iter().flat_map(|&shards| [(shards, false), (shards, true)]);
            // In the short form one of six in turn, so that each occurs with every reduction.
            let turn = |(at, _): &(usize, _)| is_full() || at % 6 == (batch_size + row) % 6;
            for (_, (shards, is_weighted)) in choices.enumerate().filter(turn) {
                let whole = noise(2 * batch_size + batch_size.div_ceil(2), is_weighted);
                let short = noise(batch_size / 2 + 2, is_weighted);
                let runs =
                    [(&whole, Length::Steps(1)), (&whole, Length::Epochs(1)), (&short, Length::Steps(1))];
                let results = |threads| {
                    runs.map(|(data, length)| {
                        let options = Options {
                            batch_size,
                            shards,
                            reduction,
                            optimizer,
                            length,
                            ..Options::default()
                        };
                        run(&model, data, data, &options, threads)
                    })
                };
                let expected = results(1);
                let gradient = &expected[0].state[0];
                assert!(
                    gradient.iter().any(|bits| f32::from_bits(*bits) != 0.0),
                    "the gradient must not be all zeros"
                );
                for threads in 1..=8 {
                    tally.case(results(threads) == expected, || {
                        format!("batch {batch_size}, {threads} threads, {reduction:?}, {shards:?}, weighted {is_weighted}")
                    });
                }
            }
        }
    }
    tally.end();
}

/// Some ranks then have more samples than are kept for a gradient that is divided by params; with
/// other thread counts they do not.
#[test]
fn a_batch_of_more_samples_than_a_rank_keeps_has_the_same_bits() {
    let (train, test) = digits();
    let options =
        Options { batch_size: 1200, length: Length::Steps(4), rate: Some(0.01), ..Options::default() };
    assert!(train.len() > 1200);
    same_for_all_threads(&[40], &train, &test, &options);
}

/// Inputs so large that no bound guarantees a finite gradient, although it is finite.
#[test]
fn gradients_that_might_not_be_finite_have_the_same_bits() {
    // tanh is flat where inputs are large, and the inputs are 0 where it is not.
    let features =
        Array2::from_shape_fn((40, 3), |(b, i)| ((b % 2) * (1 + (b * 7 + i * 3) % 11)) as f32 * 1e37);
    let values = (0..80).map(|v| v as f32).collect();
    let data = Dataset::from_arrays(features, Targets::Values { values, outputs: 2 }, None).unwrap();
    let options = Options {
        batch_size: 20,
        rate: Some(1e-3),
        shards: Shards::Count(4),
        length: Length::Epochs(2),
        ..Options::default()
    };
    let model = |activation| {
        Mlp::new(MlpShape { inputs: 3, hidden: vec![6], outputs: 2, activation, loss: Loss::MSE })
    };
    let expected = run(&ByShards(&model(Activation::Tanh)), &data, &data, &options, 1);
    assert!(expected.losses.iter().all(|loss| f64::from_bits(*loss).is_finite()));
    assert_ne!(expected.losses.first(), expected.losses.last());
    for threads in THREADS {
        assert_eq!(run(&model(Activation::Tanh), &data, &data, &options, threads), expected);
    }
}

#[test]
fn weighted_regression_with_weightless_shards_has_the_same_bits() {
    let features = Array2::from_shape_fn((50, 3), |(b, i)| ((b * 7 + i * 3) % 11) as f32 / 5.0 - 1.0);
    let values: Vec<f32> = features.rows().into_iter().flat_map(|row| [row.sum(), row[0] * row[1]]).collect();
    // The first shard of the first batch of 20 in stored order, samples 0 to 4, has weight 0.
    let weights = (0..50).map(|b| if b < 5 { 0.0 } else { (b % 4) as f32 * 0.5 }).collect();
    let data = Dataset::from_arrays(features, Targets::Values { values, outputs: 2 }, Some(weights)).unwrap();
    for &reduction in Reduction::ALL {
        let options = Options {
            reduction,
            batch_size: 20,
            shuffle: false,
            rate: Some(0.01),
            shards: Shards::Count(4),
            length: Length::Epochs(4),
            ..Options::default()
        };
        same_for_all_threads(&[6], &data, &data, &options);
    }
}

#[test]
fn a_different_number_of_shards_has_different_bits() {
    let (train, test) = digits();
    let shape = MlpShape {
        inputs: 64,
        hidden: vec![16],
        outputs: 10,
        activation: Activation::Relu,
        loss: Loss::CrossEntropy,
    };
    let model = Mlp::new(shape);
    let of = |shards| {
        let options =
            Options { shards: Shards::Count(shards), length: Length::Epochs(1), ..Options::default() };
        run(&model, &train, &test, &options, 2).params
    };
    assert_ne!(of(3), of(4), "the comparisons must be able to fail");
}
