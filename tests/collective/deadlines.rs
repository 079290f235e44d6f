//! The time until all ranks learn of a failure: rows C2 to C5 of the reliability score. Also shows
//! that a long run does not stall: A6.

use crate::ranks::{Random, on_ranks};
use crate::tally::{Tally, count, is_full, within};
use phalanx_collective::internals::{Difference, Operation};
use phalanx_collective::{CollectiveError, Communicator, Op, World};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Row C2: a rank that does not arrive until all others have timed out.
#[test]
fn a_late_rank_is_named_right_after_the_timeout_and_never_before() {
    let mut tally = Tally::new("C2", "waits that end with the late rank's name between t and t + 100 ms");
    for (millis, short) in [(10, 10), (100, 4), (1000, 1)] {
        let timeout = Duration::from_millis(millis);
        for case in 0..count(short, 100) as usize {
            let (size, late) = (4, case % 4);
            let world = World::with_timeout(size, timeout).unwrap();
            // The late rank waits here, without using a core, until all others have timed out.
            let all_gave_up = Barrier::new(size);
            let waits = on_ranks(world, |mut rank| {
                let begun = Instant::now();
                let wait = (rank.rank() != late).then(|| {
                    let error = rank.barrier().unwrap_err();
                    (begun.elapsed(), error)
                });
                all_gave_up.wait();
                wait
            });
            for (waited, error) in waits.into_iter().flatten() {
                let named = matches!(&error, CollectiveError::TimedOut { missing, .. } if *missing == [late]);
                // The rank that began to wait last may get the error when the timeout of the first
                // one expires.
                let soon = waited <= timeout + within(100) && waited + Duration::from_millis(5) >= timeout;
                tally.case(named && soon, || {
                    format!("{millis} ms, rank {late} late: {error} after {waited:?}")
                });
            }
        }
    }
    tally.end();
}

/// Row C3.
#[test]
fn after_an_abort_at_a_random_moment_all_ranks_return_soon() {
    let mut tally = Tally::new(
        "C3",
        "aborts at random moments after which all ranks return within 50 ms, with the same count of rounds",
    );
    let mut random = Random(3);
    for case in 0..count(300, 1000) {
        let size = [2, 3, 5, 8][case as usize % 4];
        let world = World::new(size).unwrap();
        let (handle, delay, aborted) = (world.abort_handle(), random.below(30_000), Mutex::new(None));
        let ends = thread::scope(|scope| {
            scope.spawn(|| {
                (0..delay).for_each(|_| std::hint::spin_loop());
                *aborted.lock().unwrap() = Some(Instant::now());
                handle.abort("a random moment");
            });
            on_ranks(world, |mut rank| {
                let goes_on = |rank: &mut Communicator| rank.all_reduce(&mut [1.0f32; 40], Op::Sum).is_ok();
                let rounds = (0..).take_while(|_| goes_on(&mut rank)).count();
                (rounds, Instant::now())
            })
        });
        let aborted = aborted.lock().unwrap().expect("the aborter has ended");
        let good = ends.iter().all(|(rounds, end)| {
            *rounds == ends[0].0 && end.saturating_duration_since(aborted) <= within(50)
        });
        tally.case(good, || {
            format!(
                "{size} ranks: {:?}",
                ends.iter()
                    .map(|(rounds, end)| (*rounds, end.saturating_duration_since(aborted)))
                    .collect::<Vec<_>>()
            )
        });
    }
    tally.end();
}

/// Makes calls that do not match those of the other ranks if `odd`.
fn misuse(kind: usize, rank: &mut Communicator, odd: bool) -> Result<(), CollectiveError> {
    match (kind, odd) {
        (0, _) => rank.all_reduce(&mut vec![1.0f32; if odd { 3 } else { 2 }], Op::Sum),
        (1, _) => rank.all_reduce(&mut vec![1.0f32; if odd { 300 } else { 200 }], Op::Sum),
        (2, _) => rank.all_reduce(&mut [1u64; 50], if odd { Op::Max } else { Op::Sum }),
        (3, false) => rank.barrier(),
        (3, true) => rank.all_reduce(&mut [1u64; 50], Op::Sum),
        (4, false) => rank.all_reduce(&mut [1.0f32; 50], Op::Sum),
        (4, true) => rank.all_reduce(&mut [1.0f64; 50], Op::Sum),
        (5, _) => rank.broadcast(&mut [1u8; 50], usize::from(odd)),
        _ => rank.reduce_scatter(&mut vec![1i32; if odd { 90 } else { 80 }], Op::Min).map(drop),
    }
}

