//! Row B3: shows that the error of a sum is at most (n − 1)·u·Σ|x|, which holds for n − 1 additions
//! in any order (Jeannerod and Rump 2013), on data from 10⁻³⁰ to 10³⁰ with cancellation and
//! subnormals; and that it is at most the same with the depth of the tree in place of n − 1, which
//! is the benefit of the tree.

use crate::ranks::{Random, hard_values, on_ranks};
use crate::tally::{Tally, count};
use phalanx_collective::{Float, Op, World};

/// Returns `left + right`, rounded, and the exact rounding error (Knuth).
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    (sum, (left - (sum - of_right)) + (right - of_right))
}

/// Returns the sum of all values, correct up to the last bit for any amount of cancellation: each
/// value is added to a list of non-overlapping parts (Shewchuk 1997, "Adaptive precision
/// floating-point arithmetic").
fn exact_sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut parts = Vec::new();
    for mut value in values {
        parts.retain_mut(|part| {
            let (sum, lost) = two_sum(value, *part);
            (value, *part) = (sum, lost);
            lost != 0.0
        });
        parts.push(value);
    }
    parts.into_iter().sum()
}

/// Returns the errors in units of u·Σ|x|.
fn errors<T: Float>(size: usize, len: usize, unit: f64, random: &mut Random) -> Vec<f64> {
    let inputs: Vec<Vec<T>> = hard_values(size, len, random);
    let sums = &on_ranks(World::new(size).unwrap(), |mut rank| {
        let mut values = inputs[rank.rank()].clone();
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values
    })[0];
    let error = |(index, found): (usize, &T)| {
        let leaves = || inputs.iter().map(|values| values[index].to_f64());
        let magnitude = leaves().map(f64::abs).sum::<f64>();
        let error = exact_sum(leaves().chain([-found.to_f64()])).abs();
        if error == 0.0 { 0.0 } else { error / magnitude / unit }
    };
    sums.iter().enumerate().map(error).collect()
}

/// The allowed inaccuracy of Σ|x| and of the depth's bound, which is of first order.
const SLACK: f64 = 1.0 + 1e-6;

fn errors_are_within_the_bounds<T: Float>(unit: f64) {
    let name = std::any::type_name::<T>();
    let mut random = Random(1);
    let mut cases = Vec::new();
    for (size, len) in (2usize..=16).flat_map(|size| [8, 1500].map(|len| (size, len))) {
        for _ in 0..count(1, 60) {
            cases.extend(errors::<T>(size, len, unit, &mut random).into_iter().map(|error| (size, error)));
        }
    }
    let ratio = |&(size, error): &(usize, f64)| error / (size - 1) as f64;
    let worst = cases.iter().map(ratio).fold(0.0, f64::max);
    assert!(worst > 0.3, "{name}: the data are too easy, the largest error is {worst}");
    let what = format!(
        "sums of hard {name} with an error of at most (n − 1)·u·Σ|x|; the largest is {worst:.3} of that"
    );
    let mut tally = Tally::new("B3", what);
    for (size, error) in cases {
        let depth = f64::from(size.next_power_of_two().ilog2());
        let name = || {
            format!("the error of a sum over {size} {name} is {error}·u·Σ|x|, with a tree of depth {depth}")
        };
        tally.case(error <= depth * SLACK, name);
    }
    tally.end();
}

#[test]
fn errors_of_sums_of_hard_f32_are_within_the_bound_of_the_tree() {
    errors_are_within_the_bounds::<f32>(f64::from(f32::EPSILON) / 2.0);
}

#[test]
fn errors_of_sums_of_hard_f64_are_within_the_bound_of_the_tree() {
    errors_are_within_the_bounds::<f64>(f64::EPSILON / 2.0);
}

#[test]
fn the_exact_sum_is_exact_under_full_cancellation() {
    assert_eq!(exact_sum([1e30, 1.0, 3e-30, -1e30, -1.0].into_iter()), 3e-30);
    assert_eq!(exact_sum([1.0, f64::EPSILON / 4.0, -1.0].into_iter()), f64::EPSILON / 4.0);
}
