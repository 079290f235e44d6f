//! Measures the matrix product kernels on the layers of training steps, with each instruction set
//! that this machine has, compared with the crate `gemm` and ndarray's `dot`, which use the best
//! one that they know. Elements per second are floating-point operations per second.
//!
//! The portable kernels use SSE2 on x86-64. To compare them with ndarray's `dot` under SSE2, set
//! `MMTEST_FEATURE=sse2` while the benchmark is compiled.
//!
//! Compare the results with `large/gemm`, the rate of a product of 512 × 512 × 512 in the same run.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use phalanx::internals::InstructionSet;
use phalanx::internals::kernel::{Epilogue, Linear, Scratch, backward_bias, backward_weight};

/// Layers as (batch, inputs, outputs): MNIST with 128 hidden units on one and two ranks, its last
/// layer, two wide networks, the digits.
const LAYERS: [(usize, usize, usize); 10] = [
    (32, 784, 128),
    (64, 784, 128),
    (128, 784, 128),
    (128, 128, 10),
    (256, 784, 512),
    (256, 512, 512),
    (1024, 784, 2048),
    (1024, 2048, 2048),
    (16, 64, 64),
    (32, 64, 64),
];

const ROWS_PER_SHARD: [usize; 4] = [8, 16, 32, 64];

fn wave(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| ((r * 37 + c * 11) % 101) as f32 / 101.0 - 0.5)
}

fn slice(matrix: &Array2<f32>) -> &[f32] {
    matrix.as_slice().expect("the matrix is row-major")
}

/// Computes left · right with the crate `gemm`, without its parallelism.
#[allow(unsafe_code)]
fn product(left: ArrayView2<'_, f32>, right: ArrayView2<'_, f32>, mut destination: ArrayViewMut2<'_, f32>) {
    let (m, n, p) = (left.nrows(), left.ncols(), right.ncols());
    assert_eq!((right.nrows(), destination.dim()), (n, (m, p)));
    let strides = |strides: &[isize]| (strides[1], strides[0]);
    let (to, a, b) = (strides(destination.strides()), strides(left.strides()), strides(right.strides()));
    let (to_start, a_start, b_start) = (destination.as_mut_ptr(), left.as_ptr(), right.as_ptr());
    // SAFETY: each pointer and its strides belong to a live ndarray view whose shape was checked;
    // the destination is borrowed mutably, so it does not overlap the operands.
    unsafe {
        gemm::gemm(
            m,
            p,
            n,
            to_start,
            to.0,
            to.1,
            false,
            a_start,
            a.0,
            a.1,
            b_start,
            b.0,
            b.1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Measures the same product with `gemm` and with ndarray.
fn others(
    group: &mut BenchmarkGroup<'_, WallTime>,
    layer: &str,
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
) {
    let mut to = Array2::zeros((left.nrows(), right.ncols()));
    group.bench_function(BenchmarkId::new("gemm", layer), |bencher| {
        bencher.iter(|| product(black_box(left), right, to.view_mut()));
    });
    group.bench_function(BenchmarkId::new("ndarray", layer), |bencher| {
        bencher.iter(|| general_mat_mul(1.0, &black_box(left), &right, 0.0, &mut to));
    });
}

fn each_layer(
    criterion: &mut Criterion,
    name: &str,
    mut bench: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, &str, (usize, usize, usize)),
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    for (rows, ins, outs) in LAYERS {
        group.throughput(Throughput::Elements(2 * (rows * ins * outs) as u64));
        bench(&mut group, &format!("{rows}x{ins}x{outs}"), (rows, ins, outs));
    }
    group.finish();
}

/// Measures with each instruction set that this machine has.
fn each_set(mut bench: impl FnMut(&str)) {
    let before = InstructionSet::in_use();
    for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
        set.choose();
        bench(set.name());
    }
    before.choose();
}

fn forward(criterion: &mut Criterion) {
    each_layer(criterion, "forward", |group, layer, (rows, ins, outs)| {
        let (inputs, weight, bias) = (wave(rows, ins), wave(outs, ins), vec![0.5; outs]);
        let (mut outputs, mut scratch) = (vec![0.0; rows * outs], Scratch::default());
        each_set(|set| {
            for (name, epilogue) in [("kernel", Epilogue::Identity), ("kernel-relu", Epilogue::Relu)] {
                group.bench_function(BenchmarkId::new(format!("{name}-{set}"), layer), |bencher| {
                    let linear = Linear::new(slice(&weight), &bias);
                    let inputs = slice(&inputs);
                    bencher.iter(|| linear.forward(black_box(inputs), &mut outputs, epilogue, &mut scratch));
                });
            }
        });
        others(group, layer, inputs.view(), weight.t());
    });
}

fn gradient_of_inputs(criterion: &mut Criterion) {
    each_layer(criterion, "backward-inputs", |group, layer, (rows, ins, outs)| {
        let (d_outputs, weight, bias) = (wave(rows, outs), wave(outs, ins), vec![0.5; outs]);
        let (mut d_inputs, mut scratch) = (vec![0.0; rows * ins], Scratch::default());
        each_set(|set| {
            group.bench_function(BenchmarkId::new(format!("kernel-{set}"), layer), |bencher| {
                let linear = Linear::new(slice(&weight), &bias);
                let d_outputs = slice(&d_outputs);
                bencher.iter(|| linear.backward_inputs(black_box(d_outputs), &mut d_inputs, &mut scratch));
            });
        });
        others(group, layer, d_outputs.view(), weight.view());
    });
}

fn gradient_of_weight(criterion: &mut Criterion) {
    each_layer(criterion, "backward-weight", |group, layer, (rows, ins, outs)| {
        let (d_outputs, inputs) = (wave(rows, outs), wave(rows, ins));
        let (mut d_weight, mut scratch) = (vec![0.0; outs * ins], Scratch::default());
        for shard in ROWS_PER_SHARD.into_iter().filter(|shard| *shard <= rows) {
            let ends: Vec<usize> = (1..=rows / shard).map(|k| k * shard).collect();
            each_set(|set| {
                group.bench_function(BenchmarkId::new(format!("kernel-{shard}-{set}"), layer), |bencher| {
                    let (d_outputs, inputs) = (slice(&d_outputs), slice(&inputs));
                    bencher.iter(|| {
                        backward_weight(black_box(d_outputs), inputs, &ends, &mut d_weight, &mut scratch);
                    });
                });
            });
        }
        others(group, layer, d_outputs.t(), inputs.view());
    });
}

fn gradient_of_bias(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("backward-bias");
    let (rows, outs) = (256, 512);
    group.throughput(Throughput::Elements((rows * outs) as u64));
    let (d_outputs, ends) = (wave(rows, outs), [32, 64, 96, 128, 160, 192, 224, 256]);
    let (mut d_bias, mut scratch) = (vec![0.0; outs], Scratch::default());
    group.bench_function("kernel-32", |bencher| {
        bencher.iter(|| backward_bias(black_box(slice(&d_outputs)), &ends, &mut d_bias, &mut scratch));
    });
    group.finish();
}

fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("large");
    let n = 512;
    group.throughput(Throughput::Elements(2 * (n * n * n) as u64));
    others(&mut group, "512x512x512", wave(n, n).view(), wave(n, n).view());
    group.finish();
}

criterion_group!(benches, large, forward, gradient_of_inputs, gradient_of_weight, gradient_of_bias);
criterion_main!(benches);
