//! Starts, adopts and ends a task's process with its descendants.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::names::last_segment;
use super::process_tree::{METADATA_URI_VARIABLE, ProcessTree, find_process, signal_group, start_identity};
use super::record::ProcessIdentity;

const INHERITED_VARIABLES: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LANG", "USER"];

/// Interval at which a running task is checked for new members.
/// A process escapes if it leaves the group, clears its environment and loses its parent between two checks.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

const POLL_INTERVAL: Duration = Duration::from_millis(200);

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
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        for name in INHERITED_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env(METADATA_URI_VARIABLE, metadata_uri)
            .stdin(Stdio::null())
            // Use files, not pipes: a task that outlives its parent must still be able to print.
            .stdout(File::create(folder.join("stdout.log"))?)
            .stderr(File::create(folder.join("stderr.log"))?)
            .process_group(0);
        let child = command.spawn()?;
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
        let mut scans = tokio::time::interval(SCAN_INTERVAL);
        let code = loop {
            tokio::select! {
                code = self.leader.wait() => break code?,
                _ = scans.tick() => self.members.scan(),
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
        if let Ok(result) = tokio::time::timeout(timeout, self.wait()).await {
            return result;
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

impl Drop for Process {
    /// Kills the group of a process that neither ended nor was released by `release`.
    fn drop(&mut self) {
        if !self.is_released {
            signal_group(self.group, Signal::SIGKILL);
        }
    }
}

/// 128 + n after signal n, as container runtimes report it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::super::process_tree::{Member, ProcessEntry};
    use super::*;
    use nix::sys::signal::kill;

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
