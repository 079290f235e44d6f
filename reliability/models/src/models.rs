//! Small programs that a model checker runs in every possible order of their threads.
//!
//! Loom runs each model once for every interleaving that can make a difference, with the C11 memory
//! model: two ranks without a bound, three with at most three preemptions. Shuttle runs the same
//! models, and a complete step of four ranks, in random orders, half of them with random priorities
//! (PCT: Burckhardt et al. 2010, "A Randomized Scheduler with Probabilistic Guarantees of Finding
//! Bugs"). A model fails on a race on a [`TrackedCell`], a deadlock or a failed assertion.
//!
//! ```sh
//! cargo test --manifest-path reliability/models/Cargo.toml --features loom    # or shuttle; -- --include-ignored for all
//! ```
#![allow(unsafe_code)] // A tracked cell is accessed through a raw pointer.

use crate::collective::internals::{Difference, Operation};
use crate::collective::{ChunkError, CollectiveError, Communicator, Op, Peers, Shared, World, map_reduce};
use crate::watched::{Arc, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

#[cfg(feature = "loom")]
use loom::thread;
#[cfg(feature = "shuttle")]
use shuttle::thread;

/// The maximum number of preemptions that loom tries; `None` for no limit.
type Bound = Option<usize>;

/// For two ranks in at most two rounds.
const UNBOUNDED: Bound = None;
/// For three ranks, more rounds, or failures, which would otherwise have billions of interleavings.
const AT_MOST_3: Bound = Some(3);

#[cfg(feature = "loom")]
fn check(bound: Bound, model: impl Fn() + Send + Sync + 'static) {
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    let (name, runs) = (name_of_test(), runs.load(std::sync::atomic::Ordering::Relaxed));
    println!("A1 1/1: {runs} interleavings: {name}");
}

/// Runs `SCHEDULES` random schedules and the same number with priorities; by default 1000 each.
#[cfg(feature = "shuttle")]
fn check(_: Bound, model: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("SCHEDULES").map(|count| count.parse().expect("SCHEDULES is a number"));
    let (schedules, model) = (schedules.unwrap_or(1000), std::sync::Arc::new(model));
    let (random, by_priority) = (std::sync::Arc::clone(&model), model);
    shuttle::check_random(move || random(), schedules);
    shuttle::check_pct(move || by_priority(), schedules, 3);
    let all = 2 * schedules;
    println!("A2 {all}/{all}: schedules, half of them with priorities: {}", name_of_test());
}

fn name_of_test() -> String {
    std::thread::current()
        .name()
        .unwrap_or("a model")
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .replace('_', " ")
}

/// Runs `work` once per rank, rank 0 on the current thread and each other rank on a new thread, and
/// returns the results in rank order.
fn on_ranks<R: Send + 'static>(
    world: World,
    work: impl Fn(Communicator) -> R + Send + Sync + 'static,
) -> Vec<R> {
    let work = Arc::new(work);
    let mut ranks = world.communicators();
    let first = ranks.next().expect("a world has a rank");
    let others: Vec<_> = ranks
        .map(|rank| {
            let work = Arc::clone(&work);
            thread::spawn(move || work(rank))
        })
        .collect();
    let mut results = vec![work(first)];
    results.extend(others.into_iter().map(|thread| thread.join().expect("no rank panics in this model")));
    results
}

fn world(size: usize) -> World {
    World::new(size).expect("a model has ranks")
}

/// A value tracked by the checker: the model fails if two threads access it without synchronization
/// and at least one of them writes.
struct TrackedCell(UnsafeCell<u64>);

// SAFETY: the models verify that no thread reads while another writes.
unsafe impl Sync for TrackedCell {}
// SAFETY: as above.
unsafe impl Send for TrackedCell {}

impl TrackedCell {
    fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn read(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }

    fn write(&self, value: u64) {
        // SAFETY: as above.
        self.0.with_mut(|slot| unsafe { *slot = value });
    }
}

