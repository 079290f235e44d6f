//! Shows that nothing waits forever and all ranks agree: panics, leaving, timeouts and aborts end
//! the world with the same typed error on every rank.

use crate::ranks::{Random, on_ranks};
use phalanx_collective::{CollectiveError, Communicator, Op, Shared, World};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Runs `work` on each rank; `Err` contains the text of a panic.
fn on_ranks_that_may_panic<R: Send>(
    world: World,
    work: impl Fn(&mut Communicator) -> R + Sync,
) -> Vec<Result<R, &'static str>> {
    on_ranks(world, |mut rank| {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut rank)));
        outcome.map_err(|panic| *panic.downcast::<&'static str>().expect("panics have a text here"))
    })
}

/// Checks that in a failed world a hundred calls of every kind fail at once with `cause`.
fn fails_fast(rank: &mut Communicator, cause: &CollectiveError) {
    for _ in 0..100 {
        assert_eq!(rank.barrier().as_ref(), Err(cause));
        assert_eq!(rank.all_reduce(&mut [1.0], Op::Sum).as_ref(), Err(cause));
        assert_eq!(rank.all_reduce(&mut [1.0; 100], Op::Sum).as_ref(), Err(cause));
        assert_eq!(rank.lend(&1, |_| ()).as_ref(), Err(cause));
    }
}

