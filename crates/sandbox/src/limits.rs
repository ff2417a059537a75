//! Sets the resource limits of each process of a command.

use crate::spec::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// The limit of an account that is not only the agent's, because it counts all threads of the account.
pub(crate) const SHARED_ACCOUNT_THREADS: u64 = 32_768;

/// Limits this process and its future children. A limit is never raised.
pub(crate) fn limit_process(limits: &Limits, has_own_account: bool) -> io::Result<()> {
    let threads = if has_own_account { limits.threads } else { limits.threads.max(SHARED_ACCOUNT_THREADS) };
    let values = [
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
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
