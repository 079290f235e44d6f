//! The all-reduce (sum of f32) of two ranks beside the safe, obvious ways to do the same, so that its `unsafe` is earned:
//! every rank adds to one vector under a mutex between the waits of a std `Barrier`; and rayon adds up all vectors.
//!
//! Rayon's is another thing at small lens: up to 1024 elements it is a plain loop on one thread, which owns both vectors
//! and hands nothing over. It shows what the arithmetic alone costs.
//!
//! Times are per all-reduce, of rank 0. Run with `cargo bench --bench reducer`.
#![allow(missing_docs)] // What criterion's macros define is called by nobody.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phalanx::collective::{Communicator, Op, World};
use rayon::prelude::*;
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const RANKS: usize = 2;
const LENS: [usize; 8] = [1, 16, 256, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

fn all_reduce(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("all_reduce_of_2_ranks");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for len in LENS {
        group.throughput(Throughput::Bytes((len * size_of::<f32>()) as u64));
        group.bench_function(BenchmarkId::new("phalanx", len), |bencher| {
            bencher.iter_custom(|count| reducer(len, count));
        });
        group.bench_function(BenchmarkId::new("mutex_and_barrier", len), |bencher| {
            bencher.iter_custom(|count| mutex_and_barrier(len, count));
        });
        group.bench_function(BenchmarkId::new("rayon", len), |bencher| {
            bencher.iter_custom(|count| rayon_zip(len, count));
        });
    }
    group.finish();
}

/// Runs `work(rank, count)` on a thread for each rank and returns the time of rank 0.
fn time_ranks<S: Send>(states: Vec<S>, work: impl Fn(S) -> Duration + Sync) -> Duration {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = states.into_iter().map(|state| scope.spawn(move || work(state))).collect();
        let times: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no rank panics")).collect();
        times[0]
    })
}

fn reducer(len: usize, count: u64) -> Duration {
    let world = World::new(RANKS).expect("there are ranks");
    time_ranks(world.communicators().collect(), |mut rank: Communicator| {
        let mut values = vec![0f32; len];
        rank.barrier().expect("all ranks come");
        let start = Instant::now();
        for _ in 0..count {
            rank.all_reduce(black_box(&mut values), Op::Sum).expect("all ranks come");
        }
        start.elapsed()
    })
}

fn mutex_and_barrier(len: usize, count: u64) -> Duration {
    let (barrier, sum) = (Barrier::new(RANKS), Mutex::new(vec![0f32; len]));
    time_ranks((0..RANKS).collect(), |rank| {
        let mut values = vec![0f32; len];
        barrier.wait();
        let start = Instant::now();
        for _ in 0..count {
            let add = |(sum, value): (&mut f32, &f32)| *sum += value;
            sum.lock().expect("no rank panics").iter_mut().zip(black_box(&values)).for_each(add);
            barrier.wait();
            values.copy_from_slice(&sum.lock().expect("no rank panics"));
            barrier.wait();
            if rank == 0 {
                sum.lock().expect("no rank panics").fill(0.0);
            }
            barrier.wait();
        }
        start.elapsed()
    })
}

fn rayon_zip(len: usize, count: u64) -> Duration {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(RANKS).build().expect("threads can be spawned");
    let (mut first, mut second) = (vec![0f32; len], vec![0f32; len]);
    pool.install(|| {
        let start = Instant::now();
        for _ in 0..count {
            let pairs = black_box(&mut first).par_iter_mut().zip(black_box(&mut second).par_iter_mut());
            pairs.with_min_len(1024).for_each(|(left, right)| {
                *left += *right;
                *right = *left;
            });
        }
        start.elapsed()
    })
}

criterion_group!(benches, all_reduce);
criterion_main!(benches);