/// Each rank writes before a barrier, and all ranks read after it; the next barrier ends the reads.
fn barriers(size: usize, rounds: u64) {
    let cells: Arc<Vec<TrackedCell>> = Arc::new((0..size).map(|_| TrackedCell::new(0)).collect());
    on_ranks(world(size), move |mut rank| {
        for round in 0..rounds {
            if round % 2 == 0 {
                cells[rank.rank()].write(round);
            } else {
                assert!(cells.iter().all(|cell| cell.read() == round - 1));
            }
            rank.barrier().unwrap();
        }
        if rounds % 2 == 1 {
            assert!(cells.iter().all(|cell| cell.read() == rounds - 1));
        }
    });
}

#[test]
fn a_barrier_orders_writes_of_two_ranks() {
    check(UNBOUNDED, || barriers(2, 1));
}

#[test]
fn two_barriers_order_writes_and_reads_of_two_ranks() {
    check(UNBOUNDED, || barriers(2, 2));
}

#[test]
fn barriers_of_four_generations_are_distinguished() {
    check(AT_MOST_3, || barriers(2, 4));
}

#[test]
fn a_barrier_orders_writes_of_three_ranks() {
    check(AT_MOST_3, || barriers(3, 1));
}

/// Values small enough to be sent with the arrival, in consecutive rounds, so that both buffers of
/// a slot are reused.
fn payloads(size: usize, rounds: u64) {
    on_ranks(world(size), move |mut rank| {
        for round in 0..rounds {
            let mut values = [rank.rank() as u64 + 10 * round, 1];
            rank.all_reduce(&mut values, Op::Sum).unwrap();
            let size = size as u64;
            assert_eq!(values, [size * (size - 1) / 2 + 10 * round * size, size]);
        }
    });
}

#[test]
#[cfg_attr(feature = "loom", ignore = "takes a minute or two")]
fn copies_of_two_rounds_are_not_mixed_up() {
    check(UNBOUNDED, || payloads(2, 2));
}

#[test]
fn copies_are_not_overwritten_while_another_rank_reads_them() {
    check(AT_MOST_3, || payloads(2, 3));
}

#[test]
fn copies_of_three_ranks_are_added_up() {
    check(AT_MOST_3, || payloads(3, 1));
}

/// Memory that all ranks read in a round, and that its owner writes right after it.
fn loans(size: usize, rounds: u64) {
    on_ranks(world(size), move |mut rank| {
        let own = TrackedCell::new(rank.rank() as u64);
        for round in 0..rounds {
            let sum: u64 = rank.lend(&own, |peers| peers.iter().map(TrackedCell::read).sum()).unwrap();
            let size = size as u64;
            assert_eq!(sum, size * (size - 1) / 2 + round * size);
            own.write(own.read() + 1);
        }
    });
}

#[test]
fn a_loan_ends_before_its_owner_continues() {
    check(UNBOUNDED, || loans(2, 1));
}

#[test]
fn loans_of_two_rounds_end_before_their_owners_continue() {
    check(AT_MOST_3, || loans(2, 2));
}

#[test]
fn a_loan_of_three_ranks_ends_before_its_owner_continues() {
    check(AT_MOST_3, || loans(3, 1));
}

/// Too many values to be sent with the arrival, which are combined by segments.
#[test]
fn segments_are_combined_for_all_ranks() {
    check(UNBOUNDED, || {
        on_ranks(world(2), |mut rank| {
            let mut values = [rank.rank() as u64; 9];
            rank.all_reduce(&mut values, Op::Sum).unwrap();
            assert_eq!(values, [1; 9]);
        });
    });
}

/// One copy of the params: read, updated by segments, read.
fn updates(size: usize) {
    let world = world(size);
    let shared = Arc::new(Shared::even(&world, (0..size).map(|_| TrackedCell::new(1)).collect()));
    on_ranks(world, move |mut rank| {
        let read =
            |rank: &Communicator| shared.read(rank).unwrap().iter().map(TrackedCell::read).sum::<u64>();
        assert_eq!(read(&rank), size as u64);
        let own = 1 + rank.rank() as u64;
        rank.update(&*shared, &own, |all, segment| {
            let total: u64 = all.iter().sum();
            segment.iter().for_each(|cell| cell.write(total));
        })
        .unwrap();
        let size = size as u64;
        // The values are complete even if another rank has left.
        assert_eq!(read(&rank), size * (size * (size + 1) / 2));
    });
}

