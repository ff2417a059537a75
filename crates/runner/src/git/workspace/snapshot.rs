//! Restores the runner's repository before each use, from a copy in memory.
//! The processes of an attempt can write to the disk, so a copy there would not be safe.

use super::disk::{create_private_dir, write_private_file};
use super::remove;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Clone, Debug, Default)]
pub(super) struct RepositorySnapshot {
    pub(super) head: Option<String>,
    pub(super) mirror: Option<PathBuf>,
    /// The commits whose parents the mirror lacked at the checkout.
    pub(super) shallow: Vec<u8>,
    pub(super) index: Option<Arc<Index>>,
    pub(super) exclude: Vec<u8>,
}

/// The index of the runner's repository. A new index has no times of files, so git would read every file again. It
/// would also report files as changed that it would write differently today, such as old files with other line endings.
#[derive(Debug)]
pub(super) struct Index {
    content: Vec<u8>,
    /// Git reads a file again if it was written after its index.
    modified_at: SystemTime,
}

impl Index {
    pub(super) fn load(repository: &Path) -> io::Result<Option<Self>> {
        let path = repository.join("index");
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(Self { modified_at: metadata.modified()?, content: fs::read(&path)? })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl RepositorySnapshot {
    /// Replaces all files of the state. Requires that `info` is a folder or missing.
    pub(super) fn restore(&self, repository: &Path) -> io::Result<()> {
        // The owners of these locks are dead. `worktrees` could mark a branch as in use; the runner creates none.
        for foreign in ["index.lock", "HEAD.lock", "worktrees"] {
            remove::remove_entry(&repository.join(foreign))?;
        }
        // Git reads all refs in each command. The only ref here is a temporary one of a push.
        remove::remove_entry(&repository.join("packed-refs"))?;
        let refs = repository.join("refs");
        remove::remove_entry(&refs)?;
        create_private_dir(&refs)?;
        if let Some(head) = &self.head {
            write_private_file(&repository.join("HEAD"), format!("{head}\n").as_bytes())?;
        }
        if let Some(index) = &self.index {
            let path = repository.join("index");
            write_private_file(&path, &index.content)?;
            File::options().write(true).open(&path)?.set_modified(index.modified_at)?;
        }
        let (info, exclude) = (repository.join("info"), repository.join("info/exclude"));
        if self.exclude.is_empty() {
            return remove::remove_entry(&exclude);
        }
        create_private_dir(&info)?;
        write_private_file(&exclude, &self.exclude)
    }
}
