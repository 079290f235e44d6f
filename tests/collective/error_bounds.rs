//! Row B3: shows that the error of a sum is at most (n − 1)·u·Σ|x|, which holds for n − 1 additions in any order (Jeannerod and
//! Rump 2013), on data from 10⁻³⁰ to 10³⁰ with cancellation and subnormals; and at most the depth of the tree in place of
//! n − 1, which is what the tree is for.

use crate::ranks::{Random, hard_values, on_ranks};
use crate::tally::{Tally, count};
use phalanx_collective::{Float, Op, World};

/// `left + right`, rounded, and what the rounding lost, exactly (Knuth).
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let of_right = sum - left;
    (sum, (left - (sum - of_right)) + (right - of_right))
}

/// The sum of all, right in all but its last bits however much cancels: each is added to a list of parts that do not
/// overlap (Shewchuk 1997, "Adaptive precision floating-point arithmetic").
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

/// Errors in units of u·Σ|x|.
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

/// What Σ|x| and the depth's bound, to first order, may be off by.
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
    assert!(worst > 0.3, "{name}: data that hardly round are not hard: {worst}");
    let what = format!(
        "sums of hard {name} whose error is at most (n − 1)·u·Σ|x|; the worst takes {worst:.3} of it"
    );
    let mut tally = Tally::new("B3", what);
    for (size, error) in cases {
        let depth = f64::from(size.next_power_of_two().ilog2());
        let name =
            || format!("a sum over {size} {name} is {error} of u·Σ|x| off, with a tree of depth {depth}");
        tally.case(error <= depth * SLACK, name);
    }
    tally.end();
}

#[test]
fn an_error_of_a_sum_of_hard_f32_is_at_most_that_of_the_depth_of_the_tree() {
    errors_are_within_the_bounds::<f32>(f64::from(f32::EPSILON) / 2.0);
}

#[test]
fn an_error_of_a_sum_of_hard_f64_is_at_most_that_of_the_depth_of_the_tree() {
    errors_are_within_the_bounds::<f64>(f64::EPSILON / 2.0);
}

#[test]
fn the_exact_sum_loses_nothing_where_all_cancels() {
    assert_eq!(exact_sum([1e30, 1.0, 3e-30, -1e30, -1.0].into_iter()), 3e-30);
    assert_eq!(exact_sum([1.0, f64::EPSILON / 4.0, -1.0].into_iter()), f64::EPSILON / 4.0);
}
