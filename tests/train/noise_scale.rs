//! Shows that the gradient noise scale is correct within its own stated error, that it has the same
//! bits for every number of threads, and that measuring it changes no bit of the params.

use std::path::Path;

use ndarray::Array2;
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::NoiseMeasurement;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model, Samples, from_fn};
use phalanx::optim::{OptimizerKind, OptimizerOptions, Reduction};
use phalanx::train::{Event, Length, NoiseEstimate, NoiseScale, Options, Shards, TrainError, Trainer};

use super::by_shards::ByShards;

/// A learning rate that leaves params unchanged.
const STILL: Option<f64> = Some(1e-30);

fn perceptron(inputs: usize, hidden: &[usize]) -> Mlp {
    let (hidden, activation, loss) = (hidden.to_vec(), Activation::Relu, Loss::CrossEntropy);
    Mlp::new(MlpShape { inputs, hidden, outputs: 10, activation, loss })
}

fn digits() -> Dataset {
    "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train
}

/// Numbers of mean 0 and variance 1, from a generator that is part of the test.
fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        // The sum of twelve uniform numbers from splitmix64.
        let uniform = |_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(uniform).sum::<f64>() - 6.0
    })
}

/// |G|² and tr Σ of all samples' gradients, from their definition: one sample at a time in f64.
fn exact<M: Model>(model: &M, params: &[f32], data: &Dataset) -> [f64; 2] {
    let mut workspace = model.workspace(1);
    let (mut sum, mut squares) = (vec![0.0; params.len()], 0.0);
    let mut grads = vec![0.0; params.len()];
    let mut gathered = phalanx::internals::GatherBuffer::new(1, data.features(), 0);
    for sample in 0..data.len() {
        data.gather(&[sample as u32], &mut gathered);
        let targets = phalanx::model::BatchTargets::Classes(gathered.labels());
        model.gradient(params, &Samples::new(gathered.inputs(), targets), &mut grads, &mut workspace);
        for (sum, grad) in sum.iter_mut().zip(&grads) {
            *sum += f64::from(*grad);
            squares += f64::from(*grad) * f64::from(*grad);
        }
    }
    let n = data.len() as f64;
    let mean: f64 = sum.iter().map(|sum| (sum / n) * (sum / n)).sum();
    [mean, (squares - n * mean) / (n - 1.0)]
}

/// The limit for drawing without replacement.
fn without_replacement([gradient, trace]: [f64; 2], samples: usize) -> f64 {
    trace / (gradient - trace / samples as f64)
}

fn measured<M: Model>(model: &M, data: &Dataset, params: &[f32], options: &Options) -> NoiseScale {
    let options = Options { noise_scale: Some(1), rate: STILL, ..options.clone() };
    let outcome = Trainer::new(model, data, options).initial_params(params.to_vec()).run().unwrap();
    assert!(outcome.params.iter().zip(params).all(|(now, before)| (now - before).abs() < 1e-20));
    outcome.noise_scale.unwrap()
}

fn errors_off(estimate: NoiseEstimate, expected: f64) -> f64 {
    (estimate.value - expected) / estimate.error
}

