//! The permissions that each feature needs at GitHub and Bitbucket.
//! The App manifest, the tokens of attempts, `pullyard repos test` and docs/forges.md follow these tables.

mod grants;
mod verdict;

pub use grants::{EVENTS, Workflows, lacking, least_of_app, of_app, of_attempt, of_control};
pub use verdict::{BitbucketPulls, GitHubAccess, Verdict, judge, judge_on_bitbucket};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Read,
    Write,
}

impl Level {
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

pub type Grant = (&'static str, Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    Look,
    Push,
    Workflows,
    PullRequests,
    Threads,
    Comments,
    Statuses,
    Hooks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Always,
    /// Needed by jobs of a repository connected with `--workflows`.
    OfRepository,
    /// No job needs it; only the feature is missing without it.
    Optional,
    /// Needed by `hooks install` with a token; an App has its own webhook.
    OfTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub feature: Feature,
    pub words: &'static str,
    pub permissions: &'static [Grant],
    pub scope: &'static str,
    pub need: Need,
}

/// Features at GitHub; docs/forges.md contains this table.
pub const TABLE: [Row; 8] = {
    use Level::{Read, Write};
    const fn row(
        feature: Feature,
        words: &'static str,
        permissions: &'static [Grant],
        scope: &'static str,
        need: Need,
    ) -> Row {
        Row { feature, words, permissions, scope, need }
    }
    [
        row(
            Feature::Look,
            "find the repository and read a reviewer's permission",
            &[("metadata", Read)],
            "repo",
            Need::Always,
        ),
        row(Feature::Push, "fetch and push branches", &[("contents", Write)], "repo", Need::Always),
        row(
            Feature::Workflows,
            "push changes of files under .github/workflows",
            &[("workflows", Write)],
            "workflow",
            Need::OfRepository,
        ),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments, request a review again",
            &[("pull_requests", Write)],
            "repo",
            Need::Always,
        ),
        row(
            Feature::Threads,
            "resolve a review's conversations",
            &[("contents", Write), ("pull_requests", Write)],
            "repo",
            Need::Optional,
        ),
        row(
            Feature::Comments,
            "read commands in comments and labels, and answer them",
            &[("issues", Write)],
            "repo",
            Need::Optional,
        ),
        row(Feature::Statuses, "show a job as a commit status", &[("statuses", Write)], "repo", Need::Optional),
        row(
            Feature::Hooks,
            "create and repair the repository's webhook",
            &[("repository_hooks", Write)],
            "repo",
            Need::OfTokens,
        ),
    ]
};

/// Features at Bitbucket, by the names of its scopes.
pub const BITBUCKET: [Row; 3] = {
    use Level::{Read, Write};
    const fn row(feature: Feature, words: &'static str, permissions: &'static [Grant]) -> Row {
        Row { feature, words, permissions, scope: "", need: Need::Always }
    }
    [
        row(Feature::Look, "find the repository", &[("repository", Read)]),
        row(Feature::Push, "fetch and push branches", &[("repository", Read), ("repository", Write)]),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments",
            &[("pullrequest", Read), ("pullrequest", Write)],
        ),
    ]
};

#[cfg(test)]
mod tests;
