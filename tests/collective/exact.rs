//! Shows that every collective operation gives the result of its slow version in `reference`: the
//! values that it writes and those that it leaves unchanged, operands in rank order, weights, loans
//! and shared values. `integers` and `crafted_sums` measure how exact the arithmetic is.

use crate::ranks::on_ranks;
use phalanx_collective::{CollectiveError, Float, Op, Shared, World, reference, segment};
use std::fmt::Debug;

const WORLD_SIZES: [usize; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 16];
const LENGTHS: [usize; 11] = [0, 1, 2, 3, 7, 63, 64, 65, 1000, 1023, 4097];

/// A small integer that differs between ranks and between neighbours.
fn value(rank: usize, index: usize) -> i64 {
    ((rank * 31 + index * 7 + rank * index) % 13) as i64 - 6
}

fn inputs<T>(size: usize, len: usize, convert: fn(i64) -> T) -> Vec<Vec<T>> {
    let rank = |rank| (0..len).map(|index| convert(value(rank, index))).collect();
    (0..size).map(rank).collect()
}

#[cfg(feature = "half")]
#[test]
fn half_floats_are_added_in_f32_and_rounded_once() {
    // In f16, 2048 + 1 is 2048: rounding after each addition would give 2048, rounding once at the
    // end gives 2050.
    let results = on_ranks(World::new(3).unwrap(), |mut rank| {
        let mut values = [half::f16::from_f32([2048.0, 1.0, 1.0][rank.rank()]); 100];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values
    });
    assert!(results.iter().flatten().all(|value| value.to_f32() == 2050.0));
}

#[test]
fn reduce_scatter_writes_only_the_own_segment() {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| LENGTHS.map(|len| (size, len))) {
        let inputs = inputs(size, len, |value| value as f32);
        let results = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values = inputs[rank.rank()].clone();
            let own = rank.reduce_scatter(&mut values, Op::Sum).unwrap();
            assert_eq!(own, segment(len, size, rank.rank()));
            values
        });
        assert_eq!(results, reference::reduce_scatter(&inputs, Op::Sum).unwrap(), "{len} over {size}");
    }
}

#[test]
fn all_gather_copies_every_segment_to_every_rank() {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| LENGTHS.map(|len| (size, len))) {
        let inputs: Vec<Vec<_>> =
            (0..size).map(|rank| (0..len).map(|index| (rank as u8, index)).collect()).collect();
        let results = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values = inputs[rank.rank()].clone();
            rank.all_gather(&mut values).unwrap();
            values
        });
        let expected = reference::all_gather(&inputs);
        assert!(results.iter().all(|values| *values == expected), "{len} over {size}");
    }
}

#[test]
fn broadcast_copies_the_values_of_any_root_to_every_rank() {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| [0, 1, 7, 1023].map(|len| (size, len))) {
        on_ranks(World::new(size).unwrap(), |mut rank| {
            for root in 0..size {
                let mut values = vec![(rank.rank(), 'x'); len];
                rank.broadcast(&mut values, root).unwrap();
                assert!(values.iter().all(|&value| value == (root, 'x')));
            }
        });
    }
}

#[test]
fn the_sum_and_the_maximum_of_flags_are_or_and_the_product_and_the_minimum_are_and() {
    for size in 1..=5 {
        on_ranks(World::new(size).unwrap(), |mut rank| {
            for len in [3, 300] {
                let expected: Vec<[bool; 2]> = (0..len)
                    .map(|index| {
                        let set = (0..size).filter(|rank| (rank + index) % 3 == 0).count();
                        [set > 0, set == size]
                    })
                    .collect();
                for (op, side) in [(Op::Sum, 0), (Op::Max, 0), (Op::Product, 1), (Op::Min, 1)] {
                    let own = rank.rank();
                    let mut flags: Vec<bool> = (0..len).map(|index| (own + index) % 3 == 0).collect();
                    rank.all_reduce(&mut flags, op).unwrap();
                    assert!(flags.iter().zip(&expected).all(|(flag, both)| *flag == both[side]), "{op}");
                }
                let error = rank.all_reduce(&mut vec![true; len], Op::Mean);
                assert_eq!(error, Err(CollectiveError::MeanOfIntegers { element: "bool" }));
            }
        });
    }
}

/// Composes affine maps: associative, not commutative, exact modulo 2^64.
fn compose(left: [u64; 2], right: [u64; 2]) -> [u64; 2] {
    [left[0].wrapping_mul(right[0]), left[1].wrapping_mul(right[0]).wrapping_add(right[1])]
}