/// The definitions, one measurement at a time: measurement i of t has weight i(i + 1)(i + 2) in the
/// recent average and 1 in the whole one, times its pairs; the error is that of a ratio of means.
/// The estimate is unknown with fewer than 8 measurements, or with a |G|² that is less than 2 of
/// its errors above 0, as for about a third of the gradients of the second series.
#[test]
fn the_averages_and_their_errors_match_their_definitions() {
    let draws: Vec<f64> = noise(7).take(120).collect();
    let mut between_one_and_two_errors = 0;
    for (gradient, deviation) in [(2.0, 0.3), (0.6, 2.0)] {
        let measurement = |i: usize| NoiseMeasurement {
            gradient_square: gradient + 0.01 * i as f64 + deviation * draws[2 * i],
            noise_trace: 30.0 + 0.5 * i as f64 + 2.0 * draws[2 * i + 1],
            pairs: [56.0, 56.0, 12.0][i % 3],
        };
        let mut scale = NoiseScale::default();
        for t in 1..=60 {
            scale.add(measurement(t - 1));
            let mut of = |weight: &dyn Fn(f64) -> f64| {
                let weights: Vec<f64> =
                    (0..t).map(|i| weight((i + 1) as f64) * measurement(i).pairs).collect();
                let total: f64 = weights.iter().sum();
                let mean = |value: &dyn Fn(NoiseMeasurement) -> f64| {
                    weights.iter().enumerate().map(|(i, weight)| weight * value(measurement(i))).sum::<f64>()
                        / total
                };
                let share = weights.iter().map(|weight| weight * weight).sum::<f64>() / (total * total);
                let error = |square: f64| (square * share / (1.0 - share)).sqrt();
                let gradient = mean(&|one| one.gradient_square);
                let errors = gradient / error(mean(&|one| (one.gradient_square - gradient).powi(2)));
                let value = mean(&|one| one.noise_trace) / gradient;
                let of_value = error(mean(&|one| (one.noise_trace - value * one.gradient_square).powi(2)));
                let enough = 1.0 / share >= 8.0;
                between_one_and_two_errors += u32::from(enough && (1.0..2.0).contains(&errors));
                (enough && errors > 2.0).then(|| [value, of_value / gradient])
            };
            let recent = of(&|i| i * (i + 1.0) * (i + 2.0));
            for (found, expected) in [(scale.recent(), recent), (scale.whole(), of(&|_| 1.0))] {
                let found = found.map(|estimate| [estimate.value, estimate.error]);
                assert_eq!(found.is_some(), expected.is_some(), "{t}");
                for (found, expected) in found.into_iter().flatten().zip(expected.into_iter().flatten()) {
                    assert!((found / expected - 1.0).abs() < 1e-9, "{t}: {found}, {expected}");
                }
            }
        }
        assert_eq!((scale.measurements(), scale.last()), (60, measurement(59)));
    }
    assert!(between_one_and_two_errors > 10, "{between_one_and_two_errors}");
}

/// Gradients p − x of a known mean and covariance, in shards of 3, 2 and 2 samples and a short last
/// batch, with and without weights: tr Σ = 4 + 1 + 0.25, |G|² = 1 + 0.25 + 0.25.
#[test]
fn known_noise_is_recovered_for_unequal_shards_and_weights() {
    let samples = 40_000;
    let draws: Vec<f64> = noise(1).take(3 * samples).collect();
    let (mean, deviation) = ([1.0, 0.5, 0.0], [2.0, 1.0, 0.5]);
    let features =
        Array2::from_shape_fn((samples, 3), |(b, i)| (mean[i] + deviation[i] * draws[3 * b + i]) as f32);
    let model = from_fn(vec![0.0; 3], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads.fill(0.0);
        for (b, row) in samples.inputs.rows().into_iter().enumerate() {
            let weight = samples.weight(b);
            grads.iter_mut().zip(params).zip(row).for_each(|((grad, p), x)| *grad += weight * (p - x));
        }
        0.0
    });
    let weights = (0..samples).map(|b| [0.0, 0.5, 1.0, 3.0][b * 7 % 4]).collect();
    for weights in [None, Some(weights)] {
        let data = Dataset::from_arrays(features.clone(), Targets::None, weights).unwrap();
        for &reduction in Reduction::ALL {
            let (length, shards) = (Length::Epochs(2), Shards::Count(3));
            let options = Options { reduction, length, shards, batch_size: 7, ..Options::default() };
            let whole = measured(&model, &data, &[2.0, 1.0, 0.5], &options).whole().unwrap();
            assert!(whole.error < 0.2, "{whole:?}");
            assert!(errors_off(whole, 5.25 / 1.5).abs() < 3.0, "{whole:?}, {options:?}");
        }
    }
}

