//! Shows that nothing waits for ever and all ranks agree: panics, leaving, disagreement, timeouts and aborts give the
//! same typed error on every rank.

mod ranks;

use phalanx::collective::{CollectiveError, Communicator, Difference, Op, Operation, Shared, World};
use ranks::{Random, on_ranks};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Runs `work` on each rank; `Err` holds the text of a panic.
fn on_ranks_that_may_panic<R: Send>(
    world: World,
    work: impl Fn(&mut Communicator) -> R + Sync,
) -> Vec<Result<R, &'static str>> {
    on_ranks(world, |mut rank| {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut rank)));
        outcome.map_err(|panic| *panic.downcast::<&'static str>().expect("panics carry a text here"))
    })
}

#[test]
fn a_world_of_no_ranks_is_refused() {
    assert_eq!(World::new(0).unwrap_err(), CollectiveError::ZeroRanks);
    assert_eq!(World::with_timeout(0, Duration::ZERO).unwrap_err(), CollectiveError::ZeroRanks);
}

/// Runs `call` on three ranks and returns the error they all got, having shown that the world is usable afterwards.
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
    CollectiveError::Mismatch { rank, difference }
}

#[test]
fn another_len_is_named_on_every_rank_and_buffers_stay_as_they_were() {
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
fn another_operation_is_named_on_every_rank() {
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
fn another_operator_is_named_on_every_rank() {
    let error = disagreement(|rank| {
        let op = if rank.rank() == 1 { Op::Min } else { Op::Sum };
        rank.all_reduce(&mut [1.0; 2], op)
    });
    let (expected, found) = (Operation::AllReduce(Op::Sum), Operation::AllReduce(Op::Min));
    assert_eq!(error, mismatch(1, Difference::Operation { expected, found }));
}

#[test]
fn another_element_type_is_named_on_every_rank() {
    let error = disagreement(|rank| match rank.rank() {
        2 => rank.all_reduce(&mut [1i32; 50], Op::Sum),
        _ => rank.all_reduce(&mut [1f32; 50], Op::Sum),
    });
    assert_eq!(error, mismatch(2, Difference::ElementType { expected: "f32", found: "i32" }));
}

#[test]
fn another_type_of_loan_is_named_on_every_rank() {
    let error = disagreement(|rank| match rank.rank() {
        1 => rank.lend(&1u8, |_| ()),
        _ => rank.lend(&1u16, |_| ()),
    });
    assert_eq!(error, mismatch(1, Difference::ElementType { expected: "u16", found: "u8" }));
}

#[test]
fn another_root_is_named_on_every_rank() {
    let error = disagreement(|rank| {
        let root = rank.rank() / 2;
        rank.broadcast(&mut [1; 3], root)
    });
    assert_eq!(error, mismatch(2, Difference::Root { expected: 0, found: 1 }));
}

#[test]
fn a_root_that_does_not_exist_is_refused_on_every_rank() {
    let error = disagreement(|rank| rank.broadcast(&mut [1; 3], 3));
    assert_eq!(error, CollectiveError::RootOutOfRange { root: 3, world_size: 3 });
}

#[test]
fn a_mean_of_integers_is_refused_on_every_rank() {
    for len in [1, 100] {
        let error = disagreement(|rank| rank.all_reduce(&mut vec![1u64; len], Op::Mean));
        assert_eq!(error, CollectiveError::MeanOfIntegers { element: "u64" });
        let error = disagreement(|rank| rank.reduce_scatter(&mut vec![1u64; len], Op::Mean).map(drop));
        assert_eq!(error, CollectiveError::MeanOfIntegers { element: "u64" });
    }
}

#[test]
fn another_shared_value_is_refused_on_every_rank() {
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
fn a_shared_value_of_another_world_is_refused() {
    let stranger = World::new(3).unwrap();
    let shared = Shared::even(&stranger, vec![1; 9]);
    let error = disagreement(|rank| {
        assert_eq!(shared.read(rank), Err(CollectiveError::NotOfThisWorld));
        rank.update(&shared, &(), |_, _| unreachable!("the value is not of this world"))
    });
    assert_eq!(error, CollectiveError::NotOfThisWorld);
}

/// Checks that a failed world answers a hundred calls of every kind at once with `cause`.
fn fails_fast(rank: &mut Communicator, cause: &CollectiveError) {
    for _ in 0..100 {
        assert_eq!(rank.barrier().as_ref(), Err(cause));
        assert_eq!(rank.all_reduce(&mut [1.0], Op::Sum).as_ref(), Err(cause));
        assert_eq!(rank.all_reduce(&mut [1.0; 100], Op::Sum).as_ref(), Err(cause));
        assert_eq!(rank.lend(&1, |_| ()).as_ref(), Err(cause));
    }
}

#[test]
fn a_panic_inside_the_work_reaches_every_rank_under_its_name() {
    for (size, victim) in [(1, 0), (2, 0), (2, 1), (4, 2), (8, 7)] {
        let cause = CollectiveError::Panicked { rank: victim };
        let outcomes = on_ranks_that_may_panic(World::new(size).unwrap(), |rank| {
            let number = rank.rank();
            let outcome = rank.lend(&number, |_| assert!(number != victim, "planted"));
            assert_eq!(outcome, Err(cause.clone()));
            fails_fast(rank, &cause);
        });
        for (rank, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome, if rank == victim { Err("planted") } else { Ok(()) });
        }
    }
}

#[test]
fn a_panic_inside_a_combining_function_reaches_every_rank() {
    for len in [7, 1000] {
        for size in [2, 3, 5] {
            let outcomes = on_ranks_that_may_panic(World::new(size).unwrap(), |rank| {
                let (mut values, victim) = (vec![1; len], rank.rank() == 1);
                let combine = |left: i32, right: i32| if victim { panic!("planted") } else { left + right };
                rank.all_reduce_with(&mut values, combine)
            });
            for (rank, outcome) in outcomes.into_iter().enumerate() {
                let expected =
                    if rank == 1 { Err("planted") } else { Ok(Err(CollectiveError::Panicked { rank: 1 })) };
                assert_eq!(outcome, expected);
            }
        }
    }
}

#[test]
fn a_panic_inside_an_update_marks_the_value_torn_and_ends_reading() {
    let world = World::new(4).unwrap();
    let shared = Shared::even(&world, vec![0; 100]);
    let outcomes = on_ranks_that_may_panic(world, |rank| {
        let number = rank.rank();
        rank.update(&shared, &(), |_, own| own.fill(1)).unwrap();
        let outcome = rank.update(&shared, &(), |_, own| {
            assert!(number != 3, "planted");
            own.fill(2);
        });
        assert_eq!(outcome, Err(CollectiveError::Panicked { rank: 3 }));
        assert_eq!(shared.read(rank), Err(CollectiveError::Panicked { rank: 3 }));
        assert!(shared.is_torn());
    });
    assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Err("planted")]);
    assert!(shared.is_torn());
    let values = shared.into_inner();
    assert_eq!((values[0], values[99]), (2, 1));
}

