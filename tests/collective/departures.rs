//! Ranks whose tasks end before the others are done: rows C9 and C10 of the reliability score. The
//! others get the cause, even if the task only borrows its communicator; calls that need no other
//! rank work after all have left.

use crate::ranks::{Random, on_ranks};
use crate::tally::{Tally, count, within};
use phalanx_collective::{CollectiveError, Communicator, Op, Shared, World};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The way in which the task of a rank ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Panic,
    Return,
    Fail,
}

/// The rank whose task ends, the way it ends, and the number of rounds before that; and the
/// observed results.
struct Departure {
    victim: usize,
    end: End,
    rounds: u64,
    at: Mutex<Option<Instant>>,
    received: Mutex<Vec<(CollectiveError, Instant)>>,
}

impl Departure {
    /// Runs a rank: makes calls until it departs or gets an error.
    fn run(&self, rank: &mut Communicator) {
        for round in 0.. {
            if rank.rank() == self.victim && round == self.rounds {
                *self.at.lock().unwrap() = Some(Instant::now());
                match self.end {
                    End::Panic => resume_unwind(Box::new("planted")),
                    End::Return => return,
                    End::Fail => return drop(rank.fail("planted")),
                }
            }
            if let Err(cause) = rank.all_reduce(&mut [round; 20], Op::Sum) {
                return self.received.lock().unwrap().push((cause, Instant::now()));
            }
        }
    }

    fn is_good(&self, size: usize) -> bool {
        let rank = self.victim;
        let expected = match self.end {
            End::Panic => CollectiveError::Panicked { rank },
            End::Return => CollectiveError::Left { rank },
            End::Fail => CollectiveError::Failed { rank, reason: "planted".into() },
        };
        let (at, received) = (self.at.lock().unwrap().unwrap(), self.received.lock().unwrap());
        received.len() == size - 1
            && received.iter().all(|(cause, when)| *cause == expected && *when - at <= within(500))
    }
}

/// Runs ranks on scoped threads, which borrow the communicators.
fn in_scoped_threads(world: World, departure: &Departure) {
    let mut ranks: Vec<_> = world.communicators().collect();
    thread::scope(|scope| {
        let threads: Vec<_> =
            ranks.iter_mut().map(|rank| scope.spawn(|| departure.run(&mut rank.enter()))).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
}

/// Runs ranks on scoped threads, in the loop that would borrow the communicators if they were in a
/// vector.
fn in_a_loop_over_the_iterator(world: World, departure: &Departure) {
    let mut ranks = world.communicators();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for mut rank in &mut ranks {
            threads.push(scope.spawn(move || departure.run(&mut rank)));
        }
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
}

/// Runs ranks in rayon's broadcast, whose tasks all borrow one closure.
fn in_a_broadcast(world: World, departure: &Departure, pool: &rayon::ThreadPool) {
    let ranks: Vec<_> = world.communicators().map(Mutex::new).collect();
    let tasks = || {
        pool.broadcast(|thread| departure.run(&mut ranks[thread.index()].lock().unwrap().enter()));
    };
    let _ = catch_unwind(AssertUnwindSafe(tasks));
}

/// Runs ranks in blocking tasks of tokio, which share the communicators with the code that started
/// them.
fn in_blocking_tasks(world: World, departure: &Arc<Departure>, runtime: &tokio::runtime::Runtime) {
    let ranks: Arc<Vec<_>> = Arc::new(world.communicators().map(Mutex::new).collect());
    let tasks: Vec<_> = (0..ranks.len())
        .map(|rank| {
            let (ranks, departure) = (Arc::clone(&ranks), Arc::clone(departure));
            runtime.spawn_blocking(move || departure.run(&mut ranks[rank].lock().unwrap().enter()))
        })
        .collect();
    tasks.into_iter().for_each(|task| drop(runtime.block_on(task)));
}

/// Row C9. A timeout stands in for an endless wait, which would never end the test.
#[test]
fn a_rank_whose_task_ends_while_its_communicator_is_borrowed_ends_the_world() {
    let mut tally =
        Tally::new("C9", "worlds in which a task ended and all others got the cause within 500 ms");
    let pools = [2, 3, 8].map(|size| rayon::ThreadPoolBuilder::new().num_threads(size).build().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(8).build().unwrap();
    let mut random = Random(9);
    for case in 0..count(240, 1000) {
        let pool = &pools[random.below(3) as usize];
        let size = pool.current_num_threads();
        let departure = Arc::new(Departure {
            victim: random.below(size as u64) as usize,
            end: [End::Panic, End::Return, End::Fail][random.below(3) as usize],
            rounds: random.below(4),
            at: Mutex::new(None),
            received: Mutex::new(Vec::new()),
        });
        let world = World::with_timeout(size, Duration::from_secs(20)).unwrap();
        let host = ["scoped threads", "a loop", "a broadcast", "blocking tasks"][case as usize % 4];
        match host {
            "scoped threads" => in_scoped_threads(world, &departure),
            "a loop" => in_a_loop_over_the_iterator(world, &departure),
            "a broadcast" => in_a_broadcast(world, &departure, pool),
            _ => in_blocking_tasks(world, &departure, &runtime),
        }
        let good = departure.is_good(size);
        tally.case(good, || {
            let Departure { victim, end, received, .. } = &*departure;
            format!("rank {victim} of {size} in {host}, {end:?}: {received:?}")
        });
        if !good {
            break; // The next case would wait as long.
        }
    }
    tally.end();
}

/// Row C10. A case is a rank that has completed its last round while others have left, or are
/// leaving, in every possible way.
#[test]
fn after_the_last_round_calls_that_need_no_other_rank_succeed() {
    let mut tally = Tally::new(
        "C10",
        "ranks for which, after the last round, every call that needs no other rank succeeds",
    );
    let mut random = Random(10);
    let cases = count(3000, 100_000) as usize;
    let mut done = 0;
    while done < cases {
        let size = [2, 3, 5][random.below(3) as usize].min(cases - done);
        done += size;
        let (end, delay) = (random.below(5), random.below(2000));
        let world = World::new(size).unwrap();
        let handle = world.abort_handle();
        let shared = Shared::even(&world, vec![0; 40]);
        let good = on_ranks(world, |mut rank| {
            let own = rank.rank() + 1;
            rank.update(&shared, &own, |all, values| values.fill(all.iter().sum::<usize>())).unwrap();
            if own == size {
                match end {
                    0 => handle.abort("stop"),
                    1 => drop(rank.fail("planted")),
                    2 => drop(rank.enter()),
                    3 => drop(catch_unwind(AssertUnwindSafe(|| {
                        let _session = rank.enter();
                        resume_unwind(Box::new("planted"));
                    }))),
                    _ => {} // Leaves when it is dropped.
                }
            } else {
                (0..delay).for_each(|_| std::hint::spin_loop());
            }
            rank.set_timeout(Some(Duration::from_secs(1)));
            rank.abort_handle();
            rank.enter().finish();
            let total = size * (size + 1) / 2;
            (rank.rank(), rank.world_size()) == (own - 1, size)
                && shared.read(&rank).is_ok_and(|values| values.iter().all(|value| *value == total))
                && shared.segment(0).start == 0
                && !shared.is_torn()
        });
        let whole = shared.into_inner() == [size * (size + 1) / 2; 40];
        good.into_iter().enumerate().for_each(|(rank, good)| {
            tally.case(good && whole, || format!("rank {rank} of {size}, end {end}"));
        });
    }
    tally.end();
}
