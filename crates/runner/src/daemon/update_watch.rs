//! Watches a program that an update installed, from a process of the program before it: a new program may hang before
//! its own limit begins.

use super::child::process_start_time;
use super::installed::InstalledPrograms;
use super::launch::CONFIRMATION_LIMIT;
use super::program::{execute, own_program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const POLL_INTERVAL: Duration = Duration::from_millis(250);
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Replaces this process with `program`, and watches it if it is not confirmed. Returns only if it cannot be executed.
pub(super) fn replace(programs: &InstalledPrograms, program: &Path, limit: Option<Duration>) -> std::io::Error {
    if programs.unconfirmed(program).is_some()
        && let Err(reason) = start_watch(program, limit.unwrap_or(CONFIRMATION_LIMIT))
    {
        tracing::warn!(
            reason,
            "no process watches {}; if it hangs, it runs until you stop it: {reason}",
            program.display()
        );
    }
    execute(program)
}

fn start_watch(program: &Path, limit: Duration) -> Result<(), String> {
    let (own, pid) = (own_program()?, Pid::this().as_raw());
    let began = process_start_time(pid).ok_or("This system does not report when a process began.")?;
    let args = ["watch-update", &pid.to_string(), &began, &limit.as_secs().to_string()];
    // The shell ends at once: the new program would not collect the status of a child that it has not started.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "\"$@\" &", "sh"]).arg(own).args(args).arg(program);
    // The environment has the runner's token. A signal to this group, such as Ctrl-C, must not end the watch.
    let status = command.env_clear().stdin(Stdio::null()).process_group(0).status();
    status.map(|_| ()).map_err(|error| format!("Cannot start /bin/sh: {error}."))
}

/// Kills the process with this id and beginning if the control plane does not answer its `program` within the limit.
/// Writes: removes `current` before the kill, after which a service manager may start the runner or stop this process.
pub(crate) async fn watch(pid: i32, began: &str, limit: Duration, program: &Path) {
    // The path ends with `programs/VERSION/pullyard-runner`.
    let Some(programs) = program.ancestors().nth(3).map(InstalledPrograms::new) else { return };
    let is_alive = || process_start_time(pid).as_deref() == Some(began);
    let load_trial = || programs.unconfirmed(program).filter(|_| is_alive());
    ends_within(limit, || load_trial().is_some()).await;
    if load_trial().is_none() {
        return;
    }
    let signal = |signal| kill(Pid::from_raw(pid), signal).is_ok();
    // A stopped process cannot confirm its program any more.
    signal(Signal::SIGSTOP);
    if load_trial().is_none() {
        signal(Signal::SIGCONT);
        return;
    }
    programs.remove_current();
    // After SIGTERM, service managers do not start the runner again.
    let is_killed = signal(Signal::SIGKILL) && ends_within(KILL_LIMIT, is_alive).await;
    let effect = if is_killed { "killed it" } else { "cannot kill it" };
    let (program, secs) = (program.display(), limit.as_secs());
    tracing::error!(effect, "no heartbeat of {program} was answered within {secs} s; {effect}");
}

async fn ends_within(limit: Duration, is_present: impl Fn() -> bool) -> bool {
    let end = async {
        while is_present() {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(limit, end).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[tokio::test]
    async fn only_an_unconfirmed_process_is_killed_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let programs = InstalledPrograms::new(&dir.path().join("runners/kite.runner"));
        programs.create_folder("0.2.0").unwrap();
        let program = programs.program("0.2.0");
        std::fs::write(&program, "").unwrap();
        let mut child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let began = process_start_time(pid).unwrap();
        let is_followed = async |began: &str, is_confirmed: bool| {
            programs.set_current("0.2.0", dir.path()).unwrap();
            if is_confirmed {
                programs.confirm(&program);
            }
            watch(pid, began, Duration::ZERO, &program).await;
            programs.current().is_some()
        };
        assert!(is_followed("1", false).await, "another process has the id now");
        assert!(is_followed(&began, true).await);
        assert_eq!(child.try_wait().unwrap(), None);
        let (is_followed, status) = tokio::join!(is_followed(&began, false), child.wait());
        assert_eq!((is_followed, status.unwrap().signal()), (false, Some(9)));
    }
}
