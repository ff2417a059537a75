//! Finds the living processes of a task in `/proc`, and kills them.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::names::last_segment;
use super::record::ProcessIdentity;

/// Variable in every process of a task; its value ends with the task's id.
pub(super) const METADATA_URI_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

#[derive(Debug)]
pub(super) struct ProcessTree {
    group: Option<Pid>,
    /// The task's id; members have it in their metadata URI.
    pub(super) task: String,
    /// Members at the last check: once the leader is dead, its descendants cannot be found through it.
    pub(super) members: Vec<Member>,
}

impl ProcessTree {
    pub(super) fn new(group: Option<Pid>, task: &str) -> Self {
        Self { group, task: task.to_owned(), members: Vec::new() }
    }

    pub(super) fn scan(&mut self) {
        self.members = self.list_living();
    }

    /// Sends SIGKILL to the group and to members with their own group or session.
    /// Repeats until no member is left, because a member may fork between check and kill.
    pub(super) async fn kill(&mut self) {
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

/// Signals a group. Its id is not reused while a member lives, even if the leader is reaped.
pub(super) fn signal_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(error) => tracing::warn!(%error, "ECS task not signalled"),
    }
}

/// Boot id and start time of a living process, which identify it together with the pid. Linux only.
pub(super) fn start_identity(pid: Pid) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = Stat::read_living(pid.as_raw())?;
    Some(format!("{}/{}", boot.trim(), stat.start))
}

/// Returns the group of a marked process if that process lives.
/// A mark without a start time counts as dead, because a later process may have its pid.
pub(super) fn find_process(mark: &ProcessIdentity) -> Option<Pid> {
    let pid = Pid::from_raw(i32::try_from(mark.pid).ok()?);
    (mark.start_mark.is_some() && mark.start_mark == start_identity(pid)).then_some(pid)
}

/// A process, identified even if its pid is reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: Pid,
    start: String,
}

pub(super) struct ProcessEntry {
    member: Member,
    parent: i32,
    group: i32,
    pub(super) has_metadata_uri: bool,
}

impl ProcessEntry {
    pub(super) fn read(pid: i32, task: &str) -> Option<Self> {
        let stat = Stat::read_living(pid)?;
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
    parent: i32,
    group: i32,
    /// Units: ticks since boot.
    start: String,
}

impl Stat {
    /// `None` if the process is missing, a zombie or dead.
    fn read_living(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Count fields after the closing bracket, because the command may contain spaces.
        let (_, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self {
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            start: fields.nth(16)?.to_owned(),
        })
    }
}
