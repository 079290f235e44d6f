//! Row B1: shows that every operation on every element type is exact on integer-valued data, for
//! world sizes 1 to 16 and lengths on both sides of the capacity of a slot and of a block, compared
//! with 64-bit integers.

use crate::ranks::on_ranks;
use crate::tally::{Tally, is_full};
use phalanx_collective::internals::Operation;
use phalanx_collective::{CollectiveError, Communicator, Element, Float, Op, World, segment};
use std::fmt::Debug;

const LENGTHS: [usize; 12] = [0, 1, 2, 3, 7, 63, 64, 65, 1000, 1023, 4097, 1_000_000];
const OPERATIONS: [Operation; 12] = [
    Operation::AllReduce(Op::Sum),
    Operation::AllReduce(Op::Mean),
    Operation::AllReduce(Op::Min),
    Operation::AllReduce(Op::Max),
    Operation::AllReduce(Op::Product),
    Operation::ReduceScatter(Op::Sum),
    Operation::ReduceScatter(Op::Mean),
    Operation::ReduceScatter(Op::Min),
    Operation::ReduceScatter(Op::Max),
    Operation::ReduceScatter(Op::Product),
    Operation::AllGather,
    Operation::Broadcast,
];

/// An element type, and its conversion from integers.
struct Type<T> {
    convert: fn(i64) -> T,
    is_unsigned: bool,
    is_integer: bool,
}

/// World sizes and lengths; the longest is tested with only one size in the short form, because it
/// takes most of the time.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    let all = (1..=16).flat_map(|size| LENGTHS.map(|len| (size, len)));
    all.filter(|&(size, len)| len < 1_000_000 || is_full() || size == 3)
}

