//! Goyal et al. 2017 (arXiv:1706.02677, section 3) warn of four mistakes in distributed SGD. For
//! each of them, the approach that they recommend agrees, in every bit where powers of two make
//! that possible, and the mistake deviates by more than a stated margin.

use std::collections::HashSet;

use crate::noisy_quadratic::{Run, distance};
use ndarray::Array2;
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::Schedule;
use phalanx::internals::{GatherBuffer, sample_order};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Samples, from_fn};
use phalanx::optim::convention::Recipe;
use phalanx::optim::{MomentumForm, OptimizerOptions, Reduction, ScheduleOptions, WarmupForm};
use phalanx::train::{Length, Options, Shards, Trainer};
use std::sync::Mutex;

/// The digits, each with the given weight, or without weights.
fn digits(weight: Option<f32>) -> Dataset {
    let train = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
    let all: Vec<u32> = (0..train.len() as u32).collect();
    let mut gathered = GatherBuffer::new(all.len(), train.features(), 0);
    train.gather(&all, &mut gathered);
    let targets = Targets::Classes { labels: gathered.labels().to_vec(), count: 10 };
    let weights = weight.map(|weight| vec![weight; all.len()]);
    Dataset::from_arrays(gathered.inputs().to_owned(), targets, weights).unwrap()
}

/// Params after three epochs of batches of 64 with momentum.
fn trained(data: &Dataset, options: Options) -> Vec<f32> {
    let (hidden, activation, loss) = (vec![16], Activation::Tanh, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    let options = Options { drop_last: true, length: Length::Epochs(3), ..options };
    Trainer::new(&model, data, options).run().unwrap().params
}

fn with(rate: f64, l2: f64, reduction: Reduction) -> Options {
    let optimizer = OptimizerOptions { momentum: Some(0.9), l2, ..OptimizerOptions::default() };
    Options { rate: Some(rate), optimizer, reduction, shards: Shards::Count(4), ..Options::default() }
}

fn apart(a: &[f32], b: &[f32]) -> f64 {
    let norm =
        |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
}

/// Remark 1: scaling the cross-entropy loss is not equivalent to scaling the learning rate. Here
/// the loss is scaled by giving each sample a weight of 8, under a sum.
#[test]
fn scaling_the_loss_equals_scaling_the_rate_only_if_the_decay_is_scaled() {
    let (plain, scaled) = (digits(None), digits(Some(8.0)));
    let rate = 0.02 / 64.0;
    let sum = |data: &Dataset, rate, l2| trained(data, with(rate, l2, Reduction::Sum));
    assert_eq!(sum(&scaled, rate / 8.0, 0.0), sum(&plain, rate, 0.0), "without decay the two are equal");

    let l2 = 0.64;
    let expected = sum(&plain, rate, l2);
    assert_eq!(sum(&scaled, rate / 8.0, 8.0 * l2), expected);
    // Measured: 0.076 of the params' norm.
    let margin = apart(&expected, &sum(&scaled, rate / 8.0, l2));
    assert!(margin > 0.05, "only {margin} apart with an unchanged decay");
}

/// Remark 2: apply momentum correction after changing the learning rate, if v contains the rate.
#[test]
fn velocities_that_contain_the_rate_are_corrected_when_it_changes() {
    let warmup = |warmup_form, warmup_start| {
        let options =
            ScheduleOptions { warmup_steps: 16, warmup_form, warmup_start, ..ScheduleOptions::default() };
        Schedule::new(&options, 0.0625, 20, 20).unwrap()
    };
    let jump = warmup(WarmupForm::Constant, Some(1.0 / 16.0));
    let pytorch = followed(MomentumForm::Pytorch, &jump, Correction::None);
    assert_eq!(followed(MomentumForm::Caffe, &jump, Correction::ByRates).bits(), pytorch.bits());
    // Measured: 1.19 of the params' norm after the jump, 0.50 after the gradual warm-up.
    let wrong = distance(&pytorch, &followed(MomentumForm::Caffe, &jump, Correction::None));
    assert!(wrong > 0.9, "only {wrong} apart without the correction at a jump");

    let gradual = warmup(WarmupForm::Linear, Some(1.0 / 16.0));
    let pytorch = followed(MomentumForm::Pytorch, &gradual, Correction::None);
    let right = distance(&pytorch, &followed(MomentumForm::Caffe, &gradual, Correction::ByRates));
    let wrong = distance(&pytorch, &followed(MomentumForm::Caffe, &gradual, Correction::None));
    assert!(right < 1e-6, "{right} apart with the correction");
    assert!(wrong > 0.3, "only {wrong} apart without the correction while the rate rises");
}

#[derive(PartialEq)]
enum Correction {
    None,
    ByRates,
}

/// Runs the noisy quadratic with a rate that follows the schedule.
fn followed(form: MomentumForm, schedule: &Schedule, correction: Correction) -> Run {
    let options =
        OptimizerOptions { momentum: Some(0.9), momentum_form: Some(form), ..OptimizerOptions::default() };
    let mut run = Run::new(&Recipe { options, rate: schedule.rate_at(0), max_norm: None });
    for step in 0..20 {
        let rate = schedule.rate_at(step);
        if step > 0 && correction == Correction::ByRates {
            let factor = rate / schedule.rate_at(step - 1);
            run.optimizer.scale_momentum(factor as f32).unwrap();
        }
        run.step(rate, 64.0);
    }
    run
}

/// Remark 3: normalise the loss by the total size kn of the batch, not by the n of a worker. Here
/// k = 4 shards of n = 16.
#[test]
fn gradients_are_normalised_by_all_samples_of_the_batch() {
    let data = digits(None);
    let (rate, l2) = (0.05, 0.01);
    let expected = trained(&data, with(rate, l2, Reduction::Mean));
    let by_worker = |rate, l2| trained(&data, with(rate, l2, Reduction::SumOfShardMeans));
    assert_eq!(
        by_worker(rate / 4.0, 4.0 * l2),
        expected,
        "the rate divided by k, and the decay multiplied by k"
    );
    // Measured: 0.93 of the params' norm, and 0.15.
    let wrong = apart(&expected, &by_worker(rate, l2));
    assert!(wrong > 0.5, "only {wrong} apart with a gradient k times as large");
    let wrong = apart(&expected, &by_worker(rate / 4.0, l2));
    assert!(wrong > 0.1, "only {wrong} apart with the rate divided by k and an unchanged decay");

    let uneven = |reduction| {
        let options = Options { batch_size: 100, shards: Shards::Count(3), ..with(rate, l2, reduction) };
        trained(&data, options)
    };
    // Measured: 0.0020, because the shards of 34, 33 and 33 samples have the same weight.
    let wrong = apart(&uneven(Reduction::Mean), &uneven(Reduction::MeanOfShardMeans));
    assert!(wrong > 1e-3, "only {wrong} apart with uneven workers of equal weight");
}

const SAMPLES: usize = 512;
const WORKERS: usize = 8;

/// Returns the samples of each of two epochs, in batches of 64, as a model receives them in
/// training.
fn seen(threads: usize) -> [Vec<u32>; 2] {
    // A lock that ThreadSanitizer observes, because std is not built with it.
    let log = Mutex::new(Vec::new());
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        log.lock().unwrap().extend(samples.inputs.iter().map(|&id| id as u32));
        grads[0] = samples.inputs.iter().map(|x| params[0] - x).sum();
        0.0
    });
    let ids = Array2::from_shape_fn((SAMPLES, 1), |(id, _)| id as f32);
    let data = Dataset::from_arrays(ids, Targets::None, None).unwrap();
    let options = Options {
        threads,
        rate: Some(0.01),
        shards: Shards::Count(WORKERS),
        length: Length::Epochs(2),
        ..Options::default()
    };
    Trainer::new(&model, &data, options).run().unwrap();
    drop(model);
    let second = log.lock().unwrap().split_off(SAMPLES);
    [log.into_inner().unwrap(), second]
}

