//! Resets the settings of a repository that an agent could have changed, and loads its list of commits without parents.

use super::disk::{create_private_dir, write_private_file};
use super::remove::remove_entry;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// Replaces links, and removes everything that leads git to other settings. With a `mirror`, the repository borrows its
/// objects. `shallow` lists the commits whose parents are absent, one a line.
pub(super) fn reset(repository: &Path, mirror: Option<&Path>, shallow: &[u8]) -> io::Result<()> {
    // A link in place of a folder could lead elsewhere.
    for folder in ["info", "objects", "objects/info"] {
        create_private_dir(&repository.join(folder))?;
    }
    // `info/exclude` stays. Anything else in its place could lead elsewhere or block git.
    let exclude = repository.join("info/exclude");
    if !fs::symlink_metadata(&exclude).is_ok_and(|metadata| metadata.is_file()) {
        remove_entry(&exclude)?;
    }
    // `commondir` would make git read another repository's settings.
    for foreign in ["commondir", "config.worktree", "info/attributes", "info/grafts"] {
        remove_entry(&repository.join(foreign))?;
    }
    // An equal list stays in place: without its list, git cannot read a mirror after a crash.
    if shallow.is_empty() {
        remove_entry(&repository.join("shallow"))?;
    } else if load_shallow(repository) != shallow {
        write_private_file(&repository.join("shallow"), shallow)?;
    }
    write_private_file(&repository.join("config"), CONFIG.as_bytes())?;
    if let Some(mirror) = mirror {
        let line = [mirror.join("objects").as_os_str().as_bytes(), b"\n"].concat();
        write_private_file(&repository.join("objects/info/alternates"), &line)?;
    }
    Ok(())
}

/// The commits whose parents the repository lacks. Empty if it has all commits, or if another program wrote the file.
pub(super) fn load_shallow(repository: &Path) -> Vec<u8> {
    let path = repository.join("shallow");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    let list = if is_file { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let is_commit = |line: &[u8]| matches!(line.len(), 40 | 64) && line.iter().all(u8::is_ascii_hexdigit);
    let lines = list.strip_suffix(b"\n").unwrap_or_default();
    if lines.split(|byte| *byte == b'\n').all(is_commit) { list } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn reset_removes_planted_settings_and_history() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let repository = dir.path().join("git");
        let foreign = ["commondir", "config.worktree", "info/attributes", "info/grafts", "shallow"];
        fs::create_dir_all(repository.join("info")).unwrap();
        fs::create_dir_all(repository.join("objects/info")).unwrap();
        for file in foreign {
            fs::write(repository.join(file), "planted").unwrap();
        }
        for link in ["config", "objects/info/alternates"] {
            symlink(&victim, repository.join(link)).unwrap();
        }
        reset(&repository, Some(Path::new("/mirror")), b"").unwrap();
        assert!(foreign.iter().all(|file| !repository.join(file).exists()));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        let alternates = fs::read_to_string(repository.join("objects/info/alternates")).unwrap();
        assert_eq!(alternates, "/mirror/objects\n");
        assert!(fs::read_to_string(repository.join("config")).unwrap().contains("bare = true"));
    }

    #[test]
    fn reset_replaces_linked_folders_without_following_them() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, elsewhere) = (dir.path().join("git"), dir.path().join("elsewhere"));
        fs::create_dir_all(repository.join("objects")).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        let files = ["attributes", "grafts", "alternates"].map(|file| elsewhere.join(file));
        for file in &files {
            fs::write(file, "mine").unwrap();
        }
        for link in ["info", "objects/info"] {
            symlink(&elsewhere, repository.join(link)).unwrap();
        }
        reset(&repository, Some(Path::new("/mirror")), b"").unwrap();
        assert!(files.iter().all(|file| fs::read_to_string(file).is_ok_and(|text| text == "mine")));
        let alternates = fs::read_to_string(repository.join("objects/info/alternates")).unwrap();
        assert_eq!(alternates, "/mirror/objects\n");
    }

    #[test]
    fn reset_keeps_the_exclude_file_and_removes_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, exclude) = (dir.path().join("git"), dir.path().join("git/info/exclude"));
        fs::create_dir_all(repository.join("info")).unwrap();
        fs::write(&exclude, "/made\n").unwrap();
        reset(&repository, None, b"").unwrap();
        assert_eq!(fs::read_to_string(&exclude).unwrap(), "/made\n");
        fs::remove_file(&exclude).unwrap();
        nix::unistd::mkfifo(&exclude, nix::sys::stat::Mode::S_IRWXU).unwrap();
        reset(&repository, None, b"").unwrap();
        assert!(!exclude.exists());
    }
}