#[test]
fn operands_of_a_function_are_in_rank_order() {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| LENGTHS.map(|len| (size, len))) {
        let map = |rank: usize, index: usize| [2 * rank as u64 + 3, (rank * index + 1) as u64];
        let results = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values: Vec<_> = (0..len).map(|index| map(rank.rank(), index)).collect();
            rank.all_reduce_with(&mut values, compose).unwrap();
            values
        });
        let expected: Vec<_> =
            (0..len).map(|index| (0..size).map(|rank| map(rank, index)).reduce(compose).unwrap()).collect();
        assert!(results.iter().all(|values| *values == expected), "{len} over {size}");
    }
}

#[test]
fn values_larger_than_a_stack_block_are_combined() {
    let results = on_ranks(World::new(5).unwrap(), |mut rank| {
        let mut values = vec![[rank.rank() as u64; 4096]; 3];
        rank.all_reduce_with(&mut values, |left, right| {
            std::array::from_fn(|index| left[index] + right[index])
        })
        .unwrap();
        values
    });
    assert!(results.iter().flatten().flatten().all(|&value| value == 10));
}

fn weighted_mean_matches_the_reference<T: Float + PartialEq + Debug>(convert: fn(i64) -> T) {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| LENGTHS.map(|len| (size, len))) {
        let inputs = inputs(size, len, convert);
        let weights: Vec<f64> = (0..size).map(|rank| ((rank + 1) % 4) as f64).collect();
        let results = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values = inputs[rank.rank()].clone();
            let total = rank.all_reduce_weighted_mean(&mut values, weights[rank.rank()]).unwrap();
            assert_eq!(total, weights.iter().sum::<f64>());
            values
        });
        let expected = reference::weighted_mean(&inputs, &weights);
        assert!(results.iter().all(|values| *values == expected), "{len} over {size}");
    }
}

#[test]
fn weighted_means_match_the_reference() {
    weighted_mean_matches_the_reference(|value| value as f32);
    weighted_mean_matches_the_reference(|value| value as f64);
}

#[test]
fn a_weighted_mean_follows_the_textbook_formula() {
    let results = on_ranks(World::new(2).unwrap(), |mut rank| {
        let mut values = [[1.0f32, 5.0], [5.0, 1.0]][rank.rank()];
        let total = rank.all_reduce_weighted_mean(&mut values, [3.0, 1.0][rank.rank()]).unwrap();
        (values, total)
    });
    assert_eq!(results, [([2.0, 4.0], 4.0); 2]);
}

#[test]
fn a_rank_of_weight_zero_contributes_nothing_not_even_nan() {
    let results = on_ranks(World::new(3).unwrap(), |mut rank| {
        let mut values = [[-0.0f64; 2], [f64::NAN; 2], [f64::INFINITY; 2]][rank.rank()];
        rank.all_reduce_weighted_mean(&mut values, [2.0, 0.0, 0.0][rank.rank()]).unwrap();
        values.map(f64::to_bits)
    });
    assert_eq!(results, [[(-0.0f64).to_bits(); 2]; 3]);
}

#[test]
fn unusable_weights_are_rejected_on_every_rank_and_values_are_unchanged() {
    type IsExpected = fn(&CollectiveError) -> bool;
    let cases: [([f64; 3], IsExpected); 5] = [
        ([0.0, 0.0, 0.0], |error| *error == CollectiveError::ZeroWeight),
        ([1.0, -1.0, -2.0], |error| *error == CollectiveError::BadWeight { rank: 1, weight: -1.0 }),
        ([1.0, 1.0, f64::INFINITY], |error| matches!(error, CollectiveError::BadWeight { rank: 2, .. })),
        ([f64::NAN, 1.0, 1.0], |error| matches!(error, CollectiveError::BadWeight { rank: 0, .. })),
        ([f64::MAX, f64::MAX, 1.0], |error| *error == CollectiveError::WeightOverflow),
    ];
    on_ranks(World::new(3).unwrap(), |mut rank| {
        for (weights, is_expected) in cases {
            let mut values = vec![rank.rank() as f32; 100];
            let error = rank.all_reduce_weighted_mean(&mut values, weights[rank.rank()]).unwrap_err();
            assert!(is_expected(&error), "{weights:?} gave {error:?}");
            assert_eq!(values, vec![rank.rank() as f32; 100]);
        }
        let mut values = vec![rank.rank() as f32; 100];
        rank.all_reduce_weighted_mean(&mut values, 1.0).unwrap();
        assert_eq!(values, vec![1.0; 100]);
    });
}

