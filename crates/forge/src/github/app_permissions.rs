//! Selects the permissions of an App and of tokens.

use super::Permissions;
use super::features::FEATURES;
use super::permissions::{collect, is_granted};
use crate::features::{Feature, FeatureNeed, Grant, Level, WorkflowPolicy};

/// Events that an App subscribes to. `installation` and `installation_repositories` arrive without a subscription.
pub const APP_EVENTS: [&str; 7] = [
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "repository",
];

pub fn app_permissions(workflows: WorkflowPolicy) -> Permissions {
    collect(FEATURES.iter().filter(|row| match row.need {
        FeatureNeed::Always | FeatureNeed::Optional => true,
        FeatureNeed::ByRepository => workflows == WorkflowPolicy::Allow,
        FeatureNeed::TokensOnly => false,
    }))
}

/// Minimum for an App: the permissions of every job, and reading comments.
pub fn minimum_app_permissions() -> Permissions {
    let mut permissions = collect(FEATURES.iter().filter(|row| row.need == FeatureNeed::Always));
    permissions.insert("issues".into(), Level::Read.code().into());
    permissions
}

/// Permissions of an attempt's token: only the ones that the runner needs.
pub fn attempt_permissions(workflows: WorkflowPolicy) -> Permissions {
    collect(FEATURES.iter().filter(|row| match row.feature {
        Feature::Push | Feature::PullRequests => true,
        Feature::Workflows => workflows == WorkflowPolicy::Allow,
        _ => false,
    }))
}

/// Permissions of the token of an attempt that only reads the repository.
pub fn reading_permissions() -> Permissions {
    [("contents".to_owned(), Level::Read.code().to_owned())].into()
}

/// Permissions of the token of an attempt that reads the repository and posts a review.
pub fn reviewing_permissions() -> Permissions {
    [("contents", Level::Read), ("pull_requests", Level::Write)]
        .map(|(name, level)| (name.to_owned(), level.code().to_owned()))
        .into()
}

/// Permissions of the token of an attempt that reads pull requests and issues, but no code.
pub fn analysing_permissions() -> Permissions {
    ["pull_requests", "issues"].map(|name| (name.to_owned(), Level::Read.code().to_owned())).into()
}

/// Granted permissions for the control plane's own token; never includes pushing.
pub fn control_permissions(granted: &Permissions) -> Permissions {
    let candidates = [
        ("metadata", Level::Read),
        ("contents", Level::Read),
        ("pull_requests", Level::Write),
        ("issues", Level::Write),
        ("statuses", Level::Write),
        ("repository_hooks", Level::Write),
    ];
    let grant = |(name, level): Grant| {
        let level = [level, Level::Read].into_iter().find(|level| is_granted(granted, (name, *level)))?;
        Some((name.to_owned(), level.code().to_owned()))
    };
    candidates.into_iter().filter_map(grant).collect()
}
