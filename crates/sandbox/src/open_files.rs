//! The limit of open files of a server process, which shells set for interactive programs.

use crate::spec::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, at most to the limit of a sandboxed command. Children inherit it. Returns the
/// limit; `None` if the operating system does not report one.
pub fn raise_open_files_limit() -> Option<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let wanted = hard.min(Limits::default().open_files).max(soft);
    let limit = if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(limit).ok()
}
