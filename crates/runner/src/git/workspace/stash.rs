//! Moves the folders that are excluded from the work out of the tree, and back.
//! The project's checks run without them, because exactly the checked tree is published. An agent that
//! continues gets them back.

use super::disk::{create_private_dir, create_private_dirs, run_blocking, verify_in_place};
use super::{Workspace, remove};
use crate::git::nested::ExcludedRepository;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Holds the moved folders, each named by its number. It is in the attempt's folder.
const STASH_DIR: &str = "aside";

#[derive(Debug, Default)]
pub(super) struct Stash {
    excluded_repositories: Vec<ExcludedRepository>,
    reported_repositories: Vec<ExcludedRepository>,
    paths: Vec<PathBuf>,
}

impl Workspace {
    pub(crate) fn set_excluded_repositories(&self, repositories: Vec<ExcludedRepository>) {
        self.lock_stash().excluded_repositories = repositories;
    }

    pub(crate) fn excluded_repositories(&self) -> Vec<ExcludedRepository> {
        self.lock_stash().excluded_repositories.clone()
    }

    /// Whether the excluded folders changed since the last call. Each change is reported once.
    pub(crate) fn take_exclusion_change(&self) -> bool {
        let mut stash = self.lock_stash();
        let is_news = stash.reported_repositories != stash.excluded_repositories;
        stash.reported_repositories = stash.excluded_repositories.clone();
        is_news
    }

    /// Moves the excluded folders out of the tree, except ignored ones. Idempotent: a repeated call continues.
    pub(crate) async fn stash_excluded_repositories(&self) -> io::Result<()> {
        let (tree, to, stash) = (self.tree(), self.root.join(STASH_DIR), Arc::clone(&self.stash));
        run_blocking(move || {
            let (folders, mut number) = {
                let stash = lock(&stash);
                let is_left = |repository: &&ExcludedRepository| {
                    !repository.is_ignored && !stash.paths.contains(&repository.folder)
                };
                let folders =
                    stash.excluded_repositories.iter().filter(is_left).map(|repository| repository.folder.clone());
                (folders.collect::<Vec<_>>(), stash.paths.len())
            };
            if folders.is_empty() {
                return Ok(());
            }
            if number == 0 {
                remove::remove_entry(&to)?;
                create_private_dirs(&to)?;
            }
            for folder in folders {
                rename(&tree.join(&folder), &entry_path(&to, number))?;
                // Record each move at once, so that a repeated call does not remove the folder.
                lock(&stash).paths.push(folder);
                number += 1;
            }
            Ok(())
        })
        .await
    }

    /// Moves the folders back, the last one first. Idempotent: a repeated call continues.
    pub(crate) async fn restore_stash(&self) -> io::Result<()> {
        let (tree, from, stash) = (self.tree(), self.root.join(STASH_DIR), Arc::clone(&self.stash));
        run_blocking(move || {
            let moved = lock(&stash).paths.clone();
            for (number, folder) in moved.iter().enumerate().rev() {
                // Ensure that no entry outside the tree is removed.
                verify_in_place(&tree)?;
                let above = folder.parent().unwrap_or(Path::new(""));
                create_folders(&tree, above)?;
                make_writable(&tree.join(above));
                let to = tree.join(folder);
                let from = entry_path(&from, number);
                // If `from` is missing, an earlier call has moved it back.
                if fs::symlink_metadata(&from).is_ok() {
                    remove::remove_entry(&to)?;
                }
                rename(&from, &to)?;
                lock(&stash).paths.pop();
            }
            Ok(())
        })
        .await
    }

    fn lock_stash(&self) -> MutexGuard<'_, Stash> {
        lock(&self.stash)
    }
}

fn lock(stash: &Mutex<Stash>) -> MutexGuard<'_, Stash> {
    stash.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(number.to_string())
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let done = match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A rename changes the `..` entry of the folder, so the folder must be writable too.
            [Some(from), from.parent()].into_iter().flatten().for_each(make_writable);
            fs::rename(from, to)
        }
        done => done,
    };
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a folder writable for its owner, because an agent may have removed the permission.
fn make_writable(folder: &Path) {
    let Ok(about) = fs::symlink_metadata(folder) else { return };
    let mode = about.permissions().mode() & 0o7777;
    if about.is_dir() && mode & 0o700 != 0o700 {
        // This fails for a folder of another user. The later move reports the error.
        let _ = fs::set_permissions(folder, Permissions::from_mode(mode | 0o700));
    }
}

