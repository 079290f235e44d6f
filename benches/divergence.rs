//! Measures the cost of checking the params for NaN and infinity after each update, which detects
//! divergence in the step that causes it: row F3 of the reliability score. It does not use
//! criterion, because the result is a ratio: the time to check all params, 1024 at a time and in
//! the first-level cache as in a step, divided by the time of a step on one thread. Medians of
//! alternating rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ndarray::Array2;
use phalanx::data::{Dataset, Targets};
use phalanx::internals::all_finite;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::train::{Event, Length, Options, Trainer};

const ROUNDS: usize = 9;
const CHUNK: usize = 1024;

fn images(samples: usize) -> Dataset {
    let features =
        Array2::from_shape_fn((samples, 784), |(sample, k)| ((sample * 31 + k * 7) % 101) as f32 / 101.0);
    let labels = (0..samples as u32).map(|sample| sample % 10).collect();
    Dataset::from_arrays(features, Targets::Classes { labels, count: 10 }, None)
        .expect("the arrays have matching lengths")
}

/// Returns the mean time of a step.
fn step(model: &Mlp, data: &Dataset, batch_size: usize, steps: u64) -> Duration {
    let options =
        Options { batch_size, length: Length::Steps(steps), rate: Some(0.01), ..Options::default() };
    let mut elapsed = Duration::ZERO;
    let trainer = Trainer::new(model, data, options).on_event(|event| {
        if let Event::Epoch(epoch) = event {
            elapsed += epoch.elapsed;
        }
    });
    trainer.run().expect("the run is complete");
    elapsed / steps as u32
}

/// Returns the mean time to check this number of params.
fn check(params: usize, repetitions: u32) -> Duration {
    let chunk = black_box(vec![0.5_f32; CHUNK]);
    let begun = Instant::now();
    for _ in 0..repetitions {
        for start in (0..params).step_by(CHUNK) {
            assert!(all_finite(black_box(&chunk[..CHUNK.min(params - start)])));
        }
    }
    begun.elapsed() / repetitions
}

fn main() {
    let (mut good, mut all) = (0, 0);
    for (hidden, batch_size, steps) in
        [(vec![], 128, 400), (vec![128], 32, 400), (vec![128], 128, 200), (vec![512, 512], 256, 40)]
    {
        let name = format!("784-{hidden:?}-10, batches of {batch_size}");
        let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
        let model = Mlp::new(MlpShape { inputs: 784, hidden, outputs: 10, activation, loss });
        let data = images(16 * batch_size);
        let mut ratios: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let step = step(&model, &data, batch_size, steps);
                check(model.params_len(), 200).as_secs_f64() / step.as_secs_f64()
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!("{name}: {:.2} % of a step, median of {ROUNDS} rounds", 100.0 * ratios[ROUNDS / 2]);
        all += 1;
        good += u32::from(ratios[ROUNDS / 2] <= 0.01);
    }
    println!("F3 {good}/{all}: models for which the check takes at most 1 % of a step");
    assert_eq!(good, all);
}
