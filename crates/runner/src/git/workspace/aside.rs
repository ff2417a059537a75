//! Moves the folders that are excluded from the work out of the tree, and back.
//! The project's checks run without them, because exactly the checked tree is published. An agent that continues finds
//! them in their old place.

use super::disk::{on_disk, private_dirs, private_folder, stands};
use super::{Workspace, remove};
use crate::git::nested::LeftOut;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Holds the moved folders, each named by its number. It is in the attempt's folder.
const ASIDE: &str = "aside";

#[derive(Debug, Default)]
pub(super) struct Aside {
    /// The excluded folders at the last scan of the tree.
    found: Vec<LeftOut>,
    told: Vec<LeftOut>,
    moved: Vec<PathBuf>,
}

impl Workspace {
    pub(crate) fn leave_out(&self, found: Vec<LeftOut>) {
        self.aside().found = found;
    }

    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        self.aside().found.clone()
    }

    /// Whether the excluded folders changed since the last call. Each change is reported once.
    pub(crate) fn leaves_out_others(&self) -> bool {
        let mut aside = self.aside();
        let is_news = aside.told != aside.found;
        aside.told = aside.found.clone();
        is_news
    }

    /// Moves the excluded folders out of the tree, except ignored ones. Idempotent: a repeated call continues.
    pub(crate) async fn set_aside(&self) -> io::Result<()> {
        let (tree, to, aside) = (self.tree(), self.root.join(ASIDE), Arc::clone(&self.aside));
        on_disk(move || {
            let (folders, mut number) = {
                let aside = locked(&aside);
                let is_left = |found: &&LeftOut| !found.is_ignored && !aside.moved.contains(&found.folder);
                let folders = aside.found.iter().filter(is_left).map(|found| found.folder.clone());
                (folders.collect::<Vec<_>>(), aside.moved.len())
            };
            if folders.is_empty() {
                return Ok(());
            }
            if number == 0 {
                remove::entry(&to)?;
                private_dirs(&to)?;
            }
            for folder in folders {
                rename(&tree.join(&folder), &numbered(&to, number))?;
                // Record each move at once, so that a repeated call does not remove the folder.
                locked(&aside).moved.push(folder);
                number += 1;
            }
            Ok(())
        })
        .await
    }

    /// Moves the folders back, the last one first. Idempotent: a repeated call continues.
    pub(crate) async fn put_left_out_back(&self) -> io::Result<()> {
        let (tree, from, aside) = (self.tree(), self.root.join(ASIDE), Arc::clone(&self.aside));
        on_disk(move || {
            let moved = locked(&aside).moved.clone();
            for (number, folder) in moved.iter().enumerate().rev() {
                // Ensure that no entry outside the tree is removed.
                stands(&tree)?;
                let above = folder.parent().unwrap_or(Path::new(""));
                make_folders(&tree, above)?;
                make_writable(&tree.join(above));
                let to = tree.join(folder);
                let from = numbered(&from, number);
                // If `from` is missing, an earlier call has moved it back.
                if fs::symlink_metadata(&from).is_ok() {
                    remove::entry(&to)?;
                }
                rename(&from, &to)?;
                locked(&aside).moved.pop();
            }
            Ok(())
        })
        .await
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        locked(&self.aside)
    }
}

fn locked(aside: &Mutex<Aside>) -> MutexGuard<'_, Aside> {
    aside.lock().unwrap_or_else(PoisonError::into_inner)
}

fn numbered(folder: &Path, number: usize) -> PathBuf {
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
fn make_folders(tree: &Path, path: &Path) -> io::Result<()> {
    let mut at = tree.to_owned();
    for part in path.components() {
        at.push(part);
        private_folder(&at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Afterwards;
    use pullyard_domain::id::JobId;
    use pullyard_domain::published::left_out::NestedKind;

    /// A workspace with these excluded folders, each with one file.
    async fn with(dir: &Path, folders: &[&str]) -> Workspace {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let workspace = Workspace::make(dir, &job, 1).await.unwrap();
        for folder in folders {
            fs::create_dir_all(workspace.tree().join(folder)).unwrap();
            fs::write(workspace.tree().join(folder).join("work.txt"), folder).unwrap();
        }
        let left = |folder: &&str| LeftOut { folder: folder.into(), what: NestedKind::Worktree, is_ignored: false };
        workspace.leave_out(folders.iter().map(left).collect());
        workspace
    }

    #[tokio::test]
    async fn excluded_folders_are_new_once() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["a", "b"]).await;
        let both = workspace.left_out();
        assert!(workspace.leaves_out_others());
        for _ in 0..2 {
            workspace.leave_out(both.clone());
            assert!(!workspace.leaves_out_others());
        }
        for found in [&both[..1], &[], &both[..]] {
            workspace.leave_out(found.to_vec());
            assert!(workspace.leaves_out_others(), "{found:?}");
            assert!(!workspace.leaves_out_others(), "{found:?}");
        }
    }

    #[tokio::test]
    async fn read_only_folders_are_moved_out_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["closed/a", "b"]).await;
        for folder in ["closed/a", "closed", "b"] {
            fs::set_permissions(workspace.tree().join(folder), Permissions::from_mode(0o500)).unwrap();
        }
        let there = || ["closed/a", "b"].map(|folder| workspace.tree().join(folder).join("work.txt").exists());
        workspace.set_aside().await.unwrap();
        assert_eq!(there(), [false, false]);
        // A folder that a check creates at this path is removed.
        fs::create_dir(workspace.tree().join("closed/a")).unwrap();
        fs::set_permissions(workspace.tree().join("closed"), Permissions::from_mode(0o500)).unwrap();
        workspace.put_left_out_back().await.unwrap();
        assert_eq!(there(), [true, true]);
    }

    #[tokio::test]
    async fn folders_are_restored_after_a_partial_move() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["a", "b/c"]).await;
        let (b, held) = (workspace.tree().join("b"), dir.path().join("b"));
        fs::rename(&b, &held).unwrap();
        fs::write(&b, "").unwrap();
        assert!(workspace.set_aside().await.is_err());
        fs::remove_file(&b).unwrap();
        fs::rename(&held, &b).unwrap();
        let there = || ["a", "b/c"].map(|folder| workspace.tree().join(folder).join("work.txt").exists());
        assert_eq!(there(), [false, true]);
        for _ in 0..2 {
            workspace.set_aside().await.unwrap();
            assert_eq!(there(), [false, false]);
        }
        for _ in 0..2 {
            workspace.put_left_out_back().await.unwrap();
            assert_eq!(there(), [true, true]);
        }
    }

    #[tokio::test]
    async fn kept_worktree_has_its_excluded_folders() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["deep/a"]).await;
        let file = workspace.tree().join("deep/a/work.txt");
        workspace.set_aside().await.unwrap();
        assert!(!file.exists());
        workspace.end(Afterwards::Kept).await;
        assert_eq!(fs::read_to_string(file).unwrap(), "deep/a");
    }

    #[tokio::test]
    async fn folders_are_not_restored_through_a_linked_tree() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["deep/a"]).await;
        workspace.set_aside().await.unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(workspace.tree(), &elsewhere).unwrap();
        fs::remove_dir(elsewhere.join("deep")).unwrap();
        fs::write(elsewhere.join("deep"), "of somebody").unwrap();
        std::os::unix::fs::symlink(&elsewhere, workspace.tree()).unwrap();
        assert!(workspace.put_left_out_back().await.is_err());
        assert_eq!(fs::read_to_string(elsewhere.join("deep")).unwrap(), "of somebody");
    }
}
