//! Shows that hyper-parameters given in the convention of another framework train as that framework
//! does: 50 steps with short last batches, and with uneven shards for frameworks with processes,
//! end with its params.
//!
//! `tests/fixtures/presets.py` makes the expected params, with the frameworks themselves if they
//! can be installed. The params of the program, called as a user calls it, agree to 1e-5 of the
//! largest change made by training.

use std::collections::BTreeMap;

use crate::test_dir::{TestDir, npy};
use phalanx::checkpoint::{ModelFile, read_tensors};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::optim::Framework;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    features: Vec<Vec<f32>>,
    labels: Vec<i64>,
    initial: Vec<f32>,
}

/// Params by framework, and by the flags that follow `--like`.
type Runs = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

fn runs() -> Runs {
    serde_json::from_str(include_str!("../fixtures/presets.json")).unwrap()
}

fn stored() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/training.json")).unwrap()
}

fn model() -> Mlp {
    let (hidden, activation, loss) = (vec![6], Activation::Tanh, Loss::CrossEntropy);
    Mlp::new(MlpShape { inputs: 5, hidden, outputs: 3, activation, loss })
}

/// Returns a directory with the data and the initial params of the fixtures.
fn furnished(stored: &Fixture) -> TestDir {
    let dir = TestDir::new();
    let features: Vec<u8> = stored.features.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let labels: Vec<u8> = stored.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    dir.write("x.npy", npy("<f4", "37, 5", &features));
    dir.write("y.npy", npy("<i8", "37,", &labels));
    let file = ModelFile {
        shape: model().shape().clone(),
        params: stored.initial.clone(),
        standardize: None,
        standardize_targets: None,
        classes: None,
        options: BTreeMap::new(),
        train: None,
        test: None,
        data: Default::default(),
    };
    file.save(&dir.path("init.safetensors")).unwrap();
    dir
}

const TRAIN: &str = "train x.npy,y.npy --init init.safetensors --hidden 6 --activation tanh -b 10 --no-shuffle --max-steps 50 -t 2";

/// Returns the largest difference from `expected`, relative to the largest change from the initial
/// params.
fn error(params: &[f32], initial: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(params.len(), expected.len());
    let largest = |differences: Vec<f64>| differences.into_iter().map(f64::abs).fold(0.0, f64::max);
    let change = largest(expected.iter().zip(initial).map(|(e, i)| e - f64::from(*i)).collect());
    largest(params.iter().zip(expected).map(|(p, e)| f64::from(*p) - e).collect()) / change
}

fn params(dir: &TestDir, run: &str) -> Vec<f32> {
    read_tensors(&dir.path(&format!("{run}/model.safetensors")), &model().tensors()).unwrap()
}

#[test]
fn every_preset_ends_with_the_params_of_its_framework() {
    let (stored, runs) = (stored(), runs());
    let dir = furnished(&stored);
    for framework in Framework::ALL {
        let found = runs.get(framework.name()).unwrap_or_else(|| panic!("no fixture of {framework}"));
        for (flags, expected) in found {
            let run = format!("--like {framework} {flags}");
            dir.good(&format!("{TRAIN} {run} -o run --quiet"));
            let error = error(&params(&dir, "run"), &stored.initial, expected);
            println!("{error:.1e} {run}");
            assert!(error < 1e-5, "{run}: {error:e}");
            // The written config gives the same run without the preset.
            dir.good("train --config run/config.toml -o again --quiet -t 1");
            assert_eq!(params(&dir, "again"), params(&dir, "run"), "{run}");
            for name in ["run", "again"] {
                std::fs::remove_dir_all(dir.path(name)).unwrap();
            }
        }
    }
}

#[test]
fn the_same_numbers_mean_something_else_without_the_preset() {
    let (stored, runs) = (stored(), runs());
    let dir = furnished(&stored);
    for (framework, flags, without) in [
        ("keras", "--lr 0.1 --momentum 0.9 --l2 0.01", "--lr 0.1 --momentum 0.9 --l2 0.01"),
        ("keras", "--optimizer rmsprop", "--optimizer rmsprop"),
        ("keras", "--optimizer adam --lr 0.01 --eps 0.001", "--optimizer adam --lr 0.01 --eps 0.001"),
        ("scikit-learn", "--l2 0.3 --lr 0.01", "--l2 0.3 --lr 0.01 --optimizer adam"),
        ("tensorflow1-estimator", "--lr 0.05", "--lr 0.05 --optimizer adagrad --reduction sum"),
        ("pytorch-ddp", "--shards 4 --lr 0.1 --momentum 0.9 --l2 0.01", "--lr 0.1 --momentum 0.9 --l2 0.01"),
    ] {
        dir.good(&format!("{TRAIN} {without} -o run --quiet"));
        let error = error(&params(&dir, "run"), &stored.initial, &runs[framework][flags]);
        std::fs::remove_dir_all(dir.path("run")).unwrap();
        assert!(error > 1e-3, "{without} is as good as --like {framework} {flags}: {error:e}");
    }
}

