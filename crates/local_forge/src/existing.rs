//! Examines an existing repository of this machine: its folder, its format and its checked-out branch.

use crate::Error;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Why git could not answer about a repository.
#[derive(Debug, thiserror::Error)]
pub enum GitFault {
    #[error("failed to run git: {0}")]
    Start(#[from] std::io::Error),
    /// Git's own words.
    #[error("git refuses it: {0}")]
    Refused(String),
}

/// An existing repository. Git finds it by this path alone, and reads no configuration but the repository's own: the
/// caller's environment and configuration, and the owner of the folder, change no answer.
pub(crate) struct ExistingRepository {
    pub(crate) git_dir: PathBuf,
}

impl ExistingRepository {
    /// Errors: `InvalidRepository` if the folder is no repository that the forge can serve.
    pub(crate) fn find(path: &Path) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidRepository { path: path.to_owned(), reason: reason.into() };
        let folder = fs::canonicalize(path).map_err(Error::storage(path))?;
        let inner = folder.join(".git");
        if inner.is_file() {
            return Err(invalid("it is a worktree or a submodule; use its main repository"));
        }
        let git_dir = if inner.is_dir() { inner } else { folder };
        let is_git = git_dir.join("HEAD").is_file() || git_dir.join("HEAD").is_symlink();
        match is_git && git_dir.join("objects").is_dir() && git_dir.join("refs").is_dir() {
            true => Ok(Self { git_dir }),
            false => Err(invalid("it is neither a bare git repository nor the top of a checkout")),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Settings with `~` need a home.
        git.env("HOME", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C");
        // A partial clone must not call its remote.
        git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
        git.env("GIT_DIR", &self.git_dir).current_dir(&self.git_dir).args(arguments);
        git
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Result<Output, GitFault> {
        Ok(self.command(arguments).output()?)
    }

    /// The output of git, or `None` if it exited with 1 and an empty stderr: the value does not exist.
    pub(crate) fn query(&self, arguments: &[&str]) -> Result<Option<String>, GitFault> {
        let output = self.output(arguments)?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
            Some(1) if words.is_empty() => Ok(None),
            _ => Err(GitFault::Refused(words.replace('\n', " "))),
        }
    }

    /// Why the forge cannot serve this kind of repository; `None` if it can.
    pub(crate) fn unsupported(&self) -> Result<Option<&'static str>, GitFault> {
        let config = self.query(&["config", "--local", "--list", "--null"])?.unwrap_or_default();
        let settings = config.split('\0').filter_map(|setting| setting.split_once('\n'));
        let settings: Vec<(String, &str)> = settings.map(|(name, value)| (name.to_lowercase(), value)).collect();
        let has = |name: &str, value: &str| settings.iter().any(|(key, set)| key == name && *set == value);
        let is_promisor = |name: &str| name.starts_with("remote.") && name.ends_with(".promisor");
        let is_partial = settings.iter().any(|(name, value)| {
            name == "extensions.partialclone" || (is_promisor(name) && !matches!(*value, "false" | "no" | "off" | "0"))
        });
        Ok(if has("extensions.objectformat", "sha256") {
            Some("its object ids are SHA-256, and Pullyard works with SHA-1 only")
        } else if has("extensions.refstorage", "reftable") {
            Some("its branches are in the format reftable; convert them with `git refs migrate --ref-format=files`")
        } else if self.git_dir.join("shallow").is_file() {
            Some("it is a shallow clone; fetch the rest of its history with `git fetch --unshallow`")
        } else if is_partial {
            Some("it is a partial clone, which lacks objects that only its remote has; use a full clone")
        } else {
            None
        })
    }

    /// The checked-out branch, with or without a commit. `None` if HEAD is no branch. An alias leads to its branch.
    pub(crate) fn head_branch(&self) -> Result<Option<String>, GitFault> {
        let head = self.query(&["symbolic-ref", "--quiet", "HEAD"])?;
        Ok(head.and_then(|head| head.trim().strip_prefix("refs/heads/").map(str::to_owned)))
    }

    /// The first bytes of a file in a commit, which may be larger than the memory.
    pub(crate) fn file_start(&self, reference: &str, file: &str) -> Result<Vec<u8>, GitFault> {
        const MAX_BYTES: u64 = 256;
        let mut git = self.command(&["cat-file", "blob", &format!("{reference}:{file}")]);
        let mut child = git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut start = Vec::new();
        let read = child.stdout.take().map(|pipe| pipe.take(MAX_BYTES).read_to_end(&mut start)).transpose();
        let _ = child.kill();
        child.wait()?;
        read?;
        Ok(start)
    }
}
