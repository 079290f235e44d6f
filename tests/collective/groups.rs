//! Many buffers in one round, values and slices of different lengths, and groups of ranks.

use crate::ranks::{Random, hard_values, on_ranks};
use phalanx_collective::{CollectiveError, Communicator, Op, Peers, World};
use std::time::Duration;

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Cuts `values` into buffers of these lengths.
fn buffers<'v, T>(mut values: &'v mut [T], lengths: &[usize]) -> Vec<&'v mut [T]> {
    let mut buffers = Vec::new();
    for &len in lengths {
        let buffer;
        (buffer, values) = values.split_at_mut(len);
        buffers.push(buffer);
    }
    assert!(values.is_empty());
    buffers
}

#[test]
fn many_buffers_have_the_bits_of_one_call_each_whatever_their_lengths() {
    for size in 1..=8 {
        for case in 0..12 {
            let mut random = Random(size as u64 * 100 + case);
            let lengths: Vec<usize> = (0..random.below(12))
                .map(|_| match random.below(4) {
                    0 => 0,
                    1 => 1,
                    2 => random.below(40) as usize,
                    _ => random.below(3000) as usize,
                })
                .collect();
            let inputs = hard_values::<f32>(size, lengths.iter().sum(), &mut random);
            on_ranks(World::new(size).unwrap(), |mut rank| {
                for op in OPS {
                    let mut expected = inputs[rank.rank()].clone();
                    for buffer in buffers(&mut expected, &lengths) {
                        rank.all_reduce(buffer, op).unwrap();
                    }
                    let mut found = inputs[rank.rank()].clone();
                    rank.all_reduce_many(&mut buffers(&mut found, &lengths), op).unwrap();
                    assert_eq!(bits(&found), bits(&expected), "{op} of {lengths:?} over {size}");
                }
            });
        }
    }
}