#[test]
fn an_update_comes_after_all_have_read_and_before_all_read_again() {
    check(UNBOUNDED, || updates(2));
}

#[test]
#[cfg_attr(feature = "loom", ignore = "takes a minute or two")]
fn an_update_of_three_ranks_is_seen_by_all() {
    check(AT_MOST_3, || updates(3));
}

#[test]
fn a_rewrite_by_one_rank_comes_after_all_have_read_and_before_all_read_again() {
    check(UNBOUNDED, || {
        let world = world(2);
        let cells = (0..3).map(|_| TrackedCell::new(1)).collect();
        // No rank owns the last cell.
        let shared = Arc::new(Shared::within(&world, cells, vec![0, 1, 2]).unwrap());
        on_ranks(world, move |mut rank| {
            let read =
                |rank: &Communicator| shared.read(rank).unwrap().iter().map(TrackedCell::read).sum::<u64>();
            assert_eq!(read(&rank), 3);
            let worked = rank.rewrite(&*shared, |all| all.iter().for_each(|cell| cell.write(5))).unwrap();
            assert_eq!(worked.is_some(), rank.rank() == 0);
            assert_eq!(read(&rank), 15);
        });
    });
}

/// Asserts that all ranks have the same result in each round.
fn agree(results: &[Vec<Result<(), CollectiveError>>]) {
    for pair in results.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}

#[test]
fn an_abort_at_any_time_gives_all_ranks_the_same_results() {
    check(AT_MOST_3, || {
        let world = world(2);
        let handle = world.abort_handle();
        let aborter = thread::spawn(move || handle.abort("stop"));
        // Both ranks stay until both have their results.
        let results = on_ranks(world, |mut rank| {
            let seen: Vec<_> = (0..2).map(|_| rank.barrier()).collect();
            (seen, rank)
        });
        aborter.join().unwrap();
        let seen: Vec<_> = results.into_iter().map(|(seen, _)| seen).collect();
        agree(&seen);
        let aborted = CollectiveError::Aborted { reason: "stop".into() };
        assert!(seen[0].iter().all(|result| result.is_ok() || *result == Err(aborted.clone())));
    });
}

#[test]
fn a_rank_that_leaves_ends_the_next_round_and_not_the_last() {
    check(UNBOUNDED, || {
        let results = on_ranks(world(2), |mut rank| {
            let first = rank.barrier();
            if rank.rank() == 1 { vec![first] } else { vec![first, rank.barrier()] }
        });
        assert_eq!(results[1], [Ok(())]);
        assert_eq!(results[0], [Ok(()), Err(CollectiveError::Left { rank: 1 })]);
    });
}

#[test]
fn a_rank_that_leaves_is_reported_to_two_other_ranks() {
    check(AT_MOST_3, || {
        let results = on_ranks(world(3), |mut rank| if rank.rank() == 2 { Ok(()) } else { rank.barrier() });
        // The rank that receives the error first leaves too, which must not replace the cause.
        assert_eq!(results[..2], [const { Err(CollectiveError::Left { rank: 2 }) }; 2]);
    });
}

/// A rank whose communicator outlives its session; the session ends with its task or is finished
/// before.
fn sessions(size: usize, finishes: bool) -> Vec<Result<(), CollectiveError>> {
    let results = on_ranks(world(size), move |mut rank| {
        let mut session = rank.enter();
        session.barrier().unwrap();
        if session.rank() == 0 {
            let second = session.barrier();
            session.finish();
            return (second, rank);
        }
        if finishes {
            session.finish();
            return (rank.barrier(), rank);
        }
        drop(session);
        (Ok(()), rank)
    });
    results.into_iter().map(|(second, _)| second).collect()
}

