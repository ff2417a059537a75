//! The forge, as far as a push and a pull request need it: one repository of branches.

use std::collections::BTreeMap;

/// A commit of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) head: String,
    pub(crate) job: String,
    pub(crate) attempt: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Forge {
    /// Oldest commit first.
    pub(crate) branches: BTreeMap<String, Vec<Commit>>,
    /// The branches of pull requests; the first is number 1.
    pub(crate) pulls: Vec<String>,
}

impl Forge {
    pub(crate) fn head(&self, branch: &str) -> Option<&Commit> {
        self.branches.get(branch)?.last()
    }

    /// Puts a commit on a branch, if its head is the expected one.
    pub(crate) fn push(&mut self, branch: &str, expected: Option<&str>, commit: Commit) -> bool {
        if self.head(branch).map(|commit| commit.head.as_str()) != expected {
            return false;
        }
        self.branches.entry(branch.to_owned()).or_default().push(commit);
        true
    }

    /// The pull request of a branch, the open one or a new one.
    pub(crate) fn pull(&mut self, branch: &str) -> u64 {
        let at = self.pulls.iter().position(|of| of == branch).unwrap_or_else(|| {
            self.pulls.push(branch.to_owned());
            self.pulls.len() - 1
        });
        at as u64 + 1
    }

    /// Which branch a pull request is of.
    pub(crate) fn branch_of(&self, number: u64) -> Option<&str> {
        self.pulls.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
    }

    /// The commits of a job, wherever they are.
    pub(crate) fn commits_of(&self, job: &str) -> Vec<(&str, &Commit)> {
        let all =
            self.branches.iter().flat_map(|(branch, commits)| commits.iter().map(move |one| (branch.as_str(), one)));
        all.filter(|(_, commit)| commit.job == job).collect()
    }
}
