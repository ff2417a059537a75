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

/// The variable every process of a task carries; its value is different for each task.
pub(super) const METADATA_URI: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// A started child, the leader of its own process group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    /// `NAME=value` that marks the members, wherever they went.
    mark: String,
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
        let status = self.child.wait().await?;
        self.over = true;
        self.kill_members().await;
        Ok(exit_code(status))
    }

    /// SIGTERM to the group, SIGKILL to every member after the timeout; gives the exit code.
    pub(super) async fn terminate(&mut self, timeout: Duration) -> io::Result<i32> {
        signal_group(self.group, Signal::SIGTERM);
        if let Ok(ended) = tokio::time::timeout(timeout, self.child.wait()).await {
            let status = ended?;
            self.over = true;
            self.kill_members().await;
            return Ok(exit_code(status));
        }
        // Before the leader dies its descendants can still be told by their parents.
        self.kill_members().await;
        self.wait().await
    }

    /// SIGKILL to the group and to members that left it for a group or session of their own.
    ///
    /// Repeated until none is found, because a member may fork while it is looked for.
    async fn kill_members(&self) {
        for _ in 0..50 {
            signal_group(self.group, Signal::SIGKILL);
            let found = members(self.group, &self.mark);
            if found.is_empty() {
                return;
            }
            for member in found {
                let _gone = kill(member, Signal::SIGKILL);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tracing::warn!(
            group = self.group.as_raw(),
            "processes of an ECS task survive SIGKILL"
        );
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
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22; counted after the command's closing bracket, since the command may hold spaces.
    let (_, after) = stat.rsplit_once(')')?;
    let ticks = after.split_whitespace().nth(19)?;
    Some(format!("{}/{ticks}", boot.trim()))
}

/// One line of the process table.
struct Entry {
    pid: Pid,
    parent: i32,
    group: i32,
    marked: bool,
}

/// The living members of a task: its group, those that carry its mark, and their descendants.
///
/// Elsewhere than on Linux there is no `/proc`, and only the group is known.
fn members(group: Pid, mark: &str) -> Vec<Pid> {
    let Ok(table) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut unknown: Vec<Entry> = table
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| entry(pid, mark))
        .collect();
    let mut found: Vec<Pid> = Vec::new();
    loop {
        let before = found.len();
        unknown.retain(|entry| {
            let member = entry.marked
                || entry.group == group.as_raw()
                || found.iter().any(|parent| parent.as_raw() == entry.parent);
            if member {
                found.push(entry.pid);
            }
            !member
        });
        if found.len() == before {
            return found;
        }
    }
}

fn entry(pid: i32, mark: &str) -> Option<Entry> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    // The dead need no killing; they are reaped by whoever adopted them.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Not readable for other users' processes, which are none of ours.
    let marked = std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|pair| pair == mark.as_bytes())
    });
    Some(Entry {
        pid: Pid::from_raw(pid),
        parent,
        group,
        marked,
    })
}
