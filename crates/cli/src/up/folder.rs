//! Prepares the data folder: private, and never committed by accident.

use super::faults::disk_full_fault;
use crate::client::CliError;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

pub(super) fn prepare(folder: &Path) -> Result<PathBuf, CliError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::StorageFull {
            return disk_full_fault(folder);
        }
        CliError::failed(format!("can't use the data folder {}: {error}", folder.display()))
            .with_help("choose another one with --data")
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed)?;
    let absolute = fs::canonicalize(folder).map_err(failed)?;
    // The default folder may be inside the user's project.
    let ignored = absolute.join(".gitignore");
    if !ignored.exists() {
        fs::write(&ignored, "*\n").map_err(failed)?;
    }
    Ok(absolute)
}
