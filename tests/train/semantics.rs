//! Shows the result of a step: the exact translations between sum and mean through the whole
//! trainer, bit by bit with batches of 64; weights, empty and weightless shards, and the learning
//! rate.

use ndarray::{Array2, array};
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Samples, from_fn};
use phalanx::optim::reference::{self, ShardSum};
use phalanx::optim::{MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScaleRate};
use phalanx::train::{Event, Length, Options, Outcome, Plan, Shards, Trainer, score};

/// The digits in batches of 64 without the short last one, so that all batches have the same
/// power-of-two size.
fn train_digits(options: Options) -> Outcome {
    let train = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
    let shape = MlpShape {
        inputs: 64,
        hidden: vec![24],
        outputs: 10,
        activation: Activation::Tanh,
        loss: Loss::CrossEntropy,
    };
    let options =
        Options { batch_size: 64, drop_last: true, length: Length::Epochs(3), threads: 2, ..options };
    Trainer::new(&Mlp::new(shape), &train, options).run().unwrap()
}

const M: f64 = 64.0;

/// Trains under mean and, translated as in `conventions`, under sum; the params must be the same
/// bit by bit.
fn same_under_sum(name: &str, mean: Options, translate: impl Fn(&mut Options)) {
    let mut sum = Options { reduction: Reduction::Sum, ..mean.clone() };
    translate(&mut sum);
    let (mean, sum) = (train_digits(mean), train_digits(sum));
    assert!(mean.params.iter().all(|param| param.is_finite()));
    let differ = mean.params.iter().zip(&sum.params).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    assert_eq!(differ, 0, "{name}: params differ");
}

fn with(kind: OptimizerKind, change: impl Fn(&mut OptimizerOptions), rate: f64) -> Options {
    let mut optimizer = OptimizerOptions::new(kind);
    change(&mut optimizer);
    Options { optimizer, rate: Some(rate), ..Options::default() }
}

fn divide_rate(options: &mut Options) {
    options.rate = options.rate.map(|rate| rate / M);
}

#[test]
fn each_exact_translation_of_sgd_has_the_same_bits_through_the_whole_trainer() {
    let sgd = |change: fn(&mut OptimizerOptions)| with(OptimizerKind::Sgd, change, 0.05);
    same_under_sum("plain", sgd(|_| {}), divide_rate);
    same_under_sum("l2", sgd(|o| o.l2 = 0.01), |sum| {
        divide_rate(sum);
        sum.optimizer.l2 *= M;
    });
    same_under_sum("decoupled decay", sgd(|o| o.weight_decay = 0.01), |sum| {
        divide_rate(sum);
        sum.optimizer.weight_decay *= M;
    });
    same_under_sum("momentum", sgd(|o| o.momentum = Some(0.9)), divide_rate);
    same_under_sum("nesterov", sgd(|o| (o.momentum, o.nesterov) = (Some(0.9), true)), divide_rate);
    let caffe =
        |o: &mut OptimizerOptions| (o.momentum, o.momentum_form) = (Some(0.9), Some(MomentumForm::Caffe));
    same_under_sum("caffe", sgd(caffe), divide_rate);
    let clipped = Options { clip_grad_norm: Some(0.25), ..sgd(|_| {}) };
    same_under_sum("clipping", clipped, |sum| {
        divide_rate(sum);
        sum.clip_grad_norm = sum.clip_grad_norm.map(|norm| norm * M);
    });
}

#[test]
fn each_exact_translation_of_a_scale_free_rule_has_the_same_bits_through_the_whole_trainer() {
    for kind in [
        OptimizerKind::Adagrad,
        OptimizerKind::Rmsprop,
        OptimizerKind::Adam,
        OptimizerKind::Adamw,
        OptimizerKind::Lamb,
    ] {
        let options = with(kind, |o| (o.eps, o.l2) = (Some(1e-3), 1e-3), 0.01);
        same_under_sum(kind.name(), options, |sum| {
            sum.optimizer.eps = sum.optimizer.eps.map(|eps| eps * M);
            sum.optimizer.l2 *= M;
        });
    }
}