#[test]
fn a_session_that_ends_with_its_task_ends_the_next_round() {
    check(UNBOUNDED, || assert_eq!(sessions(2, false), [Err(CollectiveError::Left { rank: 1 }), Ok(())]));
}

#[test]
fn a_finished_session_does_not_end_the_world() {
    check(UNBOUNDED, || assert_eq!(sessions(2, true), [Ok(()), Ok(())]));
}

#[test]
fn the_first_of_two_failures_is_reported_to_all() {
    check(AT_MOST_3, || {
        let results = on_ranks(world(3), |mut rank| match rank.rank() {
            0 => rank.barrier().unwrap_err(),
            number => rank.fail(number.to_string()),
        });
        let failed = |rank: usize| CollectiveError::Failed { rank, reason: rank.to_string() };
        assert!(results.iter().all(|cause| *cause == results[0]), "{results:?}");
        assert!([1, 2].map(failed).contains(&results[0]), "{results:?}");
    });
}

/// A panic in the work of one rank: it unwinds on that rank, and is an error on the others.
fn panics(size: usize) {
    let results = on_ranks(world(size), |mut rank| {
        let number = rank.rank();
        let own = TrackedCell::new(0);
        let work = AssertUnwindSafe(|| {
            rank.lend(&own, |peers| {
                peers.iter().for_each(|cell| assert_eq!(cell.read(), 0));
                if number == 0 {
                    resume_unwind(Box::new("planned"));
                }
            })
        });
        let outcome = catch_unwind(work);
        own.write(1);
        outcome.ok()
    });
    assert_eq!(results[0], None);
    assert!(results[1..].iter().all(|result| *result == Some(Err(CollectiveError::Panicked { rank: 0 }))));
}

#[test]
fn a_panic_in_the_work_reaches_the_other_rank() {
    check(AT_MOST_3, || panics(2));
}

#[test]
#[cfg_attr(feature = "loom", ignore = "takes a minute or two")]
fn a_panic_in_the_work_reaches_two_other_ranks() {
    check(AT_MOST_3, || panics(3));
}

#[test]
fn a_panic_in_an_update_tears_the_value_for_all() {
    check(AT_MOST_3, || {
        let world = world(2);
        let shared = Arc::new(Shared::even(&world, vec![0; 2]));
        let torn = on_ranks(world, move |mut rank| {
            let work = |_: Peers<'_, usize>, _: &mut [u64]| resume_unwind(Box::new("planned"));
            let number = rank.rank();
            let outcome = catch_unwind(AssertUnwindSafe(|| match number {
                1 => rank.update(&*shared, &number, work),
                _ => rank.update(&*shared, &number, |_, _| ()),
            }));
            assert_eq!(outcome.is_err(), number == 1);
            let cause = Err(CollectiveError::Panicked { rank: 1 });
            assert!(shared.read(&rank).map(<[u64]>::len) == cause.clone().map(|()| 0));
            assert!(outcome.is_err() || outcome.ok() == Some(cause));
            shared.is_torn()
        });
        assert_eq!(torn, [true, true]);
    });
}

#[test]
fn a_mismatch_is_reported_to_both_and_the_next_round_works() {
    check(AT_MOST_3, || {
        on_ranks(world(2), |mut rank| {
            let mut values = vec![7u64; 9 + rank.rank()];
            let difference = Difference::Len { expected: 9, found: 10 };
            let refused = rank.all_reduce(&mut values, Op::Sum);
            assert_eq!(
                refused,
                Err(CollectiveError::Mismatch { rank: 1, difference: difference.to_string() })
            );
            assert!(values.iter().all(|&value| value == 7));
            rank.barrier().unwrap();
        });
    });
}

#[test]
fn different_operations_are_reported_to_both() {
    check(UNBOUNDED, || {
        on_ranks(world(2), |mut rank| {
            let result =
                if rank.rank() == 0 { rank.barrier() } else { rank.all_reduce(&mut [1u64], Op::Sum) };
            let (expected, found) = (Operation::Barrier, Operation::AllReduce(Op::Sum));
            let difference = Difference::Operation { expected, found };
            assert_eq!(
                result,
                Err(CollectiveError::Mismatch { rank: 1, difference: difference.to_string() })
            );
        });
    });
}

