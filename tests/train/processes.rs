//! Shows that a run shared by several processes has the bits of one process: for every split into
//! processes and threads, with every reduction and optimizer, short last batches, norms, the noise
//! scale, NaN and infinite values, and resumes with another split; and that processes that fail, do
//! not respond or were started with other options are named.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::optimizers::optimizers;
use ndarray::Array2;
use phalanx::collective::{CollectiveError, LocalWire, Wire};
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::BLOCK_LEN;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model, Samples, from_fn};
use phalanx::optim::{L2Form, OptimizerKind, OptimizerOptions, Reduction};
use phalanx::train::{
    Divergence, Event, Length, NoiseScale, OnDivergence, Options, Outcome, SaveEvery, Shards, Snapshot,
    StopReason, TrainError, Trainer,
};

/// The threads of each process.
const SPLITS: [&[usize]; 14] = [
    &[1, 1],
    &[2, 2],
    &[4, 4],
    &[1, 3],
    &[3, 1],
    &[2, 1, 1],
    &[1, 1, 1],
    &[2, 2, 2],
    &[1, 2, 3],
    &[1, 1, 1, 1],
    &[2, 2, 2, 2],
    &[1, 1, 1, 1, 1],
    &[3, 1, 1, 1, 1, 1],
    &[5, 5, 5],
];

