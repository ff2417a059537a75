//! Runs git without a shell, with a time limit and a fixed environment.
//! Arguments from HTTP callers are only hexadecimal ids, or paths in positions where git accepts only paths.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    sync::watch,
    time::timeout,
};

use crate::{Error, process_group::ProcessGroup};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_STDERR_BYTES: u64 = 16 * 1024;

/// The only configuration that git reads. `safe.directory` allows a folder of another user; without `gc`, no process
/// outlives a push. `hideRefs` and `maxInputSize` are as on GitHub.
const CONFIG: &str = "\
[safe]
\tdirectory = *
[gc]
\tauto = 0
[receive]
\tautogc = false
\tfsckObjects = true
\thideRefs = refs/pull
\tmaxInputSize = 2147483648
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[http]
\tgetanyfile = false
";

#[derive(Debug)]
pub struct Git {
    home: PathBuf,
    config: PathBuf,
    /// An absolute path: with a bare name and a changed PATH, spawning forks the whole, possibly large process.
    git: PathBuf,
    /// Each running git process has a receiver.
    running: watch::Sender<()>,
}

pub struct Output {
    command: String,
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub truncated: bool,
    stderr: String,
}

impl Output {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn into_success(self) -> Result<Self, Error> {
        // Truncation closes the pipe and thereby kills git; this is not a failure.
        if self.code == Some(0) || self.truncated { Ok(self) } else { Err(self.into_error()) }
    }

    fn into_error(self) -> Error {
        let reason = match self.stderr.trim() {
            "" => format!("it ended with {:?}", self.code),
            stderr => stderr.to_owned(),
        };
        Error::GitFailed { command: self.command, reason }
    }
}

fn find_on_path() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let git = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file());
    git.ok_or_else(|| Error::GitMissing { source: io::ErrorKind::NotFound.into() })
}

impl Git {
    pub async fn find(dir: &Path) -> Result<Self, Error> {
        // No repository owner has a dot in its name, so the name is free.
        let config = dir.join("server.gitconfig");
        tokio::fs::write(&config, CONFIG).await.map_err(Error::storage(&config))?;
        Ok(Self { home: dir.to_owned(), config, git: find_on_path()?, running: watch::Sender::new(()) })
    }

    pub(crate) fn start(&self, command: &mut Command) -> io::Result<ProcessGroup> {
        Ok(ProcessGroup::new(command.spawn()?, &self.running))
    }

    pub async fn wait_idle(&self) {
        self.running.closed().await;
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.git);
        command
            // The folder in which this process was started may be deleted.
            .current_dir(&self.home)
            .env_clear()
            // Git finds its programs by PATH.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", &self.config)
            .env("GIT_TERMINAL_PROMPT", "0")
            // Other formats are not read by `read_branches`.
            .env("GIT_DEFAULT_REF_FORMAT", "files")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    pub async fn run(&self, repository: &Path, args: &[&str]) -> Result<Output, Error> {
        self.run_with_input(repository, args, &[], u64::MAX).await?.into_success()
    }

    pub async fn run_with_input(
        &self,
        repository: &Path,
        args: &[&str],
        input: &[u8],
        max_bytes: u64,
    ) -> Result<Output, Error> {
        let name = args.iter().find(|arg| !arg.starts_with('-') && !arg.contains('='));
        let name = name.copied().unwrap_or_default().to_owned();
        let mut command = self.command();
        command.env("GIT_DIR", repository).args(args).stdin(Stdio::piped());
        let started = self.start(&mut command);
        let mut git = started.map_err(|source| Error::GitMissing { source })?;
        let child = &mut git.child;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exchange = async {
            let write = async move {
                if let Some(mut stdin) = stdin {
                    // If git stops reading early, stderr has the reason.
                    let _ = stdin.write_all(input).await;
                }
            };
            let ((), stdout, stderr) = tokio::join!(
                write,
                read_up_to(stdout, max_bytes.saturating_add(1)),
                read_up_to(stderr, MAX_STDERR_BYTES),
            );
            let status = child.wait().await?;
            Ok::<_, io::Error>((status, stdout?, stderr?))
        };
        let (status, mut stdout, stderr) = match timeout(COMMAND_TIMEOUT, exchange).await {
            Ok(Ok(result)) => result,
            Ok(Err(source)) => return Err(Error::GitFailed { command: name, reason: source.to_string() }),
            Err(_) => return Err(Error::GitTimedOut { command: name, limit: COMMAND_TIMEOUT }),
        };
        let truncated = stdout.len() as u64 > max_bytes;
        if truncated {
            stdout.pop();
        }
        Ok(Output {
            command: name,
            code: status.code(),
            stdout,
            truncated,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    pub async fn run_with_stdin(&self, repository: &Path, args: &[&str], input: &[u8]) -> Result<(), Error> {
        self.run_with_input(repository, args, input, u64::MAX).await?.into_success().map(drop)
    }

    pub async fn commits_between(&self, repository: &Path, base: &str, head: &str) -> Result<u64, Error> {
        let range = format!("{base}..{head}");
        let output = self.run(repository, &["rev-list", "--count", &range, "--"]).await?;
        output.text().trim().parse().map_err(|_| Error::GitFailed {
            command: "rev-list".to_owned(),
            reason: "the count is not a number".to_owned(),
        })
    }

    pub async fn merge_base(&self, repository: &Path, base: &str, head: &str) -> Result<Option<String>, Error> {
        let output = self.run_with_input(repository, &["merge-base", base, head], &[], 1024).await?;
        if output.code == Some(1) && output.stderr.is_empty() {
            return Ok(None);
        }
        Ok(Some(output.into_success()?.text().trim().to_owned()))
    }

    pub async fn diff(&self, repository: &Path, base: &str, head: &str, max_bytes: u64) -> Result<Output, Error> {
        let range = format!("{base}...{head}");
        let quote = "core.quotePath=false";
        let args = ["-c", quote, "diff", "--no-color", "--no-ext-diff", "--no-textconv", &range, "--"];
        self.run_with_input(repository, &args, &[], max_bytes).await?.into_success()
    }
}

async fn read_up_to(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
