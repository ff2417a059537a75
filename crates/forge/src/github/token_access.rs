//! Checks a token's access to a repository with read calls only.

use serde::Deserialize;

use super::{GitHub, client::RetryPolicy};
use crate::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAccess {
    /// `None` unless the token is a classic one.
    pub scopes: Option<Vec<String>>,
    pub private: bool,
    /// The permission of the account; the token may have less.
    pub account_may_push: bool,
    pub account_may_administer: bool,
    pub missing: Vec<TokenPermission>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPermission {
    Contents,
    PullRequests,
    Issues,
    Statuses,
    Hooks,
}

impl TokenPermission {
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Self::Contents => "contents",
            Self::PullRequests => "pull_requests",
            Self::Issues => "issues",
            Self::Statuses => "statuses",
            Self::Hooks => "repository_hooks",
        }
    }
}

#[derive(Deserialize)]
struct RepositoryResponse {
    default_branch: String,
    private: bool,
    has_issues: Option<bool>,
    #[serde(default)]
    permissions: RoleResponse,
}

#[derive(Default, Deserialize)]
struct RoleResponse {
    #[serde(default)]
    push: bool,
    #[serde(default)]
    admin: bool,
}

impl GitHub {
    /// Source: `GET /repos/{o}/{r}` with its headers, then one small list of each kind.
    /// Errors: `NotFound` for a repository hidden from the token.
    pub async fn access(&self, full_name: &str) -> Result<TokenAccess, Error> {
        let address = self.url(full_name, &[])?;
        let (answer, headers) =
            self.client.get_with_headers::<RepositoryResponse>(address, full_name, RetryPolicy::Retry).await?;
        let scopes = headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok()).map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
        });
        let branch = answer.default_branch.as_str();
        let lists: [(TokenPermission, &[&str]); 5] = [
            (TokenPermission::Contents, &["branches"]),
            (TokenPermission::PullRequests, &["pulls"]),
            (TokenPermission::Issues, &["issues"]),
            (TokenPermission::Statuses, &["commits", branch, "statuses"]),
            (TokenPermission::Hooks, &["hooks"]),
        ];
        let mut unreadable = Vec::new();
        for (permission, path) in lists {
            // No token can read disabled issues.
            if permission == TokenPermission::Issues && answer.has_issues == Some(false) {
                continue;
            }
            let mut address = self.url(full_name, path)?;
            address.query_pairs_mut().append_pair("per_page", "1");
            match self.client.get::<serde::de::IgnoredAny>(address, full_name, RetryPolicy::Retry).await {
                Ok(_) => {}
                Err(Error::Forbidden { .. } | Error::NotFound { .. }) => unreadable.push(permission),
                // The repository is empty; this does not depend on the token.
                Err(Error::Unexpected { status: 409, .. } | Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(TokenAccess {
            scopes,
            private: answer.private,
            account_may_push: answer.permissions.push,
            account_may_administer: answer.permissions.admin,
            missing: unreadable,
        })
    }
}
