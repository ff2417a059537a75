//! Limits of a command: resource limits of each process, and a cgroup where this process owns one.

use crate::error::Error;
use crate::spec::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The group of this process itself: a group with limits for its children has no processes of its own.
const OWN_GROUP: &str = "pullyard-runner";
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
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

/// A cgroup (version 2) that belongs to this process, below which it creates one for each command.
/// systemd delegates one to a service with `Delegate=yes`.
#[derive(Clone, Debug)]
pub(crate) struct Delegated {
    folder: PathBuf,
}

impl Delegated {
    /// Moves this process into a group of its own below. `None` if this machine delegates no group with controllers.
    pub(crate) fn detect() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self { folder: own_group(&mounts, &groups)? }.prepare().ok()
    }

    fn prepare(mut self) -> io::Result<Self> {
        if self.folder.ends_with(OWN_GROUP) {
            // The process that started this one has prepared the group.
            self.folder.pop();
        }
        let controllers = fs::read_to_string(self.folder.join("cgroup.controllers"))?;
        if !CONTROLLERS.iter().all(|wanted| controllers.split_whitespace().any(|found| found == *wanted)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let own = self.folder.join(OWN_GROUP);
        if !own.is_dir() {
            fs::create_dir(&own)?;
        }
        fs::write(own.join("cgroup.procs"), "0")?;
        let enabled = CONTROLLERS.map(|controller| format!("+{controller}")).join(" ");
        fs::write(self.folder.join("cgroup.subtree_control"), enabled)?;
        Ok(self)
    }

    pub(crate) fn create(&self, name: &str, limits: &Limits) -> Result<Cgroup, Error> {
        let folder = self.folder.join(name);
        let group = Cgroup { folder: folder.clone() };
        let result = fs::create_dir(&folder).and_then(|()| {
            fs::write(folder.join("memory.max"), limits.memory_bytes.to_string())?;
            fs::write(folder.join("pids.max"), limits.threads.to_string())
        });
        result.map_err(Error::io(format!("create the cgroup {}", folder.display())))?;
        Ok(group)
    }
}

/// The folder of this process's cgroup of version 2.
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = about.split(' ').skip(3);
        Some((fields.next()?, fields.next()?))
    });
    let (root, mount) = mount?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(mount).join(below))
}

/// The group of one command. Removed when dropped, once it is empty.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(crate) folder: PathBuf,
}

impl Cgroup {
    pub(crate) fn kill(&self) {
        // The group may have ended already.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_group_is_found_in_each_layout() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        let group = "0::/system.slice/pullyard.service\n";
        let expected = Path::new("/sys/fs/cgroup/system.slice/pullyard.service");
        assert_eq!(own_group(unified, group).as_deref(), Some(expected));
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw\n\
             40 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        assert_eq!(own_group(hybrid, "4:cpu:/\n0::/\n").as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        let container = "40 30 0:28 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw";
        assert_eq!(own_group(container, "0::/docker/1\n").as_deref(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(own_group("31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw", "4:cpu:/\n"), None);
    }

    #[test]
    fn killed_group_ends_its_processes() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let Some(root) = own_group(&mounts, "0::/\n") else { return };
        let group = Cgroup { folder: root.join(format!("pullyard-test-{}", std::process::id())) };
        if fs::create_dir(&group.folder).is_err() {
            eprintln!("skipped: this user may create no cgroup");
            return;
        }
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(group.folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        group.kill();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    // No machine of the tests delegates a group, so a folder shows which files get which values.
    #[test]
    fn group_of_a_command_gets_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("cgroup.controllers"), "cpu io memory\n").unwrap();
        assert!(Delegated { folder: folder.into() }.prepare().is_err());
        fs::write(folder.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
        let delegated = Delegated { folder: folder.into() }.prepare().unwrap();
        let again = Delegated { folder: folder.join(OWN_GROUP) }.prepare().unwrap();
        assert_eq!(delegated.folder, again.folder);
        let limits = Limits { memory_bytes: 5, threads: 6, ..Limits::default() };
        let group = again.create("job", &limits).unwrap();
        let read = |name: &str| fs::read_to_string(group.folder.join(name)).unwrap();
        assert_eq!((read("memory.max"), read("pids.max")), ("5".into(), "6".into()));
        assert_eq!(fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap(), "+memory +pids");
    }
}
