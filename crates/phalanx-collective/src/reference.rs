//! The simple, slow, serial versions, which define the collective operations.
//!
//! Each takes the values of every rank, in rank order, and returns the values that every rank holds
//! afterwards. Tests compare the reducer with them bit by bit (except for the payload of a NaN,
//! which IEEE 754 does not specify).
//!
//! All of them panic if there are no ranks. All but [`all_gather`], which requires equal lengths
//! but does not check them, panic if the lengths of the ranks differ.

use super::arithmetic::{Element, Float, Op};
use super::error::CollectiveError;
use super::tree::segment;

/// Combines the leaves, at least one, in the fixed tree: level by level, neighbours in pairs; an
/// odd last one is kept.
///
/// # Panics
/// If there are no leaves.
///
/// # Examples
///
/// ```
/// use phalanx_collective::reference::combine_in_tree;
///
/// let leaves = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
/// assert_eq!(combine_in_tree(leaves, |left, right| format!("({left}{right})")), "(((ab)(cd))e)");
/// ```
pub fn combine_in_tree<A>(leaves: Vec<A>, combine: impl Fn(A, A) -> A) -> A {
    let mut nodes = leaves;
    while nodes.len() > 1 {
        let mut level = nodes.into_iter();
        let mut above = Vec::new();
        while let Some(left) = level.next() {
            above.push(match level.next() {
                Some(right) => combine(left, right),
                None => left,
            });
        }
        nodes = above;
    }
    nodes.pop().expect("a tree has at least one leaf")
}

/// Defines [`all_reduce_with`](super::Communicator::all_reduce_with).
///
/// # Panics
/// If there are no ranks or their lengths differ.
pub fn all_reduce_with<T: Copy>(ranks: &[Vec<T>], combine: impl Fn(T, T) -> T) -> Vec<T> {
    elements(ranks).map(|leaves| combine_in_tree(leaves, &combine)).collect()
}

/// Defines [`all_reduce`](super::Communicator::all_reduce).
///
/// # Errors
/// [`MeanOfIntegers`](CollectiveError::MeanOfIntegers).
///
/// # Panics
/// If there are no ranks or their lengths differ.
pub fn all_reduce<T: Element>(ranks: &[Vec<T>], op: Op) -> Result<Vec<T>, CollectiveError> {
    if op == Op::Mean && T::IS_INTEGER {
        return Err(CollectiveError::MeanOfIntegers { element: std::any::type_name::<T>() });
    }
    let combine = match op {
        Op::Sum | Op::Mean => T::add,
        Op::Product => T::multiply,
        Op::Min => T::lesser,
        Op::Max => T::greater,
    };
    let finish = |root| T::narrow(if op == Op::Mean { T::divide(root, ranks.len()) } else { root });
    let roots =
        elements(ranks).map(|leaves| combine_in_tree(leaves.into_iter().map(T::widen).collect(), combine));
    Ok(roots.map(finish).collect())
}

/// Defines [`all_reduce_weighted_mean`](super::Communicator::all_reduce_weighted_mean), without the
/// total.
///
/// # Panics
/// If there are no ranks, their lengths differ, or the number of weights differs from the number of
/// ranks.
pub fn weighted_mean<T: Float>(ranks: &[Vec<T>], weights: &[f64]) -> Vec<T> {
    assert_eq!(ranks.len(), weights.len(), "the number of weights differs from the number of ranks");
    let add = |left, right| left + right;
    let total = combine_in_tree(weights.to_vec(), add);
    let leaf = |(value, &weight): (T, &f64)| if weight == 0.0 { -0.0 } else { weight * value.to_f64() };
    elements(ranks)
        .map(|leaves| combine_in_tree(leaves.into_iter().zip(weights).map(leaf).collect(), add))
        .map(|root| T::from_f64(root / total))
        .collect()
}

/// Defines [`reduce_scatter`](super::Communicator::reduce_scatter): returns one vector per rank.
///
/// # Errors
/// Same as [`all_reduce`].
///
/// # Panics
/// If there are no ranks or their lengths differ.
pub fn reduce_scatter<T: Element>(ranks: &[Vec<T>], op: Op) -> Result<Vec<Vec<T>>, CollectiveError> {
    let reduced = all_reduce(ranks, op)?;
    let mut results = ranks.to_vec();
    for (rank, result) in results.iter_mut().enumerate() {
        let own = segment(reduced.len(), ranks.len(), rank);
        result[own.clone()].copy_from_slice(&reduced[own]);
    }
    Ok(results)
}

/// Defines [`all_gather`](super::Communicator::all_gather). All ranks must have the same length,
/// which is not checked.
///
/// # Panics
/// If there are no ranks.
pub fn all_gather<T: Copy>(ranks: &[Vec<T>]) -> Vec<T> {
    let len = ranks[0].len();
    (0..ranks.len()).flat_map(|rank| ranks[rank][segment(len, ranks.len(), rank)].to_vec()).collect()
}

/// The elements of all ranks at each index.
fn elements<T: Copy>(ranks: &[Vec<T>]) -> impl Iterator<Item = Vec<T>> + '_ {
    let len = ranks[0].len();
    assert!(ranks.iter().all(|values| values.len() == len), "the lengths of the ranks differ");
    (0..len).map(|index| ranks.iter().map(|values| values[index]).collect())
}
