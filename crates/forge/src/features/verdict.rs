//! Decides whether a feature works in a repository.

use super::grants::{WorkflowPolicy, collect, missing_permissions};
use super::{Feature, FeatureNeed, FeatureRow};
use crate::{Permissions, TokenAccess};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitHubAccess {
    App(Permissions),
    Token(TokenAccess),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Reader,
    Writer,
    Admin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeatureStatus {
    Works,
    Missing(String),
    /// Only a write could verify it; contains the permissions that the feature needs.
    Unknown(String),
    NotNeeded(&'static str),
}

pub fn check_github(row: &FeatureRow, access: &GitHubAccess, workflows: WorkflowPolicy) -> FeatureStatus {
    if row.need == FeatureNeed::ByRepository && workflows == WorkflowPolicy::Forbid {
        return FeatureStatus::NotNeeded("jobs may not change workflows in this repository");
    }
    match access {
        GitHubAccess::App(_) if row.need == FeatureNeed::TokensOnly => {
            FeatureStatus::NotNeeded("the App's own webhook receives its events")
        }
        GitHubAccess::App(granted) => {
            let missing = missing_permissions(granted, &collect(std::iter::once(row)));
            if missing.is_empty() {
                return FeatureStatus::Works;
            }
            FeatureStatus::Missing(format!(
                "grant the App {}, and accept it where it is installed",
                missing.join(" and ")
            ))
        }
        GitHubAccess::Token(token) => check_token(row, token),
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

/// Whether the token can read pull requests of a visible Bitbucket repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitbucketPulls {
    Readable,
    Hidden,
}

/// Bitbucket cannot list a token's scopes, so a missing write scope shows only at a write.
pub fn check_bitbucket(row: &FeatureRow, pulls: BitbucketPulls) -> FeatureStatus {
    let needs = row.permissions.iter().map(|(name, level)| format!("{}:{name}", level.code()));
    let needs = needs.collect::<Vec<_>>().join(" and ");
    match (row.feature, pulls) {
        (Feature::ReadRepository, _) => FeatureStatus::Works,
        (Feature::PullRequests, BitbucketPulls::Hidden) => FeatureStatus::Missing(format!("give the token {needs}")),
        _ => FeatureStatus::Unknown(format!("it needs {needs}")),
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
