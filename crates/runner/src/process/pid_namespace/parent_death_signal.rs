//! Ties a program to this process: the kernel kills the program when this process dies, even by SIGKILL.
//! Otherwise an agent would call its model and write files until the next run in its folder. The kernel kills only the
//! program's first process, not its children; a namespace ends with its first process. Only Linux supports this. It
//! depends on the thread that starts the program, which must live as long as this process.
//! Source: PR_SET_PDEATHSIG(2const), setpriv(1) of util-linux from 2.33 on.

use crate::process::program::system_program;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

const PROBE_LIMIT: Duration = Duration::from_secs(5);
const SETPRIV: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
/// If this process dies before the kernel registers the request, no signal is sent. An orphan therefore exits.
const EXIT_IF_ORPHANED: [&str; 3] = ["/bin/sh", "-c", "[ \"$PPID\" = \"$0\" ] || exit 1; exec \"$@\""];

pub(super) async fn is_available() -> bool {
    static AVAILABLE: OnceCell<bool> = OnceCell::const_new();
    *AVAILABLE.get_or_init(probe).await
}

async fn probe() -> bool {
    let mut command = command(Path::new("/bin/sh"));
    command.args(["-c", "exit 0"]);
    let is_available = succeeds(command).await;
    if !is_available {
        tracing::info!("this machine cannot end a program together with its parent");
    }
    is_available
}

pub(super) async fn succeeds(mut command: Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(mut child) = command.spawn() else { return false };
    matches!(timeout(PROBE_LIMIT, child.wait()).await, Ok(Ok(status)) if status.success())
}

/// A command that becomes the program and keeps its process id.
pub(super) fn command(program: &Path) -> Command {
    let [setpriv, args @ ..] = SETPRIV;
    let mut command = Command::new(system_program(setpriv));
    command.args(args).args(EXIT_IF_ORPHANED).arg(std::process::id().to_string()).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn program_with_another_parent_is_not_started() {
        if !is_available().await {
            eprintln!("skipped: this machine cannot end a program together with its parent");
            return;
        }
        // The shell between is the parent, as init is after this process died.
        let inner = command(Path::new("/bin/echo"));
        let inner = inner.as_std();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "\"$@\" began; exit 0", "-"]).arg(inner.get_program()).args(inner.get_args());
        let output = shell.output().await.unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{output:?}");

        let output = command(Path::new("/bin/echo")).arg("began").output().await.unwrap();
        assert_eq!(output.stdout, b"began\n", "{output:?}");
    }

    #[tokio::test]
    async fn program_dies_with_its_starting_thread() {
        if !is_available().await {
            eprintln!("skipped: this machine cannot end a program together with its parent");
            return;
        }
        // To the kernel a thread is a parent as well, so the test's process can survive.
        let thread = std::thread::spawn(|| {
            let mut inner = command(Path::new("/bin/sh")).into_std();
            inner.args(["-c", "echo began; exec sleep 600"]).stdout(Stdio::piped());
            let mut child = inner.spawn().unwrap();
            let mut output = [0; 6];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut output).unwrap();
            child
        });
        let mut child = thread.join().unwrap();
        let until = Instant::now() + PROBE_LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > until {
                child.kill().unwrap();
                break None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status)), Some(9));
    }
}
