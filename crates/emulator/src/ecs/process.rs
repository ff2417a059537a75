//! Starts, recognises and kills a task's child process and its descendants.

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

use super::names::last_segment;
use super::record::ProcessIdentity;

const INHERITED_VARIABLES: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "USER"];

/// Interval at which a running task is checked for new members.
/// A process escapes if it leaves the group, clears its environment and loses its parent between two checks.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Variable in every process of a task; its value ends with the task's id.
pub(super) const METADATA_URI_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

#[derive(Debug)]
pub(super) struct Process {
    leader: Leader,
    group: Pid,
    members: ProcessTree,
    is_released: bool,
}

/// The process whose end is the end of the task.
#[derive(Debug)]
enum Leader {
    Child(Child),
    /// Started by an earlier emulator process: it can be polled, but not waited for.
    Adopted(ProcessIdentity),
}

impl Leader {
    /// Waits for the end; only a child's exit code is known.
    async fn wait(&mut self) -> io::Result<Option<i32>> {
        match self {
            Self::Child(child) => child.wait().await.map(|status| Some(exit_code(status))),
            Self::Adopted(mark) => {
                while find_process(mark).is_some() {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Ok(None)
            }
        }
    }
}

impl Process {
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
        for name in INHERITED_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                starting.env(name, value);
            }
        }
        starting
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env(METADATA_URI_VARIABLE, metadata_uri)
            .stdin(Stdio::null())
            // Use files, not pipes: a task that outlives its parent must still be able to print.
            .stdout(File::create(folder.join("stdout.log"))?)
            .stderr(File::create(folder.join("stderr.log"))?)
            .process_group(0);
        let child = starting.spawn()?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the child has no pid"))?;
        Ok(Self {
            leader: Leader::Child(child),
            group,
            members: ProcessTree::new(Some(group), last_segment(metadata_uri)),
            is_released: false,
        })
    }

    /// Adopts a process of an earlier emulator process if `mark` still matches.
    pub(super) fn adopt(mark: ProcessIdentity, task: &str) -> Option<Self> {
        let group = find_process(&mark)?;
        Some(Self {
            leader: Leader::Adopted(mark),
            group,
            members: ProcessTree::new(Some(group), task),
            is_released: false,
        })
    }

    /// Drops the handle without killing the process.
    pub(super) fn release(mut self) {
        self.is_released = true;
    }

    pub(super) fn identity(&self) -> ProcessIdentity {
        ProcessIdentity { pid: self.group.as_raw().unsigned_abs(), start_mark: start_identity(self.group) }
    }

    /// Waits for the end, kills remaining members and returns the exit code, if known.
    pub(super) async fn wait(&mut self) -> io::Result<Option<i32>> {
        let mut looks = tokio::time::interval(SCAN_INTERVAL);
        let code = loop {
            tokio::select! {
                code = self.leader.wait() => break code?,
                _ = looks.tick() => self.members.scan(),
            }
        };
        self.is_released = true;
        self.members.kill().await;
        Ok(code)
    }

    /// Sends SIGTERM to the group, then SIGKILL to every member after the timeout. Returns the exit code.
    pub(super) async fn terminate(&mut self, timeout: Duration) -> io::Result<Option<i32>> {
        self.members.scan();
        signal_group(self.group, Signal::SIGTERM);
        if let Ok(ended) = tokio::time::timeout(timeout, self.wait()).await {
            return ended;
        }
        self.members.kill().await;
        self.wait().await
    }
}

/// Kills the remaining processes of a task whose process ended or was never recorded.
/// They are found only by the metadata URI, because the group id may have been reused.
pub(super) async fn kill_orphans(task: &str) {
    ProcessTree::new(None, task).kill().await;
}

#[derive(Debug)]
struct ProcessTree {
    group: Option<Pid>,
    /// The task's id; members have it in their metadata URI.
    task: String,
    /// Members at the last check: once the leader is dead, its descendants cannot be found through it.
    members: Vec<Member>,
}

impl ProcessTree {
    fn new(group: Option<Pid>, task: &str) -> Self {
        Self { group, task: task.to_owned(), members: Vec::new() }
    }

    fn scan(&mut self) {
        self.members = self.list_living();
    }

