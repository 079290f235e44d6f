//! The processors that this process may use.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::read_to_string;
use std::thread::available_parallelism;

use crate::numbers::counted;

/// The processors that this process may use: its affinity and the CPU quota of its cgroup can
/// exclude some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The number of threads that can run at the same time.
    pub threads: usize,
    /// The number of cores, which is lower if several hardware threads share a core.
    pub cores: usize,
    /// The number of hardware threads of the machine.
    pub online: usize,
}

impl Cpus {
    /// Asks the system. Where it does not report the quantities, there is one thread, a core runs
    /// one thread, and nothing is excluded.
    pub fn available() -> Self {
        let threads = available_parallelism().map_or(1, usize::from);
        let cores = allowed().as_deref().and_then(cores_of).map_or(threads, |cores| cores.min(threads));
        let online = online().map_or(threads, |cpus| cpus.len().max(threads));
        Self { threads, cores, online }
    }
}

/// Such as "4 cores with 8 hardware threads, of 64 in this machine".
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, cores, online } = *self;
        f.write_str(&counted(cores as u64, "core"))?;
        if cores < threads {
            write!(f, " with {threads} hardware threads")?;
        }
        if threads < online {
            write!(f, ", of {online} in this machine (see its affinity and CPU quota)")?;
        }
        Ok(())
    }
}

/// Returns the hardware threads of this machine.
fn online() -> Option<Vec<usize>> {
    listed(&read_to_string("/sys/devices/system/cpu/online").ok()?)
}

/// Returns the hardware threads in the affinity of this process.
fn allowed() -> Option<Vec<usize>> {
    let status = read_to_string("/proc/self/status").ok()?;
    listed(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// Returns the number of cores that these hardware threads are on.
fn cores_of(cpus: &[usize]) -> Option<usize> {
    let first_sibling = |cpu: &usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        listed(&read_to_string(path).ok()?)?.first().copied()
    };
    cpus.iter().map(first_sibling).collect::<Option<BTreeSet<_>>>().map(|cores| cores.len())
}

/// Parses a list of the kernel, such as `0-3,8`.
fn listed(text: &str) -> Option<Vec<usize>> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse::<usize>().ok()?)
    };
    Some(text.trim().split(',').map(range).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel_consist_of_numbers_and_ranges() {
        assert_eq!(listed("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!((listed("5"), listed(""), listed("a-b")), (Some(vec![5]), None, None));
    }

    #[test]
    fn shared_cores_and_excluded_ones_are_named() {
        let text = |threads, cores, online| Cpus { threads, cores, online }.to_string();
        assert_eq!([text(2, 2, 2), text(1, 1, 1)], ["2 cores", "1 core"]);
        assert_eq!(text(8, 4, 8), "4 cores with 8 hardware threads");
        assert_eq!(text(2, 2, 64), "2 cores, of 64 in this machine (see its affinity and CPU quota)");
    }
}
