//! Repositories inside an agent's tree: what each of them is, by what stands in its `.git`. That is the agent's to write,
//! so nothing is permitted because of it, and git is never run there. What becomes of them is in `inner`.

mod inner;

pub(crate) use inner::{Inner, make_way, settle, submodules, told_apart};

use crate::attempt::Attempt;
use crate::said::Said;
use crate::workspace::Workspace;
use nix::fcntl::OFlag;
use pullyard_domain::prompt::untrusted::visible;
use pullyard_domain::published::left_out::{Folder, Nested, in_words};
use pullyard_protocol::event::EventKind;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// More of a `.git` file, or of a repository's settings, is not looked at. Units: bytes.
const LARGEST: u64 = 64 * 1024;

/// A folder of the tree that is no part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Below the tree.
    pub(crate) folder: PathBuf,
    pub(crate) what: Nested,
    /// The repository ignores it as well.
    pub(crate) is_ignored: bool,
}

/// Tells whoever follows the job which folders are no part of the work, where these are others than it was told before.
/// Those that there are now.
pub(crate) fn tell(this: &Attempt<'_>, workspace: &Workspace) -> Vec<Folder> {
    let folder = |left: &LeftOut| {
        // A secret is taken out while it is whole.
        let path = this.redactor.text(&visible(&left.folder.to_string_lossy())).into_owned();
        Folder { path, what: left.what }
    };
    let folders: Vec<Folder> = workspace.left_out().iter().map(folder).collect();
    if workspace.leaves_out_others() && !folders.is_empty() {
        let words = this.redactor.text(&in_words(&folders)).into_owned();
        this.events.add(Said::words(EventKind::Log, words));
    }
    folders
}

/// What a repository inside this tree has that is not the agent's own work, by its `.git`; none where it may be: it was
/// begun there, or nobody knows.
pub(crate) fn copy_of(tree: &Path, git: &Path) -> Option<Nested> {
    let about = fs::symlink_metadata(git).ok()?;
    if about.is_dir() {
        return is_clone(git).then_some(Nested::Clone);
    }
    let said = content(git)?;
    let leads = led_to(&said)?;
    leads_to(leads).or_else(|| {
        // Wherever else it is kept, it is what it would be here. That of the tree around it is no other one.
        let folder = fs::canonicalize(git.parent()?.join(leads)).ok()?;
        let is_around = fs::canonicalize(tree.join(".git")).is_ok_and(|around| around == folder);
        (!is_around && is_clone(&folder)).then_some(Nested::Clone)
    })
}

/// Whether git would wait there for what nobody writes: it looks into every repository that it comes by, to tell
/// whether it is one, also into those that are ignored.
pub(crate) fn keeps_waiting(git: &Path) -> bool {
    let Ok(about) = fs::metadata(git) else { return false };
    let mut folder = git.to_owned();
    if about.is_file() {
        // Git follows a link to such a file, and we don't.
        let Some(said) = content(git) else { return true };
        let Some(leads) = led_to(&said) else { return false };
        folder = git.parent().unwrap_or(Path::new("")).join(leads);
    }
    ["HEAD", "commondir"].into_iter().any(|name| waits(&folder.join(name)))
}

/// Whether git would wait for such a file, or read more of it than there is memory.
fn waits(file: &Path) -> bool {
    match fs::metadata(file) {
        Ok(about) => !about.is_dir() && (!about.is_file() || about.len() > LARGEST),
        // Git begins at the tree, and so may have room for a path that we have none for.
        Err(error) => error.kind() == io::ErrorKind::InvalidFilename,
    }
}

/// Where a `.git` file says that its repository is, to the last byte as git reads it.
fn led_to(said: &[u8]) -> Option<&Path> {
    let mut said = said.strip_prefix(b"gitdir: ")?;
    while let [rest @ .., b'\n' | b'\r'] = said {
        said = rest;
    }
    let path = said.split(|byte| *byte == 0).next()?;
    (!path.is_empty()).then(|| Path::new(OsStr::from_bytes(path)))
}

/// Whether the repository in this folder was fetched from elsewhere.
fn is_clone(repository: &Path) -> bool {
    content(&repository.join("config")).is_some_and(|settings| names_a_remote(&String::from_utf8_lossy(&settings)))
}

/// What has its repository in this folder, by where that is.
fn leads_to(folder: &Path) -> Option<Nested> {
    // `git worktree` has `worktrees/NAME` in the repository, and a submodule `modules/NAME`, which may have more parts.
    if folder.parent()?.file_name()? == "worktrees" {
        return Some(Nested::Worktree);
    }
    let is_submodule = folder.components().any(|part| part.as_os_str() == OsStr::new("modules"));
    is_submodule.then_some(Nested::Clone)
}

fn names_a_remote(settings: &str) -> bool {
    settings.lines().any(|line| {
        let section = line.trim_start().strip_prefix('[').unwrap_or_default().trim_start();
        let name = section.split(|letter: char| !letter.is_ascii_alphanumeric()).next();
        name.is_some_and(|name| name.eq_ignore_ascii_case("remote"))
    })
}