fn missing_of(result: &Result<(), CollectiveError>) -> Option<&[usize]> {
    match result {
        Ok(()) => None,
        Err(CollectiveError::TimedOut { missing, .. }) => Some(missing),
        Err(other) => panic!("no rank leaves in this model: {other}"),
    }
}

/// Ranks with a timeout, which can elapse at any time, and ranks without.
fn timeouts(size: usize, with_timeout: usize) {
    let results = on_ranks(world(size), move |mut rank| {
        if rank.rank() < with_timeout {
            rank.set_timeout(Some(Duration::from_secs(60)));
        }
        (rank.barrier(), rank)
    });
    let verdicts: Vec<_> = results.iter().map(|(verdict, _)| verdict.clone()).collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?}");
    if let Some(missing) = missing_of(&verdicts[0]) {
        assert!(!missing.is_empty() && missing.len() < size, "{verdicts:?}");
    }
}

#[test]
fn a_timeout_at_any_time_gives_both_ranks_the_same_result() {
    check(UNBOUNDED, || timeouts(2, 1));
}

#[test]
fn two_timeouts_at_any_time_give_both_ranks_the_same_result() {
    check(UNBOUNDED, || timeouts(2, 2));
}

#[test]
fn a_timeout_at_any_time_gives_three_ranks_the_same_result() {
    check(AT_MOST_3, || timeouts(3, 1));
}

#[test]
fn a_missing_rank_is_reported_and_receives_the_same_error_when_it_arrives_late() {
    check(UNBOUNDED, || {
        let mut ranks = world(2).communicators();
        let (mut waiting, mut late) = (ranks.next().unwrap(), ranks.next().unwrap());
        waiting.set_timeout(Some(Duration::from_secs(60)));
        let waiter = thread::spawn(move || waiting.barrier());
        let verdict = waiter.join().unwrap();
        assert_eq!(missing_of(&verdict), Some([1].as_slice()));
        assert_eq!(late.barrier(), verdict);
    });
}

#[test]
fn an_abort_and_a_timeout_at_any_time_give_both_ranks_the_same_result() {
    check(AT_MOST_3, || {
        let world = world(2);
        let handle = world.abort_handle();
        let aborter = thread::spawn(move || handle.abort("stop"));
        let results = on_ranks(world, |mut rank| {
            rank.set_timeout((rank.rank() == 0).then_some(Duration::from_secs(60)));
            (vec![rank.barrier()], rank)
        });
        aborter.join().unwrap();
        agree(&results.into_iter().map(|(verdict, _)| verdict).collect::<Vec<_>>());
    });
}

/// The operations of a training step: read the params, update them, reduce the loss, repeat.
fn steps(size: usize, count: u64) {
    let world = world(size);
    let params = Arc::new(Shared::even(&world, (0..2 * size).map(|_| TrackedCell::new(0)).collect()));
    on_ranks(world, move |mut rank| {
        for step in 0..count {
            let gradient: u64 = params.read(&rank).unwrap().iter().map(TrackedCell::read).sum::<u64>() + 1;
            rank.update(&*params, &gradient, |gradients, segment| {
                let total: u64 = gradients.iter().sum();
                segment.iter().for_each(|param| param.write(total));
            })
            .unwrap();
            let mut loss = [1.0f64];
            rank.all_reduce(&mut loss, Op::Mean).unwrap();
            assert_eq!(loss, [1.0], "in step {step}");
        }
        rank
    });
}

#[test]
fn a_step_of_two_ranks_is_complete() {
    check(AT_MOST_3, || steps(2, 1));
}

#[cfg(feature = "shuttle")]
#[test]
fn steps_of_four_ranks_are_complete() {
    check(None, || steps(4, 2));
}