#[test]
fn the_table_before_training_explains_the_preset() {
    let dir = furnished(&stored());
    for (flags, fragments) in [
        (
            "--like keras --l2 0.01 --momentum 0.9",
            &["like", "0.02 w", "v = mv + lr g", "biases not decayed"][..],
        ),
        ("--like scikit-learn", &["alpha 0.0001", "eps 1e-8 uncorrected"]),
        ("--like pytorch-ddp --shards 4 --clip-grad-norm 1", &["mean of the means of its processes", "1e-6"]),
        ("--like keras --clip-grad-norm 1", &["global_clipnorm", "clipnorm is per variable"]),
        ("--like caffe --momentum 0.9", &["iter_size", "caffe form"]),
        ("--like tensorflow1-estimator", &["the sum of the batch", "initial accumulator 0.1"]),
        (
            "--like cntk --lr 0.01 --l2 0.001",
            &[
                "0.001 under sum",
                "1 - m times that of CNTK",
                "L2 0.001 of the mean, 0.01 of the sum",
                "is dropped",
            ],
        ),
        ("--like mxnet --clip-grad-norm 1", &["Trainer.step(batch_size)", "1e-8", "rate               0.01"]),
        ("--like darknet", &["momentum 0.9, l2 0.0001", "biases not decayed", "under mean", "of the cfg"]),
        ("--like nielsen --l2 5 --lr 0.5", &["bce-sum", "L2 5.0 over all training samples"]),
        ("--like theano-tutorial", &["L2 0.0001 sum of squares", "l2 0.0002"]),
        ("--like bigdl --shards 4", &["means of its cores", "rate               0.001"]),
    ] {
        let ran = dir.run(&format!("{TRAIN} {flags} --no-progress"));
        assert_eq!(ran.code, Some(0), "{flags}: {ran:?}");
        for fragment in fragments {
            assert!(ran.err.contains(fragment), "{flags}: no {fragment:?} in {}", ran.err);
        }
    }
    dir.write("like.toml", "like = \"keras\"\noptimizer = \"adam\"\n");
    let ran = dir.run(&format!("{TRAIN} --config like.toml --no-progress"));
    assert!(ran.err.contains("keras: the mean of the batch") && ran.err.contains("eps 1e-7"), "{ran:?}");
}

#[test]
fn options_that_contradict_a_preset_or_are_unavailable_are_refused() {
    let dir = furnished(&stored());
    for (flags, fragments) in [
        ("--like keras --reduction sum", &["--reduction sum", "--like keras", "implies mean"][..]),
        ("--like caffe --momentum 0.9 --momentum-form pytorch", &["--momentum-form pytorch", "--like caffe"]),
        ("--like keras --optimizer adam --eps-form outside", &["--eps-form outside", "uncorrected"]),
        (
            "--like pytorch --optimizer adam --eps-form uncorrected",
            &["--eps-form uncorrected", "--like pytorch"],
        ),
        ("--like scikit-learn --l2-form gradient", &["--l2-form gradient", "batch-sum"]),
        ("--like keras --l2 0.1 --no-bias-decay=false", &["--no-bias-decay false", "--like keras"]),
        ("--like pytorch-ddp", &["processes", "--shards"]),
        ("--like horovod-sum --shards auto", &["processes", "--shards"]),
        ("--like mindspore", &["processes", "--shards"]),
        ("--like scikit-learn --clip-grad-norm 1", &["does not clip"]),
        ("--like keras --clip-grad-norm 1 --l2 0.1", &["clips after adding L2"]),
        ("--like keras --optimizer adamw --l2 0.1", &["excludes biases"]),
        (
            "--like scikit-learn --optimizer adagrad",
            &["adagrad as in scikit-learn is not available", "sgd and adam"],
        ),
        ("--like mindspore --shards 2 --optimizer rmsprop", &["starts from 1"]),
        ("--like tensorflow1-estimator --optimizer rmsprop", &["starts from 1"]),
        ("--like pytorch --optimizer lars", &["lars as in pytorch is not available"]),
        ("--like scikit-learn --loss mse", &["squared loss", "--loss half-squared"]),
        ("--like darknet --loss mse", &["--loss half-squared"]),
        ("--like caffe --loss mse --output-activation tanh", &["--loss half-squared"]),
        ("--like nielsen --loss mse", &["--loss half-squared --output-activation sigmoid"]),
        ("--like tensorflow1-estimator --loss mse", &["--loss squared"]),
        ("--like cntk --lr 0.1 --loss mse", &["--loss squared"]),
        ("--like mxnet --loss mse", &["--loss half-mse"]),
        ("--like theano-tutorial --loss mse", &["no squared loss"]),
        ("--like cntk", &["no default rate", "learningRatesPerSample"]),
        ("--like cntk --lr 0.1 --reduction mean", &["--reduction mean", "implies sum"]),
        ("--like cntk --lr 0.1 --drop-last=false", &["short last batch has another momentum"]),
        ("--like cntk --lr 0.1 --momentum 0 --l2 0.1 --drop-last=false", &["another L2"]),
        ("--like cntk --lr 0.1 --clip-grad-norm 1", &["each value or each matrix"]),
        ("--like cntk --lr 0.1 --optimizer adam", &["adam as in cntk is not available"]),
        ("--like cntk --lr 0.1 --momentum-unit time-constant", &["needs --momentum"]),
        ("--like mxnet --weight-decay 0.1", &["give --l2 0.1"]),
        ("--like mxnet --optimizer rmsprop", &["rmsprop as in mxnet", "depends on the version"]),
        ("--like mxnet --optimizer adagrad", &["adagrad as in mxnet", "depends on the version"]),
        ("--like mxnet --momentum 0.9 --momentum-form pytorch", &["implies caffe"]),
        ("--like darknet --no-bias-decay=false --l2 0.1", &["implies true"]),
        ("--like darknet --optimizer adam", &["adam as in darknet", "ignores adam on CPUs"]),
        ("--like darknet --clip-grad-norm 1", &["does not clip"]),
        ("--like nielsen --momentum 0.9", &["its sgd has no momentum"]),
        ("--like nielsen --optimizer adam", &["adam as in nielsen", "plain sgd"]),
        ("--like nielsen --l2 1 --l2-form gradient", &["implies data-sum"]),
        ("--like nielsen --clip-grad-norm 1", &["does not clip"]),
        ("--like theano-tutorial --momentum 0.9", &["its sgd has no momentum"]),
        ("--like theano-tutorial --clip-grad-norm 1", &["does not clip"]),
        ("--like bigdl", &["its processes correspond to shards", "--shards"]),
        ("--like bigdl --shards 4 --momentum 0.9", &["dampening", "--like pytorch-ddp"]),
        ("--like bigdl --shards 4 --optimizer rmsprop --momentum 0.9", &["its rmsprop has no momentum"]),
        ("--like bigdl --shards 4 --optimizer adam --l2 0.1", &["its adam has no weightDecay"]),
        ("--like bigdl --shards 4 --optimizer adamw", &["adamw as in bigdl", "warm-up"]),
        ("--like keras --optimizer rmsprop --momentum 0.9 --warmup-steps 3", &["rate inside the momentum"]),
        ("--like theano", &["theano", "pytorch-ddp", "scikit-learn"]),
        ("--l2-form batch-sum --reduction sum --l2 0.1", &["batch-sum", "the reduction is sum"]),
        ("--eps-form inside --optimizer adam", &["eps-form inside is not used by adam"]),
    ] {
        let ran = dir.run(&format!("{TRAIN} {flags} -o run"));
        assert_eq!(ran.code, Some(2), "{flags}: {ran:?}");
        for fragment in fragments {
            assert!(ran.err.contains(fragment), "{flags}: no {fragment:?} in {}", ran.err);
        }
        assert!(!dir.path("run").exists(), "{flags}");
    }
}

