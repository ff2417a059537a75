//! Reads the commit of a source tree from git. The build script and the crate's tests share this file.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const UNKNOWN: &str = "unknown";

#[derive(Debug)]
pub(crate) struct SourceTree {
    pub(crate) commit: String,
    /// Files that change when `HEAD` moves.
    pub(crate) watched: Vec<PathBuf>,
}

impl SourceTree {
    /// `folder` is this crate's. `None` without git, and in a source archive inside another repository.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        git(folder, &["ls-files", "--error-unmatch", "build.rs"])?;
        let commit = git(folder, &["rev-parse", "HEAD"])?;
        let path = |name: &str| Some(folder.join(git(folder, &["rev-parse", "--git-path", name])?));
        let reflog = path("logs/HEAD")?;
        // A commit on a branch changes the branch and HEAD's reflog, but not HEAD. Cargo reruns the script on every
        // build while a watched file is missing. Watch the branch only if HEAD has no reflog.
        let moved = match (reflog.exists(), git(folder, &["symbolic-ref", "--quiet", "HEAD"])) {
            (true, _) => Some(reflog),
            (false, Some(branch)) => path(&branch).filter(|file| file.exists()).or_else(|| path("refs/heads")),
            (false, None) => None,
        };
        Some(Self { commit, watched: [path("HEAD"), moved].into_iter().flatten().collect() })
    }
}

/// The trimmed output of a git command; `None` if git is missing or fails.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    // A git hook that builds sets these variables, relative to its own folder.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
