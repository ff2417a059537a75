//! Git queries for diffs, file lists, commits and merges.

use std::path::Path;

use crate::{
    Error,
    diff::FileDiff,
    git::{Git, Output},
};

const MAX_FILE_DIFF_BYTES: u64 = 8 * 1024 * 1024;

pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    pub author: Signature,
    pub committer: Signature,
    pub message: String,
}

pub struct Signature {
    pub name: String,
    pub email: String,
    pub date: String,
}

pub struct ChangedFile {
    pub path: String,
    pub status: &'static str,
    pub additions: u64,
    pub deletions: u64,
}

pub enum MergeTree {
    Tree(String),
    Conflict,
}

pub struct CommitIdentity<'a> {
    pub name: &'a str,
    pub email: &'a str,
}

pub fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn literal_pathspec(path: &str) -> String {
    format!(":(top,literal){path}")
}

impl Git {
    pub(crate) async fn file_diff(&self, dir: &Path, base: &str, head: &str, path: &str) -> Result<FileDiff, Error> {
        let (range, path) = (format!("{base}...{head}"), literal_pathspec(path));
        let args = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", &range, "--", &path];
        let output = self.run_with_input(Some(dir), &args, &[], MAX_FILE_DIFF_BYTES).await?.into_success()?;
        Ok(FileDiff::parse(&output.text()))
    }

