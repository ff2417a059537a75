//! `task.json`: the state of one task, replaced whole at each transition.
//!
//! Owns atomic replacement. What is in it belongs to the record.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

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
