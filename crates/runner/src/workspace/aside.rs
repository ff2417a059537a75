//! Folders of the tree that are no part of the work. The project's checks run without them, since what is published is
//! what was checked; an agent that works on finds them where it left them.

use super::{Workspace, on_disk, private_dirs, private_folder, remove, stands};
use crate::nested::LeftOut;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

/// Where they are meanwhile, in the attempt's folder, each by its number.
const ASIDE: &str = "aside";

#[derive(Debug, Default)]
pub(super) struct Aside {
    /// As the last look at the tree found them.
    found: Vec<LeftOut>,
    /// Those that are out of the tree now.
    moved: Vec<PathBuf>,
}

impl Workspace {
    /// Notes which folders are no part of the work.
    pub(crate) fn leave_out(&self, found: Vec<LeftOut>) {
        self.aside().found = found;
    }

    /// The folders that are no part of the work.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        self.aside().found.clone()
    }

    /// Takes them out of the tree, but for what the repository ignores anyway. Repeating it does nothing.
    pub(crate) async fn set_aside(&self) -> io::Result<()> {
        let folders: Vec<PathBuf> = {
            let aside = self.aside();
            if !aside.moved.is_empty() {
                return Ok(());
            }
            let found = aside.found.iter().filter(|found| !found.is_ignored);
            found.map(|found| found.folder.clone()).collect()
        };
        if folders.is_empty() {
            return Ok(());
        }
        let (tree, to, moving) = (self.tree(), self.root.join(ASIDE), folders.clone());
        on_disk(move || {
            remove::entry(&to)?;
            private_dirs(&to)?;
            moving
                .iter()
                .enumerate()
                .try_for_each(|(number, folder)| rename(&tree.join(folder), &numbered(&to, number)))
        })
        .await?;
        self.aside().moved = folders;
        Ok(())
    }

    /// Puts them back where they were. Repeating it does nothing.
    pub(crate) async fn put_left_out_back(&self) -> io::Result<()> {
        let folders = std::mem::take(&mut self.aside().moved);
        if folders.is_empty() {
            return Ok(());
        }
        let (tree, from) = (self.tree(), self.root.join(ASIDE));
        on_disk(move || {
            // Nothing is removed elsewhere.
            stands(&tree)?;
            folders.iter().enumerate().try_for_each(|(number, folder)| {
                let above = folder.parent().unwrap_or(Path::new(""));
                make_folders(&tree, above)?;
                make_writable(&tree.join(above));
                let to = tree.join(folder);
                remove::entry(&to)?;
                rename(&numbered(&from, number), &to)
            })
        })
        .await
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn numbered(folder: &Path, number: usize) -> PathBuf {
    folder.join(number.to_string())
}

/// What is gone needs no other place.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let done = match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // What stands above a folder is written in it.
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

/// Makes a folder writable to its owner: an agent may have closed it.
fn make_writable(folder: &Path) {
    let Ok(about) = fs::symlink_metadata(folder) else { return };
    let mode = about.permissions().mode() & 0o7777;
    if about.is_dir() && mode & 0o700 != 0o700 {
        // What is another's can't be changed, and says so when it is moved.
        let _ = fs::set_permissions(folder, Permissions::from_mode(mode | 0o700));
    }
}

/// Makes the folders of a path below the tree. What a check put in the place of one may lead elsewhere, and goes.
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
    use pullyard_domain::published::left_out::Nested;

    /// A workspace with these folders, each with a file, that are no part of the work.
    async fn with(dir: &Path, folders: &[&str]) -> Workspace {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let workspace = Workspace::make(dir, &job, 1).await.unwrap();
        for folder in folders {
            fs::create_dir_all(workspace.tree().join(folder)).unwrap();
            fs::write(workspace.tree().join(folder).join("work.txt"), folder).unwrap();
        }
        let left = |folder: &&str| LeftOut { folder: folder.into(), what: Nested::Worktree, is_ignored: false };
        workspace.leave_out(folders.iter().map(left).collect());
        workspace
    }

    #[tokio::test]
    async fn what_may_not_be_written_is_moved_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["closed/a", "b"]).await;
        for folder in ["closed/a", "closed", "b"] {
            fs::set_permissions(workspace.tree().join(folder), Permissions::from_mode(0o500)).unwrap();
        }
        let there = || ["closed/a", "b"].map(|folder| workspace.tree().join(folder).join("work.txt").exists());
        workspace.set_aside().await.unwrap();
        assert_eq!(there(), [false, false]);
        // What a check puts there meanwhile goes.
        fs::create_dir(workspace.tree().join("closed/a")).unwrap();
        fs::set_permissions(workspace.tree().join("closed"), Permissions::from_mode(0o500)).unwrap();
        workspace.put_left_out_back().await.unwrap();
        assert_eq!(there(), [true, true]);
    }

    #[tokio::test]
    async fn whoever_looks_into_a_kept_worktree_finds_them_where_the_log_says() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = with(dir.path(), &["deep/a"]).await;
        let file = workspace.tree().join("deep/a/work.txt");
        workspace.set_aside().await.unwrap();
        assert!(!file.exists());
        workspace.end(Afterwards::Kept).await;
        assert_eq!(fs::read_to_string(file).unwrap(), "deep/a");
    }

    #[tokio::test]
    async fn nothing_is_put_back_through_a_link_in_the_place_of_the_tree() {
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