/// Estimated from samples and from shards, the value agrees with full gradients, and its stated
/// error with the actual deviation.
#[test]
fn the_noise_scale_of_a_perceptron_is_exact_within_its_stated_error() {
    let (data, model) = (digits(), perceptron(64, &[16]));
    let options = Options { length: Length::Steps(40), rate: Some(0.05), ..Options::default() };
    let params = Trainer::new(&model, &data, options).run().unwrap().params;
    let expected = without_replacement(exact(&model, &params, &data), data.len());
    let mut off = Vec::new();
    for seed in 0..8 {
        let options = Options {
            seed,
            batch_size: 50,
            length: Length::Epochs(6),
            shards: Shards::Count(4),
            ..Options::default()
        };
        let of_samples = measured(&model, &data, &params, &options);
        let of_shards = measured(&ByShards(&model), &data, &params, &options);
        for scale in [of_samples, of_shards] {
            off.extend(
                [scale.whole(), scale.recent()].map(|estimate| errors_off(estimate.unwrap(), expected)),
            );
        }
    }
    let rms = (off.iter().map(|off| off * off).sum::<f64>() / off.len() as f64).sqrt();
    assert!((0.5..1.5).contains(&rms), "{rms}: {off:?}");
    assert!(off.iter().all(|off| off.abs() < 4.0), "{off:?}");
}

fn run<M: Model>(model: &M, data: &Dataset, options: &Options) -> (Vec<u32>, Vec<Option<NoiseScale>>) {
    let mut scales = Vec::new();
    let outcome = Trainer::new(model, data, options.clone())
        .on_event(|event| {
            if let Event::Step(step) = event {
                scales.push(step.noise_scale);
            }
        })
        .run();
    (outcome.unwrap().params.iter().map(|param| param.to_bits()).collect(), scales)
}

fn same_for_all_threads<M: Model>(model: &M, data: &Dataset, options: &Options) {
    let expected = run(model, data, &Options { noise_scale: None, ..options.clone() }).0;
    let mut first = None;
    for threads in 1..=9 {
        let options = Options { threads, noise_scale: Some(3), ..options.clone() };
        let (params, scales) = run(model, data, &options);
        assert_eq!(params, expected, "{options:?}");
        assert!(scales.iter().enumerate().all(|(step, scale)| scale.is_some() == ((step + 1) % 3 == 0)));
        assert_eq!(&scales, first.get_or_insert(scales.clone()), "{options:?}");
    }
}

#[test]
fn every_reduction_and_optimizer_has_the_same_bits_of_params_and_noise_for_every_number_of_threads() {
    let (data, model) = (digits(), perceptron(64, &[12]));
    let sgd = OptimizerOptions::default();
    let each = Reduction::ALL.iter().map(|&reduction| (reduction, sgd, None));
    let rules = [
        (OptimizerKind::Sgd, Some(0.5)),
        (OptimizerKind::Adam, None),
        (OptimizerKind::Lamb, Some(0.5)),
        (OptimizerKind::Lars, None),
    ];
    let rules = rules.map(|(kind, clip)| (Reduction::Mean, OptimizerOptions::new(kind), clip));
    for (reduction, optimizer, clip_grad_norm) in each.chain(rules) {
        let options = Options {
            reduction,
            optimizer,
            clip_grad_norm,
            batch_size: 100,
            shards: Shards::Count(7),
            rate: Some(0.01),
            length: Length::Steps(17),
            ..Options::default()
        };
        same_for_all_threads(&model, &data, &options);
        same_for_all_threads(&ByShards(&model), &data, &options);
    }
}

/// Some ranks then have more samples than are kept for a gradient that is divided by params; with
/// other thread counts they do not.
#[test]
fn a_batch_of_more_samples_than_a_rank_keeps_has_the_same_noise() {
    let (data, model) = (digits(), perceptron(64, &[40]));
    let options =
        Options { batch_size: 1200, length: Length::Steps(6), rate: Some(0.01), ..Options::default() };
    same_for_all_threads(&model, &data, &options);
}

