//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of its threads that live: to the microsecond, where a process's own sum counts hundredths of a second.
    pub cpu: Duration,
    /// Units: KiB. The most memory it ever held at once.
    pub peak_rss_kib: u64,
}

impl Usage {
    /// Of a process; none if it is gone, or where the kernel does not say.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let mut cpu = Duration::ZERO;
        for thread in fs::read_dir(process.join("task")).ok()? {
            // One that ended meanwhile is not counted.
            let Ok(counted) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
            cpu += Duration::from_nanos(counted.split_whitespace().next()?.parse().ok()?);
        }
        let status = fs::read_to_string(process.join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(Self { cpu, peak_rss_kib: peak.split_whitespace().next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_used_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_rss_kib > 0);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
