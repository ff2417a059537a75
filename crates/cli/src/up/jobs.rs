//! Computes how many jobs this machine runs at once by default.

use std::num::NonZero;
use std::thread::available_parallelism;

/// For an agent with its language servers and tests.
const BYTES_PER_JOB: u64 = 2 << 30;

/// One job per core, but at most one per 2 GB of memory.
pub(super) fn default_jobs() -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    limit_by_memory(cores, &read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max"))
}

/// `memory`: content of `/proc/meminfo`, which exists on Linux only. `limit`: content of the container's `memory.max`,
/// which is "max" without a limit.
fn limit_by_memory(cores: usize, memory: &str, limit: &str) -> usize {
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let bytes = [kib.map(|kib| kib << 10), limit.trim().parse().ok()].into_iter().flatten().min();
    let by_memory = bytes.map_or(u64::MAX, |bytes| bytes / BYTES_PER_JOB);
    cores.min(usize::try_from(by_memory).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::limit_by_memory;

    #[test]
    fn jobs_are_limited_by_cores_and_memory() {
        let memory = |mib: u64| format!("MemTotal:       {} kB\nMemFree:  1 kB\n", mib << 10);
        for (cores, mib, limit, jobs) in [
            (2, 24_000, "max\n", 2),
            (8, 7_900, "", 3),
            (8, 16_384, "", 8),
            (4, 1_000, "", 1),
            (1, 64_000, "", 1),
            (8, 64_000, "4294967296\n", 2),
            (8, 4_096, "17179869184\n", 2),
        ] {
            assert_eq!(limit_by_memory(cores, &memory(mib), limit), jobs, "{cores} cores, {mib} MiB, {limit}");
        }
        assert_eq!(limit_by_memory(8, "", ""), 8);
    }
}