#[test]
fn dividing_the_rate_under_adam_is_a_visible_mistake() {
    let adam = with(OptimizerKind::Adam, |_| {}, 0.01);
    let mut mistaken = Options { reduction: Reduction::Sum, ..adam.clone() };
    divide_rate(&mut mistaken);
    assert_ne!(train_digits(adam).params, train_digits(mistaken).params);
}

/// ℓ = p·x: the gradient of a sample is the sample itself, so a step of rate 1 from 0 gives the
/// reduced gradient.
fn reduced_gradient(weights: Option<Vec<f32>>, reduction: Reduction, shards: usize) -> f32 {
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let weighted = |k: usize| samples.weight(k) * samples.inputs[[k, 0]];
        grads[0] = (0..samples.len()).map(weighted).sum();
        f64::from(params[0] * grads[0])
    });
    let features = array![[1.0], [2.0], [4.0], [8.0], [16.0]];
    let data = Dataset::from_arrays(features, Targets::None, weights).unwrap();
    let options = Options {
        batch_size: 8,
        shards: Shards::Count(shards),
        threads: 3,
        reduction,
        rate: Some(1.0),
        shuffle: false,
        length: Length::Steps(1),
        ..Options::default()
    };
    -Trainer::new(&model, &data, options).run().unwrap().params[0]
}

#[test]
fn the_five_reductions_follow_their_formulas() {
    // Shards of 2, 2 and 1 samples: sums 3, 12, 16.
    for (reduction, expected) in [
        (Reduction::Mean, 31.0 / 5.0),
        (Reduction::Sum, 31.0),
        (Reduction::MeanOfShardMeans, (1.5 + 6.0 + 16.0) / 3.0),
        (Reduction::SumOfShardMeans, 1.5 + 6.0 + 16.0),
        (Reduction::MeanOfShardSums, 31.0 / 3.0),
    ] {
        assert_eq!(reduced_gradient(None, reduction, 3), expected, "{reduction}");
    }
}

#[test]
fn a_shard_of_weight_0_counts_only_in_a_mean_of_shard_sums() {
    // Shards (1·½ + 2·½), (4·0 + 8·0), (16·2): weights 1, 0, 2.
    let weights = || Some(vec![0.5, 0.5, 0.0, 0.0, 2.0]);
    for (reduction, expected) in [
        (Reduction::Mean, 33.5 / 3.0),
        (Reduction::Sum, 33.5),
        (Reduction::MeanOfShardMeans, (1.5 + 16.0) / 2.0),
        (Reduction::SumOfShardMeans, 1.5 + 16.0),
        (Reduction::MeanOfShardSums, 33.5 / 3.0),
    ] {
        assert_eq!(reduced_gradient(weights(), reduction, 3), expected as f32, "{reduction}");
    }
}

#[test]
fn every_reduction_of_weighted_samples_matches_the_reference_with_any_zero_weights() {
    let features = [1.0, 2.0, 4.0, 8.0, 16.0];
    for pattern in 0..3_u32.pow(5) {
        let weights =
            [0, 1, 2, 3, 4].map(|sample| [0.0, 0.5, 2.0][(pattern / 3_u32.pow(sample) % 3) as usize]);
        if weights.iter().all(|weight| *weight == 0.0) {
            continue;
        }
        let shards = [0..2, 2..4, 4..5].map(|samples| ShardSum {
            weight: samples.clone().map(|sample| weights[sample]).sum(),
            gradient: samples.map(|sample| weights[sample] * features[sample]).sum(),
        });
        let given = weights.map(|weight| weight as f32).to_vec();
        for &reduction in Reduction::ALL {
            let (found, expected) = (
                reduced_gradient(Some(given.clone()), reduction, 3),
                reference::reduced_gradient(reduction, &shards).unwrap(),
            );
            assert!(
                (f64::from(found) - expected).abs() <= 1e-6 * expected,
                "{reduction} {weights:?}: {found}, {expected}"
            );
        }
    }
}

