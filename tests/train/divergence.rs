//! NaN and infinite values: found in the step in which they occur, regardless of their source, with
//! the last good params kept; or skipped, consistently by all ranks.

use std::collections::BTreeSet;

use crate::tally::{Tally, count};
use ndarray::Array2;
use phalanx::data::{DataError, Dataset, Targets};
use phalanx::internals::{BLOCK_LEN, sample_order};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Samples, from_fn};
use phalanx::train::{Divergence, Length, OnDivergence, Options, Outcome, Shards, StopReason, Trainer};

const PARAMS: usize = 40;
const SHARDS: usize = 4;
/// 2 samples per shard.
const BATCH: usize = 2 * SHARDS;

/// The value in which a NaN or infinity is planted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Loss,
    Gradient,
    /// The params after an update with a finite gradient.
    Params,
}

/// Samples 0, 1, 2 ...; the second feature of the planted ones is `mark`.
fn features(samples: usize, planted: &[usize], mark: f32) -> Array2<f32> {
    Array2::from_shape_fn((samples, 2), |(sample, feature)| match feature {
        0 => (sample % 7) as f32 / 7.0,
        _ if planted.contains(&sample) => mark,
        _ => 0.0,
    })
}

/// Samples of which the planted ones make the model fail.
fn data(samples: usize, planted: &[usize]) -> Dataset {
    Dataset::from_arrays(features(samples, planted, 1.0), Targets::None, None).unwrap()
}

/// Moves its params towards the first feature, and fails where the second is not 0.
fn model(place: Place, number: f32) -> impl phalanx::model::Model {
    from_fn(vec![1.0; PARAMS], move |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads.fill(0.0);
        let mut loss = 0.0;
        for sample in samples.inputs.rows() {
            for (grad, param) in grads.iter_mut().zip(params) {
                *grad += param - sample[0];
                loss += f64::from(param - sample[0]).powi(2);
            }
            if sample[1] != 0.0 {
                match place {
                    Place::Loss => loss = f64::from(number),
                    Place::Gradient => grads[PARAMS / 2] = number,
                    Place::Params => grads[PARAMS / 2] = -3e38_f32.copysign(number),
                }
            }
        }
        loss
    })
}

fn options(threads: usize) -> Options {
    Options {
        threads,
        batch_size: BATCH,
        shards: Shards::Count(SHARDS),
        shuffle: false,
        rate: Some(0.5),
        reduction: phalanx::optim::Reduction::Sum,
        length: Length::Epochs(1),
        ..Options::default()
    }
}

fn run(place: Place, number: f32, data: &Dataset, options: Options) -> Outcome {
    Trainer::new(&model(place, number), data, options).run().unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Row F1.
#[test]
fn a_non_finite_value_is_found_in_its_step_and_the_params_before_it_are_kept() {
    let mut tally = Tally::new(
        "F1",
        "NaN and infinities found in their step, with shard or tensor, the params before it kept",
    );
    let steps = 5;
    for place in [Place::Loss, Place::Gradient, Place::Params] {
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (step, shard) in (1..=steps).flat_map(|step| (0..SHARDS).map(move |shard| (step, shard))) {
                let planted = (step - 1) * BATCH + 2 * shard + 1;
                let (all, good) = (data(steps * BATCH, &[planted]), data(steps * BATCH, &[]));
                // A rate at which 3e38 overflows, but the other gradients do not.
                let rate = Some(if place == Place::Params { 2.0 } else { 0.5 });
                let expected = match step {
                    1 => vec![1.0; PARAMS],
                    _ => {
                        let length = Length::Steps(step as u64 - 1);
                        run(place, number, &good, Options { length, rate, ..options(1) }).params
                    }
                };
                let divergence = match place {
                    Place::Loss => Divergence::Loss { step: step as u64, shard },
                    Place::Gradient => {
                        Divergence::Gradient { step: step as u64, tensor: "params".into(), shard }
                    }
                    Place::Params => Divergence::Update { step: step as u64, tensor: "params".into() },
                };
                for threads in [1, 2, 4] {
                    let outcome = run(place, number, &all, Options { rate, ..options(threads) });
                    let good = outcome.reason == StopReason::Diverged
                        && outcome.steps == step as u64 - 1
                        && outcome.divergence == Some(divergence.clone())
                        && bits(&outcome.params) == bits(&expected);
                    tally.case(good, || {
                        format!(
                            "{place:?} {number} in step {step}, shard {shard}, {threads} threads: {:?}",
                            outcome.divergence
                        )
                    });
                }
            }
        }
    }
    for (number, planted) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
        .into_iter()
        .flat_map(|number| (0..20).map(move |at| (number, at)))
    {
        let refused =
            Dataset::from_arrays(features(20, &[planted], number), Targets::None, None).unwrap_err();
        let named = matches!(refused, DataError::ArrayValue { sample, .. } if sample == planted);
        tally.case(named, || format!("input {number} of sample {planted}: {refused}"));
    }
    tally.end();
}

