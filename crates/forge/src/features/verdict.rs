//! Decides whether a feature works in a repository.

use super::grants::{Workflows, collect, lacking};
use super::{Feature, Need, Row};
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
pub enum Verdict {
    Works,
    Missing(String),
    /// Only a write could verify it; contains the permissions that the feature needs.
    Untold(String),
    Needless(&'static str),
}

pub fn judge(row: &Row, access: &GitHubAccess, workflows: Workflows) -> Verdict {
    if row.need == Need::OfRepository && workflows == Workflows::Keep {
        return Verdict::Needless("the repository is connected without --workflows");
    }
    match access {
        GitHubAccess::App(_) if row.need == Need::OfTokens => {
            Verdict::Needless("the App's own webhook receives its events")
        }
        GitHubAccess::App(granted) => {
            let lacking = lacking(granted, &collect(std::iter::once(row)));
            if lacking.is_empty() {
                return Verdict::Works;
            }
            Verdict::Missing(format!("grant the App {}, and accept it where it is installed", lacking.join(" and ")))
        }
        GitHubAccess::Token(token) => judge_token(row, token),
    }
}

fn judge_token(row: &Row, token: &TokenAccess) -> Verdict {
    let needed = needed_role(row);
    if role_of(token) < needed {
        let role = if needed == Role::Admin { "admin" } else { "write" };
        return Verdict::Missing(format!("give the token's account the role {role} in the repository"));
    }
    if let Some(scopes) = &token.scopes {
        return match covers(scopes, row.scope, token.private) {
            true => Verdict::Works,
            false => Verdict::Missing(format!("give the token the scope {}", row.scope)),
        };
    }
    if row.feature == Feature::Look {
        return Verdict::Works;
    }
    let needs = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code()));
    let needs = needs.collect::<Vec<_>>().join(" and ");
    let refused = |(name, _): &(&str, _)| token.unreadable.iter().any(|right| right.permission() == *name);
    match row.permissions.iter().any(refused) {
        true => Verdict::Missing(format!("give the token {needs}")),
        false => Verdict::Untold(format!("it needs {needs}")),
    }
}

/// Whether the token can read pull requests of a visible Bitbucket repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitbucketPulls {
    Readable,
    Hidden,
}

/// Bitbucket cannot list a token's scopes, so a missing write scope shows only at a write.
pub fn judge_on_bitbucket(row: &Row, pulls: BitbucketPulls) -> Verdict {
    let needs = row.permissions.iter().map(|(name, level)| format!("{}:{name}", level.code()));
    let needs = needs.collect::<Vec<_>>().join(" and ");
    match (row.feature, pulls) {
        (Feature::Look, _) => Verdict::Works,
        (Feature::PullRequests, BitbucketPulls::Hidden) => Verdict::Missing(format!("give the token {needs}")),
        _ => Verdict::Untold(format!("it needs {needs}")),
    }
}

fn role_of(token: &TokenAccess) -> Role {
    match (token.account_may_administer, token.account_may_push) {
        (true, _) => Role::Admin,
        (false, true) => Role::Writer,
        (false, false) => Role::Reader,
    }
}

fn needed_role(row: &Row) -> Role {
    match row.feature {
        Feature::Look => Role::Reader,
        Feature::Hooks => Role::Admin,
        _ => Role::Writer,
    }
}

fn covers(scopes: &[String], wanted: &str, private: bool) -> bool {
    let has = |scope: &str| scopes.iter().any(|one| one == scope);
    match wanted {
        "repo" => has("repo") || (!private && has("public_repo")),
        other => has(other),
    }
}
