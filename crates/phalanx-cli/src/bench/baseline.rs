//! What else reduces vectors: the reducer is measured beside it.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::operand::{Operand, combine_into};
use phalanx::collective::Op;

/// Reduces the vectors as rayon's documentation teaches: fold on each thread, then reduce. One vector comes of it, not one
/// a rank.
pub(super) fn rayon_fold_reduce<T: Operand>(pool: &ThreadPool, inputs: &[Vec<T>], op: Op) -> Vec<T> {
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
    use super::super::operand::{expected, input};
    use super::*;

    #[test]
    fn rayon_gives_what_is_expected() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for op in [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product] {
            let inputs: Vec<Vec<f32>> = (0..5).map(|rank| input(rank, 200, op)).collect();
            assert_eq!(rayon_fold_reduce(&pool, &inputs, op), expected(&inputs, op), "{op}");
        }
    }
}
