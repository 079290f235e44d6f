//! Few or busy cores: waiting ranks yield their cores to others, and many ranks take about as long
//! as one.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::test_dir::TestDir;

/// The maximum time of many ranks relative to that of one. Two ranks that spun on one core took a
/// thousand times as long.
const MOST: u32 = 10;

/// Returns the time of a run on this number of ranks.
fn took(dir: &TestDir, threads: usize) -> Duration {
    let begun = Instant::now();
    dir.good(&format!("train -t {threads} -b 256 --shards 64 --epochs 10 --quiet"));
    begun.elapsed()
}

/// Compares the shortest of three runs of one rank and of many, in alternation, because other
/// programs use the machine too.
fn compare(what: &str, threads: usize) {
    let dir = TestDir::new();
    let pairs = [(); 3].map(|()| (took(&dir, 1), took(&dir, threads)));
    let one = pairs.iter().map(|pair| pair.0).min().unwrap();
    let many = pairs.iter().map(|pair| pair.1).min().unwrap();
    println!("{what}: {threads} ranks take {many:.2?}, one takes {one:.2?}");
    assert!(many < MOST * one + Duration::from_secs(1), "{what}: {threads} ranks take {many:?}, one {one:?}");
}

#[test]
fn sixty_four_ranks_take_about_as_long_as_one() {
    compare("all cores", 64);
}

#[cfg(target_os = "linux")]
#[test]
fn ranks_on_a_single_core_take_about_as_long_as_one() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    // Processes started by a thread inherit its cores.
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
fn ranks_next_to_busy_programs_take_about_as_long_as_one() {
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
        let compared = std::panic::catch_unwind(|| compare("two busy threads per core", 2));
        is_over.store(true, Ordering::Relaxed);
        compared.unwrap();
    });
}