    /// Sends SIGKILL to the group and to members with their own group or session.
    /// Repeats until no member is left, because a member may fork between check and kill.
    async fn kill(&mut self) {
        for _ in 0..100 {
            // Look before killing the group: the leader still shows its children.
            self.scan();
            for member in &self.members {
                let _gone = kill(member.pid, Signal::SIGKILL);
            }
            if let Some(group) = self.group {
                signal_group(group, Signal::SIGKILL);
            }
            if self.members.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tracing::warn!(task = self.task, "processes of an ECS task survive SIGKILL");
    }

    /// Returns living known members, the group, processes with the task's URI, and descendants; none without `/proc`.
    fn list_living(&self) -> Vec<Member> {
        let Ok(table) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let mut unknown: Vec<ProcessEntry> = table
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| ProcessEntry::read(pid, &self.task))
            .collect();
        let mut members: Vec<Member> = Vec::new();
        loop {
            let before = members.len();
            unknown.retain(|entry| {
                let is_member = entry.has_metadata_uri
                    || self.group.is_some_and(|group| group.as_raw() == entry.group)
                    || self.members.contains(&entry.member)
                    || members.iter().any(|parent| parent.pid.as_raw() == entry.parent);
                if is_member {
                    members.push(entry.member.clone());
                }
                !is_member
            });
            if members.len() == before {
                return members;
            }
        }
    }
}

impl Drop for Process {
    /// Kills the group of a process that neither ended nor was released by `release`.
    fn drop(&mut self) {
        if !self.is_released {
            signal_group(self.group, Signal::SIGKILL);
        }
    }
}

/// Signals a group. Its id is not reused while a member lives, even if the leader is reaped.
fn signal_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(error) => tracing::warn!(%error, "ECS task not signalled"),
    }
}

/// 128 + n after signal n, as container runtimes report it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Boot id and start time, which identify one process together with the pid. Linux only.
fn start_identity(pid: Pid) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = Stat::read(pid.as_raw())?;
    Some(format!("{}/{}", boot.trim(), stat.start))
}

/// Returns the group of a marked process if that process lives.
/// A mark without a start time counts as dead, because a later process may have its pid.
fn find_process(mark: &ProcessIdentity) -> Option<Pid> {
    let pid = i32::try_from(mark.pid).ok()?;
    let stat = Stat::read(pid)?;
    let pid = Pid::from_raw(pid);
    let same = mark.start_mark.is_some() && mark.start_mark == start_identity(pid);
    (same && !stat.is_dead()).then_some(pid)
}

/// A process, identified even if its pid is reused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    pid: Pid,
    start: String,
}

struct ProcessEntry {
    member: Member,
    parent: i32,
    group: i32,
    has_metadata_uri: bool,
}

impl ProcessEntry {
    /// Reads a living process; dead ones need no kill.
    fn read(pid: i32, task: &str) -> Option<Self> {
        let stat = Stat::read(pid)?;
        if stat.is_dead() {
            return None;
        }
        // The environment of other users' processes is unreadable; they are not members.
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        Some(Self {
            member: Member { pid: Pid::from_raw(pid), start: stat.start },
            parent: stat.parent,
            group: stat.group,
            has_metadata_uri: environ.split(|byte| *byte == 0).any(|pair| is_metadata_uri(pair, task)),
        })
    }
}

/// Whether a variable is the task's metadata URI. Compares only the id: the port changes with a restart.
fn is_metadata_uri(pair: &[u8], task: &str) -> bool {
    let text = std::str::from_utf8(pair).unwrap_or_default();
    let uri = text.strip_prefix(METADATA_URI_VARIABLE).and_then(|rest| rest.strip_prefix('='));
    uri.is_some_and(|uri| last_segment(uri) == task)
}

struct Stat {
    state: String,
    parent: i32,
    group: i32,
    /// Units: ticks since boot.
    start: String,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Count fields after the closing bracket, because the command may contain spaces.
        let (_, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Self {
            state: fields.next()?.to_owned(),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            start: fields.nth(16)?.to_owned(),
        })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state.as_str(), "Z" | "X")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn killing_the_leader_kills_known_group_members() {
        let folder = tempfile::tempdir().unwrap();
        let script = "env -i setsid sleep 1000 & echo $!; wait";
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let mut process = Process::spawn(&command, &[], "http://here/v4/only", folder.path()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        // Wait for the unmarked child: before it clears its environment, the mark alone would identify it.
        let seen = loop {
            process.members.scan();
            let printed = std::fs::read_to_string(folder.path().join("stdout.log")).unwrap();
            let member = |member: &&Member| printed == format!("{}\n", member.pid);
            if let Some(member) = process.members.members.iter().find(member)
                && ProcessEntry::read(member.pid.as_raw(), &process.members.task)
                    .is_some_and(|entry| !entry.has_metadata_uri)
            {
                break member.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "the child was not found");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        kill(process.group, Signal::SIGKILL).unwrap();
        assert_eq!(process.wait().await.unwrap(), Some(137));
        assert!(ProcessEntry::read(seen.pid.as_raw(), "").is_none());
    }
}
