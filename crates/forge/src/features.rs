//! The permissions that each feature needs at GitHub and Bitbucket.
//! The App manifest, the tokens of attempts, `pullyard repos test` and docs/forges.md follow these tables.

mod grants;
mod verdict;

pub use grants::{
    APP_EVENTS, WorkflowPolicy, app_permissions, attempt_permissions, control_permissions, minimum_app_permissions,
    missing_permissions,
};
pub use verdict::{BitbucketPulls, FeatureStatus, GitHubAccess, check_bitbucket, check_github};

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
    ReadRepository,
    Push,
    Workflows,
    PullRequests,
    Threads,
    Comments,
    Statuses,
    Hooks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureNeed {
    Always,
    /// Needed by jobs of a repository connected with `--workflows`.
    ByRepository,
    /// No job needs it; only the feature is missing without it.
    Optional,
    /// Needed by `hooks install` with a token; an App has its own webhook.
    TokensOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRow {
    pub feature: Feature,
    pub description: &'static str,
    pub permissions: &'static [Grant],
    pub scope: &'static str,
    pub need: FeatureNeed,
}

pub const GITHUB_FEATURES: [FeatureRow; 8] = {
    use Level::{Read, Write};
    const fn row(
        feature: Feature,
        text: &'static str,
        permissions: &'static [Grant],
        scope: &'static str,
        need: FeatureNeed,
    ) -> FeatureRow {
        FeatureRow { feature, description: text, permissions, scope, need }
    }
    [
        row(
            Feature::ReadRepository,
            "find the repository and read a reviewer's permission",
            &[("metadata", Read)],
            "repo",
            FeatureNeed::Always,
        ),
        row(Feature::Push, "fetch and push branches", &[("contents", Write)], "repo", FeatureNeed::Always),
        row(
            Feature::Workflows,
            "push changes of files under .github/workflows",
            &[("workflows", Write)],
            "workflow",
            FeatureNeed::ByRepository,
        ),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments, request a review again",
            &[("pull_requests", Write)],
            "repo",
            FeatureNeed::Always,
        ),
        row(
            Feature::Threads,
            "resolve a review's conversations",
            &[("contents", Write), ("pull_requests", Write)],
            "repo",
            FeatureNeed::Optional,
        ),
        row(
            Feature::Comments,
            "read commands in comments and labels, and answer them",
            &[("issues", Write)],
            "repo",
            FeatureNeed::Optional,
        ),
        row(Feature::Statuses, "show a job as a commit status", &[("statuses", Write)], "repo", FeatureNeed::Optional),
        row(
            Feature::Hooks,
            "create and repair the repository's webhook",
            &[("repository_hooks", Write)],
            "repo",
            FeatureNeed::TokensOnly,
        ),
    ]
};

pub const BITBUCKET_FEATURES: [FeatureRow; 3] = {
    use Level::{Read, Write};
    const fn row(feature: Feature, text: &'static str, permissions: &'static [Grant]) -> FeatureRow {
        FeatureRow { feature, description: text, permissions, scope: "", need: FeatureNeed::Always }
    }
    [
        row(Feature::ReadRepository, "find the repository", &[("repository", Read)]),
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