/// Row F2.
#[test]
fn steps_are_skipped_by_all_ranks_alike() {
    let mut tally =
        Tally::new("F2", "runs that skip the same steps and end in the same bits for any number of threads");
    let runs = count(100, 1000);
    for case in 0..runs {
        let place = [Place::Loss, Place::Gradient][case as usize % 2];
        let number = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][case as usize / 2 % 3];
        let (steps, mut at) = (12, case);
        // Up to four samples, in steps that differ between cases.
        let planted: Vec<usize> = (0..1 + case % 4)
            .map(|_| {
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (at >> 33) as usize % (steps * BATCH)
            })
            .collect();
        let skipped: BTreeSet<usize> = planted.iter().map(|sample| sample / BATCH).collect();
        let all = data(steps * BATCH, &planted);
        let skip =
            |threads| Options { on_divergence: OnDivergence::Skip, rate: Some(0.01), ..options(threads) };
        let one = run(place, number, &all, skip(1));
        let good = [2, 3, 4, 8].into_iter().all(|threads| {
            let many = run(place, number, &all, skip(threads));
            bits(&many.params) == bits(&one.params) && many.position.skipped == one.position.skipped
        });
        // The samples of the remaining steps, in the same steps: the last of them ends in the same
        // params.
        let kept: Vec<usize> = (0..steps).filter(|step| !skipped.contains(step)).collect();
        let mut params = vec![1.0; PARAMS];
        for step in &kept {
            let features = Array2::from_shape_fn((BATCH, 2), |(sample, feature)| {
                if feature == 0 { ((step * BATCH + sample) % 7) as f32 / 7.0 } else { 0.0 }
            });
            let batch = Dataset::from_arrays(features, Targets::None, None).unwrap();
            let model = model(place, number);
            params = Trainer::new(&model, &batch, skip(1)).initial_params(params).run().unwrap().params;
        }
        let right = one.reason == StopReason::Completed
            && one.position.skipped == skipped.len() as u64
            && one.steps == steps as u64
            && bits(&one.params) == bits(&params);
        tally.case(good && right, || format!("run {case}: {place:?} {number}, samples {planted:?}"));
    }
    tally.end();
}

#[test]
fn a_run_with_a_skipped_step_in_the_current_epoch_resumes_with_the_same_bits() {
    let all = data(5 * BATCH, &[BATCH + 1]);
    let skip = |length| Options { on_divergence: OnDivergence::Skip, rate: Some(0.01), length, ..options(2) };
    let model = model(Place::Gradient, f32::NAN);
    let trainer = |length| Trainer::new(&model, &all, skip(length));
    let whole = trainer(Length::Epochs(2)).run().unwrap();
    for steps in [2, 3, 4, 7] {
        let part = trainer(Length::Steps(steps)).run().unwrap();
        let rest = trainer(Length::Epochs(2)).resume(part.snapshot().unwrap()).run().unwrap();
        assert_eq!(
            (bits(&rest.params), rest.position.skipped),
            (bits(&whole.params), 2),
            "after {steps} steps"
        );
    }
}

