//! Our one commit on top of what somebody else pushed meanwhile. It is made of objects alone: no worktree, no
//! hooks, no rebase that could stop half way. What it is put on stays as it is.

use crate::git::{Call, Fault, Git};
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use std::collections::BTreeSet;
use std::path::Path;

/// The repository it is done in, and the branch for the words about it.
pub(crate) struct Onto<'a> {
    pub(crate) git: &'a Git,
    pub(crate) repository: &'a Path,
    pub(crate) branch: &'a str,
}

impl Onto<'_> {
    /// What `commit` changed against its parent `start`, as a commit on `head` with the same message; none
    /// if `head` has it already.
    ///
    /// Errors: `Conflict`.
    pub(crate) async fn replay(&self, start: &str, commit: &str, head: &str) -> Result<Option<String>, Stop> {
        let failed = |fault: Fault| Stop::Failed(fault.of_workspace());
        let base = format!("--merge-base={start}");
        let args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", &base, head, commit];
        let tree = match self.line(args).await {
            Ok(said) => said.trim_end_matches('\0').to_owned(),
            Err(fault) => return Err(self.conflict(&fault).map_or_else(|| failed(fault), Stop::from)),
        };
        if tree == self.line(["rev-parse", "--verify", &format!("{head}^{{tree}}")]).await.map_err(failed)? {
            return Ok(None);
        }
        let message = self.line(["log", "-1", "--format=%B", commit]).await.map_err(failed)?;
        let call = Call::new(["commit-tree", &tree, "-p", head, "-F", "-"]);
        let call = call.input(message.as_bytes()).repository(self.repository).commits();
        self.git.line(call).await.map(Some).map_err(failed)
    }

    async fn line<const N: usize>(&self, args: [&str; N]) -> Result<String, Fault> {
        self.git.line(Call::new(args).repository(self.repository)).await
    }

    /// Git says by its output that it came to a tree with conflicts in it: the tree, then the files.
    fn conflict(&self, fault: &Fault) -> Option<Failure> {
        let Fault::Failed { stdout, .. } = fault else {
            return None;
        };
        let mut fields = stdout.split('\0').filter(|field| !field.is_empty());
        let tree = fields.next()?;
        let is_tree = matches!(tree.len(), 40 | 64) && tree.bytes().all(|byte| byte.is_ascii_hexdigit());
        let files: BTreeSet<&str> = fields.collect();
        let n = files.len() as u64;
        (is_tree && n > 0).then(|| Failure::Conflict { base: self.branch.to_owned(), n })
    }
}