/// Row C4. Two calls of one rank at a time, which the table also names, do not compile: a
/// communicator cannot be cloned, and a call borrows it exclusively.
#[test]
fn misuse_gives_every_rank_the_same_typed_error_without_waiting() {
    let mut tally = Tally::new("C4", "misuses that give every rank the same typed error");
    for size in [2, 3, 5, 8] {
        for (kind, odd) in (0..7).flat_map(|kind| (1..size).map(move |odd| (kind, odd))) {
            let errors = on_ranks(World::new(size).unwrap(), |mut rank| {
                let is_odd = rank.rank() == odd;
                let error = misuse(kind, &mut rank, is_odd).unwrap_err();
                // The world must still be usable.
                (error, rank.barrier())
            });
            let good = errors.iter().all(|(error, after)| {
                matches!(error, CollectiveError::Mismatch { rank, .. } if *rank == odd)
                    && *error == errors[0].0
                    && after.is_ok()
            });
            tally.case(good, || format!("misuse {kind} by rank {odd} of {size}: {errors:?}"));
        }
        for root in [size, usize::MAX] {
            let errors = on_ranks(World::new(size).unwrap(), |mut rank| {
                rank.broadcast(&mut [1u8; 9], root).unwrap_err()
            });
            let expected = CollectiveError::RootOutOfRange { root, world_size: size };
            tally.case(errors.iter().all(|error| *error == expected), || format!("root {root}: {errors:?}"));
        }
        for leaver in 0..size {
            let errors = on_ranks(World::new(size).unwrap(), |mut rank| {
                if rank.rank() == leaver { None } else { Some(rank.barrier()) }
            });
            let left = Err(CollectiveError::Left { rank: leaver });
            let good = errors.iter().flatten().all(|error| *error == left);
            tally.case(good, || format!("rank {leaver} of {size} dropped while others wait: {errors:?}"));
        }
        let world = World::new(size).unwrap();
        world.abort_handle().abort("before");
        let errors = on_ranks(world, |mut rank| {
            (0..7).map(|kind| misuse(kind, &mut rank, false).unwrap_err()).collect::<Vec<_>>()
        });
        let aborted = CollectiveError::Aborted { reason: "before".into() };
        tally.case(errors.iter().flatten().all(|error| *error == aborted), || {
            format!("use after abort: {errors:?}")
        });
    }
    tally.case(World::new(0).unwrap_err() == CollectiveError::ZeroRanks, || "zero ranks".into());
    let difference =
        Difference::Operation { expected: Operation::Barrier, found: Operation::AllReduce(Op::Sum) };
    let text = CollectiveError::Mismatch { rank: 1, difference: difference.to_string() }.to_string();
    tally.case(text.contains("rank 1") && text.contains("barrier"), || text.clone());
    tally.end();
}

/// Row C5.
#[test]
fn after_a_failure_calls_fail_at_once_and_a_new_world_works() {
    let mut tally =
        Tally::new("C5", "failed worlds whose next 100 calls fail at once, and after which a new one works");
    for case in 0..count(40, 200) {
        let size = [2, 3, 8][case as usize % 3];
        let world = World::new(size).unwrap();
        let (handle, aborts) = (world.abort_handle(), case % 2 == 0);
        let results = on_ranks(world, |mut rank| {
            if rank.rank() == 1 {
                if aborts {
                    handle.abort("planted");
                } else {
                    return true; // Leaves.
                }
            }
            let Err(cause) = rank.barrier() else { return false };
            let begun = Instant::now();
            let same = (0..100).all(|kind| misuse(kind % 7, &mut rank, false).as_ref() == Err(&cause));
            same && begun.elapsed() < within(100)
        });
        let sums = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut values = [rank.rank(); 20].map(|rank| rank as u64);
            rank.all_reduce(&mut values, Op::Sum).map(|()| values[19])
        });
        let expected = Ok((size * (size - 1) / 2) as u64);
        tally.case(results.iter().all(|good| *good) && sums.iter().all(|sum| *sum == expected), || {
            format!("{size} ranks")
        });
    }
    tally.end();
}

/// Row A6: more ranks than cores, each with random delays; a world that stalls would never end.
#[test]
fn ranks_with_random_delays_never_stall() {
    let rounds = count(2000, 1_000_000);
    for size in [2, 3, 5, 16, 64] {
        let rounds = if size == 64 && !is_full() { rounds / 10 } else { rounds };
        let good = on_ranks(World::new(size).unwrap(), |mut rank| {
            let mut random = Random(rank.rank() as u64);
            let mut good = 0;
            for round in 0..rounds {
                if random.below(64) == 0 {
                    (0..random.below(2000)).for_each(|_| std::hint::spin_loop());
                }
                // Short enough for a slot, or lent.
                let len = if round % 2 == 0 { 4 } else { 20 };
                let mut values = [rank.rank() as u64 + round; 20];
                rank.all_reduce(&mut values[..len], Op::Sum).unwrap();
                let size = size as u64;
                good += u64::from(
                    values[..len].iter().all(|value| *value == size * (size - 1) / 2 + size * round),
                );
            }
            good
        });
        let least = good.into_iter().min().expect("a world has a rank");
        println!("A6 {least}/{rounds}: all-reduces of {size} ranks with random delays");
        assert_eq!(least, rounds);
    }
}
