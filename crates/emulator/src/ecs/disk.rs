//! Reads and atomically replaces `task.json`, the state of one task.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn load_task(folder: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(folder.join("task.json"))
}

/// Replaces `<folder>/task.json`; after a crash the old or the new state is complete.
/// Writes: a temporary file, synced and renamed. The folder is synced to make the rename durable.
pub(super) fn save_task(folder: &Path, json: &[u8]) -> io::Result<()> {
    let temporary = folder.join("task.json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(json)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join("task.json"))?;
    File::open(folder)?.sync_all()
}
