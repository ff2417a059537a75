//! One child process and all it brings into the world.
//!
//! Owns starting it with nothing inherited but a few variables, and killing it with its descendants,
//! as the end of a container does. When to do so is the life cycle's business.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::record::ProcessMark;

/// All a task inherits from the process that hosts the emulator.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "USER"];

/// How often a running task is looked at for new members.
///
/// Who leaves the group, clears its environment and loses its parent between two looks is not found.
const LOOK: Duration = Duration::from_secs(1);

/// The variable every process of a task carries; its value is different for each task.
pub(super) const METADATA_URI: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// A started child, the leader of its own process group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    /// `NAME=value` that marks the members, wherever they went.
    mark: String,
    /// Members at the last look: a crashed leader no longer shows who descends from it.
    known: Vec<Member>,
    over: bool,
}

impl Process {
    /// Starts a program with its output in files of the folder.
    pub(super) fn spawn(
        command: &[String],
        environment: &[(String, String)],
        metadata_uri: &str,
        folder: &Path,
    ) -> io::Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
        };
        let mut starting = Command::new(program);
        starting.args(arguments).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                starting.env(name, value);
            }
        }
        starting
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env(METADATA_URI, metadata_uri)
            .stdin(Stdio::null())
            // Files, not pipes: a task that outlives its parent must still be able to print.
            .stdout(File::create(folder.join("stdout.log"))?)
            .stderr(File::create(folder.join("stderr.log"))?)
            .process_group(0)
            .kill_on_drop(true);
        let child = starting.spawn()?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the child has no pid"))?;
        Ok(Self {
            child,
            group,
            mark: format!("{METADATA_URI}={metadata_uri}"),
            known: Vec::new(),
            over: false,
        })
    }

    /// How to recognise the child after a restart of the parent.
    pub(super) fn mark(&self) -> ProcessMark {
        ProcessMark {
            pid: self.group.as_raw().unsigned_abs(),
            start_mark: start_mark(self.group),
        }
    }

    /// Waits for the child's end, then kills what it left behind; gives its exit code.
    pub(super) async fn wait(&mut self) -> io::Result<i32> {
        let mut looks = tokio::time::interval(LOOK);
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                _ = looks.tick() => self.look(),
            }
        };
        self.over = true;
        self.kill_members().await;
        Ok(exit_code(status))
    }

    /// SIGTERM to the group, SIGKILL to every member after the timeout; gives the exit code.
    pub(super) async fn terminate(&mut self, timeout: Duration) -> io::Result<i32> {
        self.look();
        signal_group(self.group, Signal::SIGTERM);
        if let Ok(ended) = tokio::time::timeout(timeout, self.wait()).await {
            return ended;
        }
        self.kill_members().await;
        self.wait().await
    }

    fn look(&mut self) {
        self.known = self.members();
    }

    /// SIGKILL to the group and to members that left it for a group or session of their own.
    ///
    /// Repeated until none is found, because a member may fork while it is looked for.
    async fn kill_members(&mut self) {
        for _ in 0..100 {
            // Before the group is killed, while its leader still shows its children.
            self.look();
            for member in &self.known {
                // Gone meanwhile is as good.
                let _gone = kill(member.pid, Signal::SIGKILL);
            }
            signal_group(self.group, Signal::SIGKILL);
            if self.known.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tracing::warn!(group = self.group.as_raw(), "processes of an ECS task survive SIGKILL");
    }

    /// The living members: the known, the group, those that carry the mark, and their descendants.
    ///
    /// Elsewhere than on Linux there is no `/proc`, and only the group is known.
    fn members(&self) -> Vec<Member> {
        let Ok(table) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let mut unknown: Vec<Entry> = table
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Entry::read(pid, &self.mark))
            .collect();
        let mut found: Vec<Member> = Vec::new();
        loop {
            let before = found.len();
            unknown.retain(|entry| {
                let is_member = entry.marked
                    || entry.group == self.group.as_raw()
                    || self.known.contains(&entry.member)
                    || found.iter().any(|parent| parent.pid.as_raw() == entry.parent);
                if is_member {
                    found.push(entry.member.clone());
                }
                !is_member
            });
            if found.len() == before {
                return found;
            }
        }
    }
}

impl Drop for Process {
    /// A host that ends without a shutdown takes its tasks with it.
    fn drop(&mut self) {
        if !self.over {
            signal_group(self.group, Signal::SIGKILL);
        }
    }
}

/// Signals a group. The leader may already be reaped: as long as a member lives the number can't
/// be given out again, and without members it was free for microseconds only.
fn signal_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        // EPERM is what macOS answers for a group of zombies.
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(error) => tracing::warn!(%error, "an ECS task could not be signalled"),
    }
}

/// 128 + n after signal n, as a container runtime reports it.
fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

/// Boot id and start time: together with the pid they name one process for good. Linux only.
fn start_mark(pid: Pid) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = Stat::read(pid.as_raw())?;
    Some(format!("{}/{}", boot.trim(), stat.start))
}

/// A process that can't be mistaken for a later one with its pid.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    pid: Pid,
    start: String,
}

/// One line of the process table.
struct Entry {
    member: Member,
    parent: i32,
    group: i32,
    marked: bool,
}

impl Entry {
    /// A living process; the dead need no killing and are reaped by whoever adopted them.
    fn read(pid: i32, mark: &str) -> Option<Self> {
        let stat = Stat::read(pid)?;
        if matches!(stat.state.as_str(), "Z" | "X") {
            return None;
        }
        // Not readable for other users' processes, which are none of ours.
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        Some(Self {
            member: Member {
                pid: Pid::from_raw(pid),
                start: stat.start,
            },
            parent: stat.parent,
            group: stat.group,
            marked: environ.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes()),
        })
    }
}

/// What `/proc/<pid>/stat` tells.
struct Stat {
    state: String,
    parent: i32,
    group: i32,
    /// Units: ticks since the boot.
    start: String,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Counted after the command's closing bracket, since the command may hold spaces.
        let (_, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Self {
            state: fields.next()?.to_owned(),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            // Field 22 of the line.
            start: fields.nth(16)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_leader_takes_members_that_were_seen_along() {
        let folder = tempfile::tempdir().unwrap();
        let script = "env -i setsid sleep 1000 & echo $!; wait";
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let mut process = Process::spawn(&command, &[], "http://here/v4/1", folder.path()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        // Both have to be there: who has not yet cleared its environment is found by its mark.
        let seen = loop {
            process.look();
            let printed = std::fs::read_to_string(folder.path().join("stdout.log")).unwrap();
            let member = |member: &&Member| printed == format!("{}\n", member.pid);
            if let Some(member) = process.known.iter().find(member)
                && Entry::read(member.pid.as_raw(), &process.mark).is_some_and(|entry| !entry.marked)
            {
                break member.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "never seen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        kill(process.group, Signal::SIGKILL).unwrap();
        assert_eq!(process.wait().await.unwrap(), 137);
        assert!(Entry::read(seen.pid.as_raw(), "").is_none());
    }
}
