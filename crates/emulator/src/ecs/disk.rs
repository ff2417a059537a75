//! `task.json`: the state of one task, replaced whole at each transition.
//!
//! Owns atomic replacement and who may read it. What is in it belongs to the record.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the folder of a task, for its owner only: overrides carry secrets.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Reads `<folder>/task.json`.
pub(super) fn load(folder: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(folder.join("task.json"))
}

/// Replaces `<folder>/task.json`: a crash leaves the old state or the new one, never a part.
///
/// Writes: a temporary file, synced, then renamed; the folder is synced so that the rename stays.
pub(super) fn save(folder: &Path, json: &[u8]) -> io::Result<()> {
    let temporary = folder.join("task.json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(json)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join("task.json"))?;
    File::open(folder)?.sync_all()
}
