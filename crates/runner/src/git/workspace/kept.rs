//! What the runner's own repository has to have when it is used, as nothing but we ourselves made it. Kept in memory:
//! whatever lies on the disk is within reach of what an attempt runs.

use super::disk::{private_file, private_folder};
use super::remove;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The commit that the tree began at, once it was checked out.
    pub(super) head: Option<String>,
    pub(super) mirror: Option<PathBuf>,
    pub(super) index: Option<Arc<Index>>,
    /// The lines by which paths are kept out of the commit.
    pub(super) exclude: Vec<u8>,
}

/// What git knows of the tree's files.
///
/// Of an index that is made anew git knows no file's time: it would read all of them again, and take what it would write
/// otherwise today, the ends of lines of old files above all, for changes.
#[derive(Debug)]
pub(super) struct Index {
    content: Vec<u8>,
    /// A file that was written after its index is looked at again.
    written: SystemTime,
}

impl Index {
    pub(super) fn of(repository: &Path) -> io::Result<Option<Self>> {
        let path = repository.join("index");
        match fs::metadata(&path) {
            Ok(about) => Ok(Some(Self { written: about.modified()?, content: fs::read(&path)? })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Kept {
    /// Writes all of it anew, whatever stands there. `info` is a folder by now, or nothing.
    pub(super) fn put_back(&self, repository: &Path) -> io::Result<()> {
        // Whoever held the locks is dead, or never was; and we make no working trees, by which a branch would be taken.
        for foreign in ["index.lock", "HEAD.lock", "worktrees"] {
            remove::entry(&repository.join(foreign))?;
        }
        // No branch is here but what one push looks at. Git reads all of them, whatever it is asked.
        remove::entry(&repository.join("packed-refs"))?;
        let refs = repository.join("refs");
        remove::entry(&refs)?;
        private_folder(&refs)?;
        if let Some(head) = &self.head {
            private_file(&repository.join("HEAD"), format!("{head}\n").as_bytes())?;
        }
        if let Some(index) = &self.index {
            let path = repository.join("index");
            private_file(&path, &index.content)?;
            File::options().write(true).open(&path)?.set_modified(index.written)?;
        }
        let (info, exclude) = (repository.join("info"), repository.join("info/exclude"));
        if self.exclude.is_empty() {
            return remove::entry(&exclude);
        }
        private_folder(&info)?;
        private_file(&exclude, &self.exclude)
    }
}
