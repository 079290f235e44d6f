//! Few or busy cores: waiting ranks yield their cores to others, and many ranks take about as long
//! as one.

#[cfg(target_os = "linux")]
use std::fs;
use std::hint::spin_loop;
#[cfg(target_os = "linux")]
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::test_dir::{ProgramOutput, TestDir, within_shell};

/// The maximum time of many ranks relative to that of one. Two ranks that spun on one core took a
/// thousand times as long.
const MOST: u32 = 10;

/// Returns the time of a run on this number of ranks, started by a shell after this command.
fn took(dir: &TestDir, before: &str, threads: usize) -> Duration {
    let begun = Instant::now();
    let command = dir.command(&format!("train -t {threads} -b 256 --shards 64 --epochs 10 --quiet"));
    let ran: ProgramOutput = within_shell(dir, before, &command).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    begun.elapsed()
}

/// Compares the shortest of three runs of one rank and of many, in alternation, because other
/// programs use the machine too.
fn compare(what: &str, threads: usize) {
    compare_after(":", what, threads);
}

/// Does the same with programs that a shell starts after this command.
fn compare_after(before: &str, what: &str, threads: usize) {
    let dir = TestDir::new();
    let pairs = [(); 3].map(|()| (took(&dir, before, 1), took(&dir, before, threads)));
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

/// A control group that may use half a core.
#[cfg(target_os = "linux")]
struct HalfACore(PathBuf);

#[cfg(target_os = "linux")]
impl HalfACore {
    /// Creates the group, of cgroup v2 or v1, if this process may.
    fn create() -> std::io::Result<Self> {
        let name = format!("phalanx-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (parent, quota, text) = match root.join("cgroup.controllers").exists() {
            true => (root.to_owned(), "cpu.max", "50000 100000"),
            false => (root.join("cpu"), "cpu.cfs_quota_us", "50000"),
        };
        let group = Self(parent.join(name));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(quota), text)?;
        Ok(group)
    }
}

#[cfg(target_os = "linux")]
impl Drop for HalfACore {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ranks_under_a_cpu_quota_take_about_as_long_as_one() {
    match HalfACore::create() {
        Ok(group) => {
            let join = format!("echo $$ > {}/cgroup.procs", group.0.display());
            [2, 8].iter().for_each(|&threads| compare_after(&join, "half a core", threads));
        }
        Err(error) => println!("SKIPPED: no control group can be created: {error}"),
    }
}
