//! Files and folders that other users can't look into, and locks.

use super::remove;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Folders that other users can't look into.
pub(crate) fn private_dirs(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A folder that other users can't look into, and no link to one. What else stands there goes.
pub(crate) fn private_folder(dir: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir()) {
        remove::entry(dir)?;
    }
    private_dirs(dir)
}

/// A new file that only this user can read, from its first byte on. What stands there goes.
pub(crate) fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    remove::entry(path)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

/// A file that exists to be locked.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether a folder is where it was made: no link stands in its place, nor in that of a folder above it.
pub(crate) fn stands(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().display();
    match folder.canonicalize() {
        Ok(leads) if leads == folder && folder.is_dir() => Ok(()),
        _ => Err(io::Error::other(format!("folder `{name}` was taken away or leads elsewhere"))),
    }
}

/// Does what waits for a disk or a lock where that holds nobody else up.
pub(crate) async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