/// All that must be the same in every process.
#[derive(Debug, PartialEq)]
struct Bits {
    params: Vec<u32>,
    best: Option<Vec<u32>>,
    state: Vec<Vec<u32>>,
    losses: Vec<u64>,
    norms: Vec<Option<u64>>,
    scores: Vec<u64>,
    noise_scale: Option<NoiseScale>,
    reason: StopReason,
    divergence: Option<Divergence>,
    skipped: u64,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Runs a trainer and records its events.
fn run(trainer: Trainer<'_>) -> Result<(Bits, Outcome), TrainError> {
    let (mut losses, mut norms, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = trainer
        .on_event(|event| match event {
            Event::Step(step) => {
                losses.push(step.loss.to_bits());
                norms.push(step.grad_norm.map(f64::to_bits));
            }
            Event::Epoch(epoch) => scores.extend(epoch.test.map(|test| test.loss_sum.to_bits())),
            Event::Score { test, .. } => scores.push(test.loss_sum.to_bits()),
            _ => {}
        })
        .run()?;
    let bits = Bits {
        params: bits(&outcome.params),
        best: outcome.best_params.as_ref().map(|best| bits(best)),
        state: outcome.state.iter().map(|(_, values)| bits(values)).collect(),
        losses,
        norms,
        scores,
        noise_scale: outcome.noise_scale,
        reason: outcome.reason,
        divergence: outcome.divergence.clone(),
        skipped: outcome.position.skipped,
    };
    Ok((bits, outcome))
}

/// Runs one process for each entry of a split, which is its number of threads.
fn across<R: Send>(split: &[usize], process: impl Fn(&mut LocalWire, usize) -> R + Sync) -> Vec<R> {
    let process = &process;
    thread::scope(|scope| {
        let ends = LocalWire::connect(split.len()).zip(split);
        let processes: Vec<_> =
            ends.map(|(mut wire, threads)| scope.spawn(move || process(&mut wire, *threads))).collect();
        processes.into_iter().map(|process| process.join().expect("no process panics")).collect()
    })
}

struct Bench {
    model: Mlp,
    train: Dataset,
    test: Dataset,
}

impl Bench {
    fn new() -> Self {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
        let (hidden, activation, loss) = (vec![32, 20], Activation::Gelu, Loss::CrossEntropy);
        let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        Self { model, train: digits.train, test: digits.test.unwrap() }
    }

    fn trainer(&self, options: &Options, threads: usize) -> Trainer<'_> {
        let options = Options { threads, ..options.clone() };
        Trainer::new(&self.model, &self.train, options).test(&self.test).score_at(vec![3, 2])
    }

    /// Compares each process of each split with one process.
    fn same_for(&self, splits: &[&[usize]], options: &Options) {
        let (expected, _) = run(self.trainer(options, 1)).unwrap();
        assert!(expected.losses.first() != expected.losses.last(), "training must change something");
        for split in splits {
            let found = across(split, |wire, threads| run(self.trainer(options, threads).across(wire)));
            for (process, found) in found.into_iter().enumerate() {
                assert_eq!(found.unwrap().0, expected, "process {process} of {split:?}, {options:?}");
            }
        }
    }
}

/// A rate that suits sgd about as well under every reduction; other optimizers use their own.
fn rate(reduction: Reduction, kind: OptimizerKind) -> Option<f64> {
    (!kind.is_scale_free()).then_some(match reduction {
        Reduction::Sum => 1e-4,
        Reduction::MeanOfShardSums => 1e-3,
        _ => 1e-2,
    })
}

/// 15 steps of 100 samples, one of 37, and two more.
fn options(reduction: Reduction, optimizer: OptimizerOptions) -> Options {
    Options {
        reduction,
        optimizer,
        rate: rate(reduction, optimizer.kind),
        batch_size: 100,
        length: Length::Steps(17),
        ..Options::default()
    }
}

#[test]
fn every_split_reduction_and_optimizer_has_the_bits_of_one_process() {
    let bench = Bench::new();
    let mut next = 0;
    for (row, &reduction) in Reduction::ALL.iter().enumerate() {
        for (column, optimizer) in optimizers().into_iter().enumerate() {
            let is_odd = (row + column) % 2 == 1;
            let options = Options {
                clip_grad_norm: is_odd.then_some(0.5),
                shards: if is_odd { Shards::Auto } else { Shards::Count(7) },
                ..options(reduction, optimizer)
            };
            // Each with two of the splits, so that every split occurs with every kind of step.
            let splits = [SPLITS[next % SPLITS.len()], SPLITS[(next + 5) % SPLITS.len()]];
            bench.same_for(&splits, &options);
            next += 1;
        }
    }
}

#[test]
fn every_split_has_the_bits_of_one_process_with_every_other_option() {
    let bench = Bench::new();
    let plain = Options { shards: Shards::Count(8), ..options(Reduction::Mean, optimizers()[1]) };
    for options in [
        plain.clone(),
        Options { noise_scale: Some(2), grad_norm_every: 3, ..plain.clone() },
        Options { noise_scale: Some(2), clip_grad_norm: Some(0.5), ..plain.clone() },
        Options { keep_best: true, early_stop: Some(2), length: Length::Epochs(2), ..plain.clone() },
        // Fewer samples in the last batch than there are shards, and more ranks than shards.
        Options { batch_size: 287, shards: Shards::Count(3), length: Length::Epochs(1), ..plain.clone() },
        Options { batch_size: 718, shards: Shards::Count(6), length: Length::Epochs(1), ..plain.clone() },
        Options {
            optimizer: OptimizerOptions { l2: 1.0, l2_form: L2Form::BatchSum, ..OptimizerOptions::default() },
            ..plain
        },
    ] {
        bench.same_for(&SPLITS, &options);
    }
}

#[test]
fn processes_without_params_or_shards_take_part() {
    let data = Dataset::from_arrays(
        Array2::from_shape_fn((6, 1), |(sample, _)| sample as f32),
        Targets::None,
        Some(vec![1.0, 2.0, 0.0, 0.5, 1.0, 0.0]),
    )
    .unwrap();
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let weight = |sample| samples.weights.map_or(1.0, |weights| weights[sample]);
        let error = |sample: usize| params[0] - samples.inputs[[sample, 0]];
        grads[0] = (0..samples.len()).map(|sample| weight(sample) * error(sample)).sum();
        (0..samples.len()).map(|sample| f64::from(weight(sample) * error(sample).powi(2))).sum()
    });
    // Each sample of weight 0 is a separate shard.
    for &reduction in Reduction::ALL {
        let options = |threads| Options {
            threads,
            reduction,
            batch_size: 4,
            shards: Shards::Count(3),
            rate: Some(0.1),
            keep_best: true,
            noise_scale: Some(1),
            ..Options::default()
        };
        let (expected, _) = run(Trainer::new(&model, &data, options(1))).unwrap();
        for split in SPLITS {
            let found = across(split, |wire, threads| {
                run(Trainer::new(&model, &data, options(threads)).across(wire)).unwrap().0
            });
            found.iter().for_each(|found| assert_eq!(*found, expected, "{reduction} {split:?}"));
        }
    }
}

/// Samples 0 to 39, of which a few make the loss or the gradient NaN or infinite.
fn some_non_finite(planted: &[usize]) -> Dataset {
    let features = Array2::from_shape_fn((40, 2), |(sample, feature)| match feature {
        0 => sample as f32 / 40.0,
        _ => f32::from(u8::from(planted.contains(&sample))),
    });
    Dataset::from_arrays(features, Targets::None, None).unwrap()
}

