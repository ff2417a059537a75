//! Files that `setup` writes. It replaces only files with its mark, and each at once.

use crate::git::workspace::disk::create_private_dirs;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) const MARK: &str = "# Written by `pullyard-runner setup`, which replaces this file when it runs again.";

pub(super) struct OwnFile {
    pub(super) path: PathBuf,
    /// Begins with the mark.
    pub(super) text: String,
    /// As `--print` shows it.
    pub(super) masked: String,
    mode: u32,
}

impl OwnFile {
    /// A file without secrets, which every user may read.
    pub(super) fn new(path: PathBuf, text: &str) -> Self {
        let text = format!("{MARK}\n{text}");
        Self { path, masked: text.clone(), text, mode: 0o644 }
    }

    /// `masked` is the text without secrets.
    pub(super) fn with_secrets(path: PathBuf, text: &str, masked: &str) -> Self {
        Self { masked: format!("{MARK}\n{masked}"), mode: 0o600, ..Self::new(path, text) }
    }

    /// What happens to the file, and its text without secrets.
    pub(super) fn describe(&self) -> String {
        let verb = if self.path.exists() { "replace" } else { "write" };
        format!("# Will {verb} {} ({:04o})\n{}\n", self.path.display(), self.mode, self.masked)
    }

    /// Replaces an earlier file of `setup`. Errors: another file or a link is at its place.
    pub(super) fn write(&self) -> io::Result<()> {
        load_own(&self.path).map_err(io::Error::other)?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        create_private_dirs(folder)?;
        let mut draft = self.path.clone().into_os_string();
        draft.push(".draft");
        // Of a process that was killed.
        let _ = fs::remove_file(&draft);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(self.mode).open(&draft)?;
            file.write_all(self.text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&draft)))?;
        File::open(folder)?.sync_all()
    }
}

/// The text of an earlier file; `None` without a file. Errors: the file is not of `setup`, as a sentence.
pub(super) fn load_own(path: &Path) -> Result<Option<String>, String> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("Cannot read {shown}: {error}.")),
        Ok(metadata) if !metadata.is_file() => return Err(format!("{shown} is no plain file. Remove it first.")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| format!("Cannot read {shown}: {error}."))?;
    let refusal = || {
        format!("{shown} is not a file of `pullyard-runner setup`. Remove it, or use --config with another file name.")
    };
    if text.lines().next() == Some(MARK) { Ok(Some(text)) } else { Err(refusal()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_own_files_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/runner.env");
        OwnFile::with_secrets(path.clone(), "A=1\n", "").write().unwrap();
        fs::write(dir.path().join("new/runner.env.draft"), "").unwrap();
        OwnFile::with_secrets(path.clone(), "A=2\n", "").write().unwrap();
        assert_eq!(load_own(&path), Ok(Some(format!("{MARK}\nA=2\n"))));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");

        let theirs = dir.path().join("theirs");
        fs::write(&theirs, "A=1\n").unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [&theirs, &link, &dir.path().to_owned()] {
            assert!(OwnFile::new(path.clone(), "A=3\n").write().is_err(), "{path:?}");
        }
        assert_eq!((fs::read_to_string(&theirs).unwrap(), fs::read_link(&link).unwrap()), ("A=1\n".into(), path));
    }
}
