//! How much memory the process has taken.

use std::fs;

/// Largest resident memory of the process so far, in bytes; `None` where the system does not tell (`VmHWM` in
/// `/proc/self/status`, which Linux has).
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}
