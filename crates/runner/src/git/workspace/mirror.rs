//! Maintains the mirror of a repository: a bare copy of its branches, shared by all attempts on the machine.
//! It has only objects and branches. It is fetched under a lock and never garbage-collected. Attempts write nothing to
//! it; they only remove entries that an agent put among its objects.

use super::disk::{create_private_dirs, open_lock_file, run_blocking, verify_in_place};
use super::{remove, settings};
use crate::git::{self, Git, GitCall, GitError};
use crate::hash::sha256_hex;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
const ALTERNATES: &str = "objects/info/alternates";

#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
}

impl Mirror {
    /// Fetches all branches into the mirror. Waits without limit while another attempt fetches the same repository.
    /// Errors: `Disk` for local causes, otherwise the error of git.
    pub(crate) async fn fetch(git: &Git, work_dir: &Path) -> Result<Self, GitError> {
        let mirrors = work_dir.join("mirrors");
        create_private_dirs(&mirrors)?;
        let name = mirror_name(git.url());
        let lock = open_lock_file(&mirrors.join(format!("{name}.lock")))?;
        acquire_lock(&lock).await?;
        let dir = mirrors.join(format!("{name}.git"));
        // An agent that found the mirror may have replaced files that git reads by pipes, even its settings.
        let dir_to_clean = dir.clone();
        run_blocking(move || remove::remove_special_files(&dir_to_clean)).await?;
        // A repeated `init` repairs a repository if a killed process created it only in part.
        let dir = git::init_bare(git, dir).await?.canonicalize()?;
        settings::reset(&dir, None)?;
        remove_stale_locks(&dir);
        // Git does not fetch into a branch that a worktree uses, and an agent may have created one.
        for name in ["worktrees", ALTERNATES] {
            remove::remove_entry(&dir.join(name))?;
        }
        let options = "fetch --quiet --prune --no-tags --no-write-fetch-head --no-recurse-submodules --".split(' ');
        let args = options.chain([git.url(), "+refs/heads/*:refs/heads/*"]);
        git.run(GitCall::new(args).repository(&dir).with_forge_access()).await?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn branch(&self, git: &Git, name: &str) -> Result<Option<String>, GitError> {
        // `show-ref` resolves no revision syntax: a name such as `main~1` is no branch.
        let call = GitCall::new(["show-ref", "--verify", "--hash", "--", &git::branch_ref(name)]);
        match git.run_for_line(call.repository(&self.dir)).await {
            Ok(commit) => Ok(Some(commit)),
            Err(GitError::Failed { stderr, .. }) if stderr.contains("not a valid ref") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Removes entries among a mirror's objects on which git would block, and the list of other object folders.
/// Errors: also if a link replaced the mirror or its objects.
pub(super) fn clean_objects(mirror: &Path) -> io::Result<()> {
    let objects = mirror.join("objects");
    verify_in_place(&objects)?;
    remove::remove_special_files(&objects)?;
    remove::remove_entry(&mirror.join(ALTERNATES))
}

fn mirror_name(url: &str) -> String {
    let hash = sha256_hex(url);
    hash.get(..32).unwrap_or(&hash).to_owned()
}

/// Polls, because a thread that blocks on a lock could not be stopped.
async fn acquire_lock(lock: &File) -> io::Result<()> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => sleep(LOCK_POLL_INTERVAL).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes git's own lock files. The caller holds the mirror's lock, so the processes that created them are dead.
fn remove_stale_locks(dir: &Path) {
    for name in ["packed-refs.lock", "HEAD.lock", "config.lock"] {
        let _ = fs::remove_file(dir.join(name));
    }
    let mut folders = vec![dir.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "lock") {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn branch_is_found_by_its_exact_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new("", "");
        let mirror = Mirror { dir: git::init_bare(&git, dir.path().join("git")).await.unwrap() };
        let run = async |args: &[&str]| {
            git.run_for_line(GitCall::new(args).repository(mirror.dir()).with_identity()).await.unwrap()
        };
        let tree = run(&["mktree"]).await;
        let commit = run(&["commit-tree", &tree, "-m", "base"]).await;
        for name in ["main", "pullyard/acme/app-17-1", "ü"] {
            run(&["update-ref", &git::branch_ref(name), &commit]).await;
            assert_eq!(mirror.branch(&git, name).await.unwrap().as_ref(), Some(&commit), "{name}");
        }
        for name in ["", "-x", "a b", "main~0", "main^{commit}", "@{-1}", "../heads/main", "ma*", "pullyard", "HEAD"] {
            assert_eq!(mirror.branch(&git, name).await.unwrap(), None, "{name}");
        }
    }
}