/// An external abort and timeouts at any point in the steps of four ranks: all ranks stop after the
/// same step, with the same cause.
#[cfg(feature = "shuttle")]
#[test]
fn four_interrupted_ranks_stop_at_the_same_step() {
    check(None, || {
        let world = world(4);
        let params = Arc::new(Shared::even(&world, (0..4).map(|_| TrackedCell::new(0)).collect()));
        let handle = world.abort_handle();
        let aborter = thread::spawn(move || handle.abort("stop"));
        let results = on_ranks(world, move |mut rank| {
            rank.set_timeout((rank.rank() % 2 == 0).then_some(Duration::from_secs(60)));
            let mut step = |rank: &mut Communicator| -> Result<(), CollectiveError> {
                let gradient = 1 + params.read(rank)?.iter().map(TrackedCell::read).sum::<u64>();
                rank.update(&*params, &gradient, |all, own| {
                    own.iter().for_each(|param| param.write(all.iter().sum()))
                })?;
                rank.all_reduce(&mut [1.0f64], Op::Sum)
            };
            let mut done = 0;
            let cause = loop {
                match step(&mut rank) {
                    Ok(()) if done < 2 => done += 1,
                    Ok(()) => break None,
                    Err(cause) => break Some(cause),
                }
            };
            (done, cause, rank)
        });
        aborter.join().unwrap();
        assert!(results.windows(2).all(|pair| pair[0].1 == pair[1].1));
        assert!(results.windows(2).all(|pair| pair[0].0 == pair[1].0));
    });
}

/// Runs the work of an ordered sum on a new thread and on the current one.
fn on_two_threads(work: &(dyn Fn() + Sync)) {
    // SAFETY: the thread is joined before the reference ends.
    let work: &'static (dyn Fn() + Sync) = unsafe { std::mem::transmute(work) };
    let thread = thread::spawn(work);
    work();
    thread.join().expect("no chunk panics in this model");
}

#[test]
fn chunks_are_merged_in_the_same_tree_by_whichever_thread_completes_them() {
    check(AT_MOST_3, || {
        let map = |(): &mut (), chunk: usize| Ok::<_, u8>(Box::new(TrackedCell::new(chunk as u64 + 1)));
        let merge = |left: Box<TrackedCell>, right: Box<TrackedCell>| {
            Box::new(TrackedCell::new(10 * left.read() + right.read()))
        };
        let root = map_reduce(on_two_threads, 3, || (), map, merge).unwrap().unwrap();
        assert_eq!(root.read(), 10 * 12 + 3);
    });
}

#[test]
fn the_first_chunk_that_fails_is_the_error_whichever_fails_first() {
    check(AT_MOST_3, || {
        let map = |(): &mut (), chunk: usize| if chunk > 0 { Err(chunk) } else { Ok(()) };
        let error = map_reduce(on_two_threads, 4, || (), map, |(), ()| ()).unwrap_err();
        assert_eq!(error, ChunkError::Failed { chunk: 1, chunks: 4, source: 1 });
    });
}

#[test]
fn a_group_is_created_by_its_first_rank_and_used_by_all() {
    check(AT_MOST_3, || {
        on_ranks(world(2), |mut rank| {
            let mut group = rank.split(0).unwrap();
            group.barrier().unwrap();
            (rank, group)
        });
    });
}

#[test]
fn many_buffers_are_reduced_or_refused_on_both_ranks() {
    check(AT_MOST_3, || {
        let results = on_ranks(world(2), |mut rank| {
            let (mut long, mut short) = ([1, 2, 3], [4]);
            rank.all_reduce_many(&mut [&mut long, &mut short], Op::Sum).unwrap();
            let result = (long, short);
            let count = 2 - rank.rank();
            let refused = match count {
                1 => rank.all_reduce_many(&mut [&mut long], Op::Sum),
                _ => rank.all_reduce_many(&mut [&mut long[..2], &mut short], Op::Sum),
            };
            (result, refused.unwrap_err(), rank)
        });
        for (result, refused, _) in results {
            assert_eq!(result, ([2, 4, 6], [8]));
            assert!(matches!(refused, CollectiveError::Mismatch { rank: 1, .. }));
        }
    });
}
