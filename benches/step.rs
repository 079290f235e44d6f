//! Measures a complete training step: order, gathering, gradients, reduction, update.
//!
//! Each measurement is one run of the number of steps that criterion requests; threads and buffers
//! are created before the first step and are not included in the time. Samples per second have the
//! same meaning as in `phalanx bench scaling`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::train::{Event, Length, Options, Trainer};

const BATCH: usize = 128;

fn mlp(inputs: usize, hidden: usize) -> Mlp {
    let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
    Mlp::new(MlpShape { inputs, hidden: vec![hidden], outputs: 10, activation, loss })
}

/// Returns the built-in digits, stored as bytes.
fn digits() -> Dataset {
    let source: Source = "digits".parse().expect("digits are built in");
    source.load(&LoadOptions::default()).expect("the built-in digits are valid").train
}

/// Returns samples of MNIST's shape, stored as f32.
fn images() -> Dataset {
    let samples = 64 * BATCH;
    let features =
        Array2::from_shape_fn((samples, 784), |(sample, k)| ((sample * 31 + k * 7) % 101) as f32 / 101.0);
    let labels = (0..samples as u32).map(|sample| sample % 10).collect();
    Dataset::from_arrays(features, Targets::Classes { labels, count: 10 }, None)
        .expect("the arrays have matching lengths")
}

/// Returns the time of the epochs of a run of this number of steps.
fn train(model: &Mlp, data: &Dataset, threads: usize, steps: u64) -> Duration {
    let options = Options { threads, batch_size: BATCH, length: Length::Steps(steps), ..Options::default() };
    let mut elapsed = Duration::ZERO;
    let run = Trainer::new(model, data, Options { rate: Some(0.01), drop_last: true, ..options });
    run.on_event(|event| {
        if let Event::Epoch(epoch) = event {
            elapsed += epoch.elapsed;
        }
    })
    .run()
    .expect("the run is complete");
    elapsed
}

fn step(criterion: &mut Criterion) {
    let workloads = [("digits-64", mlp(64, 64), digits()), ("784-128-10", mlp(784, 128), images())];
    for (name, model, data) in workloads {
        let mut group = criterion.benchmark_group(format!("step/{name}/batch-{BATCH}"));
        group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
        for threads in [1, 2] {
            group.bench_function(format!("{threads}-threads"), |bencher| {
                bencher.iter_custom(|steps| train(&model, &data, threads, steps));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