#[test]
fn non_finite_values_stop_or_skip_a_step_in_all_processes() {
    let train = some_non_finite(&[9, 30]);
    for (number, in_loss) in [(f32::NAN, true), (f32::INFINITY, false), (-3e38, false)] {
        let model =
            from_fn(vec![1.0; 4 * BLOCK_LEN], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
                let mut loss = 0.0;
                grads.fill(0.0);
                for sample in samples.inputs.rows() {
                    grads.iter_mut().zip(params).for_each(|(grad, param)| *grad += param - sample[0]);
                    loss += f64::from(params[0] - sample[0]).powi(2);
                    if sample[1] > 0.0 && in_loss {
                        loss = f64::from(number);
                    } else if sample[1] > 0.0 {
                        // A param of the last rank, which only that rank sees.
                        grads[4 * BLOCK_LEN - 1] = number;
                    }
                }
                loss
            });
        for on_divergence in [OnDivergence::Stop, OnDivergence::Skip] {
            for clip_grad_norm in [None, Some(1e9)] {
                let options = |threads| Options {
                    threads,
                    batch_size: 8,
                    shards: Shards::Count(4),
                    rate: Some(10.0),
                    length: Length::Epochs(2),
                    shuffle: false,
                    on_divergence,
                    clip_grad_norm,
                    optimizer: optimizers()[1],
                    ..Options::default()
                };
                let (expected, _) = run(Trainer::new(&model, &train, options(1))).unwrap();
                for split in SPLITS {
                    let found = across(split, |wire, threads| {
                        run(Trainer::new(&model, &train, options(threads)).across(wire)).unwrap().0
                    });
                    // Compared by their text, because a divergence may contain a NaN.
                    let expected = format!("{expected:?}");
                    let what = format!("{split:?}, {number} {on_divergence:?} {clip_grad_norm:?}");
                    found.iter().for_each(|found| assert_eq!(format!("{found:?}"), expected, "{what}"));
                }
            }
        }
    }
}

#[test]
fn a_run_resumed_with_another_split_has_the_bits_of_an_uninterrupted_one() {
    let bench = Bench::new();
    let options = |steps| Options {
        keep_best: true,
        length: Length::Steps(steps),
        ..options(Reduction::Mean, optimizers()[4])
    };
    let (expected, _) = run(bench.trainer(&options(25), 1)).unwrap();
    let splits: [&[usize]; 5] = [&[1], &[3], &[2, 1], &[1, 1, 1], &[2, 2, 2, 2]];
    for before in splits {
        for after in splits {
            // At the end of a run, and in the middle of one.
            let mut snapshots = across(before, |wire, threads| {
                let mut saved: Vec<Snapshot> = Vec::new();
                let process = wire.process();
                let outcome = bench
                    .trainer(&options(18), threads)
                    .across(wire)
                    .save_every(SaveEvery::Steps(11))
                    .on_event(|event| {
                        if let Event::Snapshot(snapshot) = event {
                            saved.push((**snapshot).clone());
                        }
                    })
                    .run()
                    .unwrap();
                assert_eq!(saved.len(), usize::from(process == 0), "only process 0 saves");
                saved.push(outcome.snapshot().unwrap());
                saved
            });
            for snapshot in snapshots.swap_remove(0) {
                let step = snapshot.position().step;
                let found = across(after, |wire, threads| {
                    let trainer = bench.trainer(&options(25), threads).resume(snapshot.clone()).across(wire);
                    run(trainer).unwrap().0
                });
                for found in found {
                    assert_eq!(found.params, expected.params, "{before:?} to step {step}, then {after:?}");
                    assert_eq!(found.state, expected.state, "{before:?} to step {step}, then {after:?}");
                    assert_eq!(found.best, expected.best, "{before:?} to step {step}, then {after:?}");
                    let rest_len = found.losses.len();
                    assert_eq!(found.losses[..], expected.losses[expected.losses.len() - rest_len..]);
                }
            }
        }
    }
}

#[test]
fn a_stop_flag_of_any_process_stops_all_after_the_same_step() {
    let bench = Bench::new();
    let options = Options { length: Length::Epochs(1000), ..options(Reduction::Mean, optimizers()[0]) };
    for asking in 0..3 {
        let steps = across(&[1, 2, 1], |wire, threads| {
            let (stop, is_asking) = (AtomicBool::new(false), wire.process() == asking);
            let trainer = bench.trainer(&options, threads).across(wire).stop_on(&stop);
            let outcome = trainer
                .on_event(|event| {
                    if matches!(event, Event::Step(step) if step.step == 20) && is_asking {
                        stop.store(true, Ordering::Relaxed);
                    }
                })
                .run()
                .unwrap();
            assert_eq!(outcome.reason, StopReason::Interrupted);
            (outcome.steps, bits(&outcome.params))
        });
        assert!(steps.iter().all(|other| *other == steps[0]), "process {asking} requests the stop");
    }
}

