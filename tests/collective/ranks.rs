//! Threads for the ranks of a world, and numbers as their input.
#![allow(dead_code)] // Each test file uses a part of it.

use phalanx_collective::{Communicator, Float, World};
use std::thread;

/// Runs `work` once per rank, each on its own thread, and returns the results in rank order.
pub fn on_ranks<R: Send>(world: World, work: impl Fn(Communicator) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let ranks = world.communicators();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no rank panics in this test")).collect()
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Uniform in −1..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Values between 1e-30 and 1e30 of either sign, some subnormal, every fourth cancelling that of
/// its neighbour.
pub fn hard_values<T: Float>(size: usize, len: usize, random: &mut Random) -> Vec<Vec<T>> {
    // No f64 between those bounds is subnormal: the smallest normal value is far below them.
    let subnormal = if size_of::<T>() == 8 { 1e-310 } else { 1e-40 };
    let mut ranks: Vec<Vec<T>> = Vec::new();
    for rank in 0..size {
        let mut value = |index: usize| {
            let magnitude = 10f64.powi(random.below(61) as i32 - 30);
            T::from_f64(match random.below(8) {
                0 => random.unit() * subnormal,
                1 | 2 if rank > 0 => -ranks[rank - 1][index].to_f64(),
                _ => random.unit() * magnitude,
            })
        };
        let values = (0..len).map(&mut value).collect();
        ranks.push(values);
    }
    ranks
}
