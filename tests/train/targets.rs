//! Standardized targets: a model that standardizes them makes the updates of a plain model whose
//! targets were standardized beforehand, which is the definition; its losses and predictions are in
//! the units of the data.

use ndarray::Array2;
use phalanx::collective::LocalWire;
use phalanx::data::{Dataset, Standardize, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::Reduction;
use phalanx::train::{Event, Length, Options, Outcome, Shards, Trainer, predict, score};

const SAMPLES: usize = 50;

fn model(outputs: usize) -> Mlp {
    let (hidden, activation, loss) = (vec![6], Activation::Tanh, Loss::MSE);
    Mlp::new(MlpShape { inputs: 3, hidden, outputs, activation, loss })
}

/// Prices around 300,000, and with a second output shares around 0.02.
fn data(outputs: usize, weighted: bool) -> Dataset {
    let features = Array2::from_shape_fn((SAMPLES, 3), |(b, i)| ((b * 7 + i * 3) % 11) as f32 / 5.0 - 1.0);
    let value = |sample: usize, output: usize| {
        let row = features.row(sample);
        if output == 0 { 300_000.0 + 100_000.0 * row.sum() } else { 0.02 + 0.01 * row[0] * row[1] }
    };
    let values = (0..SAMPLES * outputs).map(|at| value(at / outputs, at % outputs)).collect();
    let weights = (0..SAMPLES).map(|b| if b < 5 { 0.0 } else { (b % 4) as f32 * 0.5 }).collect();
    Dataset::from_arrays(features, Targets::Values { values, outputs }, weighted.then_some(weights)).unwrap()
}

/// The definition: the targets themselves are standardized.
fn standardized(data: &Dataset, by: &Standardize) -> Dataset {
    let Targets::Values { values, outputs } = data.targets() else { panic!("values") };
    let value = |(at, t): (usize, &f32)| (t - by.mean()[at % outputs]) / by.std()[at % outputs];
    let values = values.iter().enumerate().map(value).collect();
    let features: Vec<f32> = (0..SAMPLES).flat_map(|sample| data.features_of(sample)).collect();
    let features = Array2::from_shape_vec((SAMPLES, 3), features).unwrap();
    let targets = Targets::Values { values, outputs: *outputs };
    Dataset::from_arrays(features, targets, data.weights().map(<[f32]>::to_vec)).unwrap()
}

fn options(reduction: Reduction, threads: usize) -> Options {
    let rate = match reduction {
        Reduction::Sum | Reduction::MeanOfShardSums => 0.001,
        _ => 0.05,
    };
    Options {
        reduction,
        threads,
        batch_size: 20,
        rate: Some(rate),
        shards: Shards::Count(4),
        length: Length::Epochs(4),
        ..Options::default()
    }
}

/// Runs, and returns the loss of each epoch on the training samples, and then on the same samples
/// as a test.
fn run(model: &Mlp, data: &Dataset, options: Options) -> (Outcome, Vec<[f64; 2]>) {
    let mut losses = Vec::new();
    let trainer = Trainer::new(model, data, options).test(data).on_event(|event| {
        if let Event::Epoch(end) = event {
            losses.push([end.train_loss, end.test.unwrap().mean_loss()]);
        }
    });
    let outcome = trainer.run().unwrap();
    (outcome, losses)
}

#[test]
fn the_updates_are_those_of_targets_standardized_beforehand_on_any_number_of_threads() {
    for (outputs, weighted) in [(1, false), (1, true), (2, false), (2, true)] {
        let data = data(outputs, weighted);
        let by = Standardize::learn_targets(&data).unwrap();
        let (plain, beforehand) = (model(outputs), standardized(&data, &by));
        let scaled = model(outputs).standardize_targets(by.mean(), by.std());
        for &reduction in Reduction::ALL {
            let expected = run(&plain, &beforehand, options(reduction, 1)).0.params;
            let mut losses = Vec::new();
            for threads in [1, 2, 3, 7] {
                let (outcome, of_epochs) = run(&scaled, &data, options(reduction, threads));
                assert_eq!(outcome.params, expected, "{reduction}, {outputs} outputs, {threads} threads");
                losses.push(of_epochs);
            }
            assert!(losses.windows(2).all(|pair| pair[0] == pair[1]), "{losses:?}");
        }
    }
}

#[test]
fn several_processes_have_the_bits_of_one() {
    let data = data(2, true);
    let by = Standardize::learn_targets(&data).unwrap();
    let model = model(2).standardize_targets(by.mean(), by.std());
    let (alone, _) = run(&model, &data, options(Reduction::Mean, 1));
    std::thread::scope(|scope| {
        for mut wire in LocalWire::connect(3) {
            let (model, data, alone) = (&model, &data, &alone);
            scope.spawn(move || {
                let trainer = Trainer::new(model, data, options(Reduction::Mean, 2));
                assert_eq!(trainer.across(&mut wire).run().unwrap().params, alone.params);
            });
        }
    });
}

#[test]
fn losses_are_in_the_units_of_the_targets() {
    for weighted in [false, true] {
        let data = data(1, weighted);
        let by = Standardize::learn_targets(&data).unwrap();
        let scaled = model(1).standardize_targets(by.mean(), by.std());
        let (_, plain) = run(&model(1), &standardized(&data, &by), options(Reduction::Mean, 2));
        let (_, losses) = run(&scaled, &data, options(Reduction::Mean, 2));
        let variance = f64::from(by.std()[0]).powi(2);
        for (plain, found) in plain.iter().flatten().zip(losses.iter().flatten()) {
            assert!((found / (variance * plain) - 1.0).abs() < 1e-6, "{found} of {plain}");
        }
    }
}

#[test]
fn the_loss_of_several_outputs_is_that_of_their_predictions() {
    let data = data(2, true);
    let by = Standardize::learn_targets(&data).unwrap();
    let model = model(2).standardize_targets(by.mean(), by.std());
    let (outcome, losses) = run(&model, &data, options(Reduction::Mean, 2));
    let predicted = predict(&model, &outcome.params, &data).unwrap();
    let Targets::Values { values, .. } = data.targets() else { panic!("values") };
    let weights = data.weights().unwrap();
    let of_sample = |(sample, row): (usize, &[f32])| {
        let squares = row.iter().zip(&values[2 * sample..]).map(|(p, t)| f64::from(p - t).powi(2));
        f64::from(weights[sample]) * squares.sum::<f64>() / 2.0
    };
    let sum: f64 = predicted.as_slice().unwrap().chunks(2).enumerate().map(of_sample).sum();
    let mean = sum / weights.iter().map(|w| f64::from(*w)).sum::<f64>();
    let found = score(&model, &outcome.params, &data).unwrap().mean_loss();
    assert!((found / mean - 1.0).abs() < 1e-5, "{found}, computed manually {mean}");
    assert_eq!(found, losses.last().unwrap()[1]);
    // Both outputs are learned, although the first is 10 million times the second.
    for output in 0..2 {
        let error = (0..SAMPLES)
            .map(|sample| f64::from(predicted[[sample, output]] - values[2 * sample + output]).powi(2));
        let error = (error.sum::<f64>() / SAMPLES as f64).sqrt();
        assert!(error < f64::from(by.std()[output]), "output {output}: {error}");
    }
}
