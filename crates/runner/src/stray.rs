//! Processes of an attempt that outlived its agent's process group: build daemons do it as a habit. They are
//! found by the mark in their environment, and, where this process runs one job alone, by descent: whatever
//! loses its parent becomes our child.
//!
//! Only Linux shows another process's environment and parent. `enclosure` leaves nothing to find.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long they may take to be gone.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Processes of an attempt that would not die.
#[derive(Debug, thiserror::Error)]
#[error("stop {0} processes that the agent left behind")]
pub(crate) struct Outlived(usize);

/// Orphans below this process become its children from now on: they can be found then. For a process that
/// runs one job and nothing else.
pub(crate) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(error = %error, "what an agent leaves behind may not be found: {error}");
    }
}

/// Ends whatever was started with this `TMPDIR`, which is one attempt's own, and, where orphans are adopted,
/// everything that descends from this process. No other child of ours may be at work.
pub(crate) async fn end_all(temporary: &Path) -> Result<(), Outlived> {
    end(temporary, adopts_orphans()).await
}

/// Ends whatever was started with this `TMPDIR`: an earlier attempt's, whose runner is dead.
pub(crate) async fn end_marked(temporary: &Path) -> Result<(), Outlived> {
    end(temporary, false).await
}

#[cfg(target_os = "linux")]
fn adopts_orphans() -> bool {
    nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
fn adopts_orphans() -> bool {
    false
}

/// Whether there are children of ours that nobody else waits for: also where we are the first process of a container.
#[cfg(target_os = "linux")]
fn inherits_orphans() -> bool {
    adopts_orphans() || nix::unistd::getpid().as_raw() == 1
}

async fn end(temporary: &Path, descendants: bool) -> Result<(), Outlived> {
    let mut mark = b"TMPDIR=".to_vec();
    mark.extend_from_slice(temporary.as_os_str().as_encoded_bytes());
    let until = Instant::now() + LIMIT;
    let mut told = false;
    loop {
        let strays = found(&mark, descendants);
        if strays.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Outlived(strays.len()));
        }
        if !told {
            tracing::warn!(count = strays.len(), "{} processes outlived the agent and are killed", strays.len());
            told = true;
        }
        for stray in strays {
            // It may be gone meanwhile, or not be ours to wait for.
            let _ = kill(stray, Signal::SIGKILL);
            let _ = waitpid(stray, Some(WaitPidFlag::WNOHANG));
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(target_os = "linux")]
fn found(mark: &[u8], with_descendants: bool) -> BTreeSet<Pid> {
    let processes: BTreeMap<i32, Process> = listed(inherits_orphans());
    let marked = processes.keys().copied().filter(|pid| is_marked(*pid, mark));
    let below =
        if with_descendants { descendants(&processes, nix::unistd::getpid().as_raw()) } else { BTreeSet::new() };
    marked.chain(below).map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn found(_: &[u8], _: bool) -> BTreeSet<Pid> {
    BTreeSet::new()
}

/// A process that is not dead.
struct Process {
    parent: i32,
}

#[cfg(target_os = "linux")]
fn listed(reaps: bool) -> BTreeMap<i32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let each = entries.filter_map(move |entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // `pid (name) state parent …`; the name may contain anything, even brackets.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        if matches!(state, "Z" | "X") {
            // Nothing of it runs. What is ours of them is waited for, so that none stay; where orphans do not come to
            // us, each of ours has somebody who waits for it.
            if reaps {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
            return None;
        }
        Some((pid, Process { parent }))
    });
    each.collect()
}

#[cfg(target_os = "linux")]
fn is_marked(pid: i32, mark: &[u8]) -> bool {
    // Empty for the dying; unreadable for those of others.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

/// Everything below a process, itself not among it.
fn descendants(processes: &BTreeMap<i32, Process>, root: i32) -> BTreeSet<i32> {
    let mut below = BTreeSet::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = processes.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| *pid);
        parents.extend(children.filter(|child| below.insert(*child)));
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descent_is_followed_to_its_end_and_nowhere_else() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 4)];
        let processes = parents.into_iter().map(|(pid, parent)| (pid, Process { parent })).collect();
        assert_eq!(descendants(&processes, 2), [3, 4, 7].into());
        assert_eq!(descendants(&processes, 7), BTreeSet::new());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_end_of_another_child_is_left_to_whoever_waits_for_it() {
        let mut other = std::process::Command::new("true").spawn().unwrap();
        let is_dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
            stat.contains(") Z ")
        };
        let dead = async {
            while !is_dead() {
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(LIMIT, dead).await.unwrap();
        end_marked(tempfile::tempdir().unwrap().path()).await.unwrap();
        assert!(other.wait().unwrap().success());
    }
}