#[test]
fn a_rank_that_unwinds_between_calls_wakes_those_who_wait_for_it() {
    for size in [2, 3, 16] {
        let outcomes = on_ranks(World::new(size).unwrap(), |rank| {
            catch_unwind(AssertUnwindSafe(move || {
                let mut rank = rank;
                rank.barrier().unwrap();
                assert!(rank.rank() != 1, "planted");
                rank.barrier()
            }))
        });
        for (rank, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(outcome) => assert_eq!(outcome, Err(CollectiveError::Panicked { rank: 1 })),
                Err(_) => assert_eq!(rank, 1),
            }
        }
    }
}

#[test]
fn a_rank_that_leaves_wakes_those_who_wait_for_it() {
    for size in [2, 3, 64] {
        let cause = CollectiveError::Left { rank: size - 1 };
        on_ranks(World::new(size).unwrap(), |mut rank| {
            rank.barrier().unwrap();
            if rank.rank() != size - 1 {
                assert_eq!(rank.all_reduce(&mut [1.0; 64], Op::Sum).as_ref(), Err(&cause));
                fails_fast(&mut rank, &cause);
            }
        });
    }
}

#[test]
fn a_round_that_opened_succeeds_even_if_a_rank_leaves_right_after_it() {
    for size in [2, 3, 8] {
        for _ in 0..500 {
            on_ranks(World::new(size).unwrap(), |mut rank| {
                rank.barrier().unwrap();
                let mut values = [rank.rank() as u32; 1];
                rank.all_reduce(&mut values, Op::Max).unwrap();
                assert_eq!(values, [size as u32 - 1]);
            });
        }
    }
}

#[test]
fn a_rank_that_does_not_come_in_time_is_named_on_every_rank() {
    let timeout = Duration::from_millis(20);
    for (size, late) in [(2, 1), (3, 0), (16, 7)] {
        let world = World::with_timeout(size, timeout).unwrap();
        let done = Barrier::new(size);
        on_ranks(world, |mut rank| {
            rank.barrier().unwrap();
            if rank.rank() != late {
                let start = Instant::now();
                let error = rank.barrier().unwrap_err();
                let CollectiveError::TimedOut { waited, ref missing } = error else {
                    panic!("got {error:?}")
                };
                assert_eq!(*missing, [late]);
                assert!(waited >= timeout && start.elapsed() >= waited / 2);
                fails_fast(&mut rank, &error);
            }
            done.wait();
            assert!(matches!(rank.barrier(), Err(CollectiveError::TimedOut { .. })));
        });
    }
}

#[test]
fn the_timeout_of_one_communicator_is_enough_to_wake_all() {
    let done = Barrier::new(3);
    on_ranks(World::new(3).unwrap(), |mut rank| {
        if rank.rank() == 0 {
            rank.set_timeout(Some(Duration::from_millis(5)));
        }
        if rank.rank() != 2 {
            let error = rank.all_reduce(&mut [0u64; 9], Op::Sum).unwrap_err();
            assert!(matches!(error, CollectiveError::TimedOut { ref missing, .. } if *missing == [2]));
        }
        done.wait();
    });
}

