//! Replays the runner's commit on top of commits that another user pushed.
//! It works on objects only, without a worktree or hooks, so no rebase can stop half way.

use crate::api::forge_wait::ForgeFault;
use crate::git::{Git, GitCall, GitError};
use pullyard_domain::text::failure::Failure;
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) struct Rebase<'a> {
    pub(crate) git: &'a Git,
    pub(crate) repository: &'a Path,
    pub(crate) branch: &'a str,
}

impl Rebase<'_> {
    /// Applies the changes from `start` to `commit` to `head`, as a new commit; `None` if `head` has them already.
    /// Errors: `Conflict`, `SigningFailed`, faults of this machine.
    pub(crate) async fn replay(&self, start: &str, commit: &str, head: &str) -> Result<Option<String>, ForgeFault> {
        // Merge two changes of one tree. The histories do not matter, because a user may have rewritten a branch.
        // Passing the base to git instead requires git 2.40.
        let base = self.create_side_commit(start, &[]).await?;
        let theirs = self.create_side_commit(head, &["-p", &base]).await?;
        let ours = self.create_side_commit(commit, &["-p", &base]).await?;
        let merge = merge_trees(self.git, self.repository, &theirs, &ours).await;
        let tree = match merge.map_err(|error| ForgeFault::of_machine(&error))? {
            Merge::Tree(tree) => tree,
            Merge::Conflicts(files) => {
                return Err(Failure::Conflict { base: self.branch.to_owned(), n: files.len() as u64 }.into());
            }
        };
        if tree == self.line(GitCall::new(["rev-parse", "--verify", &format!("{head}^{{tree}}")])).await? {
            return Ok(None);
        }
        let message = self.line(GitCall::new(["log", "-1", "--format=%B", commit])).await?;
        let call = GitCall::new(["commit-tree", &tree, "-p", head, "-F", "-"]);
        let call = call.input(message.as_bytes()).repository(self.repository).published_commit();
        self.git.run_for_line(call).await.map(Some).map_err(|error| match self.git.commit_failure(&error) {
            Failure::WorkspaceFailed { .. } => ForgeFault::of_machine(&error),
            failure => failure.into(),
        })
    }

    async fn create_side_commit(&self, commit: &str, parents: &[&str]) -> Result<String, ForgeFault> {
        let tree = format!("{commit}^{{tree}}");
        let args = ["commit-tree", &tree].into_iter().chain(parents.iter().copied());
        self.line(GitCall::new(args).input(b"A side of a merge\n").with_identity()).await
    }

    async fn line(&self, call: GitCall<'_>) -> Result<String, ForgeFault> {
        let line = self.git.run_for_line(call.repository(self.repository)).await;
        line.map_err(|error| ForgeFault::of_machine(&error))
    }
}

pub(crate) enum Merge {
    Tree(String),
    /// The files with a conflict.
    Conflicts(BTreeSet<String>),
}

pub(crate) async fn merge_trees(git: &Git, repository: &Path, theirs: &str, ours: &str) -> Result<Merge, GitError> {
    let args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", theirs, ours];
    match git.run_for_line(GitCall::new(args).repository(repository)).await {
        Ok(output) => Ok(Merge::Tree(output.trim_end_matches('\0').to_owned())),
        Err(error) => parse_conflicts(&error).map(Merge::Conflicts).ok_or(error),
    }
}

fn parse_conflicts(error: &GitError) -> Option<BTreeSet<String>> {
    let GitError::Failed { stdout, .. } = error else {
        return None;
    };
    let mut fields = stdout.split('\0').filter(|field| !field.is_empty());
    let tree = fields.next()?;
    let is_tree = matches!(tree.len(), 40 | 64) && tree.bytes().all(|byte| byte.is_ascii_hexdigit());
    let files: BTreeSet<String> = fields.map(str::to_owned).collect();
    (is_tree && !files.is_empty()).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn conflict_is_a_tree_id_followed_by_file_names() {
        let conflicts = |stdout: String| {
            let error = GitError::Failed { command: "merge-tree".into(), stdout, stderr: String::new() };
            parse_conflicts(&error).map(|files| files.into_iter().collect::<Vec<_>>())
        };
        let files = Some(vec!["a b".to_owned(), "c".to_owned()]);
        for tree in ["0123456789abcdef".repeat(4), "0123456789".repeat(4)] {
            assert_eq!(conflicts(format!("{tree}\0c\0a b\0c\0")), files, "each once");
            assert_eq!(conflicts(format!("{tree}\0")), None);
            assert_eq!(conflicts(format!("{tree}0\0c\0")), None);
        }
        for odd in ["", "\0", "fatal: no\0c\0", &format!("{}\0c\0", "x".repeat(40))] {
            assert_eq!(conflicts(odd.to_owned()), None, "{odd:?}");
        }
        let slow = GitError::TimedOut { command: "merge-tree".into(), limit: Duration::from_secs(1) };
        assert_eq!(parse_conflicts(&slow), None);
    }
}