#[test]
fn a_batch_without_parts_to_compare_is_rejected_with_a_remedy() {
    let (data, model) = (digits(), perceptron(64, &[4]));
    let refused = |options: Options, by_shards: bool| {
        let error = match by_shards {
            true => Trainer::new(&ByShards(&model), &data, options).run(),
            false => Trainer::new(&model, &data, options).run(),
        };
        error.unwrap_err()
    };
    let of = |batch_size, interval| {
        let noise_scale = Some(interval);
        Options { batch_size, noise_scale, length: Length::Steps(1), ..Options::default() }
    };
    assert!(matches!(refused(of(8, 0), false), TrainError::ZeroNoiseInterval));
    assert!(matches!(refused(of(1, 1), false), TrainError::NoiseOfOneSample));
    let error = refused(of(8, 1), true);
    assert!(matches!(error, TrainError::NoiseOfOneShard { samples: 8 }));
    assert!(error.to_string().contains("use at least 2 shards"), "{error}");
    assert!(Trainer::new(&model, &data, of(8, 1)).run().unwrap().noise_scale.is_some());
}

/// A last batch of one sample, and one in which only one sample has a weight above 0.
#[test]
fn a_step_with_nothing_to_compare_adds_nothing() {
    let features = Array2::from_shape_fn((9, 2), |(b, i)| (b + i) as f32);
    let labels = Targets::Classes { labels: (0..9).map(|b| b % 3).collect(), count: 3 };
    let weights = vec![1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0, 0.0, 1.0];
    let data = Dataset::from_arrays(features, labels, Some(weights)).unwrap();
    let options = Options {
        batch_size: 4,
        shuffle: false,
        length: Length::Epochs(2),
        noise_scale: Some(1),
        ..Options::default()
    };
    let (_, scales) = run(&perceptron(2, &[]), &data, &options);
    let counts: Vec<u64> = scales.iter().map(|scale| scale.unwrap().measurements()).collect();
    assert_eq!(counts, [1, 1, 1, 2, 2, 2]);
}

/// 784-128-10, He initialisation, rate 0.1, batches of 64. After one epoch the estimate is compared
/// with the exact value at the same params, over the 10,000 test images. The known exact value over
/// all of MNIST at step 0 is 64; it depends on the initial params, which differ with each seed.
#[test]
fn mnist_has_its_exact_noise_scale_within_the_stated_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    if !folder.exists() {
        return;
    }
    let source: Source = folder.to_str().unwrap().parse().unwrap();
    let (loaded, model) = (source.load(&LoadOptions::default()).unwrap(), perceptron(784, &[128]));
    let options = Options { threads: 2, length: Length::Epochs(1), rate: Some(0.1), ..Options::default() };
    let params = Trainer::new(&model, &loaded.train, options.clone()).run().unwrap().params;
    let data = loaded.test.unwrap();
    let expected = without_replacement(exact(&model, &params, &data), data.len());
    let later = Options { batch_size: 256, length: Length::Epochs(6), ..options.clone() };
    let later = measured(&model, &data, &params, &later).whole().unwrap();
    assert!(later.error < 0.2 * expected && errors_off(later, expected).abs() < 3.0, "{later:?}, {expected}");

    let steps = Options { length: Length::Steps(400), ..options };
    let begun = (0..8).map(|seed| {
        let estimate = measured(&model, &loaded.train, &model.initial_params(seed), &steps).whole().unwrap();
        assert!(estimate.error < 4.0, "{estimate:?}");
        estimate.value
    });
    let begun: Vec<f64> = begun.collect();
    let mean = begun.iter().sum::<f64>() / 8.0;
    let deviation = (begun.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 7.0).sqrt();
    assert!((mean - 64.0).abs() < 2.0 * deviation && deviation < 25.0, "{begun:?}");
}