#[test]
fn a_different_model_is_detected_even_if_its_tensors_are_the_same() {
    let bench = Bench::new();
    let shape = |activation| MlpShape { activation, ..bench.model.shape().clone() };
    let options = options(Reduction::Mean, optimizers()[0]);
    let errors = across(&[1, 1], |wire, threads| {
        let activation = [Activation::Gelu, Activation::Relu][wire.process()];
        let model = Mlp::new(shape(activation));
        let options = Options { threads, ..options.clone() };
        Trainer::new(&model, &bench.train, options).across(wire).run().unwrap_err()
    });
    for error in errors {
        let what = "the score of the first samples";
        assert!(matches!(&error, TrainError::Disagreement { what: found, .. } if found == what), "{error}");
    }
}

#[test]
fn differences_between_processes_are_reported_in_all_of_them() {
    let bench = Bench::new();
    let plain = options(Reduction::Mean, optimizers()[0]);
    let blank = Dataset::from_arrays(Array2::zeros((1437, 64)), bench.train.targets().clone(), None).unwrap();
    let other_params = vec![0.25; bench.model.params_len()];
    let cases: [(&str, Options, Option<&Dataset>, bool); 5] = [
        ("the batch size", Options { batch_size: 64, ..plain.clone() }, None, false),
        ("the reduction", Options { reduction: Reduction::Sum, ..plain.clone() }, None, false),
        ("the seed", Options { seed: 1, ..plain.clone() }, None, false),
        ("the training samples", plain.clone(), Some(&blank), false),
        ("the initial params", plain.clone(), None, true),
    ];
    for (what, other, data, has_params) in cases {
        let errors = across(&[1, 2, 1], |wire, threads| {
            let is_other = wire.process() == 1;
            let options = Options { threads, ..if is_other { other.clone() } else { plain.clone() } };
            let train = data.filter(|_| is_other).unwrap_or(&bench.train);
            let mut trainer = Trainer::new(&bench.model, train, options).test(&bench.test);
            if has_params && is_other {
                trainer = trainer.initial_params(other_params.clone());
            }
            trainer.across(wire).run().unwrap_err()
        });
        for error in errors {
            assert!(
                matches!(&error, TrainError::Disagreement { process: 1, what: found, .. } if found == what || what == "the seed"),
                "{what}: {error}"
            );
            assert!(error.to_string().starts_with("process 1 and process 0 differ in"), "{error}");
        }
    }
}

#[test]
fn a_process_that_panics_or_does_not_respond_is_named_by_the_others() {
    let bench = Bench::new();
    let options = Options {
        length: Length::Epochs(1000),
        timeout: Some(Duration::from_millis(300)),
        ..options(Reduction::Mean, optimizers()[0])
    };
    let bench = &bench;
    let errors = across(&[1, 1, 2], |wire, threads| {
        let (is_bad, options) = (wire.process() == 1, &options);
        let run = move || {
            let trainer = bench.trainer(options, threads).across(wire);
            let trainer = trainer.on_event(|event| {
                assert!(!(is_bad && matches!(event, Event::Step(step) if step.step == 20)), "planted");
            });
            trainer.run().unwrap_err()
        };
        thread::scope(|scope| scope.spawn(run).join())
    });
    for (process, error) in errors.into_iter().enumerate() {
        match error {
            Err(_) => assert_eq!(process, 1),
            Ok(TrainError::Processes { source }) => {
                assert!(
                    matches!(source, CollectiveError::Left { .. } | CollectiveError::TimedOut { .. }),
                    "{source}"
                );
            }
            Ok(other) => panic!("process {process}: {other}"),
        }
    }

    // A process that never starts is noticed when all meet, and named.
    let mut ends = LocalWire::connect(2);
    let (mut first, absent) = (ends.next().unwrap(), ends.next());
    let ended = bench.trainer(&options, 1).across(&mut first).run();
    assert!(
        matches!(&ended, Err(TrainError::Processes { source: CollectiveError::TimedOut { missing, .. } }) if *missing == [1]),
        "{ended:?}"
    );
    let text = ended.unwrap_err().to_string();
    assert!(
        text.starts_with("waited ") && text.contains("for processes [1], which did not respond"),
        "{text}"
    );
    drop(absent);
}
