//! Shows that processes get the results of the slow, serial versions, to the bit, for every number
//! of processes and every length; and that misuse, and processes that have left or do not respond,
//! are errors on every process.
#![cfg(feature = "processes")]

use crate::ranks::{Random, hard_values, on_ranks};
use phalanx_collective::internals::{Difference, Operation};
use phalanx_collective::{
    CollectiveError, Incoming, LocalWire, Op, Outgoing, ProcessCommunicator, Wire, World, reference,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

const SIZES: [usize; 6] = [1, 2, 3, 4, 7, 8];
const LENGTHS: [usize; 8] = [0, 1, 3, 8, 16, 17, 1000, 5003];
const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

/// Runs `work` in each of `size` processes and returns the results in order.
fn on_processes<R: Send>(size: usize, work: impl Fn(ProcessCommunicator<'_>) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let ends = LocalWire::connect(size);
        let run = |mut wire| scope.spawn(move || work(ProcessCommunicator::new(&mut wire)));
        let processes: Vec<_> = ends.map(run).collect();
        processes.into_iter().map(|process| process.join().expect("no process panics in this test")).collect()
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Compares bits; any NaN equals any other, because IEEE 754 does not specify its payload.
fn same(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        assert!(x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(), "{x}, expected {y}");
    }
}

#[test]
fn reductions_have_the_bits_of_the_reference() {
    let mut random = Random(7);
    for size in SIZES {
        for len in LENGTHS {
            let inputs: Vec<Vec<f32>> = hard_values(size, len, &mut random);
            for op in OPS {
                let expected = reference::all_reduce(&inputs, op).unwrap();
                let scattered = reference::reduce_scatter(&inputs, op).unwrap();
                let found = on_processes(size, |mut process| {
                    let mut all = inputs[process.rank()].clone();
                    process.all_reduce(&mut all, op).unwrap();
                    let mut own = inputs[process.rank()].clone();
                    process.reduce_scatter(&mut own, op).unwrap();
                    (all, own)
                });
                for (process, (all, own)) in found.iter().enumerate() {
                    same(all, &expected);
                    same(own, &scattered[process]);
                }
            }
            let weights: Vec<f64> = (0..size).map(|rank| (rank % 3) as f64 + 0.5).collect();
            let expected = reference::weighted_mean(&inputs, &weights);
            let found = on_processes(size, |mut process| {
                let mut values = inputs[process.rank()].clone();
                let total = process.all_reduce_weighted_mean(&mut values, weights[process.rank()]).unwrap();
                (values, total)
            });
            found.iter().for_each(|(values, total)| {
                same(values, &expected);
                assert_eq!(*total, reference::combine_in_tree(weights.clone(), |x, y| x + y));
            });
        }
    }
}

/// Makes the same calls with the communicator of a thread or of a process; their methods have the
/// same names.
macro_rules! everything {
    ($ranks:expr, $len:expr) => {{
        let (ranks, len) = ($ranks, $len);
        let own = ranks.rank() as u64;
        ranks.barrier().unwrap();
        let mut values: Vec<u64> = (0..len as u64).map(|index| own * 1000 + index).collect();
        ranks.all_gather(&mut values).unwrap();
        let mut roots = vec![own; len];
        ranks.broadcast(&mut roots, ranks.world_size() - 1).unwrap();
        values.append(&mut roots);
        ranks.all_reduce(&mut values, Op::Sum).unwrap();
        // A function that is associative but not commutative: matrices of two entries.
        let mut pairs = vec![[own + 1, own * 3]; len];
        let compose = |left: [u64; 2], right: [u64; 2]| {
            [left[0].wrapping_mul(right[0]), left[1].wrapping_mul(right[0]).wrapping_add(right[1])]
        };
        ranks.all_reduce_with(&mut pairs, compose).unwrap();
        (values, pairs)
    }};
}

#[test]
fn code_written_for_threads_gets_the_same_results_from_processes() {
    for size in SIZES {
        for len in LENGTHS {
            let expected = on_ranks(World::new(size).unwrap(), |mut rank| everything!(&mut rank, len));
            let found = on_processes(size, |mut process| everything!(&mut process, len));
            assert_eq!(found, expected, "{size} processes, {len} values");
        }
    }
}

#[test]
fn a_single_process_gets_its_own_values() {
    let found = on_processes(1, |mut process| {
        let mut values = [1.5_f32, f32::NAN];
        process.all_reduce(&mut values, Op::Mean).unwrap();
        bits(&values)
    });
    assert_eq!(found, [bits(&[1.5, f32::NAN])]);
}

/// Returns the error that all of three processes get, after which they can continue.
fn disagreement(
    call: impl Fn(&mut ProcessCommunicator<'_>) -> Result<(), CollectiveError> + Sync,
) -> CollectiveError {
    let mut errors = on_processes(3, |mut process| {
        let error = call(&mut process).unwrap_err();
        let mut values = vec![1; 100];
        process.all_reduce(&mut values, Op::Sum).unwrap();
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
fn different_calls_are_reported_in_every_process_and_change_nothing() {
    let difference =
        Difference::Operation { expected: Operation::AllReduce(Op::Sum), found: Operation::Barrier };
    let error = disagreement(|process| match process.rank() {
        2 => process.barrier(),
        _ => process.all_reduce(&mut [1.0_f32; 100], Op::Sum),
    });
    assert_eq!(error, mismatch(2, difference));
    for (len, other) in [(3, 4), (100, 101), (1, 1000)] {
        let error = disagreement(|process| {
            let mut values = vec![1.0_f32; if process.rank() == 1 { other } else { len }];
            let called = process.all_reduce(&mut values, Op::Sum);
            assert!(values.iter().all(|value| *value == 1.0));
            called
        });
        assert_eq!(error, mismatch(1, Difference::Len { expected: len, found: other }));
    }
    let error = disagreement(|process| match process.rank() {
        1 => process.all_reduce(&mut [1_u32; 100], Op::Sum),
        _ => process.all_reduce(&mut [1.0_f32; 100], Op::Sum),
    });
    assert_eq!(error, mismatch(1, Difference::ElementType { expected: "f32", found: "u32" }));
    let error = disagreement(|process| {
        let root = process.rank().min(1);
        process.broadcast(&mut [0_u8; 4], root)
    });
    assert_eq!(error, mismatch(1, Difference::Root { expected: 0, found: 1 }));
    let error = disagreement(|process| process.broadcast(&mut [0_u8; 4], 3));
    assert_eq!(error, CollectiveError::RootOutOfRange { root: 3, world_size: 3 });
    for len in [4, 400] {
        let error = disagreement(|process| process.all_reduce(&mut vec![1_i32; len], Op::Mean));
        assert_eq!(error, CollectiveError::MeanOfIntegers { element: "i32" });
    }
    let error = disagreement(|process| {
        let weight = if process.rank() == 1 { -1.0 } else { 1.0 };
        process.all_reduce_weighted_mean(&mut [1.0_f32], weight).map(drop)
    });
    assert_eq!(error, CollectiveError::BadWeight { rank: 1, weight: -1.0 });
}

#[test]
fn a_process_that_left_is_named_by_this_call_and_every_later_one() {
    let errors = on_processes(3, |mut process| {
        if process.rank() == 1 {
            return None;
        }
        let error = process.all_reduce(&mut [1.0_f32; 100], Op::Sum).unwrap_err();
        assert_eq!(process.barrier().unwrap_err(), error);
        Some(error)
    });
    let left = Some(CollectiveError::Left { rank: 1 });
    assert_eq!(errors, [left.clone(), None, left]);
}

#[test]
fn a_process_that_fails_sends_its_reason_to_the_others_in_any_call() {
    let long = "é".repeat(ProcessCommunicator::REASON_BYTES);
    for reason in ["no space left in /data", "", &long] {
        let causes = on_processes(3, |mut process| {
            process.barrier().unwrap();
            let cause = match process.rank() {
                0 => process.all_reduce(&mut [1.0_f32; 100], Op::Sum).unwrap_err(),
                1 => process.fail(reason),
                _ => process.broadcast(&mut [1_u8], 2).unwrap_err(),
            };
            assert_eq!(process.barrier(), Err(cause.clone()));
            assert_eq!(process.fail("later"), cause);
            cause
        });
        let sent = String::from_utf8_lossy(&reason.as_bytes()[..reason.len().min(1024)]).into_owned();
        let received = CollectiveError::Failed { rank: 1, reason: sent };
        let own = CollectiveError::Failed { rank: 1, reason: reason.to_owned() };
        assert_eq!(causes, [received.clone(), own, received]);
    }
}

#[test]
fn if_several_processes_fail_the_others_receive_the_first_reason() {
    let causes = on_processes(4, |mut process| match process.rank() {
        1 | 3 => process.fail(format!("reason {}", process.rank())),
        _ => process.barrier().unwrap_err(),
    });
    let cause = |rank| CollectiveError::Failed { rank, reason: format!("reason {rank}") };
    assert_eq!(causes, [cause(1), cause(1), cause(1), cause(3)]);
}

#[test]
fn a_process_whose_function_panicked_makes_no_further_calls() {
    let ends = on_processes(2, |mut process| {
        let victim = process.rank() == 1;
        let combine =
            |left: u64, right: u64| if victim { resume_unwind(Box::new("planted")) } else { left + right };
        let called = catch_unwind(AssertUnwindSafe(|| process.all_reduce_with(&mut [1_u64; 30], combine)));
        (called.ok(), process.barrier())
    });
    let panicked = Err(CollectiveError::Panicked { rank: 1 });
    assert_eq!(ends[1], (None, panicked));
    let left = Err(CollectiveError::Left { rank: 1 });
    assert_eq!(ends[0], (Some(left.clone()), left));
}

#[test]
fn a_process_that_does_not_respond_is_named_after_the_timeout() {
    let mut ends = LocalWire::connect(3);
    let present = [ends.next().unwrap(), ends.next().unwrap()];
    thread::scope(|scope| {
        for mut wire in present {
            scope.spawn(move || {
                let mut process = ProcessCommunicator::new(&mut wire);
                process.set_timeout(Some(Duration::from_millis(50)));
                match process.barrier().unwrap_err() {
                    CollectiveError::TimedOut { waited, missing } => {
                        assert!(waited >= Duration::from_millis(50));
                        assert_eq!(missing, [2]);
                    }
                    // The timeout of the other process expired first.
                    error => assert!(matches!(error, CollectiveError::Left { rank: 0 | 1 }), "{error}"),
                }
            });
        }
    });
    drop(ends);
}

#[test]
fn a_message_of_a_different_length_than_its_buffer_is_an_error() {
    let mut ends = LocalWire::connect(2);
    let (mut first, mut second) = (ends.next().unwrap(), ends.next().unwrap());
    first.exchange(&[Outgoing { to: 1, bytes: &[1, 2, 3] }], &mut []).unwrap();
    let mut room = [0; 2];
    let error = second.exchange(&[], &mut [Incoming { from: 0, bytes: &mut room }]).unwrap_err();
    assert_eq!(error, mismatch(0, Difference::Len { expected: 2, found: 3 }));
}
