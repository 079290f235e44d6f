//! Where cores are few or busy, ranks that wait leave them to those that are waited for: many ranks end about when one does.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::room::Room;

/// How much longer than one rank many may take. Two that spin on one core took a thousand times as long.
const MOST: u32 = 10;

/// How long a run takes on so many ranks.
fn took(room: &Room, threads: usize) -> Duration {
    let begun = Instant::now();
    room.good(&format!("train -t {threads} -b 256 --shards 64 --epochs 10 --quiet"));
    begun.elapsed()
}

/// Runs of one rank and of many, in turn; the shortest of each counts, as others use this machine, too.
fn compare(what: &str, threads: usize) {
    let room = Room::new();
    let pairs = [(); 3].map(|()| (took(&room, 1), took(&room, threads)));
    let one = pairs.iter().map(|pair| pair.0).min().unwrap();
    let many = pairs.iter().map(|pair| pair.1).min().unwrap();
    println!("{what}: {threads} ranks take {many:.2?}, one takes {one:.2?}");
    assert!(many < MOST * one + Duration::from_secs(1), "{what}: {threads} ranks take {many:?}, one {one:?}");
}

#[test]
fn sixty_four_ranks_end_about_when_one_does() {
    compare("all cores", 64);
}

#[cfg(target_os = "linux")]
#[test]
fn ranks_on_a_single_core_end_about_when_one_does() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    // What a thread starts has its cores.
    let on_one_core = || {
        let allowed = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).unwrap();
        [2, 8].iter().for_each(|&threads| compare("a single core", threads));
    };
    thread::spawn(on_one_core).join().unwrap();
}

#[test]
fn ranks_beside_busy_programs_end_about_when_one_does() {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        let compared = std::panic::catch_unwind(|| compare("two busy threads a core", 2));
        is_over.store(true, Ordering::Relaxed);
        compared.unwrap();
    });
}
