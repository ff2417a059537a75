//! Restores the runner's repository before each use, from a copy in memory.
//! The processes of an attempt can write to the disk, so a copy there would not be safe.

use super::disk::{private_file, private_folder};
use super::remove;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) head: Option<String>,
    pub(super) mirror: Option<PathBuf>,
    pub(super) index: Option<Arc<Index>>,
    /// The lines of `info/exclude`.
    pub(super) exclude: Vec<u8>,
}

/// The index of the runner's repository. A new index has no times of files, so git would read every file again. It
/// would also report files as changed that it would write differently today, such as old files with other line endings.
#[derive(Debug)]
pub(super) struct Index {
    content: Vec<u8>,
    /// Git reads a file again if it was written after its index.
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
    /// Replaces all files of the state. `info` is a folder by now, or missing.
    pub(super) fn put_back(&self, repository: &Path) -> io::Result<()> {
        // The owners of these locks are dead. `worktrees` could mark a branch as in use; the runner creates none.
        for foreign in ["index.lock", "HEAD.lock", "worktrees"] {
            remove::entry(&repository.join(foreign))?;
        }
        // Git reads all refs in each command. The only ref here is a temporary one of a push.
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
