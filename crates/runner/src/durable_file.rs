//! Reads and writes files that survive a crash: a draft is synced, then renamed. Only their owner can read them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    match fs::read(path).map(|text| serde_json::from_slice(&text)) {
        Ok(Ok(value)) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(Err(error)) => log_unreadable(path, &error),
        Err(error) => log_unreadable(path, &error),
    }
}

fn log_unreadable<T>(path: &Path, error: &dyn std::error::Error) -> Option<T> {
    tracing::warn!(file = %path.display(), error = %error, "skipped unreadable {}: {error}", path.display());
    None
}

pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), error = %error, "cannot remove {}: {error}", path.display());
    }
}
