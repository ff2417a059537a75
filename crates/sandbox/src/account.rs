//! The accounts under which a runner that is root starts commands.
//!
//! To the kernel, a command that root starts in a user namespace is root, and writes the kernel's settings. Each job
//! therefore gets a user id of its own from a fixed range, which needs no entry in `/etc/passwd`. A file lock in one
//! folder of the machine prevents two jobs from using the same id, even jobs of different runners.

use crate::error::Error;
use nix::unistd::Uid;
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Above the ranges that systemd documents for users, services and containers (up to 1,879,048,191).
const FIRST_ID: u32 = 1_900_000_000;
const COUNT: u32 = 1000;
/// The folder of the locks. It must be the same for all runners of a machine.
const LOCKS: &str = "/run/pullyard/accounts";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// An account that only this process uses as long as this value lives.
#[derive(Debug)]
pub(crate) struct AccountLease {
    pub(crate) account: Account,
    _lock: File,
}

impl AccountLease {
    /// The first free id of the range. `None` unless this process is root.
    pub(crate) fn acquire() -> Result<Option<Self>, Error> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        require_mapped(FIRST_ID)?;
        acquire_in(Path::new(LOCKS)).map(Some)
    }
}

/// Whether this process may start and end processes of other users, and exchange files with them.
pub(crate) fn can_change_user() -> bool {
    let users = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETPCAP | CapabilitySet::KILL;
    let needed = users | CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// In a container with few user ids, the kernel refuses to change to any other id.
fn require_mapped(uid: u32) -> Result<(), Error> {
    let map = fs::read_to_string("/proc/self/uid_map").map_err(Error::io("read this process's user ids"))?;
    if is_mapped(&map, uid) { Ok(()) } else { Err(Error::NoUserId(uid)) }
}

/// Each line has the first id inside, the first id outside, and the count.
fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().unwrap_or(0));
        let (first, count) = (numbers.next().unwrap_or(0), numbers.nth(1).unwrap_or(0));
        uid.checked_sub(first).is_some_and(|offset| offset < count)
    })
}

fn acquire_in(locks: &Path) -> Result<AccountLease, Error> {
    let folder = DirBuilder::new().recursive(true).mode(0o700).create(locks);
    folder.map_err(Error::io(format!("create {}, which one account per job needs", locks.display())))?;
    for uid in FIRST_ID..FIRST_ID + COUNT {
        let path = locks.join(uid.to_string());
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(Error::io(format!("open {}", path.display())))?;
        match lock.try_lock() {
            // Processes of a job whose runner was killed may still run.
            Ok(()) if is_idle(uid) => return Ok(AccountLease { account: Account { uid, gid: uid }, _lock: lock }),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Error::io(format!("lock {}", path.display()))(error)),
        }
    }
    Err(Error::AccountsInUse(COUNT))
}

pub(crate) fn is_idle(uid: u32) -> bool {
    let uid = uid.to_string();
    !fs::read_dir("/proc").into_iter().flatten().flatten().any(|process| {
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let is_zombie = status.lines().any(|line| line.starts_with("State:\tZ"));
        !is_zombie && ids.is_some_and(|ids| ids.split_whitespace().any(|id| id == uid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_jobs_never_get_the_same_account() {
        let folder = tempfile::tempdir().unwrap();
        let first = acquire_in(folder.path()).unwrap();
        let second = acquire_in(folder.path()).unwrap();
        assert_ne!(first.account, second.account);
        drop(first);
        // The first id again, unless a process of another test runs under it.
        assert_ne!(acquire_in(folder.path()).unwrap().account, second.account);
    }

    #[test]
    fn ids_outside_the_map_of_a_container_are_refused() {
        let full_map = "         0          0 4294967295\n";
        let rootless = "0 1000 1\n1 100000 65536\n";
        assert!(is_mapped(full_map, FIRST_ID) && is_mapped(rootless, 65_536));
        assert!(!is_mapped(rootless, 65_537) && !is_mapped("0 1000 1", FIRST_ID) && !is_mapped("", 0));
    }

    #[test]
    fn account_in_use_by_processes_is_not_idle() {
        assert!(!is_idle(Uid::effective().as_raw()));
    }
}
