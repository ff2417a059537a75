//! Opens the data folder of `demo` or `try`: the user's, or a temporary one. Removes abandoned temporary folders.

use crate::runner;
use anyhow::Context as _;
use pullyard_local::Options;
use pullyard_sandbox::raise_open_files_limit;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Marks temporary folders, because a folder kept by the user may have a similar name.
const MARKER_FILE: &str = "temporary";

pub(crate) struct Folder {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Folder {
    /// Accepts only a new or empty folder as `keep`, because another one may contain the user's work.
    pub(crate) fn open(keep: Option<&Path>, prefix: &str) -> anyhow::Result<Self> {
        let Some(folder) = keep else {
            let temporary = create_folder_in(&std::env::temp_dir(), prefix)?;
            return Ok(Self { path: temporary.path().to_path_buf(), temporary: Some(temporary) });
        };
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        let mut entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
        if entries.next().is_some() {
            anyhow::bail!("{} is not empty\nhelp: choose a new folder with --keep", folder.display());
        }
        Ok(Self { path: fs::canonicalize(folder)?, temporary: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Options of a system in this folder. If this process is killed, its runners delete a temporary folder.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let removed = self.temporary.is_some().then_some(self.path());
        let mut options = Options::new(self.path.clone(), runner::bind_to_process(runner::command()?, removed));
        options.task_environment = runner::agent_environment();
        options.commit = pullyard_version::COMMIT;
        options.releases = pullyard_version::RELEASES;
        options.open_files = raise_open_files_limit();
        options.sweep_interval = Duration::from_secs(2);
        Ok(options)
    }
}

impl Drop for Folder {
    /// Retries for one second, because a thread that is still ending may write into the folder.
    fn drop(&mut self) {
        let Some(temporary) = &self.temporary else { return };
        for _ in 0..50 {
            match fs::remove_dir_all(temporary.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
    }
}

fn create_folder_in(temporary: &Path, prefix: &str) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(temporary)?;
    fs::write(folder.path().join(MARKER_FILE), "")?;
    let owner = fs::symlink_metadata(folder.path())?.uid();
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let has_prefix = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        // Skip folders of other users, who could replace them by a link.
        let is_own = entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == owner);
        let is_marked = has_prefix && is_own && entry.path().join(MARKER_FILE).exists();
        if is_marked && pullyard_local::is_abandoned(&entry.path()) {
            remove_entries(&entry.path());
        }
    }
    Ok(folder)
}

/// Best effort, entry by entry: the secrets must go even if an agent's files cannot be deleted.
fn remove_entries(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn only_abandoned_temporary_folders_are_deleted() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        let remaining = ["try-used", "try-begins", "try-new", "try-piped", "try-kept", "demo-dead"];
        for name in remaining.into_iter().chain(["try-dead"]) {
            fs::create_dir_all(path(name).join("work/inner")).unwrap();
            for (file, content) in [("keys.json", "planted"), (MARKER_FILE, ""), ("lock", "process 1\n")] {
                fs::write(path(name).join(file), content).unwrap();
            }
        }
        let used = File::open(path("try-used").join("lock")).unwrap();
        used.lock().unwrap();
        // The lock file exists but is not locked yet.
        fs::write(path("try-begins").join("lock"), "").unwrap();
        for name in ["try-new", "try-piped"] {
            fs::remove_file(path(name).join("lock")).unwrap();
        }
        nix::unistd::mkfifo(&path("try-piped").join("lock"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Without the mark the folder is not temporary.
        fs::remove_file(path("try-kept").join(MARKER_FILE)).unwrap();
        std::os::unix::fs::symlink(path("demo-dead"), path("try-link")).unwrap();

        let folder = create_folder_in(temporary.path(), "try-").unwrap();
        let entries = remaining.map(|name| (name, path(name).join("keys.json").exists()));
        assert!(entries.iter().all(|(_, is_there)| *is_there), "{entries:?}");
        assert!(path("try-link").exists() && !path("try-dead").exists());
        assert!(folder.path().join(MARKER_FILE).exists());
    }
}
