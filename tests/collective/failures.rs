//! Shows that nothing waits for ever and all ranks agree: panics, leaving, timeouts and aborts end the world with the
//! same typed error on every rank.

use crate::ranks::{Random, on_ranks};
use phalanx::collective::{CollectiveError, Communicator, Op, Shared, World};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};
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
fn a_panic_inside_a_rewrite_marks_the_value_torn_and_ends_reading() {
    let world = World::new(3).unwrap();
    let shared = Shared::even(&world, vec![0; 9]);
    let outcomes = on_ranks_that_may_panic(world, |rank| {
        let outcome = rank.rewrite(&shared, |all| {
            all[8] = 1;
            panic!("planted");
        });
        assert_eq!(outcome, Err::<Option<()>, _>(CollectiveError::Panicked { rank: 0 }));
        assert_eq!(shared.read(rank), Err(CollectiveError::Panicked { rank: 0 }));
    });
    assert_eq!(outcomes, [Err("planted"), Ok(()), Ok(())]);
    assert!(shared.is_torn());
    assert_eq!(shared.into_inner()[8], 1);
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

/// What the ranks of a world hold that do not stay away. The one that does waits until all have let go of it, by a return or by the
/// panic of a failed assertion.
struct Presence {
    held: Mutex<Vec<Option<Sender<()>>>>,
    all_gone: Mutex<Receiver<()>>,
}

impl Presence {
    fn of(size: usize, late: usize) -> Self {
        let (sender, receiver) = channel();
        let held = (0..size).map(|rank| (rank != late).then(|| sender.clone())).collect();
        Self { held: Mutex::new(held), all_gone: Mutex::new(receiver) }
    }

    fn hold(&self, rank: usize) -> Option<Sender<()>> {
        self.held.lock().unwrap()[rank].take()
    }

    fn stay_away(&self) {
        self.all_gone.lock().unwrap().recv().unwrap_err();
    }
}

#[test]
fn a_rank_that_does_not_come_in_time_is_named_on_every_rank() {
    let timeout = Duration::from_millis(20);
    for (size, late) in [(2, 1), (3, 0), (16, 7)] {
        let (world, start) = (World::with_timeout(size, timeout).unwrap(), Instant::now());
        let others = Presence::of(size, late);
        let errors = on_ranks(world, |mut rank| {
            let held = others.hold(rank.rank());
            if held.is_none() {
                others.stay_away();
            }
            let error = rank.barrier().unwrap_err();
            fails_fast(&mut rank, &error);
            error
        });
        let CollectiveError::TimedOut { waited, missing } = &errors[0] else { panic!("got {errors:?}") };
        assert!(missing.contains(&late) && *waited >= timeout && start.elapsed() >= *waited);
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    }
}

#[test]
fn only_the_ranks_that_are_missing_are_named() {
    let world = World::new(4).unwrap();
    let others = Presence::of(4, 3);
    let errors = on_ranks(world, |mut rank| {
        let _held = others.hold(rank.rank());
        rank.barrier().unwrap();
        match rank.rank() {
            // Long enough that ranks 1 and 2, which have nothing else to do, have arrived even on a busy machine.
            0 => rank.set_timeout(Some(Duration::from_millis(500))),
            3 => others.stay_away(),
            _ => {}
        }
        rank.all_reduce(&mut [0u64; 9], Op::Sum).unwrap_err()
    });
    let is_rank_3 = |error: &CollectiveError| matches!(error, CollectiveError::TimedOut { missing, .. } if *missing == [3]);
    assert!(errors.iter().all(is_rank_3), "{errors:?}");
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
    let others = Mutex::new(
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
        World::new(4).unwrap().communicators().into_iter().map(Mutex::new).collect();
    let sums = pool.broadcast(|context| {
        let mut rank = ranks[context.index()].lock().unwrap();
        let mut values = [rank.rank() as i64; 20];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values[19]
    });
    assert_eq!(sums, [6; 4]);
}
