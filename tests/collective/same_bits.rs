//! Shows that a result has the same bits on all ranks, in every run and for every timing, on data
//! for which the order of additions matters (row B4).

use crate::ranks::{Random, hard_values, on_ranks};
use crate::tally::{Tally, count};
use phalanx_collective::{Op, World, reference};
use std::thread::yield_now;

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn delay(random: &mut Random) {
    match random.below(4) {
        0 => {}
        1 => (0..random.below(2000)).for_each(|_| std::hint::spin_loop()),
        _ => (0..random.below(4)).for_each(|_| yield_now()),
    }
}

#[test]
fn every_rank_has_the_same_bits_in_every_run_for_any_arrival_times() {
    let repetitions = count(20, 1000) as usize;
    let mut tally = Tally::new(
        "B4",
        format!("all-reduces in worlds of 1 to 16, {repetitions} of each length, whose bits are the same"),
    );
    for size in 1..=16 {
        for len in [1, 5, 16, 17, 300, 1500] {
            let inputs: Vec<Vec<f32>> = hard_values(size, len, &mut Random((size * 10_000 + len) as u64));
            let expected = OPS.map(|op| bits(&reference::all_reduce(&inputs, op).unwrap()));
            let same = on_ranks(World::new(size).unwrap(), |mut rank| {
                let mut random = Random((rank.rank() + size * len) as u64);
                let mut repeat = |repetition: usize| {
                    let case = repetition % OPS.len();
                    let mut values = inputs[rank.rank()].clone();
                    delay(&mut random);
                    rank.all_reduce(&mut values, OPS[case]).unwrap();
                    bits(&values) == expected[case]
                };
                (0..repetitions).map(&mut repeat).collect::<Vec<_>>()
            });
            for repetition in 0..repetitions {
                let bad = same.iter().position(|same| !same[repetition]);
                let op = OPS[repetition % OPS.len()];
                tally.case(bad.is_none(), || {
                    format!("repetition {repetition} of {op} of {len} over {size}, first at rank {bad:?}")
                });
            }
        }
    }
    tally.end();
}

#[test]
fn weighted_means_have_the_bits_of_the_reference_on_every_rank() {
    for size in [1, 2, 3, 5, 8] {
        let inputs = hard_values::<f32>(size, 700, &mut Random(size as u64));
        let weights: Vec<f64> = (0..size).map(|rank| 0.1 + rank as f64 * 0.7).collect();
        let expected = bits(&reference::weighted_mean(&inputs, &weights));
        on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut random = Random(rank.rank() as u64);
            for _ in 0..20 {
                let mut values = inputs[rank.rank()].clone();
                delay(&mut random);
                rank.all_reduce_weighted_mean(&mut values, weights[rank.rank()]).unwrap();
                assert_eq!(bits(&values), expected);
            }
        });
    }
}

#[test]
fn reduce_scatter_then_all_gather_has_the_bits_of_all_reduce() {
    for size in [1, 2, 3, 4, 7] {
        for len in [3, 16, 1000] {
            let inputs = hard_values::<f32>(size, len, &mut Random(77));
            on_ranks(World::new(size).unwrap(), |mut rank| {
                let (mut whole, mut parts) = (inputs[rank.rank()].clone(), inputs[rank.rank()].clone());
                rank.all_reduce(&mut whole, Op::Sum).unwrap();
                rank.reduce_scatter(&mut parts, Op::Sum).unwrap();
                rank.all_gather(&mut parts).unwrap();
                assert_eq!(bits(&whole), bits(&parts), "{len} over {size}");
            });
        }
    }
}