#[test]
fn presets_imply_initial_params_unless_these_are_given() {
    let dir = TestDir::new();
    for (framework, weights, bias) in [
        ("pytorch", "pytorch", "pytorch"),
        ("keras", "glorot", "zero"),
        ("scikit-learn", "glorot", "glorot"),
        ("mxnet", "uniform:0.07", "zero"),
        ("darknet", "darknet", "zero"),
        ("nielsen", "lecun-normal", "normal:1"),
        ("theano-tutorial", "theano-tutorial", "zero"),
        ("bigdl --shards 4", "pytorch", "pytorch"),
    ] {
        let config = dir.good(&format!("train --like {framework} --print-config"));
        for line in [format!("init-weights = \"{weights}\""), format!("init-bias = \"{bias}\"")] {
            assert!(config.contains(&line), "{framework}: no {line} in {config}");
        }
    }
    for (flags, line) in
        [("--like caffe", ""), ("--like keras --init-bias normal:2", "init-bias = \"normal:2\"")]
    {
        let config = dir.good(&format!("train {flags} --print-config"));
        assert!(config.contains(line) && !config.contains("init-weights ="), "{config}");
    }

    // A resumed run has its params.
    dir.good("train --like keras --init-weights he --epochs 1 -o run --quiet");
    dir.good("train --like keras --resume run --epochs 2 --allow-changed epochs --quiet");
    dir.good("train --like keras --epochs 1 -o other --quiet");
    dir.good("train --like keras --resume other --epochs 2 --allow-changed epochs --quiet");
    let config = std::fs::read_to_string(dir.path("other/config.toml")).unwrap();
    assert!(config.contains("init-weights = \"glorot\""), "{config}");
}

#[test]
fn presets_accept_the_squared_loss_of_their_framework() {
    let dir = furnished(&stored());
    for flags in [
        "--like caffe --loss half-squared",
        "--like scikit-learn --loss half-squared",
        "--like darknet --loss half-squared",
        "--like nielsen --loss half-squared --output-activation sigmoid",
        "--like tensorflow1-estimator --loss squared",
        "--like cntk --lr 0.001 --loss squared",
        "--like mxnet --loss half-mse",
        "--like pytorch --loss mse --targets one-hot",
        "--like nielsen --loss bce-sum",
    ] {
        dir.good(&format!("{TRAIN} {flags} --max-steps 2 -o run --quiet").replacen("--max-steps 50", "", 1));
        std::fs::remove_dir_all(dir.path("run")).unwrap();
    }
}
