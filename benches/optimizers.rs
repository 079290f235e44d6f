//! Measures a whole step of each optimizer on 2²⁰ params on one thread, compared with copying the
//! same number of params.
//!
//! Needs the release profile: at opt-level 2 the compiler does not vectorize square roots, and adam
//! takes 2.6 times as long.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use phalanx::internals::{Blocks, sum_of_squares};
use phalanx::optim::{Optimizer, OptimizerKind, OptimizerOptions};
use std::hint::black_box;

const PARAMS: usize = 1 << 20;

fn wave(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect()
}

/// Returns each kind with its usual options; sgd and lars with and without momentum.
fn configurations() -> Vec<(String, OptimizerOptions)> {
    let plain = OptimizerKind::ALL.iter().map(|&kind| (kind.to_string(), OptimizerOptions::new(kind)));
    let with_momentum = [OptimizerKind::Sgd, OptimizerKind::Lars].map(|kind| {
        let options = OptimizerOptions { momentum: Some(0.9), l2: 1e-4, ..OptimizerOptions::new(kind) };
        (format!("{kind}-momentum-l2"), options)
    });
    plain.chain(with_momentum).collect()
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(PARAMS as u64)).sample_size(30);
    let blocks = Blocks::new(&[PARAMS - 1024, 1024]);
    let grads = wave(PARAMS);
    for (name, options) in configurations() {
        let hyper = options.hyper().expect("the options are valid");
        let mut optimizer = Optimizer::for_segment(&hyper, &blocks, 0..blocks.len());
        let mut params = wave(PARAMS);
        let mut squares = vec![[0.0; 2]; blocks.len()];
        let mut step = |grads: &mut Vec<f32>| {
            if hyper.needs_tensor_norms() {
                optimizer.prepare(&params, grads, &mut squares);
                optimizer.finish(1e-3, &mut params, grads, &squares);
            } else {
                optimizer.update(1e-3, &mut params, grads);
            }
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(|| grads.clone(), &mut step, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pass");
    group.throughput(Throughput::Elements(PARAMS as u64)).sample_size(30);
    let from = wave(PARAMS);
    let mut to = wave(PARAMS);
    group.bench_function("copy", |bencher| bencher.iter(|| to.copy_from_slice(black_box(&from))));
    group.bench_function("sum-of-squares", |bencher| bencher.iter(|| sum_of_squares(black_box(&from))));
    group.finish();
}

criterion_group!(benches, step, passes);
criterion_main!(benches);
