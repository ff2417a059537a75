//! Reads the branches of a repository from its files, because starting git takes longer than the rest of an answer.
//! Source: <https://git-scm.com/docs/gitrepository-layout>. A repository in the reftable format has no such files.

use crate::Error;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// The commit of each branch, by the branch's name without `refs/heads/`. Errors: `Storage`.
pub async fn read_branches(git_dir: &Path) -> Result<BTreeMap<String, String>, Error> {
    let dir = git_dir.to_owned();
    let branches =
        tokio::task::spawn_blocking(move || read_files(&dir)).await.unwrap_or_else(|error| Err(error.into()));
    branches.map_err(Error::storage(git_dir))
}

pub fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read_files(git_dir: &Path) -> io::Result<BTreeMap<String, String>> {
    // First the loose files: git packs a branch before it deletes the file.
    let mut branches = BTreeMap::new();
    let heads = git_dir.join("refs/heads");
    let mut folders = vec![heads.clone()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // Git deletes empty folders at any time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                // A lock file is the next state of a branch.
                && path.extension().is_none_or(|extension| extension != "lock")
                && let Some(sha) = read_if_present(&path)?
                && is_object_id(sha.trim())
                && let Some(name) = path.strip_prefix(&heads).ok().and_then(Path::to_str)
            {
                branches.insert(name.to_owned(), sha.trim().to_owned());
            }
        }
    }
    for line in read_if_present(&git_dir.join("packed-refs"))?.unwrap_or_default().lines() {
        if let Some((sha, name)) = line.split_once(" refs/heads/")
            && is_object_id(sha)
        {
            branches.entry(name.to_owned()).or_insert_with(|| sha.to_owned());
        }
    }
    Ok(branches)
}

fn read_if_present(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(String::from_utf8_lossy(&contents).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(args).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.env("GIT_DEFAULT_REF_FORMAT", "files").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn assert_like_git(dir: &Path) -> usize {
        let expected = git(dir, &["for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads/"]);
        let branches = read_branches(dir).await.unwrap();
        assert_eq!(branches.iter().map(|(name, sha)| format!("{name} {sha}\n")).collect::<String>(), expected);
        branches.len()
    }

    #[tokio::test]
    async fn branches_are_the_ones_that_git_lists() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        git(dir, &["init", "--quiet", "--bare"]);
        assert_eq!(assert_like_git(dir).await, 0);
        let tree = git(dir, &["mktree", "--missing"]);
        let commit = |message: &str| {
            let author = ["-c", "user.name=ana", "-c", "user.email=ana@example.org"];
            git(dir, &[&author[..], &["commit-tree", "-m", message, tree.trim()]].concat()).trim().to_owned()
        };
        let (first, second) = (commit("first"), commit("second"));
        for branch in ["main", "pullyard/acme/app-1-1", "pullyard/acme/app-2-1"] {
            git(dir, &["update-ref", &format!("refs/heads/{branch}"), &first]);
        }
        git(dir, &["tag", "main", &second]);
        assert_eq!(assert_like_git(dir).await, 3);
        git(dir, &["pack-refs", "--all"]);
        assert_eq!(assert_like_git(dir).await, 3);
        git(dir, &["update-ref", "refs/heads/main", &second]);
        git(dir, &["update-ref", "-d", "refs/heads/pullyard/acme/app-2-1"]);
        fs::write(dir.join("refs/heads/next.lock"), &first).unwrap();
        assert_eq!(assert_like_git(dir).await, 2);
    }
}