    pub async fn zero_context_diff(&self, dir: &Path, old: &str, new: &str, path: &str) -> Result<String, Error> {
        let path = literal_pathspec(path);
        let args =
            ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "-U0", old, new, "--", &path];
        Ok(self.run_with_input(Some(dir), &args, &[], MAX_FILE_DIFF_BYTES).await?.into_success()?.text())
    }

    pub async fn is_commit(&self, dir: &Path, sha: &str) -> Result<bool, Error> {
        if !is_object_id(sha) {
            return Ok(false);
        }
        let output = self.run_with_input(Some(dir), &["cat-file", "-t", sha], &[], 64).await?;
        Ok(output.code == Some(0) && output.text().trim() == "commit")
    }

    pub async fn resolve_commit(&self, dir: &Path, named: &str) -> Result<Option<String>, Error> {
        if !(7..=64).contains(&named.len()) || !named.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let commit = format!("{named}^{{commit}}");
        let output = self.run_with_input(Some(dir), &["rev-parse", "--verify", "--quiet", &commit], &[], 1024).await?;
        Ok((output.code == Some(0)).then(|| output.text().trim().to_owned()))
    }

    pub async fn is_ancestor(&self, dir: &Path, old: &str, new: &str) -> Result<bool, Error> {
        let output = self.run_with_input(Some(dir), &["merge-base", "--is-ancestor", old, new], &[], 64).await?;
        match output.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => output.into_success().map(|_| false),
        }
    }

    pub async fn commit(&self, dir: &Path, sha: &str) -> Result<Option<Commit>, Error> {
        let args = ["log", "-z", "--max-count=1", FORMAT, sha, "--"];
        Ok(parse_commits(&self.run(Some(dir), &args).await?).pop())
    }

    pub async fn list_commits(&self, dir: &Path, base: &str, head: &str) -> Result<Vec<Commit>, Error> {
        let range = format!("{base}..{head}");
        // GitHub's limit.
        let args = ["log", "-z", "--reverse", "--max-count=250", FORMAT, &range, "--"];
        Ok(parse_commits(&self.run(Some(dir), &args).await?))
    }

    pub async fn changed_files(&self, dir: &Path, base: &str, head: &str) -> Result<Vec<ChangedFile>, Error> {
        let range = format!("{base}...{head}");
        let list = async |how: &str| {
            let args = ["diff", how, "-z", "--no-renames", "--no-ext-diff", &range, "--"];
            Ok::<_, Error>(self.run(Some(dir), &args).await?.text())
        };
        let (statuses, counts) = (list("--name-status").await?, list("--numstat").await?);
        let mut statuses = statuses.split('\0');
        let mut files = Vec::new();
        while let (Some(status), Some(path)) = (statuses.next(), statuses.next()) {
            let status = match status {
                "A" => "added",
                "D" => "removed",
                "T" => "changed",
                _ => "modified",
            };
            files.push(ChangedFile { path: path.to_owned(), status, additions: 0, deletions: 0 });
        }
        for count in counts.split('\0') {
            let mut parts = count.splitn(3, '\t');
            if let (Some(additions), Some(deletions), Some(path)) = (parts.next(), parts.next(), parts.next())
                && let Some(file) = files.iter_mut().find(|file| file.path == path)
            {
                file.additions = additions.parse().unwrap_or(0);
                file.deletions = deletions.parse().unwrap_or(0);
            }
        }
        Ok(files)
    }

    pub async fn merge_tree(&self, dir: &Path, base: &str, head: &str) -> Result<MergeTree, Error> {
        let output =
            self.run_with_input(Some(dir), &["merge-tree", "--write-tree", base, head], &[], 1024 * 1024).await?;
        match output.code {
            Some(0) => Ok(MergeTree::Tree(output.text().trim().to_owned())),
            Some(1) => Ok(MergeTree::Conflict),
            _ => output.into_success().map(|_| MergeTree::Conflict),
        }
    }

    pub async fn commit_tree(
        &self,
        dir: &Path,
        (tree, parents): (&str, &[&str]),
        by: CommitIdentity<'_>,
        message: &str,
    ) -> Result<String, Error> {
        let (name, email) = (format!("user.name={}", by.name), format!("user.email={}", by.email));
        let mut args = vec!["-c", &name, "-c", &email, "commit-tree", tree];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        args.extend(["-F", "-"]);
        let output = self.run_with_input(Some(dir), &args, message.as_bytes(), 1024).await?.into_success()?;
        Ok(output.text().trim().to_owned())
    }

    /// Moves a branch if it still points to `old`; returns false otherwise.
    pub async fn move_branch(&self, dir: &Path, branch: &str, new: &str, old: &str) -> Result<bool, Error> {
        let name = format!("refs/heads/{branch}");
        Ok(self.run_with_input(Some(dir), &["update-ref", &name, new, old], &[], 1024).await?.code == Some(0))
    }

    pub async fn delete_branch(&self, dir: &Path, branch: &str, old: &str) -> Result<bool, Error> {
        let name = format!("refs/heads/{branch}");
        Ok(self.run_with_input(Some(dir), &["update-ref", "-d", &name, old], &[], 1024).await?.code == Some(0))
    }

    pub async fn is_checked_out(&self, dir: &Path, branch: &str) -> Result<bool, Error> {
        let bare = self.run(Some(dir), &["rev-parse", "--is-bare-repository"]).await?.text();
        let head = self.run_with_input(Some(dir), &["symbolic-ref", "--short", "HEAD"], &[], 1024).await?.text();
        Ok(bare.trim() == "false" && head.trim() == branch)
    }

    /// Updates the files of a checked-out branch, as `receive.denyCurrentBranch=updateInstead` does for a push. Returns
    /// false and changes no file if one of them has changes, or if a file without a commit would be replaced.
    pub async fn update_checkout(&self, dir: &Path, old: &str, new: &str) -> Result<bool, Error> {
        let git_dir = std::fs::canonicalize(dir).map_err(Error::storage(dir))?;
        let folder = git_dir.parent().filter(|_| git_dir.ends_with(".git")).and_then(Path::to_str);
        let Some(folder) = folder else { return Ok(false) };
        let folder = format!("--work-tree={folder}");
        for args in [
            &["update-index", "-q", "--refresh"][..],
            &["diff-index", "--quiet", old, "--"],
            &["read-tree", "-m", "-u", old, new],
        ] {
            let args = [&[folder.as_str()][..], args].concat();
            if self.run_with_input(Some(dir), &args, &[], 64 * 1024).await?.code != Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

const FORMAT: &str = "--format=%H%n%T%n%P%n%an%n%ae%n%aI%n%cn%n%ce%n%cI%n%B";

fn parse_commits(log: &Output) -> Vec<Commit> {
    let read = |entry: &str| {
        let mut lines = entry.splitn(10, '\n').map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        let (sha, tree, parents) = (next(), next(), next());
        let mut signature = || Signature { name: next(), email: next(), date: next() };
        let (author, committer) = (signature(), signature());
        let parents = parents.split_whitespace().map(str::to_owned).collect();
        Commit { sha, tree, parents, author, committer, message: next().trim_end().to_owned() }
    };
    log.text().split('\0').filter(|entry| !entry.trim().is_empty()).map(read).collect()
}
