//! Maintains the mirror of a repository: a bare copy of its branches, shared by all attempts on the machine.
//!
//! It has only objects and branches. It is fetched under a lock and never garbage-collected. Attempts write nothing to
//! it; they only remove entries that an agent put among its objects.

use super::disk::{lock_file, on_disk, private_dirs, stands};
use super::remove;
use crate::git::{self, Call, Fault, Git};
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const ALTERNATES: &str = "objects/info/alternates";

#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
}

impl Mirror {
    /// Fetches all branches into the mirror. Waits while another attempt fetches the same repository, so the caller
    /// must apply a time limit.
    ///
    /// Errors: `Disk` for local causes, otherwise the error of git.
    pub(crate) async fn fetched(git: &Git, work_dir: &Path) -> Result<Self, Fault> {
        let mirrors = work_dir.join("mirrors");
        private_dirs(&mirrors).map_err(Fault::Disk)?;
        let name = name_of(git.url());
        let lock = lock_file(&mirrors.join(format!("{name}.lock"))).map_err(Fault::Disk)?;
        wait_for(&lock).await.map_err(Fault::Disk)?;
        let dir = mirrors.join(format!("{name}.git"));
        // An agent that found the mirror may have replaced files that git reads by pipes, even its settings.
        let read = dir.clone();
        on_disk(move || remove::odd(&read)).await.map_err(Fault::Disk)?;
        // A repeated `init` repairs a repository if a killed process created it only in part.
        let dir = git::init_bare(git, dir).await?.canonicalize().map_err(Fault::Disk)?;
        git::seal(&dir, None).await.map_err(Fault::Disk)?;
        remove_locks_of_the_dead(&dir);
        // Git does not fetch into a branch that a worktree uses, and an agent may have created one. The mirror borrows
        // no objects.
        for foreign in ["worktrees", ALTERNATES] {
            remove::entry(&dir.join(foreign)).map_err(Fault::Disk)?;
        }
        let args = [
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--",
            git.url(),
            "+refs/heads/*:refs/heads/*",
        ];
        git.run(Call::new(args).repository(&dir).reaching_forge()).await?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn branch(&self, git: &Git, name: &str) -> Result<Option<String>, Fault> {
        git::commit_of(git, &self.dir, &git::branch_ref(name)).await
    }
}

/// Removes entries among a mirror's objects on which git would block, and the list of other object folders.
///
/// Errors: also if a link replaced the mirror or its objects.
pub(super) fn clean_objects(mirror: &Path) -> io::Result<()> {
    let objects = mirror.join("objects");
    stands(&objects)?;
    remove::odd(&objects)?;
    remove::entry(&mirror.join(ALTERNATES))
}

fn name_of(url: &str) -> String {
    Sha256::digest(url).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Polls, because a thread that blocks on a lock could not be stopped.
async fn wait_for(lock: &File) -> io::Result<()> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => sleep(LOOK_EVERY).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes git's own lock files. The caller holds the mirror's lock, so the processes that created them are dead.
fn remove_locks_of_the_dead(dir: &Path) {
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