/// One of 0..13, without a period in the index, which could hide a shifted segment.
fn mixed(rank: usize, index: usize) -> i64 {
    let mixed = (rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (index as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    i64::from((mixed >> 32) as u32 % 13)
}

/// The value of a rank: so small that results are exact even with the 8 digits of bf16, and means
/// are integers. Sums and products of negative values survive the conversion to unsigned, because
/// both wrap around; extremes do not.
fn value(size: usize, rank: usize, index: usize, operation: Operation, is_unsigned: bool) -> i64 {
    let mixed = mixed(rank, index);
    match operation {
        Operation::AllReduce(op) | Operation::ReduceScatter(op) => match op {
            Op::Product if rank < 5 => [1, -1, 2, -2][mixed as usize % 4],
            Op::Product => 1 - mixed % 2 * 2,
            Op::Mean => (mixed - 6) * size as i64,
            Op::Min | Op::Max if is_unsigned => mixed,
            _ => mixed - 6,
        },
        _ => mixed,
    }
}

/// The result at an index.
fn expected(size: usize, len: usize, index: usize, operation: Operation, is_unsigned: bool) -> i64 {
    let value = |rank| value(size, rank, index, operation, is_unsigned);
    let mut values = (0..size).map(value);
    match operation {
        Operation::AllReduce(op) | Operation::ReduceScatter(op) => match op {
            Op::Sum => values.sum(),
            Op::Mean => values.sum::<i64>() / size as i64,
            Op::Min => values.min().unwrap(),
            Op::Max => values.max().unwrap(),
            Op::Product => values.product(),
        },
        Operation::AllGather => {
            values.nth((0..size).position(|rank| segment(len, size, rank).contains(&index)).unwrap()).unwrap()
        }
        _ => values.next_back().unwrap(),
    }
}

/// Performs an operation as one rank, and returns whether all results are correct and all other
/// values unchanged.
fn is_exact<T: Element + PartialEq>(
    rank: &mut Communicator,
    operation: Operation,
    of: &Type<T>,
    expected: &[T],
) -> bool {
    let (size, number, len) = (rank.world_size(), rank.rank(), expected.len());
    let brought = |index| (of.convert)(value(size, number, index, operation, of.is_unsigned));
    let mut values: Vec<T> = (0..len).map(brought).collect();
    let outcome = match operation {
        Operation::AllReduce(op) => rank.all_reduce(&mut values, op).map(|()| 0..len),
        Operation::ReduceScatter(op) => rank.reduce_scatter(&mut values, op),
        Operation::AllGather => rank.all_gather(&mut values).map(|()| 0..len),
        _ => rank.broadcast(&mut values, size - 1).map(|()| 0..len),
    };
    let is_mean = matches!(operation, Operation::AllReduce(Op::Mean) | Operation::ReduceScatter(Op::Mean));
    let results = match outcome {
        Err(CollectiveError::MeanOfIntegers { .. }) if of.is_integer && is_mean => 0..0,
        Ok(results) if !(of.is_integer && is_mean) => results,
        _ => return false,
    };
    let is_scattered = matches!(operation, Operation::ReduceScatter(_)) && !results.is_empty();
    (!is_scattered || results == segment(len, size, number))
        && (0..len).all(|at| values[at] == if results.contains(&at) { expected[at] } else { brought(at) })
}

fn every_operation_is_exact<T: Element + PartialEq>(of: &Type<T>) {
    let name = std::any::type_name::<T>();
    let mut tally = Tally::new("B1", format!("world sizes, lengths and operations that are exact in {name}"));
    for (size, len) in shapes() {
        let results = OPERATIONS.map(|operation| {
            let at = |index| (of.convert)(expected(size, len, index, operation, of.is_unsigned));
            (0..len).map(at).collect::<Vec<T>>()
        });
        let exact = on_ranks(World::new(size).unwrap(), |mut rank| {
            let cases = OPERATIONS.into_iter().zip(&results);
            cases
                .map(|(operation, expected)| is_exact(&mut rank, operation, of, expected))
                .collect::<Vec<_>>()
        });
        for (case, operation) in OPERATIONS.into_iter().enumerate() {
            let bad = exact.iter().position(|exact| !exact[case]);
            tally.case(bad.is_none(), || {
                format!("{operation} of {len} {name} over {size}, first at rank {bad:?}")
            });
        }
    }
    tally.end();
}

#[test]
fn every_operation_on_f32_is_exact() {
    every_operation_is_exact(&Type { convert: |value| value as f32, is_unsigned: false, is_integer: false });
}

#[test]
fn every_operation_on_f64_is_exact() {
    every_operation_is_exact(&Type { convert: |value| value as f64, is_unsigned: false, is_integer: false });
}

#[test]
fn every_operation_on_i32_is_exact_and_means_are_rejected() {
    every_operation_is_exact(&Type { convert: |value| value as i32, is_unsigned: false, is_integer: true });
}

#[test]
fn every_operation_on_i64_is_exact_and_means_are_rejected() {
    every_operation_is_exact(&Type { convert: |value| value, is_unsigned: false, is_integer: true });
}

#[test]
fn every_operation_on_u32_is_exact_modulo_two_to_the_32_and_means_are_rejected() {
    every_operation_is_exact(&Type { convert: |value| value as u32, is_unsigned: true, is_integer: true });
}

#[test]
fn every_operation_on_u64_is_exact_modulo_two_to_the_64_and_means_are_rejected() {
    every_operation_is_exact(&Type { convert: |value| value as u64, is_unsigned: true, is_integer: true });
}

#[test]
fn every_operation_on_the_other_integers_is_exact_modulo_their_size_and_means_are_rejected() {
    macro_rules! check {
        ($($type:ty, $is_unsigned:literal;)*) => {$(every_operation_is_exact(&Type {
            convert: |value| value as $type,
            is_unsigned: $is_unsigned,
            is_integer: true,
        });)*};
    }
    check!(i8, false; i16, false; i128, false; isize, false; u8, true; u16, true; u128, true; usize, true;);
}

#[cfg(feature = "half")]
#[test]
fn every_operation_on_f16_is_exact() {
    let convert = |value| half::f16::from_f32(value as f32);
    every_operation_is_exact(&Type { convert, is_unsigned: false, is_integer: false });
}

#[cfg(feature = "half")]
#[test]
fn every_operation_on_bf16_is_exact() {
    let convert = |value| half::bf16::from_f32(value as f32);
    every_operation_is_exact(&Type { convert, is_unsigned: false, is_integer: false });
}

/// The mean of W·k_r with weights w_r, W their sum, is Σ w_r k_r.
fn weighted_mean_is_exact<T: Float + PartialEq + Debug>(convert: fn(i64) -> T) {
    let name = std::any::type_name::<T>();
    let mut tally =
        Tally::new("B1", format!("world sizes and lengths whose weighted mean is exact in {name}"));
    let weight = |rank: usize| 1 + (rank % 2) as i64;
    for (size, len) in shapes() {
        let total = (0..size).map(weight).sum::<i64>();
        let sum = |index| (0..size).map(|rank| weight(rank) * (mixed(rank, index) - 6)).sum();
        let expected: Vec<T> = (0..len).map(|index| convert(sum(index))).collect();
        let exact = on_ranks(World::new(size).unwrap(), |mut rank| {
            let number = rank.rank();
            let mut values: Vec<T> =
                (0..len).map(|index| convert(total * (mixed(number, index) - 6))).collect();
            let found = rank.all_reduce_weighted_mean(&mut values, weight(number) as f64);
            found == Ok(total as f64) && values == expected
        });
        tally.case(exact.iter().all(|&exact| exact), || format!("{len} {name} over {size}: {exact:?}"));
    }
    tally.end();
}

#[test]
fn weighted_means_of_f32_and_f64_are_exact() {
    weighted_mean_is_exact(|value| value as f32);
    weighted_mean_is_exact(|value| value as f64);
}

#[cfg(feature = "half")]
#[test]
fn weighted_means_of_half_floats_are_exact() {
    weighted_mean_is_exact(|value| half::f16::from_f32(value as f32));
    weighted_mean_is_exact(|value| half::bf16::from_f32(value as f32));
}