#[test]
fn a_panic_inside_the_work_is_reported_to_every_rank_with_its_rank() {
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
fn a_panic_inside_a_combining_function_is_reported_to_every_rank() {
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
fn a_panic_inside_an_update_marks_the_value_torn_and_prevents_reads() {
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
fn a_panic_inside_a_rewrite_marks_the_value_torn_and_prevents_reads() {
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
fn a_rank_that_unwinds_between_calls_wakes_the_waiting_ranks() {
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
fn a_rank_that_leaves_wakes_the_waiting_ranks() {
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
fn an_open_round_succeeds_even_if_a_rank_leaves_right_after_it() {
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

/// The handles held by the ranks of a world that are on time. The late one waits until all of them
/// are dropped, by a return or by the panic of a failed assertion.
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
fn a_rank_that_misses_the_timeout_is_named_on_every_rank() {
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
            // Long enough that ranks 1 and 2, which have nothing else to do, have arrived even on a
            // busy machine.
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
fn a_timeout_does_not_affect_ranks_that_arrive_in_time() {
    on_ranks(World::with_timeout(4, Duration::from_secs(3600)).unwrap(), |mut rank| {
        (0..1000).for_each(|_| rank.barrier().unwrap());
    });
}

#[test]
fn an_abort_from_outside_wakes_all_waiting_ranks() {
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
    let mut first = ranks.next().unwrap();
    drop(ranks.next());
    assert_eq!(first.barrier(), Err(CollectiveError::Left { rank: 1 }));
    assert_eq!(ranks.next().unwrap().barrier(), Err(CollectiveError::Left { rank: 1 }));
}

#[test]
fn ranks_that_were_never_taken_leave_with_the_iterator() {
    let mut first = World::new(3).unwrap().communicators().next().unwrap();
    assert_eq!(first.barrier(), Err(CollectiveError::Left { rank: 1 }));
}

#[test]
fn a_finished_session_does_not_end_the_world() {
    let mut ranks: Vec<_> = World::new(3).unwrap().communicators().collect();
    for phase in 0..100 {
        let ends: Vec<_> = thread::scope(|scope| {
            let run = |rank: &mut Communicator| {
                let mut rank = rank.enter();
                let mut values = [rank.rank() + phase; 20];
                rank.all_reduce_with(&mut values, usize::max)?;
                rank.finish();
                Ok::<_, CollectiveError>(values[19])
            };
            let threads: Vec<_> = ranks.iter_mut().map(|rank| scope.spawn(move || run(rank))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ends, vec![Ok(2 + phase); 3]);
    }
}

#[test]
fn a_rank_that_fails_sends_its_reason_to_the_others() {
    for size in [2, 3, 16] {
        let cause = CollectiveError::Failed { rank: 1, reason: "no space left in /data".into() };
        on_ranks(World::new(size).unwrap(), |mut rank| {
            rank.barrier().unwrap();
            if rank.rank() == 1 {
                assert_eq!(rank.fail("no space left in /data"), cause);
            } else {
                assert_eq!(rank.all_reduce(&mut [1.0; 64], Op::Sum).as_ref(), Err(&cause));
            }
            fails_fast(&mut rank, &cause);
            assert_eq!(rank.fail("later"), cause);
        });
    }
}

#[test]
fn only_causes_after_which_every_call_fails_end_the_world() {
    let world = World::new(1).unwrap();
    let (handle, mut rank) = (world.abort_handle(), world.communicators().next().unwrap());
    let harmless = [
        rank.all_reduce(&mut [1], Op::Mean),
        rank.broadcast(&mut [1], 1),
        rank.all_reduce_weighted_mean(&mut [1.0], 0.0).map(drop),
        rank.all_reduce_weighted_mean(&mut [1.0], -1.0).map(drop),
    ];
    for error in harmless {
        assert!(!error.unwrap_err().ends_world());
        rank.barrier().unwrap();
    }
    handle.abort("stop");
    assert!(rank.barrier().unwrap_err().ends_world());
    let (rank, reason) = (0, String::new());
    for cause in [
        CollectiveError::Panicked { rank },
        CollectiveError::Left { rank },
        CollectiveError::Failed { rank, reason: reason.clone() },
        CollectiveError::Spawn { rank, reason },
        CollectiveError::TimedOut { waited: Duration::ZERO, missing: vec![rank] },
    ] {
        assert!(cause.ends_world(), "{cause}");
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[test]
fn a_run_returns_the_results_of_all_ranks_in_rank_order() {
    for size in 1..=9 {
        let results = World::run(size, |rank| {
            let mut values = [rank.rank(); 20];
            rank.all_reduce_with(&mut values, usize::max)?;
            Ok::<_, CollectiveError>((rank.rank(), values[19]))
        });
        assert_eq!(results, Ok((0..size).map(|rank| (rank, size - 1)).collect()));
    }
    assert_eq!(World::run(0, |_| Ok::<_, CollectiveError>(())), Err(CollectiveError::ZeroRanks));
}

#[test]
fn a_run_returns_the_first_error_and_the_others_receive_its_text() {
    for (size, victim) in [(1, 0), (2, 0), (2, 1), (5, 2)] {
        for _ in 0..100 {
            let received = Mutex::new(Vec::new());
            let ended = World::run(size, |rank| -> Result<(), AnyError> {
                rank.barrier()?;
                if rank.rank() == victim {
                    "fast".parse::<f64>()?;
                }
                rank.barrier().inspect_err(|cause| received.lock().unwrap().push(cause.clone()))?;
                Ok(())
            });
            assert!(ended.unwrap_err().is::<std::num::ParseFloatError>());
            let cause = CollectiveError::Failed { rank: victim, reason: "invalid float literal".into() };
            assert_eq!(received.into_inner().unwrap(), vec![cause; size - 1]);
        }
    }
}

#[test]
fn a_run_returns_the_first_error_even_if_others_panic_because_of_it() {
    let ended = World::run(3, |rank| match rank.rank() {
        2 => Err("no such file".into()),
        _ => {
            rank.barrier().or_else(|cause| resume_unwind(Box::new(cause.to_string()))) as Result<_, AnyError>
        }
    });
    assert_eq!(ended.unwrap_err().to_string(), "no such file");
}

#[test]
fn a_run_resumes_the_panic_of_a_rank_once_all_have_ended() {
    for inside_a_call in [false, true] {
        let others = Mutex::new(Vec::new());
        let ended = catch_unwind(AssertUnwindSafe(|| {
            World::run(3, |rank| {
                let victim = rank.rank() == 1;
                if victim && !inside_a_call {
                    resume_unwind(Box::new("planted"));
                }
                let outcome = rank.lend(&0, |_| {
                    if victim {
                        resume_unwind(Box::new("planted"))
                    }
                });
                others.lock().unwrap().push(outcome.clone());
                outcome
            })
        }));
        assert_eq!(*ended.unwrap_err().downcast::<&str>().unwrap(), "planted");
        assert_eq!(others.into_inner().unwrap(), vec![Err(CollectiveError::Panicked { rank: 1 }); 2]);
    }
}

#[test]
fn a_run_names_the_rank_that_returned_while_others_waited() {
    let ended = World::run(3, |rank| if rank.rank() == 1 { Ok(()) } else { rank.barrier() });
    assert_eq!(ended, Err(CollectiveError::Left { rank: 1 }));
}

#[test]
fn a_run_reports_a_timeout_or_an_abort() {
    let world = World::with_timeout(2, Duration::from_millis(5)).unwrap();
    let others = Presence::of(2, 1);
    let ended = world.run_ranks(|rank| {
        let held = others.hold(rank.rank());
        if held.is_none() {
            others.stay_away();
        }
        rank.barrier()
    });
    assert!(matches!(ended, Err(CollectiveError::TimedOut { missing, .. }) if missing == [1]));
    let world = World::new(2).unwrap();
    let handle = world.abort_handle();
    let ended = world.run_ranks(|rank| {
        if rank.rank() == 1 {
            handle.abort("stop pressed");
        }
        rank.barrier()
    });
    assert_eq!(ended, Err(CollectiveError::Aborted { reason: "stop pressed".into() }));
}

/// Runs in a separate process, in which threads cannot be started: see below.
#[test]
#[ignore = "started by another test, with stacks that do not fit into the address space"]
fn a_run_without_threads() {
    let ended = World::run(2, |rank| rank.barrier());
    println!("ended: {}", ended.unwrap_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_cannot_be_started_is_an_error_of_the_run() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failures::a_run_without_threads", "--ignored", "--nocapture", "--test-threads=1"])
        .env("RUST_MIN_STACK", (1_u64 << 47).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("ended: the thread of rank 0 could not be started: "), "{text}");
}

#[test]
fn concurrent_worlds_do_not_affect_each_other() {
    let (first, second) = (World::new(4).unwrap(), World::new(4).unwrap());
    let failing = World::new(4).unwrap();
    let others =
        Mutex::new(second.communicators().zip(failing.communicators()).map(Some).collect::<Vec<_>>());
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
fn a_new_world_works_after_one_has_failed() {
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
fn ranks_run_in_the_broadcast_of_a_thread_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let ranks: Vec<_> = World::new(4).unwrap().communicators().map(Mutex::new).collect();
    let sums = pool.broadcast(|context| {
        let mut rank = ranks[context.index()].lock().unwrap();
        let mut values = [rank.rank() as i64; 20];
        rank.all_reduce(&mut values, Op::Sum).unwrap();
        values[19]
    });
    assert_eq!(sums, [6; 4]);
}