/// Returns the error of the call in which the ranks of a world of 3 pass buffers of these lengths.
fn disagreement(lengths: [&[usize]; 3]) -> String {
    let errors = on_ranks(World::new(3).unwrap(), |mut rank| {
        let own = lengths[rank.rank()];
        let mut values = vec![rank.rank() as f64; own.iter().sum()];
        let error = rank.all_reduce_many(&mut buffers(&mut values, own), Op::Sum).unwrap_err();
        assert!(values.iter().all(|value| *value == rank.rank() as f64), "the values changed");
        rank.barrier().unwrap();
        error.to_string()
    });
    assert!(errors.windows(2).all(|pair| pair[0] == pair[1]), "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn buffers_that_differ_are_reported_on_every_rank_and_stay_unchanged() {
    let text = "rank 1 passed 2 elements in buffer 1, but rank 0 passed 3; every rank must make the same calls in \
                the same order";
    assert_eq!(disagreement([&[20, 3, 5], &[20, 2, 6], &[20, 3, 5]]), text);
    let cases: [[&[usize]; 3]; 3] =
        [[&[40, 0], &[40, 0], &[40]], [&[], &[], &[0, 0]], [&[7, 7], &[7, 7], &[7, 7, 7]]];
    let found = cases.map(|lengths| disagreement(lengths).split(';').next().unwrap().to_owned());
    assert_eq!(
        found,
        [
            "rank 2 passed 1 buffers, but rank 0 passed 2",
            "rank 2 passed 2 buffers, but rank 0 passed 0",
            "rank 2 passed 21 elements, but rank 0 passed 14",
        ]
    );
}

#[test]
fn calls_that_lend_in_the_same_way_are_told_apart() {
    type Call = fn(&mut Communicator) -> Result<(), CollectiveError>;
    let calls: [Call; 3] = [
        |rank| rank.lend(&[1_usize][..], |_| ()),
        |rank| rank.all_gather_vec(&[1_usize]).map(drop),
        |rank| rank.split(1).map(drop),
    ];
    let names = ["lend", "all-gather into a vector", "split"];
    for first in 0..3 {
        for second in (0..3).filter(|second| *second != first) {
            let errors = on_ranks(World::new(2).unwrap(), |mut rank| {
                let error = calls[[first, second][rank.rank()]](&mut rank).unwrap_err();
                rank.barrier().unwrap();
                error.to_string()
            });
            let expected = format!("rank 1 called {}, but rank 0 called {};", names[second], names[first]);
            assert!(errors.iter().all(|error| error.starts_with(&expected)), "{errors:?}");
        }
    }
}

#[test]
fn a_mean_of_many_integers_is_refused() {
    let mut rank = World::new(1).unwrap().communicators().next().unwrap();
    let error = rank.all_reduce_many(&mut [&mut [1, 2], &mut [3]], Op::Mean);
    assert_eq!(error, Err(CollectiveError::MeanOfIntegers { element: "i32" }));
}

#[test]
fn ranks_lend_slices_of_different_lengths() {
    for size in 1..=5 {
        on_ranks(World::new(size).unwrap(), |mut rank| {
            let own: Vec<usize> = (0..rank.rank()).map(|index| 10 * rank.rank() + index).collect();
            let lengths = |peers: Peers<'_, [usize]>| peers.iter().map(<[usize]>::len).collect::<Vec<_>>();
            assert_eq!(rank.lend(&own[..], lengths).unwrap(), (0..size).collect::<Vec<_>>());
            let expected: Vec<usize> =
                (0..size).flat_map(|rank| (0..rank).map(move |index| 10 * rank + index)).collect();
            assert_eq!(rank.all_gather_vec(&own).unwrap(), expected);
            let name = format!("rank {}", rank.rank());
            let last = rank.lend(name.as_str(), |peers| peers.get(size - 1).to_owned()).unwrap();
            assert_eq!(last, format!("rank {}", size - 1));
        });
    }
}

#[test]
fn groups_communicate_at_the_same_time_and_number_their_ranks_from_0() {
    for size in 1..=9 {
        on_ranks(World::new(size).unwrap(), |mut rank| {
            let number = rank.rank();
            let mut group = rank.split(number % 3).unwrap();
            let members: Vec<usize> = (0..size).filter(|member| member % 3 == number % 3).collect();
            assert_eq!((group.rank(), group.world_size()), (number / 3, members.len()));
            for round in 0..20 {
                let sum = group.all_reduce_value(number + round, Op::Sum).unwrap();
                assert_eq!(sum, members.iter().sum::<usize>() + round * members.len());
                let all = rank.all_reduce_value(number, Op::Max).unwrap();
                assert_eq!(all, size - 1);
            }
        });
    }
}

#[test]
fn a_rank_that_leaves_its_group_ends_that_group_only() {
    on_ranks(World::new(4).unwrap(), |mut rank| {
        let number = rank.rank();
        let mut group = rank.split(number / 2).unwrap();
        if number == 1 {
            drop(group);
        } else if number == 0 {
            assert_eq!(group.barrier(), Err(CollectiveError::Left { rank: 1 }));
        } else {
            group.barrier().unwrap();
        }
        rank.barrier().unwrap();
    });
}

#[test]
fn a_rank_that_is_gone_fails_the_split_on_all_others() {
    on_ranks(World::new(3).unwrap(), |mut rank| {
        if rank.rank() != 2 {
            assert_eq!(rank.split(0).unwrap_err(), CollectiveError::Left { rank: 2 });
        }
    });
}

#[test]
fn a_group_has_the_timeout_of_its_world() {
    let world = World::with_timeout(2, Duration::from_millis(20)).unwrap();
    let rank_0_gave_up = std::sync::Barrier::new(2);
    on_ranks(world, |mut rank| {
        let mut group = rank.split(0).unwrap();
        if rank.rank() == 0 {
            let error = group.barrier().unwrap_err();
            assert!(matches!(error, CollectiveError::TimedOut { missing, .. } if missing == [1]));
        }
        rank_0_gave_up.wait();
    });
}
