//! Kills processes of an attempt that outlived the agent's process group, such as build daemons.
//! Also kills the runner's own git if the runner was killed during a push. On Linux, `/proc` shows these processes: by
//! a mark in their environment, and as descendants of a marked process. A process that runs one job adopts orphans, so
//! it also finds them as its children. `pid_namespace` leaves none. On other systems only the process group is killed,
//! so a daemon that left its group survives.

mod proc;

use crate::process::group::GroupStillAlive;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use proc::{ProcReadError, descendants, is_child_subreaper};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_secs(10);
/// Extra time for the processes that were killed last.
const FINAL_WAIT: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanupError {
    #[error("stop {0} processes that the agent left behind")]
    Alive(usize),
    #[error(transparent)]
    Group(#[from] GroupStillAlive),
    #[error(transparent)]
    Unreadable(#[from] ProcReadError),
}

impl CleanupError {
    /// Explains to users why the work of such an attempt is not published.
    pub(crate) fn reason(&self, owner: &str) -> String {
        match self {
            Self::Alive(_) | Self::Group(_) => format!("processes of {owner} could not be stopped"),
            Self::Unreadable(_) => format!("the runner cannot see which processes of {owner} still run"),
        }
    }
}

/// Makes this process adopt orphans below it, so that they can be found. Only for a process that runs one job.
pub(crate) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(error = %error, "cannot adopt orphaned processes: {error}");
    }
}

struct OrphanSearch {
    marks: Vec<Vec<u8>>,
    include_descendants: bool,
}

/// Kills processes with this `TMPDIR`, which belongs to one attempt. If this process adopts orphans, also kills every
/// descendant. No other child of this process may be running.
pub(crate) async fn kill_descendants(temporary: &Path) -> Result<(), CleanupError> {
    OrphanSearch { marks: vec![environment_entry("TMPDIR", temporary)], include_descendants: is_child_subreaper() }
        .kill()
        .await
}

/// Kills the processes that a dead runner left: with this `TMPDIR`, git in this repository, and their descendants.
pub(crate) async fn kill_marked_processes(temporary: &Path, repository: &Path) -> Result<(), CleanupError> {
    let marks = vec![environment_entry("TMPDIR", temporary), environment_entry("GIT_DIR", repository)];
    OrphanSearch { marks, include_descendants: false }.kill().await
}

pub(crate) fn count_processes() -> Result<Option<usize>, ProcReadError> {
    if cfg!(target_os = "linux") { Ok(Some(proc::list_processes(&[], |_| ())?.len())) } else { Ok(None) }
}

impl OrphanSearch {
    async fn kill(self) -> Result<(), CleanupError> {
        if cfg!(target_os = "linux") { self.kill_within(LIMIT).await } else { Ok(()) }
    }

    async fn kill_within(self, limit: Duration) -> Result<(), CleanupError> {
        let mut until = Instant::now() + limit;
        let (mut has_logged, mut is_last) = (false, false);
        let mut previous: Option<BTreeSet<Pid>> = None;
        loop {
            let strays = match self.stop_processes() {
                Ok(strays) => strays,
                // A process that cannot be read may be alive.
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => {
                    sleep(POLL_INTERVAL).await;
                    continue;
                }
            };
            if !has_logged && !strays.is_empty() {
                tracing::warn!(count = strays.len(), "killing {} processes that outlived the agent", strays.len());
                has_logged = true;
            }
            let is_late = !strays.is_empty() && Instant::now() > until;
            match next_step(previous.as_ref(), &strays) {
                SearchStep::Complete => return Ok(()),
                SearchStep::SearchAgain if !is_late => tokio::task::yield_now().await,
                SearchStep::SearchAgain | SearchStep::Kill => {
                    // Kill the youngest first: the kernel may continue a stopped process that loses its parent.
                    for stray in strays.iter().rev() {
                        let _ = kill(*stray, Signal::SIGKILL);
                        let _ = waitpid(*stray, Some(WaitPidFlag::WNOHANG));
                    }
                    if is_late && is_last {
                        return Err(CleanupError::Alive(strays.len()));
                    }
                    if is_late {
                        // A process needs a moment to end after SIGKILL.
                        (is_last, until) = (true, Instant::now() + FINAL_WAIT);
                    }
                    sleep(POLL_INTERVAL).await;
                }
            }
            previous = Some(strays);
        }
    }

    /// Finds the processes, and stops each at once. A stopped process does not fork, so the search overtakes forks.
    fn stop_processes(&self) -> Result<BTreeSet<Pid>, ProcReadError> {
        let (mut strays, mut roots) = (BTreeSet::new(), Vec::new());
        let mut stop = |pid: i32| {
            let pid = Pid::from_raw(pid);
            if strays.insert(pid) {
                let _ = kill(pid, Signal::SIGSTOP);
            }
        };
        let parents = proc::list_processes(&self.marks, |pid| {
            stop(pid);
            roots.push(pid);
        })?;
        roots.extend(self.include_descendants.then(|| nix::unistd::getpid().as_raw()));
        descendants(&parents, roots).into_iter().for_each(stop);
        Ok(strays)
    }
}

fn environment_entry(name: &str, value: &Path) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_os_str().as_encoded_bytes()].concat()
}

#[derive(Debug, PartialEq, Eq)]
enum SearchStep {
    Complete,
    SearchAgain,
    /// All found processes are stopped, so no process can restart another.
    Kill,
}

