//! Shows that the trainer computes the step that `examples/reference_step.rs` defines in plain
//! loops: bit for bit if all sums are exact, under each reduction, for several numbers of shards,
//! threads and processes, by segment and by shards.

use std::thread;

use phalanx::collective::LocalWire;
use phalanx::model::{BatchTargets, Model, Samples, from_fn};
use phalanx::optim::{OptimizerOptions, Reduction};
use phalanx::train::{Event, Length, Options, Shards, Trainer};

#[allow(dead_code)]
#[path = "../../examples/reference_step.rs"]
mod reference;

use reference::{FEATURES, Line, samples, trained};

const STEPS: usize = 3;
const BATCH: usize = 8;

/// Trains in `processes` processes of `options.threads` threads each; returns the bits of the loss
/// of each step and of the params.
fn bits(
    model: &impl Model,
    data: &phalanx::data::Dataset,
    options: &Options,
    processes: usize,
) -> (Vec<u64>, Vec<u32>) {
    let run = |wire: Option<LocalWire>| {
        let mut losses = Vec::new();
        let trainer = Trainer::new(model, data, options.clone()).initial_params(vec![0.0; FEATURES + 1]);
        let trainer = trainer.on_event(|event| {
            if let Event::Step(step) = event {
                losses.push(step.loss.to_bits());
            }
        });
        let outcome = match wire {
            None => trainer.run(),
            Some(wire) => trainer.across(wire).run(),
        };
        let params = outcome.unwrap().params;
        (losses, params.into_iter().map(f32::to_bits).collect())
    };
    if processes == 1 {
        return run(None);
    }
    thread::scope(|scope| {
        let runs: Vec<_> =
            LocalWire::connect(processes).map(|wire| scope.spawn(move || run(Some(wire)))).collect();
        let mut ends: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "all processes end in the same bits");
        ends.remove(0)
    })
}

#[test]
fn the_trainer_has_the_bits_of_the_step_in_plain_loops() {
    // Two batches, so that the last step belongs to a second epoch.
    let samples = &samples()[..2 * BATCH];
    let (data, perceptron) = trained(samples).unwrap();
    let closure =
        from_fn(vec![0.0; FEATURES + 1], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
            let BatchTargets::Values(targets) = samples.targets else { panic!("a line needs values") };
            grads.fill(0.0);
            let mut loss = 0.0;
            for (inputs, target) in samples.inputs.rows().into_iter().zip(targets) {
                let products = inputs.iter().zip(params).map(|(input, param)| input * param);
                let error = products.sum::<f32>() + params[FEATURES] - target;
                grads.iter_mut().zip(inputs).for_each(|(grad, input)| *grad += 2.0 * error * input);
                grads[FEATURES] += 2.0 * error;
                loss += f64::from(error * error);
            }
            loss
        });
    for &reduction in Reduction::ALL {
        for shards in [1, 2, 3, 4, 8] {
            // A third is not exact in binary.
            if shards == 3 && !matches!(reduction, Reduction::Mean | Reduction::Sum) {
                continue;
            }
            // The same update under each reduction, whose losses are exact in 24 bits.
            let rate = match reduction {
                Reduction::Sum => 1.0 / 32.0,
                Reduction::MeanOfShardSums => shards as f64 / 32.0,
                Reduction::SumOfShardMeans => 0.25 / shards as f64,
                _ => 0.25,
            };
            let options = Options {
                batch_size: BATCH,
                shards: Shards::Count(shards),
                reduction,
                length: Length::Steps(STEPS as u64),
                optimizer: OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() },
                rate: Some(rate),
                shuffle: false,
                ..Options::default()
            };
            let mut line = Line::default();
            let batches = samples.chunks(BATCH).cycle().take(STEPS);
            let losses: Vec<u64> = batches.map(|batch| line.step(batch, &options).to_bits()).collect();
            let params = line.params.map(|param| param as f32);
            assert_eq!(params.map(f64::from), line.params, "exact, under {reduction} with {shards} shards");
            let expected = (losses, params.map(f32::to_bits).to_vec());
            for (threads, processes) in [(1, 1), (2, 1), (3, 1), (5, 1), (1, 2), (2, 2), (1, 3)] {
                let options = Options { threads, ..options.clone() };
                let what =
                    format!("{reduction}, {shards} shards, {processes} processes of {threads} threads");
                assert_eq!(bits(&perceptron, &data, &options, processes), expected, "{what}");
                assert_eq!(bits(&closure, &data, &options, processes), expected, "{what}, by shards");
            }
        }
    }
}
