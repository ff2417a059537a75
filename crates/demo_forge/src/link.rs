//! Serves an existing repository in place, through a symbolic link and a record next to the link.
//! A running forge discovers new links, so other processes may add them at any time.

use crate::Error;
use crate::names::FullName;
use crate::record::RepositoryRecord;
use crate::repositories::FIRST_ID;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Serves the repository at `path`, bare or a checkout, as `full_name`. Returns its default branch.
/// Writes: a link and a record, if absent. Idempotent: an existing link is unchanged; an incomplete one is completed.
/// Errors: `InvalidName`; `InvalidRepository`; `RepositoryExists` if the name belongs to another repository.
pub fn link(dir: &Path, full_name: &str, path: &Path) -> Result<String, Error> {
    let name = FullName::parse(full_name)?;
    let git_dir = git_dir(path)?;
    let default_branch = head_branch(&git_dir, path)?;
    let owner = dir.join(&name.owner);
    fs::create_dir_all(&owner).map_err(Error::storage(&owner))?;
    let link_path = owner.join(format!("{}.git", name.name));
    match std::os::unix::fs::symlink(&git_dir, &link_path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_link(&link_path).ok().as_deref() != Some(git_dir.as_path()) {
                return Err(Error::RepositoryExists { full_name: full_name.to_owned() });
            }
        }
        Err(error) => return Err(Error::storage(&link_path)(error)),
    }
    let record = RepositoryRecord {
        // Random, because a counter would need a lock between processes.
        id: FIRST_ID + (rand::random::<u64>() >> 8),
        full_name: full_name.to_owned(),
        default_branch: default_branch.clone(),
        next_number: 1,
        ..RepositoryRecord::default()
    };
    record.save_if_absent(&owner.join(format!("{}.json", name.name)))?;
    Ok(default_branch)
}

fn git_dir(path: &Path) -> Result<PathBuf, Error> {
    let invalid = |reason| Error::InvalidRepository { path: path.to_owned(), reason };
    let path = fs::canonicalize(path).map_err(Error::storage(path))?;
    let inner = path.join(".git");
    if inner.is_file() {
        return Err(invalid("it is a worktree or a submodule; use its main repository"));
    }
    let git_dir = if inner.is_dir() { inner } else { path };
    let is_git = git_dir.join("HEAD").is_file() && git_dir.join("objects").is_dir() && git_dir.join("refs").is_dir();
    if is_git { Ok(git_dir) } else { Err(invalid("it is neither a bare git repository nor the top of a checkout")) }
}

fn head_branch(git_dir: &Path, path: &Path) -> Result<String, Error> {
    let head = git_dir.join("HEAD");
    let text = fs::read_to_string(&head).map_err(Error::storage(&head))?;
    let branch = text.trim().strip_prefix("ref: refs/heads/").map(str::to_owned);
    branch.ok_or_else(|| Error::InvalidRepository {
        path: path.to_owned(),
        reason: "its HEAD is not a branch; check out a branch first",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_linked_repository;
    use std::process::Command;

    fn git(folder: &Path, args: &[&str]) {
        let done = Command::new("git").args(args).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").status();
        assert!(done.unwrap().success());
    }

    fn world() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (forge, own) = (root.path().join("forge"), root.path().join("own"));
        fs::create_dir_all(&own).unwrap();
        git(&own, &["init", "--quiet", "--initial-branch=trunk"]);
        (root, forge, own)
    }

    #[test]
    fn linking_is_idempotent_and_accepts_bare_repositories() {
        let (root, forge, own) = world();
        assert_eq!(link(&forge, "local/own", &own).unwrap(), "trunk");
        let record = fs::read(forge.join("local/own.json")).unwrap();
        assert_eq!(link(&forge, "local/own", &own).unwrap(), "trunk");
        assert_eq!(fs::read(forge.join("local/own.json")).unwrap(), record, "the id must not change");
        git(root.path(), &["clone", "--quiet", "--bare", "own", "bare.git"]);
        assert!(link(&forge, "local/bare", &root.path().join("bare.git")).is_ok());
    }

    #[test]
    fn used_name_is_never_linked_to_another_repository() {
        let (root, forge, own) = world();
        link(&forge, "local/own", &own).unwrap();
        let other = root.path().join("other");
        fs::create_dir_all(&other).unwrap();
        git(&other, &["init", "--quiet"]);
        assert!(matches!(link(&forge, "local/own", &other), Err(Error::RepositoryExists { .. })));
    }

    #[test]
    fn link_without_record_is_completed() {
        let (_root, forge, own) = world();
        link(&forge, "local/own", &own).unwrap();
        fs::remove_file(forge.join("local/own.json")).unwrap();
        link(&forge, "local/own", &own).unwrap();
        assert!(forge.join("local/own.json").is_file());
    }

    #[test]
    fn linking_a_non_repository_is_rejected() {
        let (root, forge, own) = world();
        assert!(matches!(link(&forge, "local/x", root.path()), Err(Error::InvalidRepository { .. })));
        assert!(matches!(link(&forge, "local/x", &root.path().join("nothing")), Err(Error::Storage { .. })));
        assert!(matches!(link(&forge, "../x", &own), Err(Error::InvalidName { .. })));
        fs::write(own.join(".git/HEAD"), "0123456789012345678901234567890123456789\n").unwrap();
        assert!(matches!(link(&forge, "local/x", &own), Err(Error::InvalidRepository { .. })));
    }

    #[test]
    fn repository_without_commit_or_script_is_named() {
        let (_root, forge, own) = world();
        link(&forge, "local/own", &own).unwrap();
        let check = |command: &str| match check_linked_repository(&forge, "local/own", "trunk", &[command.to_owned()]) {
            Ok(()) => String::new(),
            Err(fault) => fault.to_string(),
        };
        let commit = |args: &[&str]| {
            git(
                &own,
                &[&["-c", "user.name=ana", "-c", "user.email=ana@example.org", "commit", "-qm", "x"], args].concat(),
            );
        };
        assert_eq!(check("sh"), "has no commit on trunk");
        commit(&["--allow-empty"]);
        // A program of the machine is not checked.
        assert_eq!(check("sh"), "");
        assert_eq!(check("./agent.sh"), "has no file ./agent.sh in the last commit of trunk");
        fs::write(own.join("agent.sh"), "#!/bin/sh\n").unwrap();
        git(&own, &["add", "."]);
        commit(&[]);
        assert_eq!(check("./agent.sh"), "has ./agent.sh in the last commit of trunk, but it is not executable");
        git(&own, &["update-index", "--chmod=+x", "agent.sh"]);
        commit(&[]);
        git(&own, &["checkout", "-q", "--orphan", "other"]);
        assert_eq!(check("./agent.sh"), "", "the checked-out branch does not count");
    }
}