/// Remark 4: one random shuffle of the data per epoch, divided among all workers. A step is
/// complete before the next begins, so the order in which samples are used is that of the batches,
/// regardless of the ranks that compute them.
#[test]
fn each_epoch_is_one_shuffle_divided_among_all_workers() {
    for threads in [1, 3, WORKERS] {
        for (epoch, samples) in seen(threads).iter().enumerate() {
            let mut order = vec![0; SAMPLES];
            sample_order(Options::default().seed, epoch as u64, &mut order);
            assert_eq!(missed(samples), 0, "{threads} threads, epoch {epoch}");
            for (found, expected) in samples.chunks(64).zip(order.chunks(64)) {
                assert_eq!(set(found), set(expected), "{threads} threads, epoch {epoch}");
            }
        }
    }
}

/// Each worker takes the first eighth of its own shuffle: (1 − 1/8)⁸ = 34 % of the samples are not
/// used in an epoch.
#[test]
fn a_shuffle_for_each_worker_misses_a_third_of_the_samples() {
    let own: Vec<u32> = (0..WORKERS).flat_map(|worker| first_share(worker as u64, 0)).collect();
    // Measured: 170 of 512.
    assert!((150..200).contains(&missed(&own)), "{}", missed(&own));
    let same: Vec<u32> = (0..WORKERS).flat_map(|_| first_share(0, 0)).collect();
    assert_eq!(
        missed(&same),
        SAMPLES / WORKERS * (WORKERS - 1),
        "with one seed, all workers use the same eighth"
    );
}

/// Each worker draws its samples one by one with replacement: e⁻¹ = 37 % are not used.
#[test]
fn drawing_with_replacement_misses_more_than_a_third() {
    let draw = |index: usize| first_share(index as u64, 0)[0];
    let samples: Vec<u32> = (0..SAMPLES).map(draw).collect();
    assert!((165..215).contains(&missed(&samples)), "{}", missed(&samples));
}

/// Each worker shuffles its own eighth of the data for the whole run: all samples are used, but it
/// gets the same 64 in every epoch. With one shuffle divided among all workers it gets an eighth of
/// them, 8, again in the next epoch.
#[test]
fn samples_kept_to_a_worker_never_mix_with_those_of_the_others() {
    let again = |first: &[u32], second: &[u32]| set(first).intersection(&set(second)).count();
    let runs = 50;
    let divided: usize = (0..runs).map(|seed| again(&first_share(seed, 0), &first_share(seed, 1))).sum();
    // Measured: 7.56.
    let divided = divided as f64 / runs as f64;
    assert!((7.0..9.0).contains(&divided), "{divided}");

    let kept = |epoch| {
        let mut share: Vec<u32> = (0..(SAMPLES / WORKERS) as u32).collect();
        sample_order(0, epoch, &mut share);
        share
    };
    assert_ne!(kept(0), kept(1));
    assert_eq!(again(&kept(0), &kept(1)), SAMPLES / WORKERS);
}

/// Returns the samples of the first worker in an epoch's shuffle.
fn first_share(seed: u64, epoch: u64) -> Vec<u32> {
    let mut order = vec![0; SAMPLES];
    sample_order(seed, epoch, &mut order);
    order.truncate(SAMPLES / WORKERS);
    order
}

fn missed(samples: &[u32]) -> usize {
    SAMPLES - set(samples).len()
}

fn set(samples: &[u32]) -> HashSet<u32> {
    samples.iter().copied().collect()
}
