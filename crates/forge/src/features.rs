//! Describes which features work in a repository. Each forge has a table of the permissions that its features need.
//! The App manifest, the tokens of attempts, `pullyard repos test` and docs/forges.md follow these tables.

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeatureStatus {
    Works,
    Missing(String),
    /// Only a write could verify it; contains the permissions that the feature needs.
    Unknown(String),
    NotNeeded(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkflowPolicy {
    Allow,
    /// The forge refuses pushes that change workflows.
    Forbid,
}
