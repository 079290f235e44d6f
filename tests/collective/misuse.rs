//! Shows that misuse gives the same typed error on every rank, and leaves values unchanged and the
//! world usable.

use crate::ranks::on_ranks;
use phalanx_collective::internals::{Difference, Operation};
use phalanx_collective::{AbortHandle, CollectiveError, Communicator, Op, Shared, World};
use std::time::Duration;

#[test]
fn handles_can_be_sent_and_shared_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<(World, Communicator, AbortHandle, Shared<f32>, CollectiveError)>();
}

#[test]
fn a_world_without_ranks_is_rejected() {
    assert_eq!(World::new(0).unwrap_err(), CollectiveError::ZeroRanks);
    assert_eq!(World::with_timeout(0, Duration::ZERO).unwrap_err(), CollectiveError::ZeroRanks);
}

/// Runs `call` on three ranks and returns the error that they all get, after checking that the
/// world is still usable.
fn disagreement(call: impl Fn(&mut Communicator) -> Result<(), CollectiveError> + Sync) -> CollectiveError {
    let mut errors = on_ranks(World::new(3).unwrap(), |mut rank| {
        let error = call(&mut rank).unwrap_err();
        let mut values = vec![1; 100];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        assert_eq!(values, vec![3; 100]);
        error
    });
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors.swap_remove(0)
}

fn mismatch(rank: usize, difference: Difference) -> CollectiveError {
    CollectiveError::Mismatch { rank, difference: difference.to_string() }
}

#[test]
fn a_different_length_is_reported_on_every_rank_and_buffers_are_unchanged() {
    for (len, other) in [(1, 2), (100, 101), (1, 1000)] {
        let error = disagreement(|rank| {
            let len = if rank.rank() == 2 { other } else { len };
            let mut values = vec![rank.rank() as f32; len];
            let outcome = rank.all_reduce(&mut values, Op::Sum);
            assert_eq!(values, vec![rank.rank() as f32; len]);
            outcome
        });
        assert_eq!(error, mismatch(2, Difference::Len { expected: len, found: other }));
    }
}

#[test]
fn a_different_operation_is_reported_on_every_rank() {
    let error = disagreement(|rank| match rank.rank() {
        0 => rank.barrier(),
        _ => rank.all_reduce(&mut [1.0; 50], Op::Max),
    });
    let (expected, found) = (Operation::Barrier, Operation::AllReduce(Op::Max));
    assert_eq!(error, mismatch(1, Difference::Operation { expected, found }));
    let text = "rank 1 called all-reduce (max), but rank 0 called barrier; every rank must make the same calls in the \
                same order";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_different_operator_is_reported_on_every_rank() {
    let error = disagreement(|rank| {
        let op = if rank.rank() == 1 { Op::Min } else { Op::Sum };
        rank.all_reduce(&mut [1.0; 2], op)
    });
    let (expected, found) = (Operation::AllReduce(Op::Sum), Operation::AllReduce(Op::Min));
    assert_eq!(error, mismatch(1, Difference::Operation { expected, found }));
}

#[test]
fn a_different_element_type_is_reported_on_every_rank() {
    let error = disagreement(|rank| match rank.rank() {
        2 => rank.all_reduce(&mut [1i32; 50], Op::Sum),
        _ => rank.all_reduce(&mut [1f32; 50], Op::Sum),
    });
    assert_eq!(error, mismatch(2, Difference::ElementType { expected: "f32", found: "i32" }));
}

#[test]
fn a_different_type_of_loan_is_reported_on_every_rank() {
    let error = disagreement(|rank| match rank.rank() {
        1 => rank.lend(&1u8, |_| ()),
        _ => rank.lend(&1u16, |_| ()),
    });
    assert_eq!(error, mismatch(1, Difference::ElementType { expected: "u16", found: "u8" }));
}

#[test]
fn a_different_root_is_reported_on_every_rank() {
    let error = disagreement(|rank| {
        let root = rank.rank() / 2;
        rank.broadcast(&mut [1; 3], root)
    });
    assert_eq!(error, mismatch(2, Difference::Root { expected: 0, found: 1 }));
}

#[test]
fn a_root_that_does_not_exist_is_rejected_on_every_rank() {
    let error = disagreement(|rank| rank.broadcast(&mut [1; 3], 3));
    assert_eq!(error, CollectiveError::RootOutOfRange { root: 3, world_size: 3 });
}

#[test]
fn a_mean_of_integers_is_rejected_on_every_rank() {
    for len in [1, 100] {
        let error = disagreement(|rank| rank.all_reduce(&mut vec![1u64; len], Op::Mean));
        assert_eq!(error, CollectiveError::MeanOfIntegers { element: "u64" });
        let error = disagreement(|rank| rank.reduce_scatter(&mut vec![1u64; len], Op::Mean).map(drop));
        assert_eq!(error, CollectiveError::MeanOfIntegers { element: "u64" });
    }
}

#[test]
fn a_different_shared_value_is_rejected_on_every_rank() {
    let world = World::new(3).unwrap();
    let shared = [Shared::even(&world, vec![1; 9]), Shared::even(&world, vec![1; 9])];
    let errors = on_ranks(world, |mut rank| {
        let own = &shared[rank.rank() % 2];
        rank.update(own, &(), |_, _| unreachable!("the ranks disagree")).unwrap_err()
    });
    assert_eq!(errors, vec![mismatch(1, Difference::Shared); 3]);
    assert!(!shared[0].is_torn());
}

#[test]
fn a_rewrite_of_a_different_shared_value_is_rejected_on_every_rank() {
    let world = World::new(2).unwrap();
    let shared = [Shared::even(&world, vec![1; 9]), Shared::even(&world, vec![1; 9])];
    let errors = on_ranks(world, |mut rank| {
        let own = &shared[rank.rank()];
        rank.rewrite(own, |_| unreachable!("the ranks disagree")).unwrap_err()
    });
    assert_eq!(errors, vec![mismatch(1, Difference::Shared); 2]);
    assert!(!shared[0].is_torn());
}

#[test]
fn a_shared_value_of_another_world_is_rejected() {
    let stranger = World::new(3).unwrap();
    let shared = Shared::even(&stranger, vec![1; 9]);
    let error = disagreement(|rank| {
        assert_eq!(shared.read(rank), Err(CollectiveError::NotOfThisWorld));
        rank.update(&shared, &(), |_, _| unreachable!("the value belongs to another world"))
    });
    assert_eq!(error, CollectiveError::NotOfThisWorld);
}
