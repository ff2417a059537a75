//! Files that `setup` writes. It replaces only files with its mark, and each at once.

use super::answers::mask;
use crate::durable_file;
use crate::git::workspace::disk::create_private_dirs;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(super) const MARK: &str = "# Written by `pullyard-runner setup`, which replaces this file when it runs again.";

pub(super) struct OwnFile {
    pub(super) path: PathBuf,
    /// Begins with the mark.
    text: String,
    mode: u32,
}

impl OwnFile {
    pub(super) fn new(path: PathBuf, text: &str, mode: u32) -> Self {
        Self { path, text: format!("{MARK}\n{text}"), mode }
    }

    /// Describes the change of the file, with its text without secrets.
    pub(super) fn describe(&self) -> String {
        let verb = if self.path.exists() { "replace" } else { "write" };
        let text: String = self.text.lines().map(|line| mask(line) + "\n").collect();
        format!("# Will {verb} {} ({:04o})\n{text}\n", self.path.display(), self.mode)
    }

    /// Replaces an earlier file of `setup`. Errors: another file or a link is at its place.
    pub(super) fn write(&self) -> io::Result<()> {
        load_own(&self.path).map_err(io::Error::other)?;
        create_private_dirs(self.path.parent().unwrap_or(Path::new("/")))?;
        durable_file::write_bytes(&self.path, self.text.as_bytes(), self.mode)
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
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
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
        OwnFile::new(path.clone(), "A=1\n", 0o600).write().unwrap();
        symlink("/nowhere", dir.path().join("new/runner.draft")).unwrap();
        OwnFile::new(path.clone(), "A=2\n", 0o600).write().unwrap();
        assert_eq!(load_own(&path), Ok(Some(format!("{MARK}\nA=2\n"))));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");

        let theirs = dir.path().join("theirs");
        fs::write(&theirs, "A=1\n").unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [&theirs, &link, &dir.path().to_owned()] {
            assert!(OwnFile::new(path.clone(), "A=3\n", 0o600).write().is_err(), "{path:?}");
        }
        assert_eq!((fs::read_to_string(&theirs).unwrap(), fs::read_link(&link).unwrap()), ("A=1\n".into(), path));
    }
}