#[test]
fn ranks_that_come_in_time_are_not_disturbed_by_a_timeout() {
    on_ranks(World::with_timeout(4, Duration::from_secs(3600)).unwrap(), |mut rank| {
        (0..1000).for_each(|_| rank.barrier().unwrap());
    });
}

#[test]
fn an_abort_from_outside_wakes_all_who_wait() {
    let reason = || CollectiveError::Aborted { reason: "stop pressed".into() };
    for size in [2, 3, 16] {
        let world = World::new(size).unwrap();
        let handle = world.abort_handle();
        let (started, aborted) = (Barrier::new(size), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                handle.abort("stop pressed");
                handle.abort("too late");
                aborted.wait();
            });
            on_ranks(world, |mut rank| {
                if rank.rank() == 0 {
                    aborted.wait();
                } else {
                    started.wait();
                }
                assert_eq!(rank.barrier(), Err(reason()));
                fails_fast(&mut rank, &reason());
            });
        });
    }
}

#[test]
fn an_abort_at_any_moment_gives_every_rank_the_same_number_of_rounds() {
    let mut random = Random(1);
    for size in [2, 3, 5] {
        for _ in 0..100 {
            let world = World::new(size).unwrap();
            let (handle, delay) = (world.abort_handle(), random.below(3000));
            let rounds = thread::scope(|scope| {
                scope.spawn(move || {
                    (0..delay).for_each(|_| std::hint::spin_loop());
                    handle.abort(String::from("random moment"));
                });
                on_ranks(world, |mut rank| {
                    let succeeds =
                        |rank: &mut Communicator| rank.all_reduce(&mut [1.0f32; 40], Op::Sum).is_ok();
                    (0..).take_while(|_| succeeds(&mut rank)).count()
                })
            });
            assert!(rounds.iter().all(|count| *count == rounds[0]), "{rounds:?}");
        }
    }
}

#[test]
fn ranks_that_are_dropped_before_others_start_are_reported() {
    let mut ranks = World::new(3).unwrap().communicators();
    drop(ranks.remove(1));
    assert_eq!(ranks[0].barrier(), Err(CollectiveError::Left { rank: 1 }));
    assert_eq!(ranks[1].barrier(), Err(CollectiveError::Left { rank: 1 }));
}

#[test]
fn worlds_side_by_side_do_not_disturb_each_other() {
    let (first, second) = (World::new(4).unwrap(), World::new(4).unwrap());
    let failing = World::new(4).unwrap();
    let others = std::sync::Mutex::new(
        second.communicators().into_iter().zip(failing.communicators()).map(Some).collect::<Vec<_>>(),
    );
    on_ranks(first, |mut rank| {
        let (mut second, mut failing) = others.lock().unwrap()[rank.rank()].take().unwrap();
        if rank.rank() == 3 {
            failing.abort_handle().abort("only this one");
        }
        for round in 0..200u64 {
            let (mut left, mut right) = ([round; 3], [round + 1; 30]);
            rank.all_reduce(&mut left, Op::Sum).unwrap();
            second.all_reduce(&mut right, Op::Sum).unwrap();
            assert_eq!((left[2], right[29]), (4 * round, 4 * round + 4));
        }
        rank.barrier().unwrap();
        second.barrier().unwrap();
        assert_eq!(failing.barrier(), Err(CollectiveError::Aborted { reason: "only this one".into() }));
    });
}

#[test]
fn a_new_world_works_where_one_has_failed() {
    for _ in 0..20 {
        let outcomes = on_ranks_that_may_panic(World::new(2).unwrap(), |rank| {
            let first = rank.rank() == 0;
            rank.lend(&(), |_| assert!(first, "planted"))
        });
        assert_eq!(outcomes, [Ok(Err(CollectiveError::Panicked { rank: 1 })), Err("planted")]);
        on_ranks(World::new(2).unwrap(), |mut rank| rank.barrier().unwrap());
    }
}

#[test]
fn sixty_four_ranks_on_few_cores_finish_and_agree() {
    let results = on_ranks(World::new(64).unwrap(), |mut rank| {
        let mut values = vec![rank.rank() as u64; 1000];
        for _ in 0..200 {
            rank.all_reduce(&mut values, Op::Max).unwrap();
            rank.barrier().unwrap();
        }
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values
    });
    assert!(results.iter().flatten().all(|&value| value == 63 * 64));
}

#[test]
fn ranks_run_in_a_pools_broadcast() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let ranks: Vec<_> =
        World::new(4).unwrap().communicators().into_iter().map(std::sync::Mutex::new).collect();
    let sums = pool.broadcast(|context| {
        let mut rank = ranks[context.index()].lock().unwrap();
        let mut values = [rank.rank() as i64; 20];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values[19]
    });
    assert_eq!(sums, [6; 4]);
}
