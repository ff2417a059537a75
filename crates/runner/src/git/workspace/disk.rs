//! Creates files and folders that other users cannot read, and lock files.

use super::remove;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

pub(crate) fn create_private_dirs(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    if !remove::is_folder(dir) {
        remove::remove_entry(dir)?;
    }
    create_private_dirs(dir)
}

/// Creates a file that only this user can read from its first byte on. Replaces any entry.
pub(crate) fn write_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    remove::remove_entry(path)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

pub(crate) fn open_lock_file(path: &Path) -> io::Result<File> {
    // An account of an agent that can read it could lock it.
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Fails unless the folder is still at its path. A link may have replaced it or a folder above it.
pub(crate) fn verify_in_place(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().display();
    match folder.canonicalize() {
        Ok(real) if real == folder && folder.is_dir() => Ok(()),
        _ => Err(io::Error::other(format!("folder `{name}` was taken away or leads elsewhere"))),
    }
}

/// Runs blocking disk operations and lock requests on a thread where they block no other task.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
