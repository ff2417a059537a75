//! Checks that jobs can work in a git repository of this machine.

use std::path::Path;
use std::process::Command;

/// `Display` follows the name of the repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryFault {
    #[error("has no commit on {branch}")]
    NoCommit { branch: String },
    #[error("has no file {script} in the last commit of {branch}")]
    NoScript { script: String, branch: String },
    #[error("has {script} in the last commit of {branch}, but it is not executable")]
    NotExecutable { script: String, branch: String },
    #[error("cannot be read: failed to run git: {0}")]
    Git(#[from] std::io::Error),
}

impl RepositoryFault {
    /// How to repair it, with commands between backticks.
    pub fn help(&self) -> String {
        match self {
            Self::NoCommit { .. } => {
                "Jobs branch off it. Commit something first: `git commit --allow-empty -m Start`".into()
            }
            Self::NoScript { script, .. } | Self::NotExecutable { script, .. } => {
                let file = script.trim_start_matches("./");
                format!("Commit it: `git add --chmod=+x {file} && git commit -m \"Add the agent\"`")
            }
            Self::Git(_) => "Install git.".into(),
        }
    }
}

/// Checks that `branch`, or the checked-out branch, has a commit that contains the agent's script as an executable file.
/// A runner sees only committed files. A program that is not a relative path is not checked.
pub fn check_repository(path: &Path, branch: Option<&str>, agent_command: &[String]) -> Result<(), RepositoryFault> {
    let (reference, branch) = match branch {
        Some(branch) => (format!("refs/heads/{branch}"), branch.to_owned()),
        None => ("HEAD".to_owned(), "its checked-out branch".to_owned()),
    };
    if git(path, &["rev-parse", "--quiet", "--verify", &format!("{reference}^{{commit}}")])?.is_none() {
        return Err(RepositoryFault::NoCommit { branch });
    }
    let script = agent_command.first().filter(|name| name.contains('/') && !name.starts_with('/'));
    let Some(script) = script.cloned() else { return Ok(()) };
    let entry = git(path, &["ls-tree", &reference, "--", script.trim_start_matches("./")])?.unwrap_or_default();
    match entry {
        entry if entry.starts_with("100755 ") => Ok(()),
        entry if entry.starts_with("100644 ") => Err(RepositoryFault::NotExecutable { script, branch }),
        _ => Err(RepositoryFault::NoScript { script, branch }),
    }
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

/// The output of git, or `None` if git refused.
fn git(path: &Path, arguments: &[&str]) -> Result<Option<String>, RepositoryFault> {
    let output = Command::new("git").arg("-C").arg(path).args(arguments).output()?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}
