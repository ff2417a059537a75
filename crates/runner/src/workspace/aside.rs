//! Folders of the tree that are no part of the work. The project's checks run without them, since what is published is
//! what was checked; an agent that works on finds them where it left them.

use super::{Workspace, on_disk, private_dirs, private_folder, remove};
use crate::nested::LeftOut;
use std::fs;
use std::io;
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
            folders.iter().enumerate().try_for_each(|(number, folder)| {
                make_folders(&tree, folder.parent().unwrap_or(Path::new("")))?;
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
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
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
