//! Processes of an attempt that outlived its agent's process group: build daemons do it as a habit; and git of ours,
//! where our own process was killed in the middle of a push. They are found by the mark in their environment, and,
//! where this process runs one job alone, by descent: whatever loses its parent becomes our child.
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

/// Whose processes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Those that carry a mark of one attempt.
    Marked,
    /// They, and whatever descends from this process, which has no other child at work.
    Below,
}

/// Ends whatever was started with this `TMPDIR`, which is one attempt's own, and, where orphans are adopted,
/// everything that descends from this process. No other child of ours may be at work.
pub(crate) async fn end_all(temporary: &Path) -> Result<(), Outlived> {
    end(&[mark_of(temporary)], if adopts_orphans() { Reach::Below } else { Reach::Marked }).await
}

/// Ends whatever was started with this `TMPDIR`, and git at work in this repository of ours: an earlier attempt's,
/// whose runner is dead.
pub(crate) async fn end_marked(temporary: &Path, repository: &Path) -> Result<(), Outlived> {
    end(&[mark_of(temporary), git_in(repository)], Reach::Marked).await
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

async fn end(marks: &[Vec<u8>], reach: Reach) -> Result<(), Outlived> {
    let until = Instant::now() + LIMIT;
    let mut told = false;
    let mut before: Option<BTreeSet<Pid>> = None;
    loop {
        let strays = held(marks, reach);
        if !told && !strays.is_empty() {
            tracing::warn!(count = strays.len(), "{} processes outlived the agent and are killed", strays.len());
            told = true;
        }
        let is_late = !strays.is_empty() && Instant::now() > until;
        match next(before.as_ref(), &strays) {
            Next::Gone => return Ok(()),
            Next::LookAgain if !is_late => tokio::task::yield_now().await,
            Next::LookAgain | Next::Kill => {
                // The youngest first: what is stopped and loses its parent may be told to go on by the kernel.
                for stray in strays.iter().rev() {
                    // It may be gone meanwhile, or not be ours to wait for.
                    let _ = kill(*stray, Signal::SIGKILL);
                    let _ = waitpid(*stray, Some(WaitPidFlag::WNOHANG));
                }
                if is_late {
                    return Err(Outlived(strays.len()));
                }
                sleep(LOOK_EVERY).await;
            }
        }
        before = Some(strays);
    }
}

fn mark_of(temporary: &Path) -> Vec<u8> {
    variable(b"TMPDIR=", temporary)
}

/// What our own git has in its environment, and the helpers that it starts.
fn git_in(repository: &Path) -> Vec<u8> {
    variable(b"GIT_DIR=", repository)
}

fn variable(name: &[u8], value: &Path) -> Vec<u8> {
    [name, value.as_os_str().as_encoded_bytes()].concat()
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing is left.
    Gone,
    LookAgain,
    /// Everything is stopped that was found: nobody is left to start anew what dies.
    Kill,
}

/// A walk through all processes is no moment: what is forked behind its back is found by the one after it. So only two
/// that found nothing say that nothing is left, and only one that found nothing new that all are held.
fn next(before: Option<&BTreeSet<Pid>>, now: &BTreeSet<Pid>) -> Next {
    match before {
        Some(before) if now.is_empty() && before.is_empty() => Next::Gone,
        Some(before) if !now.is_empty() && now.is_subset(before) => Next::Kill,
        _ => Next::LookAgain,
    }
}

/// Finds them, and stops each as soon as it is seen: it forks no more, so that the walk overtakes what forks.
#[cfg(target_os = "linux")]
fn held(marks: &[Vec<u8>], reach: Reach) -> BTreeSet<Pid> {
    let (mut processes, mut strays) = (BTreeMap::new(), BTreeSet::new());
    let mut hold = |pid: i32| {
        let pid = Pid::from_raw(pid);
        if strays.insert(pid) {
            // It may be gone meanwhile.
            let _ = kill(pid, Signal::SIGSTOP);
        }
    };
    for (pid, process) in running() {
        if is_marked(pid, marks) {
            hold(pid);
        }
        processes.insert(pid, process);
    }
    if reach == Reach::Below {
        descendants(&processes, nix::unistd::getpid().as_raw()).into_iter().for_each(hold);
    }
    strays
}

#[cfg(not(target_os = "linux"))]
fn held(_: &[Vec<u8>], _: Reach) -> BTreeSet<Pid> {
    BTreeSet::new()
}

/// A process that is not dead.
struct Process {
    parent: i32,
}

/// Each process that runs, read when it is asked for.
#[cfg(target_os = "linux")]
fn running() -> impl Iterator<Item = (i32, Process)> {
    let reaps = inherits_orphans();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
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
    })
}

#[cfg(target_os = "linux")]
fn is_marked(pid: i32, marks: &[Vec<u8>]) -> bool {
    // Empty for the dying; unreadable for those of others.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| marks.iter().any(|mark| *mark == variable))
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

    fn pids<const N: usize>(numbers: [i32; N]) -> BTreeSet<Pid> {
        numbers.map(Pid::from_raw).into()
    }

    #[test]
    fn one_look_that_finds_nothing_proves_nothing() {
        assert_eq!(next(None, &pids([])), Next::LookAgain);
        assert_eq!(next(Some(&pids([2])), &pids([])), Next::LookAgain);
        assert_eq!(next(Some(&pids([])), &pids([])), Next::Gone);
    }

    #[test]
    fn nothing_is_killed_while_looks_find_what_is_not_stopped_yet() {
        assert_eq!(next(None, &pids([2])), Next::LookAgain);
        assert_eq!(next(Some(&pids([])), &pids([2])), Next::LookAgain);
        assert_eq!(next(Some(&pids([2])), &pids([2, 3])), Next::LookAgain);
        assert_eq!(next(Some(&pids([2, 3])), &pids([2, 3])), Next::Kill);
        assert_eq!(next(Some(&pids([2, 3])), &pids([3])), Next::Kill);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_look_finds_is_stopped_by_it_and_dead_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("600").env("TMPDIR", dir.path()).kill_on_drop(true).spawn().unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
        };
        assert_eq!(held(&[mark_of(dir.path())], Reach::Marked), pids([pid]));
        let stopped = async {
            while state() != Some('T') {
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(LIMIT, stopped).await.unwrap();
        end_marked(dir.path(), Path::new("/elsewhere")).await.unwrap();
        assert!(matches!(state(), None | Some('Z')), "{:?}", state());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn git_of_an_attempt_that_died_is_ended_and_that_of_another_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at_work = |name: &str| {
            let mut command = tokio::process::Command::new("sleep");
            command.arg("600").env("GIT_DIR", dir.path().join(name)).kill_on_drop(true).spawn().unwrap()
        };
        let children = [at_work("git"), at_work("git-of-another")];
        let environments = children.each_ref().map(|child| format!("/proc/{}/environ", child.id().unwrap()));
        // It has no environment for a moment while it becomes another program.
        let begun = async {
            for environ in &environments {
                while std::fs::read(environ).unwrap().is_empty() {
                    sleep(LOOK_EVERY).await;
                }
            }
        };
        tokio::time::timeout(LIMIT, begun).await.unwrap();
        end_marked(&dir.path().join("tmp"), &dir.path().join("git")).await.unwrap();
        // The dead have no environment.
        let lives = environments.map(|environ| !std::fs::read(environ).unwrap_or_default().is_empty());
        assert_eq!(lives, [false, true]);
    }

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
        end_marked(tempfile::tempdir().unwrap().path(), Path::new("/elsewhere")).await.unwrap();
        assert!(other.wait().unwrap().success());
    }
}
