//! The folder with the state of one runner, which outlives the runner's processes.
//! It has a lock for one process, the instance, and the claim's id, but no secret. `child` owns the records of jobs.

use super::installed::InstalledPrograms;
use crate::Error;
use crate::api::ids;
use crate::durable_file;
use crate::git::workspace::disk::{create_private_dirs, open_lock_file};
use pullyard_domain::text::id::{ClaimId, InstanceId, OrderId};
use serde::{Deserialize, Serialize};
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct StateFolder {
    dir: PathBuf,
    pub(crate) instance: InstanceId,
    _lock: File,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct RunnerIdentity {
    instance: InstanceId,
    api_url: String,
    name: String,
    /// A copy of the folder on another machine is another runner.
    machine: String,
}

/// An order that replaces the program.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredOrder {
    pub(crate) id: OrderId,
    /// The release of an update.
    pub(crate) version: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PendingClaim {
    claim_id: ClaimId,
}

impl StateFolder {
    /// Locks the folder of the runner with this name, for one process at a time.
    ///
    /// A stored instance therefore belongs to a process that died without its last heartbeat. This process continues
    /// with that instance, so that the control plane treats its registration as a repeat. Otherwise the instance is
    /// new.
    pub(crate) fn lock(work_dir: &Path, name: &str, api_url: &str) -> Result<Self, Error> {
        let dir = work_dir.join("runners").join(format!("{name}.runner"));
        let to_error = |error: io::Error| Error::StateFolder { dir: dir.clone(), source: error };
        create_private_dirs(&dir.join("jobs")).map_err(to_error)?;
        let lock = open_lock_file(&dir.join("lock")).map_err(to_error)?;
        // An earlier release let others read it. Some disks have no modes.
        let _ = lock.set_permissions(Permissions::from_mode(0o600));
        match lock_with_timeout(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::AlreadyRuns { name: name.to_owned(), dir }),
            Err(TryLockError::Error(error)) => return Err(to_error(error)),
        }
        let identity = RunnerIdentity {
            instance: ids::new_instance_id()?,
            api_url: api_url.to_owned(),
            name: name.to_owned(),
            machine: machine_id(),
        };
        let earlier: Option<RunnerIdentity> = durable_file::read(&dir.join("instance.json"));
        let instance = match earlier {
            Some(earlier) if identity.is_same_runner(&earlier) => earlier.instance,
            _ => {
                durable_file::write(&dir.join("instance.json"), &identity).map_err(to_error)?;
                durable_file::remove(&dir.join("claim.json"));
                identity.instance
            }
        };
        Ok(Self { dir, instance, _lock: lock })
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.dir.join("jobs")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The id of the next claim. An id whose answer may be lost is used again, even by a later process.
    pub(crate) fn load_claim(&self) -> Result<ClaimId, Error> {
        if let Some(PendingClaim { claim_id }) = durable_file::read(&self.claim_file()) {
            return Ok(claim_id);
        }
        self.create_claim()
    }

    /// Stores a new id, once the job of the last claim is recorded.
    pub(crate) fn create_claim(&self) -> Result<ClaimId, Error> {
        let pending = PendingClaim { claim_id: ids::new_claim_id()? };
        durable_file::write(&self.claim_file(), &pending)
            .map_err(|source| Error::StateFolder { dir: self.dir.clone(), source })?;
        Ok(pending.claim_id)
    }

    pub(crate) fn programs(&self) -> InstalledPrograms {
        InstalledPrograms::new(&self.dir)
    }

    /// The order of the last replacement of the program.
    pub(crate) fn load_order(&self) -> Option<StoredOrder> {
        durable_file::read(&self.order_file())
    }

    /// Stores the order before its program starts, which reports its end.
    pub(crate) fn store_order(&self, order: &StoredOrder) -> Result<(), Error> {
        durable_file::write(&self.order_file(), order)
            .map_err(|source| Error::StateFolder { dir: self.dir.clone(), source })
    }

    fn order_file(&self) -> PathBuf {
        self.dir.join("order.json")
    }

    fn claim_file(&self) -> PathBuf {
        self.dir.join("claim.json")
    }

    /// The control plane knows that this process ended, so the next process is a new instance.
    pub(crate) fn clear_instance(&self) {
        durable_file::remove(&self.dir.join("instance.json"));
        durable_file::remove(&self.claim_file());
    }
}

/// The present instance of a runner in this work folder.
pub(crate) fn load_instance(work_dir: &Path, name: &str, api_url: &str) -> Option<InstanceId> {
    let file = work_dir.join("runners").join(format!("{name}.runner/instance.json"));
    let identity: RunnerIdentity = durable_file::read(&file)?;
    (identity.api_url == api_url && identity.name == name).then_some(identity.instance)
}

impl RunnerIdentity {
    fn is_same_runner(&self, earlier: &Self) -> bool {
        self.api_url == earlier.api_url && self.name == earlier.name && self.machine == earlier.machine
    }
}

/// Locks a file, waiting up to a second: a new child holds its parent's locks until it executes its program.
fn lock_with_timeout(file: &File) -> Result<(), TryLockError> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
    file.try_lock()
}

/// This machine since its boot, because no earlier process survives a reboot.
fn machine_id() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{}/{}", host_name().unwrap_or_default(), boot.trim())
}

pub(crate) fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_locked_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateFolder::lock(dir.path(), "kite", "http://x").unwrap();
        assert!(matches!(StateFolder::lock(dir.path(), "kite", "http://x"), Err(Error::AlreadyRuns { .. })));
        assert!(StateFolder::lock(dir.path(), "gull", "http://x").is_ok());
        drop(first);
        assert!(StateFolder::lock(dir.path(), "kite", "http://x").is_ok());
    }

    #[test]
    fn instance_resumes_after_a_crash_and_not_after_leaving() {
        let dir = tempfile::tempdir().unwrap();
        let lock_folder = |url| StateFolder::lock(dir.path(), "..", url).unwrap();
        let first = lock_folder("http://x");
        let (instance, claim) = (first.instance.clone(), first.load_claim().unwrap());
        assert_eq!(first.load_claim().unwrap(), claim);
        drop(first);
        let second = lock_folder("http://x");
        assert_eq!((&second.instance, second.load_claim().unwrap()), (&instance, claim.clone()));
        assert_ne!(second.create_claim().unwrap(), claim);
        second.clear_instance();
        drop(second);
        let third = lock_folder("http://x");
        assert_ne!(third.instance, instance);
        assert_ne!(third.load_claim().unwrap(), claim);
        let (instance, claim) = (third.instance.clone(), third.load_claim().unwrap());
        drop(third);
        // Another control plane does not know this instance.
        let fourth = lock_folder("http://y");
        assert_ne!((fourth.load_claim().unwrap(), &fourth.instance), (claim, &instance));
    }

    #[test]
    fn instance_of_another_boot_is_not_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateFolder::lock(dir.path(), "kite", "http://x").unwrap();
        let (instance, claim) = (first.instance.clone(), first.load_claim().unwrap());
        let file = first.dir.join("instance.json");
        drop(first);
        let mut identity: RunnerIdentity = durable_file::read(&file).unwrap();
        assert_eq!(identity.machine, machine_id());
        identity.machine = "elsewhere/another-boot".into();
        durable_file::write(&file, &identity).unwrap();
        let second = StateFolder::lock(dir.path(), "kite", "http://x").unwrap();
        assert_ne!(second.instance, instance);
        assert_ne!(second.load_claim().unwrap(), claim);
    }
}