/// A search takes time, and only the next search finds later forks. Thus two empty searches prove that no process is
/// left, and a search without new processes proves that all are stopped.
fn next_step(previous: Option<&BTreeSet<Pid>>, current: &BTreeSet<Pid>) -> SearchStep {
    match previous {
        Some(previous) if current.is_empty() && previous.is_empty() => SearchStep::Complete,
        Some(previous) if !current.is_empty() && current.is_subset(previous) => SearchStep::Kill,
        _ => SearchStep::SearchAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids<const N: usize>(numbers: [i32; N]) -> BTreeSet<Pid> {
        numbers.map(Pid::from_raw).into()
    }

    fn search_for(temporary: &Path) -> OrphanSearch {
        OrphanSearch { marks: vec![environment_entry("TMPDIR", temporary)], include_descendants: false }
    }

    #[test]
    fn invisible_processes_have_their_own_error() {
        let unreadable = CleanupError::from(ProcReadError("/proc: denied".into()));
        assert_eq!(unreadable.reason("the agent"), "the runner cannot see which processes of the agent still run");
        assert_eq!(CleanupError::Alive(2).reason("a command"), "processes of a command could not be stopped");
    }

    #[test]
    fn search_ends_after_two_empty_looks() {
        assert_eq!(next_step(None, &pids([])), SearchStep::SearchAgain);
        assert_eq!(next_step(Some(&pids([2])), &pids([])), SearchStep::SearchAgain);
        assert_eq!(next_step(Some(&pids([])), &pids([])), SearchStep::Complete);
    }

    #[test]
    fn processes_are_killed_when_a_look_finds_no_new_ones() {
        assert_eq!(next_step(None, &pids([2])), SearchStep::SearchAgain);
        assert_eq!(next_step(Some(&pids([])), &pids([2])), SearchStep::SearchAgain);
        assert_eq!(next_step(Some(&pids([2])), &pids([2, 3])), SearchStep::SearchAgain);
        assert_eq!(next_step(Some(&pids([2, 3])), &pids([2, 3])), SearchStep::Kill);
        assert_eq!(next_step(Some(&pids([2, 3])), &pids([3])), SearchStep::Kill);
    }

    /// Waits until a program has the variable. During exec it has no environment or that of the test.
    #[cfg(target_os = "linux")]
    async fn wait_for_variable(child: &tokio::process::Child, variable: &[u8]) {
        let environ = format!("/proc/{}/environ", child.id().unwrap());
        let has_variable = || std::fs::read(&environ).unwrap().split(|byte| *byte == 0).any(|entry| entry == variable);
        let exec_end = async {
            while !has_variable() {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(LIMIT, exec_end).await.unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn last_kill_is_verified_after_the_time_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("600").env("TMPDIR", dir.path()).kill_on_drop(true).spawn().unwrap();
        wait_for_variable(&child, &environment_entry("TMPDIR", dir.path())).await;
        search_for(dir.path()).kill_within(Duration::ZERO).await.unwrap();
        // Dead processes have no environment.
        let environ = std::fs::read(format!("/proc/{}/environ", child.id().unwrap()));
        assert!(environ.unwrap_or_default().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn found_process_is_stopped_then_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("600").env("TMPDIR", dir.path()).kill_on_drop(true).spawn().unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
        };
        let search = search_for(dir.path());
        wait_for_variable(&child, &environment_entry("TMPDIR", dir.path())).await;
        assert_eq!(search.stop_processes().unwrap(), pids([pid]));
        let stop = async {
            while state() != Some('T') {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(LIMIT, stop).await.unwrap();
        kill_marked_processes(dir.path(), Path::new("/elsewhere")).await.unwrap();
        assert!(matches!(state(), None | Some('Z')), "{:?}", state());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn git_of_a_dead_attempt_is_killed_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let start_git = |name: &str| {
            let mut command = tokio::process::Command::new("sleep");
            command.arg("600").env("GIT_DIR", dir.path().join(name)).kill_on_drop(true).spawn().unwrap()
        };
        let children = [start_git("git"), start_git("git-of-another")];
        let environments = children.each_ref().map(|child| format!("/proc/{}/environ", child.id().unwrap()));
        for (child, name) in children.iter().zip(["git", "git-of-another"]) {
            wait_for_variable(child, &environment_entry("GIT_DIR", &dir.path().join(name))).await;
        }
        kill_marked_processes(&dir.path().join("tmp"), &dir.path().join("git")).await.unwrap();
        let lives = environments.map(|environ| !std::fs::read(environ).unwrap_or_default().is_empty());
        assert_eq!(lives, [false, true]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn descendants_without_an_environment_are_killed() {
        let dir = tempfile::tempdir().unwrap();
        let script = "env -i PATH=\"$PATH\" setsid sh -c 'echo $$ > wiped.new; mv wiped.new wiped; sleep 600' & wait";
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(["-c", script]).env("TMPDIR", dir.path()).current_dir(dir.path()).kill_on_drop(true);
        let parent = command.spawn().unwrap();
        let file = dir.path().join("wiped");
        let file_creation = async {
            while !file.exists() {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(LIMIT, file_creation).await.unwrap();
        let wiped: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        search_for(dir.path()).kill().await.unwrap();
        let lives = [parent.id(), Some(wiped)].map(|pid| {
            let environ = std::fs::read(format!("/proc/{}/environ", pid.unwrap_or_default()));
            !environ.unwrap_or_default().is_empty()
        });
        assert_eq!(lives, [false, false]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn exit_status_of_another_child_is_not_consumed() {
        let mut other = std::process::Command::new("true").spawn().unwrap();
        let is_dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
            stat.contains(") Z ")
        };
        let death = async {
            while !is_dead() {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(LIMIT, death).await.unwrap();
        kill_marked_processes(tempfile::tempdir().unwrap().path(), Path::new("/elsewhere")).await.unwrap();
        assert!(other.wait().unwrap().success());
    }
}
