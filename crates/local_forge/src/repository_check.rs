//! Checks that jobs can work in a git repository of this machine.

use crate::Error;
use crate::existing::{ExistingRepository, GitFault};
use std::path::Path;

/// `Display` follows the name of the repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryFault {
    #[error("has no commit on {branch}")]
    NoCommit { branch: String },
    #[error("has no branch {branch}")]
    NoBranch { branch: String },
    #[error("has no file {script} in the last commit of {branch}")]
    NoScript { script: String, branch: String },
    #[error("has {script} in the last commit of {branch}, but it is not executable")]
    NotExecutable { script: String, branch: String },
    #[error("has {script} in the last commit of {branch}, but it cannot start: {reason}")]
    CannotStart { script: String, branch: String, reason: String },
    #[error("cannot be served: {reason}")]
    Unsupported { reason: &'static str },
    #[error("cannot be read: {0}")]
    Git(#[from] GitFault),
    #[error("cannot be read: failed to {0}")]
    Folder(#[from] Error),
}

impl RepositoryFault {
    /// How to repair it, with commands between backticks.
    pub fn help(&self) -> String {
        match self {
            Self::NoCommit { .. } => {
                "Jobs branch off it. Commit something first: `git commit --allow-empty -m Start`".into()
            }
            Self::NoBranch { .. } => "Jobs branch off it. If it was renamed, connect the folder under another name: \
                 `pullyard repos add local/NAME --path DIR`"
                .into(),
            Self::NoScript { script, .. } | Self::NotExecutable { script, .. } => {
                let file = script.trim_start_matches("./");
                format!("Commit it: `chmod +x {file} && git add {file} && git commit -m \"Add the agent\"`")
            }
            Self::CannotStart { script, .. } => {
                let file = script.trim_start_matches("./");
                format!("Correct the file and commit it: `git commit -m \"Correct the agent\" {file}`")
            }
            Self::Unsupported { .. } => "Connect another clone of it.".into(),
            Self::Git(GitFault::Start(_)) => "Install git.".into(),
            Self::Git(GitFault::Refused(_)) | Self::Folder(_) => {
                "Repair the repository; `git -C FOLDER fsck` examines it.".into()
            }
        }
    }
}

/// Checks that `branch`, or the checked-out branch, has a commit with the agent's script as a file that can start.
/// A runner sees only committed files. A program that is not a relative path is not checked.
pub fn check_repository(path: &Path, branch: Option<&str>, agent_command: &[String]) -> Result<(), RepositoryFault> {
    let repository = ExistingRepository::find(path)?;
    if let Some(reason) = repository.unsupported()? {
        return Err(RepositoryFault::Unsupported { reason });
    }
    let (reference, branch) = match branch {
        Some(branch) => (format!("refs/heads/{branch}"), branch.to_owned()),
        None => ("HEAD".to_owned(), "its checked-out branch".to_owned()),
    };
    let has_commit = |reference: &str| {
        let commit = format!("{reference}^{{commit}}");
        repository.query(&["rev-parse", "--quiet", "--verify", &commit]).map(|found| found.is_some())
    };
    if !has_commit(&reference)? {
        return Err(match has_commit("HEAD")? {
            true => RepositoryFault::NoBranch { branch },
            false => RepositoryFault::NoCommit { branch },
        });
    }
    let script = agent_command.first().filter(|name| name.contains('/') && !name.starts_with('/'));
    let Some(script) = script.cloned() else { return Ok(()) };
    let file = script.trim_start_matches("./");
    let entry = repository.query(&["ls-tree", "--full-tree", &reference, "--", file])?.unwrap_or_default();
    match entry.split(' ').next() {
        Some("100755") => match start_fault(&repository.file_start(&reference, file)?, |path| path.exists()) {
            Some(reason) => Err(RepositoryFault::CannotStart { script, branch, reason }),
            None => Ok(()),
        },
        Some("100644") => Err(RepositoryFault::NotExecutable { script, branch }),
        // A symbolic link leads to a file that is checked when the agent starts.
        Some("120000") => Ok(()),
        _ => Err(RepositoryFault::NoScript { script, branch }),
    }
}

/// Why a file with this beginning cannot be started; `None` if it can. `exists` looks for the program of its first line.
fn start_fault(start: &[u8], exists: impl Fn(&Path) -> bool) -> Option<String> {
    if start.starts_with(b"\xef\xbb\xbf#!") {
        return Some("it begins with a byte order mark".into());
    }
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let words = String::from_utf8_lossy(line);
    let program = words.trim().split_ascii_whitespace().next().unwrap_or_default();
    if words.ends_with('\r') {
        return Some(format!("its lines end with CR LF, and `{program}` followed by CR is no program"));
    }
    let is_missing = !exists(Path::new(program));
    is_missing.then(|| format!("its first line names the program `{program}`, which is not on this machine"))
}

/// Checks a repository that [`link`](crate::link) serves as `full_name`.
pub fn check_linked_repository(
    dir: &Path,
    full_name: &str,
    branch: &str,
    agent_command: &[String],
) -> Result<(), RepositoryFault> {
    check_repository(&dir.join(format!("{full_name}.git")), Some(branch), agent_command)
}
