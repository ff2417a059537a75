//! Serves an existing repository in place, through a symbolic link and a record next to the link.
//! A running forge discovers new links, so other processes may add them at any time.

use crate::Error;
use crate::existing::ExistingRepository;
use crate::ids::FIRST_ID;
use crate::names::FullName;
use crate::record::RepositoryRecord;
use std::fs;
use std::io;
use std::path::Path;

/// Serves the repository at `path`, bare or a checkout, as `full_name`. Returns its default branch.
/// Writes: a link and a record, if absent. Idempotent: an existing link is unchanged; an incomplete one is completed.
/// Errors: `InvalidName`; `InvalidRepository`; `RepositoryExists` if the name belongs to another repository.
pub fn link(dir: &Path, full_name: &str, path: &Path) -> Result<String, Error> {
    let name = FullName::parse(full_name)?;
    let repository = ExistingRepository::find(path)?;
    let default_branch = find_default_branch(&repository)
        .map_err(|reason| Error::InvalidRepository { path: path.to_owned(), reason })?;
    let git_dir = repository.git_dir;
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

/// The checked-out branch of a repository that the forge can serve. Errors: the reason, as a sentence.
fn find_default_branch(repository: &ExistingRepository) -> Result<String, String> {
    if let Some(reason) = repository.unsupported().map_err(|fault| fault.to_string())? {
        return Err(reason.into());
    }
    let branch = repository.head_branch().map_err(|fault| fault.to_string())?;
    branch.ok_or_else(|| "its HEAD is not a branch; check out a branch first".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check_linked_repository, check_repository};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Command;

    fn git(folder: &Path, args: &[&str]) {
        let done = Command::new("git").args(args).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").status();
        assert!(done.unwrap().success());
    }

    fn commit(folder: &Path, args: &[&str]) {
        let author = ["-c", "user.name=ana", "-c", "user.email=ana@example.org"];
        git(folder, &[&author[..], &["commit", "-qm", "x"], args].concat());
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

    fn refusal(forge: &Path, path: &Path) -> String {
        link(forge, "local/odd", path).map_or_else(|error| error.to_string(), |_| "linked".into())
    }

    #[test]
    fn unsupported_repository_is_refused_with_its_reason() {
        let (root, forge, own) = world();
        commit(&own, &["--allow-empty"]);
        commit(&own, &["--allow-empty"]);
        let clone = |name: &str, options: &[&str]| {
            let url = format!("file://{}", own.display());
            git(root.path(), &[&["clone", "--quiet"], options, &[&url, name]].concat());
            root.path().join(name)
        };
        git(&own, &["config", "uploadpack.allowFilter", "true"]);
        let init = |name: &str, option: &str| {
            git(root.path(), &["init", "--quiet", option, name]);
            root.path().join(name)
        };
        for (path, reason) in [
            (clone("shallow", &["--depth=1"]), "it is a shallow clone; fetch the rest of its history"),
            (clone("partial", &["--filter=blob:none"]), "it is a partial clone"),
            (init("sha256", "--object-format=sha256"), "its object ids are SHA-256"),
            (init("reftable", "--ref-format=reftable"), "its branches are in the format reftable"),
        ] {
            let refusal = refusal(&forge, &path);
            assert!(refusal.contains(reason), "{refusal}");
        }
        assert!(!forge.join("local/odd.git").exists());
        let shallow = root.path().join("shallow");
        git(&shallow, &["fetch", "--quiet", "--unshallow"]);
        assert_eq!(refusal(&forge, &shallow), "linked");
    }

    #[test]
    fn head_that_is_an_alias_leads_to_its_branch() {
        let (_root, forge, own) = world();
        commit(&own, &["--allow-empty"]);
        git(&own, &["symbolic-ref", "refs/heads/alias", "refs/heads/trunk"]);
        git(&own, &["symbolic-ref", "HEAD", "refs/heads/alias"]);
        assert_eq!(link(&forge, "local/own", &own).unwrap(), "trunk");
        assert!(check_repository(&own, None, &[]).is_ok());
    }

    #[test]
    fn words_of_git_are_the_reason_when_it_refuses() {
        let (_root, forge, own) = world();
        fs::write(own.join(".git/config"), "[core]\n\trepositoryformatversion = 9\n").unwrap();
        let refusal = refusal(&forge, &own);
        let words = "git refuses it: warning: Expected git repo version <= 1, found 9";
        assert!(refusal.contains(words), "{refusal}");
        let fault = check_repository(&own, None, &[]).unwrap_err().to_string();
        assert!(fault.contains("cannot be read: ") && fault.contains(words), "{fault}");
    }

    #[test]
    fn repository_without_commit_or_script_is_named() {
        let (_root, forge, own) = world();
        link(&forge, "local/own", &own).unwrap();
        let check = |command: &str| match check_linked_repository(&forge, "local/own", "trunk", &[command.to_owned()]) {
            Ok(()) => String::new(),
            Err(fault) => fault.to_string(),
        };
        let commit = |args: &[&str]| commit(&own, args);
        assert_eq!(check("sh"), "has no commit on trunk");
        commit(&["--allow-empty"]);
        let renamed = check_linked_repository(&forge, "local/own", "main", &[]).unwrap_err();
        assert_eq!(renamed.to_string(), "has no branch main");
        // A program of the machine is not checked.
        assert_eq!(check("sh"), "");
        assert_eq!(check("./agent.sh"), "has no file ./agent.sh in the last commit of trunk");
        fs::write(own.join("agent.sh"), "#!/bin/sh\n").unwrap();
        git(&own, &["add", "."]);
        commit(&[]);
        assert_eq!(check("./agent.sh"), "has ./agent.sh in the last commit of trunk, but it is not executable");
        git(&own, &["update-index", "--chmod=+x", "agent.sh"]);
        commit(&[]);
        let write_script = |text: &str| {
            fs::write(own.join("agent.sh"), text).unwrap();
            fs::set_permissions(own.join("agent.sh"), fs::Permissions::from_mode(0o755)).unwrap();
            commit(&["-a"]);
        };
        let large = format!("#!/no/such/program -x\n{}", "x".repeat(1 << 20));
        for (text, reason) in [
            ("#!/bin/sh\r\n", "its lines end with CR LF, and `/bin/sh` followed by CR is no program"),
            (
                "#!/no/such/program -x\n",
                "its first line names the program `/no/such/program`, which is not on this machine",
            ),
            (&large, "its first line names the program `/no/such/program`, which is not on this machine"),
            ("\u{feff}#!/bin/sh\n", "it begins with a byte order mark"),
        ] {
            write_script(text);
            let expected = format!("has ./agent.sh in the last commit of trunk, but it cannot start: {reason}");
            assert_eq!(check("./agent.sh"), expected);
        }
        // A shell starts a file without a first line of its own.
        for text in ["#!/usr/bin/env sh\n", "#! /bin/sh -e\n", "echo one\n"] {
            write_script(text);
            assert_eq!(check("./agent.sh"), "");
        }
        git(&own, &["checkout", "-q", "--orphan", "other"]);
        assert_eq!(check("./agent.sh"), "", "the checked-out branch does not count");
    }
}
