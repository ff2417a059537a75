//! Git queries for diffs, commits and merges.

use std::path::Path;

use crate::{
    Error,
    branches::{is_object_id, read_branches},
    git::Git,
    users::Account,
};

const MAX_FILE_DIFF_BYTES: u64 = 8 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutUpdate {
    Updated,
    /// The files have the new commit already: a merge crashed before it moved the branch, or the user merged.
    Unchanged,
    /// A file has changes, or a file without a commit would be replaced. No file was changed.
    Refused,
}

fn literal_pathspec(path: &str) -> String {
    format!(":(top,literal){path}")
}

impl Git {
    pub(crate) async fn file_diff(&self, dir: &Path, base: &str, head: &str, path: &str) -> Result<String, Error> {
        let (range, path) = (format!("{base}...{head}"), literal_pathspec(path));
        let args = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", &range, "--", &path];
        Ok(self.run_with_input(dir, &args, &[], MAX_FILE_DIFF_BYTES).await?.into_success()?.text())
    }

    pub async fn zero_context_diff(&self, dir: &Path, old: &str, new: &str, path: &str) -> Result<String, Error> {
        let path = literal_pathspec(path);
        let args =
            ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "-U0", old, new, "--", &path];
        Ok(self.run_with_input(dir, &args, &[], MAX_FILE_DIFF_BYTES).await?.into_success()?.text())
    }

    pub async fn is_commit(&self, dir: &Path, sha: &str) -> Result<bool, Error> {
        if !is_object_id(sha) {
            return Ok(false);
        }
        // Usually the head of a branch, which is found without starting git.
        if read_branches(dir).await?.values().any(|head| head == sha) {
            return Ok(true);
        }
        let output = self.run_with_input(dir, &["cat-file", "-t", sha], &[], 64).await?;
        Ok(output.code == Some(0) && output.text().trim() == "commit")
    }

    pub async fn is_ancestor(&self, dir: &Path, old: &str, new: &str) -> Result<bool, Error> {
        let output = self.run_with_input(dir, &["merge-base", "--is-ancestor", old, new], &[], 64).await?;
        match output.code {
            Some(1) => Ok(false),
            _ => output.into_success().map(|_| true),
        }
    }

    /// Returns the merged tree, or `None` for a conflict.
    pub async fn merge_tree(&self, dir: &Path, base: &str, head: &str) -> Result<Option<String>, Error> {
        let output = self.run_with_input(dir, &["merge-tree", "--write-tree", base, head], &[], 1024 * 1024).await?;
        match output.code {
            Some(0) => Ok(Some(output.text().trim().to_owned())),
            Some(1) => Ok(None),
            _ => output.into_success().map(|_| None),
        }
    }

    pub async fn commit_tree(
        &self,
        dir: &Path,
        tree: &str,
        [base, head]: [&str; 2],
        by: &Account,
        message: &str,
    ) -> Result<String, Error> {
        let name = format!("user.name={}", by.login);
        let email = format!("user.email={}+{}@users.noreply.localhost", by.id, by.login);
        let args = ["-c", &name, "-c", &email, "commit-tree", tree, "-p", base, "-p", head, "-F", "-"];
        let output = self.run_with_input(dir, &args, message.as_bytes(), 1024).await?.into_success()?;
        Ok(output.text().trim().to_owned())
    }

    /// Moves a branch if it still points to `old`; returns false otherwise.
    pub async fn move_branch(&self, dir: &Path, branch: &str, new: &str, old: &str) -> Result<bool, Error> {
        let name = format!("refs/heads/{branch}");
        Ok(self.run_with_input(dir, &["update-ref", &name, new, old], &[], 1024).await?.code == Some(0))
    }

    pub async fn is_checked_out(&self, dir: &Path, branch: &str) -> Result<bool, Error> {
        let bare = self.run(dir, &["rev-parse", "--is-bare-repository"]).await?.text();
        let head = self.run_with_input(dir, &["symbolic-ref", "--short", "HEAD"], &[], 1024).await?.text();
        Ok(bare.trim() == "false" && head.trim() == branch)
    }

    /// Updates the files of a checked-out branch, as `receive.denyCurrentBranch=updateInstead` does for a push.
    /// The mode of a file does not count: `git add --chmod=+x` commits a mode that the file in the folder does not have.
    pub async fn update_checkout(&self, dir: &Path, old: &str, new: &str) -> Result<CheckoutUpdate, Error> {
        let refresh = &["update-index", "-q", "--refresh"][..];
        let update = [refresh, &["diff-index", "--quiet", old, "--"], &["read-tree", "-m", "-u", old, new]];
        if self.run_in_checkout(dir, &update).await? {
            return Ok(CheckoutUpdate::Updated);
        }
        Ok(match self.run_in_checkout(dir, &[refresh, &["diff-index", "--quiet", new, "--"]]).await? {
            true => CheckoutUpdate::Unchanged,
            false => CheckoutUpdate::Refused,
        })
    }

    /// Reverts [`Self::update_checkout`] from `new` to `old`, but no files of a newer commit.
    /// Returns false if one of the files has changed since.
    pub async fn restore_checkout(&self, dir: &Path, new: &str, old: &str) -> Result<bool, Error> {
        self.run_in_checkout(dir, &[&["update-index", "-q", "--refresh"], &["read-tree", "-m", "-u", new, old]]).await
    }

    /// Returns false if one of the commands fails, which ends the list.
    async fn run_in_checkout(&self, dir: &Path, commands: &[&[&str]]) -> Result<bool, Error> {
        let git_dir = std::fs::canonicalize(dir).map_err(Error::storage(dir))?;
        let folder = git_dir.parent().filter(|_| git_dir.ends_with(".git")).and_then(Path::to_str);
        let Some(folder) = folder else { return Ok(false) };
        let folder = format!("--work-tree={folder}");
        for args in commands {
            let args = [&["-c", "core.fileMode=false", folder.as_str()][..], args].concat();
            if self.run_with_input(dir, &args, &[], 64 * 1024).await?.code != Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
