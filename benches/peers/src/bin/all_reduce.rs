//! The all-reduce of burn-collective and that of phalanx-collective between threads, taken in turn:
//! the sum of f32, in µs per call, the median of five takes.
//!
//! burn-collective sends tensors to a server thread, which adds them and returns one tensor to all
//! ranks, without a copy per rank. phalanx-collective writes the sum into the memory of each rank:
//! with many ranks and long vectors, more ranks than cores, these copies take most of the time.
//!
//! ```sh
//! cargo run --release --bin all_reduce
//! ```

use std::thread;
use std::time::{Duration, Instant};

use burn_backend::TensorData;
use burn_backend::ops::FloatTensorOps;
use burn_collective::{AllReduceStrategy, CollectiveConfig, PeerId, ReduceOperation};
use burn_flex::Flex;
use phalanx_collective::{Op, World};

fn phalanx(ranks: usize, len: usize, count: u32) -> Duration {
    let times = World::run(ranks, |rank| {
        let mut values = vec![0_f32; len];
        rank.barrier()?;
        let start = Instant::now();
        for _ in 0..count {
            rank.all_reduce(&mut values, Op::Sum)?;
        }
        Ok::<_, phalanx_collective::CollectiveError>(start.elapsed())
    });
    times.expect("no rank fails")[0]
}

fn burn(ranks: usize, len: usize, count: u32) -> Duration {
    burn_collective::reset_collective::<Flex>();
    thread::scope(|scope| {
        let rank = |rank: usize| {
            let (id, device) = (PeerId::from(rank as u32), Default::default());
            let config = CollectiveConfig::default()
                .with_num_devices(ranks)
                .with_local_all_reduce_strategy(AllReduceStrategy::Centralized);
            burn_collective::register::<Flex>(id, device, config).expect("the peer is new");
            let mut values = Flex::float_from_data(TensorData::new(vec![0_f32; len], [len]), &device);
            let start = Instant::now();
            for _ in 0..count {
                values = burn_collective::all_reduce::<Flex>(id, values, ReduceOperation::Sum)
                    .expect("no peer fails");
            }
            start.elapsed()
        };
        let threads: Vec<_> = (0..ranks).map(|number| scope.spawn(move || rank(number))).collect();
        let times: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no rank panics")).collect();
        times[0]
    })
}

fn main() {
    println!("| ranks | f32 values | phalanx | burn |\n|---|---|---|---|");
    for ranks in [2, 4] {
        for len in [1, 1 << 10, 1 << 16, 1 << 20] {
            let count = (1 << 22) / (len as u32 + 1024);
            let mut takes = [Vec::new(), Vec::new()];
            for _ in 0..5 {
                for (run, takes) in [phalanx, burn].into_iter().zip(&mut takes) {
                    takes.push(run(ranks, len, count).as_secs_f64() * 1e6 / f64::from(count));
                }
            }
            takes.iter_mut().for_each(|takes| takes.sort_by(f64::total_cmp));
            println!("| {ranks} | {len} | {:.2} | {:.2} |", takes[0][2], takes[1][2]);
        }
    }
}
