//! The permissions that each feature needs, and whether a feature works in a repository.

use super::permissions::{collect, missing_permissions};
use super::{GitHub, GitHubApp, Permissions, TokenAccess};
use crate::Error;
use crate::features::{Feature, FeatureNeed, FeatureRow, FeatureStatus, Grant, Level, WorkflowPolicy};

pub(super) static FEATURES: [FeatureRow; 8] = {
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum AccessTest {
    App(Permissions),
    Token(TokenAccess),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Reader,
    Writer,
    Admin,
}

impl GitHub {
    /// Errors: `NotFound` for a repository hidden from the token.
    pub async fn test_features(
        &self,
        full_name: &str,
        workflows: WorkflowPolicy,
    ) -> Result<Vec<(&'static FeatureRow, FeatureStatus)>, Error> {
        let access = AccessTest::Token(self.access(full_name).await?);
        Ok(check_all(&access, workflows))
    }
}

impl GitHubApp {
    /// Errors: `NotFound` if the App is not installed, `Forbidden` if its installation is suspended.
    pub async fn test_features(
        &self,
        full_name: &str,
        workflows: WorkflowPolicy,
    ) -> Result<Vec<(&'static FeatureRow, FeatureStatus)>, Error> {
        let installation = self.get_installation(full_name).await?;
        if installation.suspended {
            let message = "the App's installation is suspended".to_owned();
            return Err(Error::Forbidden { resource: full_name.to_owned(), message });
        }
        Ok(check_all(&AccessTest::App(installation.permissions), workflows))
    }
}

fn check_all(access: &AccessTest, workflows: WorkflowPolicy) -> Vec<(&'static FeatureRow, FeatureStatus)> {
    FEATURES.iter().map(|row| (row, check(row, access, workflows))).collect()
}

fn check(row: &FeatureRow, access: &AccessTest, workflows: WorkflowPolicy) -> FeatureStatus {
    if row.need == FeatureNeed::ByRepository && workflows == WorkflowPolicy::Forbid {
        return FeatureStatus::NotNeeded("jobs may not change workflows in this repository");
    }
    match access {
        AccessTest::App(_) if row.need == FeatureNeed::TokensOnly => {
            FeatureStatus::NotNeeded("the App's own webhook receives its events")
        }
        AccessTest::App(granted) => {
            let missing = missing_permissions(granted, &collect(std::iter::once(row)));
            if missing.is_empty() {
                return FeatureStatus::Works;
            }
            FeatureStatus::Missing(format!(
                "grant the App {}, and accept it where it is installed",
                missing.join(" and ")
            ))
        }
        AccessTest::Token(token) => check_token(row, token),
    }
}

fn check_token(row: &FeatureRow, token: &TokenAccess) -> FeatureStatus {
    let required = needed_role(row);
    if role_of(token) < required {
        let role = if required == Role::Admin { "admin" } else { "write" };
        return FeatureStatus::Missing(format!("give the token's account the role {role} in the repository"));
    }
    if let Some(scopes) = &token.scopes {
        return match has_scope(scopes, row.scope, token.private) {
            true => FeatureStatus::Works,
            false => FeatureStatus::Missing(format!("give the token the scope {}", row.scope)),
        };
    }
    if row.feature == Feature::ReadRepository {
        return FeatureStatus::Works;
    }
    let needs = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code()));
    let needs = needs.collect::<Vec<_>>().join(" and ");
    let refused = |(name, _): &(&str, _)| token.missing.iter().any(|right| right.permission() == *name);
    match row.permissions.iter().any(refused) {
        true => FeatureStatus::Missing(format!("give the token {needs}")),
        false => FeatureStatus::Unknown(format!("it needs {needs}")),
    }
}

fn role_of(token: &TokenAccess) -> Role {
    match (token.account_may_administer, token.account_may_push) {
        (true, _) => Role::Admin,
        (false, true) => Role::Writer,
        (false, false) => Role::Reader,
    }
}

fn needed_role(row: &FeatureRow) -> Role {
    match row.feature {
        Feature::ReadRepository => Role::Reader,
        Feature::Hooks => Role::Admin,
        _ => Role::Writer,
    }
}

fn has_scope(scopes: &[String], scope: &str, private: bool) -> bool {
    let has = |scope: &str| scopes.iter().any(|granted| granted == scope);
    match scope {
        "repo" => has("repo") || (!private && has("public_repo")),
        other => has(other),
    }
}

#[cfg(test)]
mod tests;
