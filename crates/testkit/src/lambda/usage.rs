//! The resources that a process has used, as counted by the kernel.

use std::fs;
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of the live threads, in microseconds. The sum of the process would count hundredths of a second.
    pub cpu: Duration,
    /// The highest resident memory so far. Units: KiB.
    pub peak_rss_kib: u64,
}

impl Usage {
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let mut cpu = Duration::ZERO;
        for thread in fs::read_dir(process.join("task")).ok()? {
            // A thread that ended during the loop is not counted.
            let Ok(counted) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
            cpu += Duration::from_nanos(counted.split_whitespace().next()?.parse().ok()?);
        }
        let status = fs::read_to_string(process.join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(Self { cpu, peak_rss_kib: peak.split_whitespace().next()?.parse().ok()? })
    }
}
