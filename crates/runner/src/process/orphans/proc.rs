//! Reads processes from Linux's `/proc`.
//! Source: proc_pid_stat(5), proc_pid_environ(5).

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

type Parents = BTreeMap<i32, i32>;

#[derive(Debug, thiserror::Error)]
#[error("see which processes run: {0}")]
pub(crate) struct ProcReadError(pub(super) String);

pub(super) fn descendants(parents: &Parents, mut roots: Vec<i32>) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    while let Some(root) = roots.pop() {
        let children = parents.iter().filter(|(_, parent)| **parent == root).map(|(pid, _)| *pid);
        roots.extend(children.filter(|child| pids.insert(*child)));
    }
    pids
}

#[cfg(target_os = "linux")]
pub(super) fn is_child_subreaper() -> bool {
    nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_child_subreaper() -> bool {
    false
}

/// Whether this process has children that no other process waits for, also as process 1 of a container.
fn is_orphan_reaper() -> bool {
    is_child_subreaper() || nix::unistd::getpid().as_raw() == 1
}

/// Lists all processes with their parents. Calls `on_marked` at once for each with a mark (`NAME=VALUE`) as a variable.
pub(super) fn list_processes(marks: &[Vec<u8>], mut on_marked: impl FnMut(i32)) -> Result<Parents, ProcReadError> {
    let to_error = |error: io::Error| ProcReadError(format!("/proc: {error}"));
    let is_reaper = is_orphan_reaper();
    let mut parents = Parents::new();
    for entry in std::fs::read_dir("/proc").map_err(to_error)? {
        let Some((pid, state, parent)) = read_process(&entry.map_err(to_error)?)? else { continue };
        if matches!(state.as_str(), "Z" | "X") {
            // The process is dead. Reap it if this process inherits orphans; otherwise each child has another waiter.
            if is_reaper {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
            continue;
        }
        if is_marked(pid, marks)? {
            on_marked(pid);
        }
        parents.insert(pid, parent);
    }
    Ok(parents)
}

/// Id, state and parent. `None` if the entry is no process, is gone, or is hidden because another user owns it.
fn read_process(entry: &DirEntry) -> Result<Option<(i32, String, i32)>, ProcReadError> {
    let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { return Ok(None) };
    let stat = match ignore_gone(std::fs::read(entry.path().join("stat"))) {
        Ok(Some(stat)) => stat,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied && is_owned_by_other_user(entry) => return Ok(None),
        Err(error) => return Err(ProcReadError(format!("/proc/{pid}/stat: {error}"))),
    };
    Ok(parse_stat(&String::from_utf8_lossy(&stat)).map(|(state, parent)| (pid, state, parent)))
}

/// `pid (name) state parent …`. The name may contain any bytes, even brackets.
fn parse_stat(stat: &str) -> Option<(String, i32)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.to_owned();
    let parent = fields.next()?.parse().ok()?;
    Some((state, parent))
}

fn is_marked(pid: i32, marks: &[Vec<u8>]) -> Result<bool, ProcReadError> {
    if marks.is_empty() {
        return Ok(false);
    }
    // The environment of a dying process is empty.
    let environment = match ignore_gone(std::fs::read(format!("/proc/{pid}/environ"))) {
        Ok(environment) => environment.unwrap_or_default(),
        // Another user owns the process, or it hides its environment, as the runner itself does.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(ProcReadError(format!("/proc/{pid}/environ: {error}"))),
    };
    Ok(environment.split(|byte| *byte == 0).any(|variable| marks.iter().any(|mark| *mark == variable)))
}

/// `None` if the process is gone. Any other error, such as too many open files, does not prove that.
fn ignore_gone(result: io::Result<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// With `hidepid=1`, a system hides everything about other users' processes except their existence.
fn is_owned_by_other_user(entry: &DirEntry) -> bool {
    entry.metadata().is_ok_and(|metadata| metadata.uid() != Uid::effective().as_raw())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn only_a_missing_process_counts_as_gone() {
        let result_of = |errno: Errno| ignore_gone(Err(io::Error::from_raw_os_error(errno as i32)));
        for errno in [Errno::ENOENT, Errno::ESRCH] {
            assert_eq!(result_of(errno).unwrap(), None, "{errno}");
        }
        for unknown in [Errno::EMFILE, Errno::ENFILE, Errno::EACCES, Errno::EPERM, Errno::ENOMEM, Errno::EIO] {
            assert!(result_of(unknown).is_err(), "{unknown}");
        }
        assert_eq!(ignore_gone(Ok(Vec::new())).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn descendants_include_all_generations() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (7, 2), (8, 9)].into();
        assert_eq!(descendants(&parents, vec![2]), [3, 4, 7].into());
        assert_eq!(descendants(&parents, vec![7, 9]), [8].into());
        assert!(descendants(&parents, Vec::new()).is_empty());
    }

    #[test]
    fn process_with_an_unusual_name_is_found() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "printf 'a) b\\377' > /proc/$$/comm; echo ready; read nothing"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let parent = list_processes(&[], |_| ()).unwrap().remove(&i32::try_from(child.id()).unwrap());
        let own_pid = i32::try_from(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((ready.as_str(), parent), ("ready\n", Some(own_pid)));
    }
}
