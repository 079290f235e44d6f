//! Vectors whose reduction is known in advance, their expected result, and rayon's reduction of
//! them for comparison.
//!
//! The reducer is measured on whole numbers small enough that no sum or product of them is rounded,
//! in any order: a result that differs from the expected one in any bit is wrong.

use phalanx::collective::{Element, Op};
use rayon::ThreadPool;
use rayon::prelude::*;

/// An element type with its own arithmetic, independent of the reducer's, to check the reducer.
pub trait Operand: Element + PartialEq {
    fn from_small(value: u32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn lesser_of(self, other: Self) -> Self;
    fn greater_of(self, other: Self) -> Self;
    /// Returns the value that changes no [`input`].
    fn identity(op: Op) -> Self;
    /// Returns the mean, given the sum.
    fn over(self, count: usize) -> Self;
}

/// Greater than any [`input`], and exact in every type.
const ABOVE_ALL: u32 = 1 << 20;

macro_rules! operand {
    ($type:ty, $plus:expr, $times:expr, $lesser:expr, $greater:expr, $over:expr) => {
        impl Operand for $type {
            #[inline]
            fn from_small(value: u32) -> Self {
                value as $type
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                $plus(self, other)
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                $times(self, other)
            }
            #[inline]
            fn lesser_of(self, other: Self) -> Self {
                $lesser(self, other)
            }
            #[inline]
            fn greater_of(self, other: Self) -> Self {
                $greater(self, other)
            }
            fn identity(op: Op) -> Self {
                Self::from_small(match op {
                    Op::Sum | Op::Mean | Op::Max => 0,
                    Op::Product => 1,
                    Op::Min => ABOVE_ALL,
                })
            }
            #[inline]
            fn over(self, count: usize) -> Self {
                $over(self, count)
            }
        }
    };
}

macro_rules! float {
    ($($type:ty),*) => {$(
        operand!($type, std::ops::Add::add, std::ops::Mul::mul, <$type>::min, <$type>::max,
            |sum: $type, count: usize| sum / count as $type);
    )*};
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        operand!($type, <$type>::wrapping_add, <$type>::wrapping_mul, Ord::min, Ord::max,
            |_: $type, _| unreachable!("a mean of integers is refused before anything is measured"));
    )*};
}

float!(f32, f64);
integer!(i32, i64, u32, u64);

/// Returns the vector of a rank. For a product, its values are 1 or 2, and 2 only on the first 8
/// ranks, which keeps the product exact; otherwise 0 to 30, whose sum over half a million ranks is
/// still exact in f32.
pub fn input<T: Operand>(rank: usize, len: usize, op: Op) -> Vec<T> {
    let value = |index: usize| match op {
        Op::Product => 1 + u32::from(rank < 8 && (index + rank).is_multiple_of(3)),
        _ => ((index * 7 + rank * 13) % 31) as u32,
    };
    (0..len).map(|index| T::from_small(value(index))).collect()
}

/// Returns the vector that every rank must have afterwards, computed by a plain loop over the
/// ranks.
pub fn expected<T: Operand>(inputs: &[Vec<T>], op: Op) -> Vec<T> {
    let fold = |combine: fn(T, T) -> T| {
        let mut result = inputs[0].clone();
        inputs[1..].iter().for_each(|input| combine_into(&mut result, input, combine));
        result
    };
    match op {
        Op::Sum => fold(T::plus),
        Op::Mean => fold(T::plus).into_iter().map(|sum| sum.over(inputs.len())).collect(),
        Op::Product => fold(T::times),
        Op::Min => fold(T::lesser_of),
        Op::Max => fold(T::greater_of),
    }
}

/// result = combine(result, other), element by element.
fn combine_into<T: Copy>(result: &mut [T], other: &[T], combine: impl Fn(T, T) -> T) {
    result.iter_mut().zip(other).for_each(|(value, other)| *value = combine(*value, *other));
}

/// Reduces the vectors as rayon's documentation recommends: fold on each thread, then reduce. The
/// result is one vector, not one per rank.
pub fn rayon_fold_reduce<T: Operand>(pool: &ThreadPool, inputs: &[Vec<T>], op: Op) -> Vec<T> {
    let identity = T::identity(op);
    pool.install(|| match op {
        Op::Sum => fold_reduce(inputs, identity, T::plus),
        Op::Mean => {
            let mut sums = fold_reduce(inputs, identity, T::plus);
            sums.iter_mut().for_each(|sum| *sum = sum.over(inputs.len()));
            sums
        }
        Op::Product => fold_reduce(inputs, identity, T::times),
        Op::Min => fold_reduce(inputs, identity, T::lesser_of),
        Op::Max => fold_reduce(inputs, identity, T::greater_of),
    })
}

fn fold_reduce<T: Operand>(
    inputs: &[Vec<T>],
    identity: T,
    combine: impl Fn(T, T) -> T + Copy + Sync + Send,
) -> Vec<T> {
    let len = inputs[0].len();
    let start = || vec![identity; len];
    let join = |mut result: Vec<T>, other: &[T]| {
        combine_into(&mut result, other, combine);
        result
    };
    let folded = inputs.par_iter().fold(start, |result, input| join(result, input));
    folded.reduce(start, |left, right| join(left, &right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::collective::reference;

    const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

    fn inputs<T: Operand>(ranks: usize, op: Op) -> Vec<Vec<T>> {
        (0..ranks).map(|rank| input(rank, 100, op)).collect()
    }

    #[test]
    fn expected_results_match_the_definition_of_the_reducer() {
        for ranks in [1, 2, 3, 16] {
            for op in OPS {
                let floats = inputs::<f32>(ranks, op);
                assert_eq!(
                    expected(&floats, op),
                    reference::all_reduce(&floats, op).unwrap(),
                    "{ranks} {op}"
                );
                let integers = inputs::<u32>(ranks, op);
                if op != Op::Mean {
                    let reference = reference::all_reduce(&integers, op).unwrap();
                    assert_eq!(expected(&integers, op), reference, "{ranks} {op}");
                }
            }
        }
    }

    #[test]
    fn sums_and_products_of_floats_equal_those_of_integers() {
        for op in [Op::Sum, Op::Product] {
            let floats = expected(&inputs::<f32>(1000, op), op);
            let integers = expected(&inputs::<u64>(1000, op), op);
            assert!(floats.iter().zip(integers).all(|(float, integer)| f64::from(*float) == integer as f64));
        }
    }

    #[test]
    fn a_missing_rank_changes_the_result() {
        for op in OPS {
            let all = inputs::<f64>(4, op);
            for left_out in 0..4 {
                let mut rest = all.clone();
                rest.remove(left_out);
                assert_ne!(expected(&all, op), expected(&rest, op), "{op} without rank {left_out}");
            }
        }
    }

    #[test]
    fn the_identity_changes_no_input() {
        for op in OPS {
            let input = input::<i64>(0, 100, op);
            let both = [vec![i64::identity(op); 100], input.clone()];
            let op = if op == Op::Mean { Op::Sum } else { op };
            assert_eq!(expected(&both, op), input, "{op}");
        }
    }

    #[test]
    fn rayon_gives_the_expected_result() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for op in [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product] {
            let inputs: Vec<Vec<f32>> = (0..5).map(|rank| input(rank, 200, op)).collect();
            assert_eq!(rayon_fold_reduce(&pool, &inputs, op), expected(&inputs, op), "{op}");
        }
    }
}