/// Two processes of PyTorch's `DistributedDataParallel`, one sample each, of weights 0 and 2:
///
/// ```python
/// layer = torch.nn.parallel.DistributedDataParallel(layer)            # Linear(2, 2) of zeros
/// loss = (w * F.cross_entropy(layer(x), y, reduction="none")).sum()   # (1, 2) -> 0, w 0; (3, 1) -> 1, w 2
/// loss.backward(); torch.optim.SGD(layer.parameters(), 1.0).step()    # weight: -1.5 -0.5 / 1.5 0.5, bias: -0.5, 0.5
/// ```
#[test]
fn a_weightless_shard_counts_in_a_mean_of_shard_sums_as_it_does_in_pytorch_ddp() {
    let targets = Targets::Classes { labels: vec![0, 1], count: 2 };
    let data = Dataset::from_arrays(array![[1.0, 2.0], [3.0, 1.0]], targets, Some(vec![0.0, 2.0])).unwrap();
    let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 2, hidden, outputs: 2, activation, loss });
    let options = |threads| Options {
        threads,
        batch_size: 2,
        shards: Shards::Count(2),
        reduction: Reduction::MeanOfShardSums,
        rate: Some(1.0),
        shuffle: false,
        length: Length::Steps(1),
        ..Options::default()
    };
    for threads in [1, 2, 3] {
        let trainer = Trainer::new(&model, &data, options(threads)).initial_params(vec![0.0; 6]);
        assert_eq!(trainer.run().unwrap().params, [-1.5, -0.5, 1.5, 0.5, -0.5, 0.5], "{threads} threads");
    }
}

#[test]
fn shards_without_samples_do_not_count() {
    assert_eq!(
        reduced_gradient(None, Reduction::MeanOfShardSums, 7),
        31.0 / 5.0,
        "five samples make five shards"
    );
}

#[test]
fn a_step_of_total_weight_0_changes_nothing_and_is_reported() {
    let model = from_fn(vec![3.0], |_: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = f32::NAN;
        f64::NAN
    });
    let data =
        Dataset::from_arrays(array![[1.0], [2.0], [3.0]], Targets::None, Some(vec![0.0, 0.0, 1.0])).unwrap();
    let options = Options {
        batch_size: 2,
        shards: Shards::Count(2),
        shuffle: false,
        length: Length::Steps(1),
        threads: 2,
        noise_scale: Some(1),
        ..Options::default()
    };
    let mut weights = Vec::new();
    let outcome = Trainer::new(&model, &data, options)
        .on_event(|event| {
            if let Event::Step(step) = event {
                weights.push(step.weight);
                assert_eq!(step.noise_scale, None, "nothing is measured");
            }
        })
        .run()
        .unwrap();
    assert_eq!((outcome.params, weights), (vec![3.0], vec![0.0]));
    assert_eq!((outcome.position.weightless, outcome.position.updates), (1, 0));
}

/// 3e38² is infinite, and 0 times that is NaN.
#[test]
fn a_weightless_sample_is_not_passed_to_a_model_in_training_or_scoring() {
    let model = from_fn(vec![0.5], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let error = |k: usize| params[0] - samples.inputs[[k, 0]];
        grads[0] = (0..samples.len()).map(|k| samples.weight(k) * 2.0 * error(k)).sum();
        (0..samples.len()).map(|k| f64::from(samples.weight(k) * error(k).powi(2))).sum()
    });
    let data = Dataset::from_arrays(array![[3e38], [2.0]], Targets::None, Some(vec![0.0, 2.0])).unwrap();
    let options =
        Options { batch_size: 2, rate: Some(1e-30), length: Length::Epochs(1), ..Options::default() };
    let mut losses = Vec::new();
    let trainer = Trainer::new(&model, &data, options).test(&data).on_event(|event| {
        if let Event::Epoch(end) = event {
            losses.extend([end.train_loss, end.test.unwrap().mean_loss()]);
        }
    });
    trainer.run().unwrap();
    losses.push(score(&model, &[0.5], &data).unwrap().mean_loss());
    assert_eq!(losses, [2.25; 3]);
}

