//! The memory of the machine and of the process.

use std::fs;

/// Returns the peak resident memory of the process so far, in bytes, or `None` if the system does
/// not report it (`VmHWM` in `/proc/self/status`, on Linux).
pub fn peak_rss_bytes() -> Option<u64> {
    entry("/proc/self/status", "VmHWM:")
}

/// Returns the memory that is available without swapping, in bytes, or `None` if the system does
/// not report it (`MemAvailable` in `/proc/meminfo`, on Linux).
///
/// # Examples
///
/// ```
/// use phalanx::internals::{available_bytes, peak_rss_bytes};
///
/// if let (Some(available), Some(used)) = (available_bytes(), peak_rss_bytes()) {
///     println!("{used} bytes used at most, {available} bytes available");
/// }
/// ```
pub fn available_bytes() -> Option<u64> {
    entry("/proc/meminfo", "MemAvailable:")
}

fn entry(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kilobytes)
}
