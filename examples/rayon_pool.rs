//! The reducer inside a rayon pool: `broadcast` runs one task on every thread of the pool, and each
//! is a rank.
//!
//! Every rank counts the digits of its own numbers, an all-reduce adds the counts, and all ranks
//! have the total. The ranks must run at the same time, so each needs a thread of the pool:
//! `broadcast` guarantees this, `spawn` does not.
//!
//! A task that uses parallel iterators itself must call `barrier` first: otherwise rayon may start
//! the task of another rank on the stack of a rank that waits for such work, and both deadlock. See
//! the docs of `Communicator`.
//!
//! Run with `cargo run --release --example rayon_pool`.

use phalanx::collective::{Op, World, segment};
use std::sync::Mutex;

const NUMBERS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build()?;
    let world = World::new(pool.current_num_threads())?;
    // A task borrows its data; the lock gives each thread exclusive access to its communicator.
    // Because the communicator outlives the task, the session notifies the other ranks if the task
    // panics or returns early.
    let ranks: Vec<_> = world.communicators().map(Mutex::new).collect();
    let counts = pool.broadcast(|thread| {
        let mut rank = ranks[thread.index()].lock().expect("each lock is acquired once");
        let mut rank = rank.enter();
        let mut counts = [0u64; 10];
        for number in segment(NUMBERS, rank.world_size(), rank.rank()) {
            for digit in number.to_string().bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        rank.all_reduce(&mut counts, Op::Sum).map(|()| counts)
    });
    let counts: Vec<[u64; 10]> = counts.into_iter().collect::<Result<_, _>>()?;
    assert!(counts.iter().all(|own| *own == counts[0]), "every rank must have the total");
    for (digit, count) in counts[0].iter().enumerate() {
        println!("digit {digit}: {count}");
    }
    Ok(())
}
