//! Shows that 50 steps of training, short last batches and uneven shards included, end in the params that PyTorch ends
//! in: for every optimizer, for all five reductions, and for these with sample weights.
//!
//! The numbers are made by `tests/fixtures/training.py`, in float64; ours are f32, and agree to 1e-5 of the size of the
//! change that training made.

use std::collections::BTreeMap;

use ndarray::Array2;
use phalanx::data::{Dataset, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{MomentumForm, OptimizerKind, OptimizerOptions, Reduction};
use phalanx::train::{Length, Options, Shards, Trainer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    features: Vec<Vec<f32>>,
    labels: Vec<u32>,
    weights: Vec<f32>,
    initial: Vec<f32>,
    optimizers: BTreeMap<String, Vec<f64>>,
    rates: BTreeMap<String, f64>,
    reductions: BTreeMap<String, Vec<f64>>,
    weighted: BTreeMap<String, Vec<f64>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/training.json")).unwrap()
}

impl Fixture {
    fn data(&self, weights: Option<Vec<f32>>) -> Dataset {
        let features = Array2::from_shape_fn((37, 5), |(sample, feature)| self.features[sample][feature]);
        Dataset::from_arrays(features, Targets::Classes { labels: self.labels.clone(), count: 3 }, weights)
            .unwrap()
    }

    /// The largest difference to `expected`, relative to the largest change from the initial params.
    fn error(&self, data: &Dataset, options: Options, expected: &[f64]) -> f64 {
        let (hidden, activation, loss) = (vec![6], Activation::Tanh, Loss::CrossEntropy);
        let model = Mlp::new(MlpShape { inputs: 5, hidden, outputs: 3, activation, loss });
        let options = Options {
            threads: 2,
            batch_size: 10,
            shards: Shards::Count(4),
            length: Length::Steps(50),
            shuffle: false,
            ..options
        };
        let trainer = Trainer::new(&model, data, options).initial_params(self.initial.clone());
        let params = trainer.run().unwrap().params;
        assert_eq!(params.len(), expected.len());
        let largest = |differences: Vec<f64>| differences.into_iter().map(f64::abs).fold(0.0, f64::max);
        let change = largest(expected.iter().zip(&self.initial).map(|(e, i)| e - f64::from(*i)).collect());
        largest(params.iter().zip(expected).map(|(p, e)| f64::from(*p) - e).collect()) / change
    }
}

/// The options of each run of the script, by its name there.
fn options_of(name: &str) -> Options {
    let (kind, rest) = name.split_once(' ').unwrap_or((name, ""));
    let mut optimizer = OptimizerOptions::new(kind.parse::<OptimizerKind>().unwrap());
    let mut rate = 0.01;
    let mut clip_grad_norm = None;
    match kind {
        "sgd" => rate = 0.1,
        "adagrad" => rate = 0.1,
        "lars" => {
            rate = 1.0;
            (optimizer.momentum, optimizer.l2, optimizer.trust_coefficient) = (Some(0.9), 0.001, Some(0.01));
        }
        "lamb" => optimizer.weight_decay = 0.01,
        _ => {}
    }
    match rest {
        "" if kind == "sgd" => rate = 0.5,
        "" => {}
        "l2" => {
            optimizer.l2 = 0.01;
            rate = if kind == "sgd" { 0.5 } else { rate };
        }
        "clipped" => (rate, clip_grad_norm) = (0.5, Some(0.2)),
        "momentum" if kind == "rmsprop" => optimizer.momentum = Some(0.5),
        form => {
            optimizer.momentum = Some(0.9);
            optimizer.nesterov = form.ends_with("nesterov");
            optimizer.momentum_form = form.starts_with("caffe").then_some(MomentumForm::Caffe);
        }
    }
    Options { optimizer, rate: Some(rate), clip_grad_norm, ..Options::default() }
}

#[test]
fn every_optimizer_ends_where_pytorch_ends() {
    let fixture = fixture();
    let data = fixture.data(None);
    assert_eq!(fixture.optimizers.len(), 15);
    for kind in OptimizerKind::ALL {
        assert!(
            fixture.optimizers.keys().any(|name| name.split(' ').next() == Some(kind.name())),
            "{kind} is missing"
        );
    }
    for (name, expected) in &fixture.optimizers {
        let error = fixture.error(&data, options_of(name), expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

fn reductions_agree(runs: &BTreeMap<String, Vec<f64>>, fixture: &Fixture, data: &Dataset) {
    assert_eq!(runs.len(), Reduction::ALL.len());
    for (name, expected) in runs {
        let optimizer = OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() };
        let reduction = name.parse().unwrap();
        let options = Options { reduction, optimizer, rate: Some(fixture.rates[name]), ..Options::default() };
        let error = fixture.error(data, options, expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn every_reduction_is_what_pytorch_makes_of_its_shards() {
    let fixture = fixture();
    reductions_agree(&fixture.reductions, &fixture, &fixture.data(None));
}

#[test]
fn every_reduction_of_weighted_samples_is_what_pytorch_makes_of_its_shards() {
    let fixture = fixture();
    reductions_agree(&fixture.weighted, &fixture, &fixture.data(Some(fixture.weights.clone())));
}

#[test]
fn the_reductions_are_told_apart() {
    let fixture = fixture();
    let data = fixture.data(Some(fixture.weights.clone()));
    let optimizer = OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() };
    let mean = Options { optimizer, rate: Some(fixture.rates["mean"]), ..Options::default() };
    let error = fixture.error(&data, mean, &fixture.weighted["mean-of-shard-means"]);
    assert!(error > 1e-3, "the mean and the mean of shard means of uneven shards differ, here by {error:e}");
}
