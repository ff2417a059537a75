//! Classifies a repository inside the agent's tree by its `.git`.
//! The agent controls this `.git`, so it permits nothing, and git never runs there. `scan` chooses what to exclude.

pub(crate) mod scan;

pub(crate) use scan::{parse_submodules, prepare_tree};

use nix::fcntl::OFlag;
use pullyard_domain::review::published::nested_repository::NestedKind;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MAX_CONFIG_BYTES: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExcludedRepository {
    pub(crate) folder: PathBuf,
    pub(crate) kind: NestedKind,
    pub(crate) is_ignored: bool,
}

/// Classifies a repository inside the tree as a copy of another one; `None` if the agent created it there. A `.git`
/// file points elsewhere, as in a worktree or a submodule. A `.git` folder is a clone if its settings have a remote.
pub(crate) fn classify_git_dir(git: &Path) -> Option<NestedKind> {
    let metadata = fs::symlink_metadata(git).ok()?;
    if metadata.is_file() {
        return Some(NestedKind::Worktree);
    }
    let settings = metadata.is_dir().then(|| read_regular_file(&git.join("config"), MAX_CONFIG_BYTES)).flatten()?;
    has_remote(&String::from_utf8_lossy(&settings)).then_some(NestedKind::Clone)
}

fn has_remote(settings: &str) -> bool {
    settings.lines().any(|line| {
        let section = line.trim_start().strip_prefix('[').unwrap_or_default().trim_start();
        let name = section.split(|letter: char| !letter.is_ascii_alphanumeric()).next();
        name.is_some_and(|name| name.eq_ignore_ascii_case("remote"))
    })
}

/// Reads a regular file. Follows no link and does not wait for a pipe.
pub(crate) fn read_regular_file(path: &Path, max_bytes: u64) -> Option<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    file.take(max_bytes).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_with_a_remote_is_a_clone() {
        for (settings, is_clone) in [
            ("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = /x\n", true),
            ("\t[ Remote \"up\"] url = x\n", true),
            ("[core]\n\tbare = false\n[branch \"main\"]\n\tremote = origin\n", false),
            ("[remotes]\n", false),
            ("", false),
        ] {
            assert_eq!(has_remote(settings), is_clone, "{settings}");
        }
    }

    #[test]
    fn git_file_is_a_worktree_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let [link, pipe, repository, file] = ["link", "pipe", "repository", "file"].map(|name| dir.path().join(name));
        fs::write(&file, "gitdir: /elsewhere\n").unwrap();
        fs::create_dir(&repository).unwrap();
        fs::write(repository.join("config"), "[remote \"origin\"]\n").unwrap();
        std::os::unix::fs::symlink(&repository, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let expected = [None, None, Some(NestedKind::Clone), Some(NestedKind::Worktree)];
        assert_eq!([&link, &pipe, &repository, &file].map(|git| classify_git_dir(git)), expected);
    }
}