#[test]
fn the_shard_is_named_in_the_sample_order_of_its_own_epoch() {
    for planted in 0..4 * BATCH {
        let all = data(4 * BATCH, &[planted]);
        let options = Options { shuffle: true, ..options(2) };
        let mut order: Vec<u32> = (0..4 * BATCH as u32).collect();
        sample_order(options.seed, 0, &mut order);
        let place = order.iter().position(|sample| *sample == planted as u32).unwrap();
        let (step, shard) = (place / BATCH, place % BATCH / (BATCH / SHARDS));
        let found = run(Place::Loss, f32::NAN, &all, options).divergence;
        assert_eq!(found, Some(Divergence::Loss { step: step as u64 + 1, shard }));
    }
}

/// A gradient that is NaN or infinite only in the params of the last rank is found before any rank
/// updates, and so can be skipped.
#[test]
fn a_non_finite_gradient_is_found_by_all_ranks_regardless_of_its_owner() {
    const WIDE: usize = 4 * BLOCK_LEN;
    let model = from_fn(vec![1.0; WIDE], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads.copy_from_slice(params);
        if samples.inputs.column(1).iter().any(|mark| *mark != 0.0) {
            grads[WIDE - 1] = f32::NAN;
        }
        0.0
    });
    let all = data(3 * BATCH, &[BATCH + 3]);
    for threads in [1, 2, 4] {
        for clip_grad_norm in [None, Some(1e9)] {
            let options = |on_divergence| Options {
                on_divergence,
                clip_grad_norm,
                rate: Some(0.01),
                ..options(threads)
            };
            let stopped = Trainer::new(&model, &all, options(OnDivergence::Stop)).run().unwrap();
            let divergence = Divergence::Gradient { step: 2, tensor: "params".into(), shard: 1 };
            assert_eq!(stopped.divergence, Some(divergence), "{threads} threads");
            let skipped = Trainer::new(&model, &all, options(OnDivergence::Skip)).run().unwrap();
            assert_eq!(
                (skipped.reason, skipped.position.skipped),
                (StopReason::Completed, 1),
                "{threads} threads"
            );
        }
    }
}

/// Samples 0 and 1 are shard 0 and have weight 0; sample 2 has weight 0 in shard 1, and its square
/// is infinite; sample 5, in shard 2, is planted.
#[test]
fn a_sample_of_weight_0_never_causes_a_divergence() {
    let model = from_fn(vec![0.0], |_: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 0.0;
        let loss = |k: usize| match samples.inputs[[k, 0]] {
            0.0 if samples.total_weight() == 0.0 => f32::NAN,
            5.0 => f32::INFINITY,
            x => samples.weight(k) * x.powi(2),
        };
        (0..samples.len()).map(|k| f64::from(loss(k))).sum()
    });
    let features = ndarray::array![[0.5], [0.5], [3e38], [3.0], [4.0], [5.0], [6.0], [7.0]];
    let weights = Some(vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    let all = Dataset::from_arrays(features, Targets::None, weights).unwrap();
    let found = Trainer::new(&model, &all, options(2)).run().unwrap().divergence;
    assert_eq!(found, Some(Divergence::Loss { step: 1, shard: 2 }));
}

/// A gradient of 2e15 that is divided by the weight of the step, 1e-30; and eight of 1e38 that are
/// finite, as is their mean, but not their sum. Nothing may be updated with either.
#[test]
fn a_gradient_made_infinite_by_its_division_or_its_sum_is_found_before_the_update() {
    let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
    let model = Mlp::new(MlpShape { inputs: 1, hidden, outputs: 1, activation, loss });
    for (samples, target, weight) in [(1, 1e15, 1e-30), (8, 5e7, 1.0)] {
        let targets = Targets::Values { values: vec![target; samples], outputs: 1 };
        let features = Array2::from_elem((samples, 1), 1e30_f32);
        let all = Dataset::from_arrays(features, targets, Some(vec![weight; samples])).unwrap();
        for threads in [1, 2] {
            let shards = Shards::Count(samples);
            let options = Options { threads, shards, batch_size: samples, ..Options::default() };
            let trainer = Trainer::new(&model, &all, options).initial_params(vec![0.0; 2]);
            let found = trainer.run().unwrap().divergence;
            assert_eq!(found, Some(Divergence::Sum { step: 1 }), "{samples} samples");
        }
    }
}
