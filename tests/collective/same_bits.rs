//! Shows that a result has the same bits on all ranks, in every run and for every timing, on data for which the order of
//! additions matters; and that special values propagate as IEEE 754 says.

use crate::ranks::{Random, on_ranks};
use phalanx::collective::{Op, World, reference};
use std::thread::yield_now;

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

/// Values between 1e-30 and 1e30 of either sign, some subnormal, every fourth cancelling its neighbour's.
fn hard_values(size: usize, len: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    let mut ranks: Vec<Vec<f32>> = Vec::new();
    for rank in 0..size {
        let mut value = |index: usize| {
            let magnitude = 10f64.powi(random.below(61) as i32 - 30);
            match random.below(8) {
                0 => (random.unit() * 1e-40) as f32,
                1 | 2 if rank > 0 => -ranks[rank - 1][index],
                _ => (random.unit() * magnitude) as f32,
            }
        };
        let values = (0..len).map(&mut value).collect();
        ranks.push(values);
    }
    ranks
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn dawdle(random: &mut Random) {
    match random.below(4) {
        0 => {}
        1 => (0..random.below(2000)).for_each(|_| std::hint::spin_loop()),
        _ => (0..random.below(4)).for_each(|_| yield_now()),
    }
}

#[test]
fn every_rank_holds_the_same_bits_in_every_run_whenever_ranks_arrive() {
    for size in [1, 2, 3, 4, 5, 7, 8, 16] {
        for len in [1, 5, 16, 17, 300, 1500] {
            let inputs = hard_values(size, len, (size * 10_000 + len) as u64);
            let expected = OPS.map(|op| bits(&reference::all_reduce(&inputs, op).unwrap()));
            on_ranks(World::new(size).unwrap(), |mut rank| {
                let mut random = Random(rank.rank() as u64);
                for repetition in 0..20 {
                    let case = repetition % OPS.len();
                    let mut values = inputs[rank.rank()].clone();
                    dawdle(&mut random);
                    rank.all_reduce(&mut values, OPS[case]).unwrap();
                    assert_eq!(bits(&values), expected[case], "{} of {len} over {size}", OPS[case]);
                }
            });
        }
    }
}

#[test]
fn weighted_means_have_the_same_bits_on_every_rank_and_are_the_references() {
    for size in [1, 2, 3, 5, 8] {
        let inputs = hard_values(size, 700, size as u64);
        let weights: Vec<f64> = (0..size).map(|rank| 0.1 + rank as f64 * 0.7).collect();
        let expected = bits(&reference::weighted_mean(&inputs, &weights));
        on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut random = Random(rank.rank() as u64);
            for _ in 0..20 {
                let mut values = inputs[rank.rank()].clone();
                dawdle(&mut random);
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
            let inputs = hard_values(size, len, 77);
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

#[test]
fn an_error_of_a_sum_is_at_most_that_of_the_depth_of_the_tree() {
    for size in [2usize, 3, 8, 16] {
        let inputs = hard_values(size, 5000, 5);
        let sums = &on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values = inputs[rank.rank()].clone();
            rank.all_reduce(&mut values, Op::Sum).unwrap();
            values
        })[0];
        let depth = f64::from(size.next_power_of_two().ilog2());
        for (index, &found) in sums.iter().enumerate() {
            let leaves = || inputs.iter().map(|values| f64::from(values[index]));
            let (exact, magnitude) = (exact_sum(leaves()), leaves().map(f64::abs).sum::<f64>());
            let unit = f64::from(f32::EPSILON) / 2.0;
            let bound = 1.001 * depth * unit * magnitude;
            assert!(
                (f64::from(found) - exact).abs() <= bound,
                "{found} for {exact} at {index}, {size} ranks"
            );
        }
    }
}

/// Neumaier's sum in f64: far more accurate than any sum in f32.
fn exact_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// All-reduces `special` of one rank with 1.0 of the others, for each rank in turn, in slots and in loans.
fn reduce_with_one_special(special: f32, op: Op, check: impl Fn(f32) -> bool + Sync) {
    for size in [2, 3, 4, 5, 8] {
        for len in [1, 600] {
            on_ranks(World::new(size).unwrap(), |mut rank| {
                for place in 0..size {
                    let own = if rank.rank() == place { special } else { 1.0 };
                    let mut values = vec![own; len];
                    rank.all_reduce(&mut values, op).unwrap();
                    assert!(values.iter().all(|&value| check(value)), "{op} of {special} gave {values:?}");
                }
            });
        }
    }
}

#[test]
fn nan_of_any_rank_gives_nan_under_every_operator() {
    OPS.into_iter().for_each(|op| reduce_with_one_special(f32::NAN, op, f32::is_nan));
}

#[test]
fn infinity_of_any_rank_propagates() {
    for infinity in [f32::INFINITY, f32::NEG_INFINITY] {
        for op in [Op::Sum, Op::Mean, Op::Product] {
            reduce_with_one_special(infinity, op, |value| value == infinity);
        }
        reduce_with_one_special(infinity, Op::Min, |value| value == infinity.min(1.0));
        reduce_with_one_special(infinity, Op::Max, |value| value == infinity.max(1.0));
    }
}

#[test]
fn opposite_infinities_give_nan() {
    on_ranks(World::new(2).unwrap(), |mut rank| {
        let mut values = [[f64::INFINITY, f64::NEG_INFINITY][rank.rank()]];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        assert!(values[0].is_nan());
    });
}

#[test]
fn the_sign_of_zero_is_that_of_ieee_754() {
    let zeros = [[-0.0f32, 0.0, -0.0, -0.0], [0.0, -0.0, -0.0, 0.0], [0.0, -0.0, -0.0, -0.0]];
    let signs = |op| {
        let results = on_ranks(World::new(3).unwrap(), |mut rank| {
            let mut values = zeros[rank.rank()];
            rank.all_reduce(&mut values, op).unwrap();
            values.map(f32::is_sign_negative)
        });
        assert!(results.iter().all(|signs| *signs == results[0]));
        results[0]
    };
    assert_eq!(signs(Op::Sum), [false, false, true, false]);
    assert_eq!(signs(Op::Min), [true, true, true, true]);
    assert_eq!(signs(Op::Max), [false, false, true, false]);
    assert_eq!(signs(Op::Product), [true, false, true, false]);
}
