//! Controls a process group: signals it, kills it on drop, and verifies that it is empty.
//! For processes that left their group, `pid_namespace` uses a namespace, and `orphans` searches for them.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

const KILL_LIMIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
#[error("stop every process of the group {group}")]
pub(crate) struct GroupStillAlive {
    group: Pid,
}

/// The group that a child leads; the child was started with `process_group(0)`.
#[derive(Debug)]
pub(crate) struct Group {
    id: Pid,
    known_empty: bool,
}

impl Group {
    pub(crate) fn from_child(child: &Child) -> Option<Self> {
        let id = i32::try_from(child.id()?).ok()?;
        Some(Self { id: Pid::from_raw(id), known_empty: false })
    }

    /// Stops the group, by SIGKILL after `grace`, until it is empty.
    pub(crate) async fn stop(&mut self, leader: &mut Child, grace: Duration) -> Result<(), GroupStillAlive> {
        for (signal, limit) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, KILL_LIMIT)] {
            if self.is_empty(leader) {
                break;
            }
            let _ = killpg(self.id, signal);
            let until = Instant::now() + limit;
            while !self.is_empty(leader) && Instant::now() < until {
                sleep(POLL_INTERVAL).await;
            }
        }
        if self.is_empty(leader) { Ok(()) } else { Err(GroupStillAlive { group: self.id }) }
    }

    /// Whether no process of the group is alive. Stores a positive result, because the id may be reused soon.
    fn is_empty(&mut self, leader: &mut Child) -> bool {
        if self.known_empty {
            return true;
        }
        // The group exists until its leader is waited for.
        if !matches!(leader.try_wait(), Ok(Some(_)) | Err(_)) {
            return false;
        }
        self.reap();
        self.known_empty = match killpg(self.id, None) {
            Err(Errno::ESRCH) => true,
            // macOS returns this for a group of zombies.
            Err(Errno::EPERM) if cfg!(target_os = "macos") => true,
            _ => only_zombies(self.id),
        };
        self.known_empty
    }

    /// As process 1 of a container, the runner inherits orphans and must wait for them.
    fn reap(&self) {
        let members = Pid::from_raw(-self.id.as_raw());
        while let Ok(status) = waitpid(members, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.known_empty {
            let _ = killpg(self.id, Signal::SIGKILL);
        }
    }
}

#[cfg(target_os = "linux")]
fn only_zombies(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    let group = group.to_string();
    !processes.flatten().any(|process| {
        let stat = match std::fs::read(process.path().join("stat")) {
            Ok(stat) => stat,
            // The process is unknown, so it may belong to the group.
            Err(error) if is_resource_exhausted(&error) => return true,
            // The process is gone, or the entry is no process.
            Err(_) => return false,
        };
        // `pid (name) state parent group …`. The name may contain any bytes, even brackets.
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
        let state = fields.next();
        let process_group = fields.nth(1);
        process_group == Some(&group) && !matches!(state, Some("Z" | "X"))
    })
}

#[cfg(target_os = "linux")]
fn is_resource_exhausted(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

#[cfg(not(target_os = "linux"))]
fn only_zombies(_: Pid) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use tokio::io::{AsyncBufReadExt, BufReader};

    fn shell(script: &str) -> Child {
        tokio::process::Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    async fn first_line(child: &mut Child) -> String {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn stop_kills_a_child_that_ignores_sigterm() {
        let mut child = shell("trap '' TERM; (while :; do sleep 1; done) & echo $!; wait");
        let mut group = Group::from_child(&child).unwrap();
        let member: i32 = first_line(&mut child).await.parse().unwrap();
        assert!(!group.is_empty(&mut child));
        group.stop(&mut child, Duration::from_millis(50)).await.unwrap();
        assert!(!child.wait().await.unwrap().success());
        assert!(group.known_empty);
        assert!(!is_alive(member));
    }

    #[tokio::test]
    async fn stop_kills_members_after_the_leader_exited() {
        let mut child = shell("(trap '' TERM; echo ready; while :; do sleep 1; done) & exit 3");
        let mut group = Group::from_child(&child).unwrap();
        assert_eq!(first_line(&mut child).await, "ready");
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(3));
        group.stop(&mut child, Duration::from_millis(50)).await.unwrap();
        assert!(group.known_empty);
    }

    #[tokio::test]
    async fn dropped_group_is_killed() {
        let mut child = shell("echo ready; exec sleep 600");
        let group = Group::from_child(&child).unwrap();
        assert_eq!(first_line(&mut child).await, "ready");
        drop(group);
        assert!(!child.wait().await.unwrap().success());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn exhausted_file_handles_do_not_mean_an_empty_group() {
        let failed = |errno: Errno| is_resource_exhausted(&std::io::Error::from_raw_os_error(errno as i32));
        assert!([Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM].into_iter().all(failed));
        assert!(![Errno::ENOENT, Errno::ESRCH, Errno::ENOTDIR, Errno::EACCES].into_iter().any(failed));
    }

    fn is_alive(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        nix::sys::signal::kill(Pid::from_raw(pid), None).is_ok() && !stat.contains(") Z ")
    }
}