/// ℓ = (p − x)² at p = 0, which a rate of 1e-30 leaves unchanged: losses 1, 4, 9, 16, 25 of weights
/// ½, 2, 1, 0, 4.
#[test]
fn the_losses_of_a_step_an_epoch_and_a_score_are_divided_by_the_weight_of_their_samples() {
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let weighted = |of: fn(f32) -> f32| {
            let value = |k: usize| samples.weight(k) * of(params[0] - samples.inputs[[k, 0]]);
            (0..samples.len()).map(value).sum::<f32>()
        };
        grads[0] = weighted(|error| 2.0 * error);
        f64::from(weighted(|error| error * error))
    });
    let data = |weights| {
        let features = array![[1.0], [2.0], [3.0], [4.0], [5.0]];
        Dataset::from_arrays(features, Targets::None, weights).unwrap()
    };
    for (weights, steps, whole) in [
        (Some(vec![0.5, 2.0, 1.0, 0.0, 4.0]), [8.5 / 2.5, 9.0 / 1.0, 100.0 / 4.0], 117.5 / 7.5),
        (None, [5.0 / 2.0, 25.0 / 2.0, 25.0], 55.0 / 5.0),
    ] {
        let data = data(weights);
        for threads in [1, 2] {
            let options = Options {
                threads,
                batch_size: 2,
                shards: Shards::Count(2),
                rate: Some(1e-30),
                shuffle: false,
                length: Length::Epochs(1),
                ..Options::default()
            };
            let mut losses = Vec::new();
            let trainer = Trainer::new(&model, &data, options).test(&data).on_event(|event| match event {
                Event::Step(end) => losses.push(end.loss),
                Event::Epoch(end) => losses.extend([end.train_loss, end.test.unwrap().mean_loss()]),
                _ => {}
            });
            trainer.run().unwrap();
            // By default, a custom model scores with the training loss.
            assert_eq!(losses, [&steps[..], &[whole, whole]].concat(), "{threads} threads");
        }
    }
}

#[test]
fn a_weightless_sample_of_a_perceptron_has_no_effect_even_if_it_overflows() {
    let shape = MlpShape {
        inputs: 2,
        hidden: vec![4],
        outputs: 2,
        activation: Activation::Relu,
        loss: Loss::CrossEntropy,
    };
    let train = |huge: f32| {
        let features = array![[huge, huge], [1.0, -1.0], [0.5, 2.0], [-1.0, 0.25]];
        let targets = Targets::Classes { labels: vec![0, 1, 0, 1], count: 2 };
        let data = Dataset::from_arrays(features, targets, Some(vec![0.0, 1.0, 2.0, 0.5])).unwrap();
        let options = Options { batch_size: 4, shards: Shards::Count(2), threads: 2, ..Options::default() };
        Trainer::new(&Mlp::new(shape.clone()), &data, options).test(&data).run().unwrap().params
    };
    assert_eq!(train(3e38), train(0.0));
}

#[test]
fn the_rate_is_scaled_to_the_batch_size_by_rule_and_reduction() {
    let data = Dataset::from_arrays(Array2::zeros((2048, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![0.0], |_: &[f32], _: &Samples<'_>, _: &mut [f32]| 0.0);
    for (scale_rate, reduction, expected) in [
        (ScaleRate::Linear, Reduction::Mean, 0.8),
        (ScaleRate::Linear, Reduction::Sum, 0.1),
        (ScaleRate::Sqrt, Reduction::Mean, 0.1 * 8.0_f64.sqrt()),
        (ScaleRate::Sqrt, Reduction::Sum, 0.1 / 8.0_f64.sqrt()),
    ] {
        let options = Options {
            rate: Some(0.1),
            batch_size: 512,
            base_batch_size: Some(64),
            scale_rate,
            reduction,
            ..Options::default()
        };
        let found = Plan::new(&options, &model, &data, None).unwrap().rate();
        assert!((found - expected).abs() < 1e-12, "{scale_rate} under {reduction}: {found}");
    }
    // One sample per shard in both batches, and a batch no larger than the data.
    for (batch_size, reduction, expected) in
        [(64, Reduction::MeanOfShardSums, 0.2), (1 << 40, Reduction::Mean, 6.4)]
    {
        let options = Options {
            rate: Some(0.1),
            shards: Shards::Count(5000),
            base_batch_size: Some(32),
            scale_rate: ScaleRate::Linear,
            batch_size,
            reduction,
            ..Options::default()
        };
        let plan = Plan::new(&options, &model, &data, None).unwrap();
        assert!((plan.rate() - expected).abs() < 1e-12, "{reduction}: {}", plan.rate());
        assert_eq!(plan.shards(), plan.max_batch_samples());
    }
}