#[test]
fn every_rank_sees_all_loans_in_rank_order_without_a_copy() {
    for size in WORLD_SIZES {
        let addresses = on_ranks(World::new(size).unwrap(), |mut rank| {
            let own = vec![rank.rank(); 3];
            let seen = rank.lend(&own, |peers| {
                assert_eq!(peers.len(), size);
                assert!(peers.iter().enumerate().all(|(rank, values)| *values == [rank; 3]));
                peers.iter().map(|values| values.as_ptr().addr()).collect::<Vec<_>>()
            });
            (own.as_ptr().addr(), seen.unwrap())
        });
        let own: Vec<_> = addresses.iter().map(|(own, _)| *own).collect();
        assert!(addresses.iter().all(|(_, seen)| *seen == own));
    }
}

#[test]
fn updates_of_a_shared_value_are_visible_to_all_in_the_next_read() {
    for (size, len) in WORLD_SIZES.into_iter().flat_map(|size| [0, 1, 7, 1000].map(|len| (size, len))) {
        let world = World::new(size).unwrap();
        let shared = Shared::even(&world, vec![0u64; len]);
        on_ranks(world, |mut rank| {
            for round in 0..10 {
                assert!(shared.read(&rank).unwrap().iter().all(|&value| value == round * size as u64));
                let everyone = |peers: phalanx_collective::Peers<'_, u64>, own: &mut [u64]| {
                    own.iter_mut().for_each(|value| *value += peers.iter().sum::<u64>());
                };
                rank.update(&shared, &1, everyone).unwrap();
            }
        });
        assert!(!shared.is_torn());
        assert_eq!(shared.into_inner(), vec![10 * size as u64; len]);
    }
}

#[test]
fn a_shared_value_is_cut_at_the_given_cuts() {
    let world = World::new(3).unwrap();
    let shared = Shared::new(&world, vec![9; 10], vec![0, 7, 7, 10]).unwrap();
    assert_eq!([shared.segment(0), shared.segment(1), shared.segment(2)], [0..7, 7..7, 7..10]);
    on_ranks(world, |mut rank| {
        let number = rank.rank();
        rank.update(&shared, &(), |_, own| own.fill(number)).unwrap();
    });
    assert_eq!(shared.into_inner(), [0, 0, 0, 0, 0, 0, 0, 2, 2, 2]);
}

#[test]
fn a_partly_owned_shared_value_is_rewritten_by_rank_0() {
    let world = World::new(3).unwrap();
    let shared = Shared::within(&world, vec![0; 8], vec![2, 4, 4, 7]).unwrap();
    on_ranks(world, |mut rank| {
        let number = 1 + rank.rank();
        rank.update(&shared, &(), |_, own| own.fill(number)).unwrap();
        assert_eq!(shared.read(&rank).unwrap(), [0, 0, 1, 1, 3, 3, 3, 0]);
        let result = rank.rewrite(&shared, |all| {
            (all[0], all[7]) = (8, 9);
            all.len()
        });
        assert_eq!(result.unwrap(), (rank.rank() == 0).then_some(8));
        assert_eq!(shared.read(&rank).unwrap(), [8, 0, 1, 1, 3, 3, 3, 9]);
        rank
    });
}

#[test]
fn cuts_within_a_value_may_exclude_its_ends_but_not_descend() {
    let world = World::new(2).unwrap();
    for cuts in [vec![0, 0, 0], vec![1, 2, 3], vec![4, 4, 4]] {
        Shared::within(&world, vec![0; 4], cuts).unwrap();
    }
    for (cuts, index) in [(vec![1, 0, 4], 1), (vec![0, 3, 2], 2), (vec![0, 1, 5], 2), (vec![5, 5, 5], 0)] {
        let error = Shared::within(&world, vec![0; 4], cuts).unwrap_err();
        assert!(
            matches!(error, CollectiveError::CutOutOfOrder { index: found, .. } if found == index),
            "{error}"
        );
    }
}

#[test]
fn cuts_that_do_not_ascend_from_zero_to_the_length_are_rejected() {
    let world = World::new(2).unwrap();
    let cut = |cuts: &[usize]| Shared::new(&world, vec![(); 10], cuts.to_vec()).unwrap_err();
    let out_of_order =
        |index, found, at_least, at_most| CollectiveError::CutOutOfOrder { index, found, at_least, at_most };
    assert_eq!(cut(&[0, 10]), CollectiveError::CutCount { found: 2, expected: 3 });
    assert_eq!(cut(&[1, 5, 10]), out_of_order(0, 1, 0, 0));
    assert_eq!(cut(&[0, 11, 10]), out_of_order(1, 11, 0, 10));
    assert_eq!(cut(&[0, 5, 9]), out_of_order(2, 9, 10, 10));
    assert_eq!(
        Shared::new(&World::new(3).unwrap(), vec![(); 9], vec![0, 6, 5, 9]).unwrap_err(),
        out_of_order(2, 5, 6, 9)
    );
}