/// Creates the folders of a path below the tree. Replaces links, because they may point elsewhere.
fn create_folders(tree: &Path, path: &Path) -> io::Result<()> {
    let mut at = tree.to_owned();
    for part in path.components() {
        at.push(part);
        create_private_dir(&at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::id::JobId;
    use pullyard_domain::published::nested_repository::NestedKind;

    async fn workspace_with_excluded(dir: &Path, folders: &[&str]) -> Workspace {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let workspace = Workspace::create(dir, &job, 1).await.unwrap();
        for folder in folders {
            fs::create_dir_all(workspace.tree().join(folder)).unwrap();
            fs::write(workspace.tree().join(folder).join("work.txt"), folder).unwrap();
        }
        let left =
            |folder: &&str| ExcludedRepository { folder: folder.into(), kind: NestedKind::Worktree, is_ignored: false };
        workspace.set_excluded_repositories(folders.iter().map(left).collect());
        workspace
    }

    #[tokio::test]
    async fn read_only_folders_are_moved_out_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace_with_excluded(dir.path(), &["closed/a", "b"]).await;
        for folder in ["closed/a", "closed", "b"] {
            fs::set_permissions(workspace.tree().join(folder), Permissions::from_mode(0o500)).unwrap();
        }
        let there = || ["closed/a", "b"].map(|folder| workspace.tree().join(folder).join("work.txt").exists());
        workspace.stash_excluded_repositories().await.unwrap();
        assert_eq!(there(), [false, false]);
        // A folder that a check creates at this path is removed.
        fs::create_dir(workspace.tree().join("closed/a")).unwrap();
        fs::set_permissions(workspace.tree().join("closed"), Permissions::from_mode(0o500)).unwrap();
        workspace.restore_stash().await.unwrap();
        assert_eq!(there(), [true, true]);
    }

    #[tokio::test]
    async fn folders_are_restored_after_a_partial_move() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace_with_excluded(dir.path(), &["a", "b/c"]).await;
        let (b, held) = (workspace.tree().join("b"), dir.path().join("b"));
        fs::rename(&b, &held).unwrap();
        fs::write(&b, "").unwrap();
        assert!(workspace.stash_excluded_repositories().await.is_err());
        fs::remove_file(&b).unwrap();
        fs::rename(&held, &b).unwrap();
        let there = || ["a", "b/c"].map(|folder| workspace.tree().join(folder).join("work.txt").exists());
        assert_eq!(there(), [false, true]);
        for _ in 0..2 {
            workspace.stash_excluded_repositories().await.unwrap();
            assert_eq!(there(), [false, false]);
        }
        for _ in 0..2 {
            workspace.restore_stash().await.unwrap();
            assert_eq!(there(), [true, true]);
        }
    }

    #[tokio::test]
    async fn kept_worktree_has_its_excluded_folders() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace_with_excluded(dir.path(), &["deep/a"]).await;
        let file = workspace.tree().join("deep/a/work.txt");
        workspace.stash_excluded_repositories().await.unwrap();
        assert!(!file.exists());
        workspace.keep().await;
        assert_eq!(fs::read_to_string(file).unwrap(), "deep/a");
    }

    #[tokio::test]
    async fn folders_are_not_restored_through_a_linked_tree() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace_with_excluded(dir.path(), &["deep/a"]).await;
        workspace.stash_excluded_repositories().await.unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(workspace.tree(), &elsewhere).unwrap();
        fs::remove_dir(elsewhere.join("deep")).unwrap();
        fs::write(elsewhere.join("deep"), "of somebody").unwrap();
        std::os::unix::fs::symlink(&elsewhere, workspace.tree()).unwrap();
        assert!(workspace.restore_stash().await.is_err());
        assert_eq!(fs::read_to_string(elsewhere.join("deep")).unwrap(), "of somebody");
    }
}
