//! Finds the runner's own program, runs it for a limited time, and replaces this process with another program.

use crate::process::group::Group;
use pullyard_domain::text::truncate;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Less than a reason may have, so that the end of its sentence is not cut.
const MAX_LINE_CHARS: usize = 200;

/// The path of this program, which another program may have replaced.
/// Errors: a sentence for an administrator.
pub(crate) fn own_program() -> Result<PathBuf, String> {
    let path = std::env::current_exe().map_err(|error| format!("Cannot find the path of this program: {error}."))?;
    let text = path.to_string_lossy();
    // Linux adds this to the path of a deleted or replaced file.
    let path = text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from);
    let is_file = path.is_file();
    if is_file { Ok(path) } else { Err(format!("{} is gone; install the runner again.", path.display())) }
}

/// Runs a program until it exits with 0. Kills its process group at the end, or after `limit`.
/// Errors: why it failed, by a line of its output.
pub(crate) async fn run_program(mut command: Command, limit: Duration) -> Result<String, String> {
    let name = command.as_std().get_args().next().map(|arg| arg.display().to_string()).unwrap_or_default();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let mut child =
        child.map_err(|error| format!("Cannot start {}: {error}.", command.as_std().get_program().display()))?;
    let mut group = Group::from_child(&child).ok_or_else(|| format!("`{name}` has no process id."))?;
    let read_and_wait = async {
        // The id of the group may be reused after `wait`, so that a later signal would stop a job.
        let (mut output, errors) = tokio::join!(read(child.stdout.take()), read(child.stderr.take()));
        output.extend(errors);
        child.wait().await.map(|status| (status, String::from_utf8_lossy(&output).into_owned()))
    };
    let result = timeout(limit, read_and_wait).await;
    // Kills also the clients of containers and other children.
    let _ = group.stop(&mut child, Duration::ZERO).await;
    let result = result.map_err(|_| format!("`{name}` did not end within {} s.", limit.as_secs()))?;
    let (status, text) = result.map_err(|error| format!("Cannot wait for `{name}`: {error}."))?;
    if status.success() {
        return Ok(text);
    }
    Err(format!("`{name}` failed ({status}): {}", failure_line(&text)))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes).await;
    }
    bytes
}

/// The first failed check of `check` or error of a command, or else the last line.
fn failure_line(output: &str) -> String {
    let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back();
    let line = lines.find(|line| line.starts_with("WRONG") || line.starts_with("error:")).or(last);
    truncate(line.unwrap_or("nothing"), MAX_LINE_CHARS)
}

/// Replaces this process with `program`, with the same arguments, environment and process id. Files are closed, because
/// the standard library opens them with `O_CLOEXEC`. Returns only if it fails.
pub(crate) fn execute(program: &Path) -> std::io::Error {
    std::process::Command::new(program).args(std::env::args_os().skip(1)).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failed_program_is_described_by_one_line() {
        let sh = async |script: &str, millis| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            run_program(command, Duration::from_millis(millis)).await
        };
        assert_eq!(sh("echo fine", 60_000).await, Ok("fine\n".into()));
        for (script, limit, expected) in [
            ("echo first; echo last >&2; exit 3", 60_000, "last"),
            ("echo 'WRONG  server  away'; echo 'ok  isolation'; exit 1", 60_000, "WRONG  server  away"),
            ("exit 1", 60_000, "nothing"),
            ("echo 'error: no'; echo 'help: more'; exit 2", 60_000, "error: no"),
            ("kill -KILL $$", 60_000, "signal: 9"),
            ("sleep 600 & sleep 600", 0, "did not end within 0 s"),
        ] {
            let reason = sh(script, limit).await.unwrap_err();
            assert!(reason.contains(expected), "{script}: {reason}");
        }
        let missing = run_program(Command::new("/missing"), Duration::ZERO).await.unwrap_err();
        assert!(missing.starts_with("Cannot start /missing: "), "{missing}");
    }
}