/// A plain file; no link is followed, and no pipe waited for.
fn content(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_and_a_submodule_are_known_by_where_their_repository_is() {
        for (said, what) in [
            ("gitdir: /work/tree/.git/worktrees/a b\n", Some(Nested::Worktree)),
            ("gitdir: ../.git/worktrees/tree", Some(Nested::Worktree)),
            ("gitdir: ../../.git/modules/vendor/lib\n", Some(Nested::Clone)),
            ("gitdir: /elsewhere\n", None),
            ("gitdir:/work/tree/.git/worktrees/x\n", None),
            ("gitdir: /elsewhere\0/worktrees/x\n", None),
            ("worktrees/x\n", None),
            ("", None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(".git"), said).unwrap();
            assert_eq!(copy_of(&dir.path().join("tree"), &dir.path().join(".git")), what, "{said}");
        }
    }

    #[test]
    fn a_repository_that_is_kept_elsewhere_is_a_clone_by_its_remote_unless_it_is_that_of_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let [tree, fetched, begun] = ["tree", "fetched", "begun"].map(|name| dir.path().join(name));
        let inner = tree.join("sub");
        for (repository, settings) in
            [(&fetched, "[remote \"origin\"]\n"), (&begun, "[core]\n"), (&tree.join(".git"), "[remote \"origin\"]\n")]
        {
            fs::create_dir_all(repository).unwrap();
            fs::write(repository.join("config"), settings).unwrap();
        }
        fs::create_dir(&inner).unwrap();
        for (leads, what) in [
            (fetched.display().to_string(), Some(Nested::Clone)),
            ("../../fetched".into(), Some(Nested::Clone)),
            (begun.display().to_string(), None),
            ("../.git".into(), None),
            ("../../nowhere".into(), None),
        ] {
            fs::write(inner.join(".git"), format!("gitdir: {leads}\n")).unwrap();
            assert_eq!(copy_of(&tree, &inner.join(".git")), what, "{leads}");
        }
    }

    #[test]
    fn where_a_repository_is_kept_is_read_as_git_reads_it() {
        for (said, leads) in [
            (&b"gitdir: a b \r\n\n"[..], Some(&b"a b "[..])),
            (b"gitdir:  a", Some(b" a")),
            (b"gitdir: a\nb\n", Some(b"a\nb")),
            (b"gitdir: a\xff\n", Some(b"a\xff")),
            (b"gitdir: a\n\0b\n", Some(b"a\n")),
            (b"gitdir: \n", None),
            (b"gitdir:a\n", None),
            (b"Gitdir: a\n", None),
            (b"", None),
        ] {
            assert_eq!(led_to(said), leads.map(|leads| Path::new(OsStr::from_bytes(leads))), "{said:?}");
        }
    }

    #[test]
    fn a_clone_has_a_remote_and_what_was_begun_has_none() {
        for (settings, is_clone) in [
            ("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = /x\n", true),
            ("\t[ Remote \"up\"] url = x\n", true),
            ("[core]\n\tbare = false\n[branch \"main\"]\n\tremote = origin\n", false),
            ("[remotes]\n", false),
            ("", false),
        ] {
            assert_eq!(names_a_remote(settings), is_clone, "{settings}");
        }
    }

    #[test]
    fn links_and_pipes_are_not_followed_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let [link, pipe, repository] = ["link", "pipe", "repository"].map(|name| dir.path().join(name));
        fs::create_dir(&repository).unwrap();
        fs::write(repository.join("config"), "[remote \"origin\"]\n").unwrap();
        std::os::unix::fs::symlink(&repository, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!([&link, &pipe, &repository].map(|git| copy_of(dir.path(), git)), [None, None, Some(Nested::Clone)]);
    }

    #[test]
    fn a_repository_that_git_would_wait_in_is_known_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        // A space at its end is a part of its name.
        let [repository, file] = ["repository ", "file"].map(|name| dir.path().join(name));
        fs::create_dir(&repository).unwrap();
        for said in ["gitdir: repository \n".to_owned(), format!("gitdir: {}\n", repository.display())] {
            fs::write(&file, said).unwrap();
            for name in ["HEAD", "commondir"] {
                fs::write(repository.join(name), "x\n").unwrap();
                assert!(!keeps_waiting(&repository) && !keeps_waiting(&file));
                fs::remove_file(repository.join(name)).unwrap();
                nix::unistd::mkfifo(&repository.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
                assert!(keeps_waiting(&repository) && keeps_waiting(&file), "{name}");
                fs::remove_file(repository.join(name)).unwrap();
                File::create(repository.join(name)).unwrap().set_len(LARGEST + 1).unwrap();
                assert!(keeps_waiting(&repository) && keeps_waiting(&file), "{name}, without an end");
                fs::remove_file(repository.join(name)).unwrap();
            }
        }
        fs::write(&file, format!("gitdir: {}repository \n", "./".repeat(4_096))).unwrap();
        assert!(keeps_waiting(&file), "a path that git may have room for");
        fs::write(&file, "gitdir: /nowhere\n").unwrap();
        assert!(!keeps_waiting(&file) && !keeps_waiting(&dir.path().join("none")));
    }
}
