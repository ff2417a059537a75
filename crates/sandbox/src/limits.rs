//! Sets the resource limits of each process of a command.

use crate::spec::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::sysinfo::sysinfo;
use std::fs;
use std::io;

/// The limit of an account that is not only the agent's, because it counts all threads of the account.
pub(crate) const SHARED_ACCOUNT_THREADS: u64 = 32_768;

/// Claude Code 2.1 uses 0.2 GB, but reserves 71 GB, or 2.7 GB under this limit.
const MIN_PROCESS_BYTES: u64 = 4 << 30;

/// Limits this process and its future children. A limit is never raised.
pub(crate) fn limit_process(limits: &Limits, has_own_account: bool) -> io::Result<()> {
    // When memory runs out, the kernel kills these processes before the runner. Without root, a command may undo it.
    // Some kernels of containers lack the file.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let threads = if has_own_account { limits.threads } else { limits.threads.max(SHARED_ACCOUNT_THREADS) };
    let values = [
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        // Not RLIMIT_AS: JavaScript engines reserve many times the memory that they use.
        (Resource::RLIMIT_DATA, limits.process_bytes.map_or_else(default_process_bytes, Ok)?),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NPROC, threads),
    ];
    for (resource, value) in values {
        let (_, hard) = getrlimit(resource)?;
        let value = value.min(hard);
        setrlimit(resource, value, value)?;
    }
    Ok(())
}

fn default_process_bytes() -> io::Result<u64> {
    // Missing on the machine itself, present in a container.
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    Ok(share_of_memory(sysinfo()?.ram_total(), &container))
}

/// `container` is the limit of a control group: a number of bytes, or "max".
fn share_of_memory(machine_bytes: u64, container: &str) -> u64 {
    let bytes = container.trim().parse().unwrap_or(u64::MAX).min(machine_bytes);
    (bytes / 4 * 3).max(MIN_PROCESS_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_a_share_of_the_container_memory() {
        const GIB: u64 = 1 << 30;
        for (container, expected) in
            [("", 48 * GIB), ("max\n", 48 * GIB), ("17179869184\n", 12 * GIB), ("2147483648\n", 4 * GIB)]
        {
            assert_eq!(share_of_memory(64 * GIB, container), expected, "{container}");
        }
    }
}
