//! Checks a token's access to a repository with read calls only.

use serde::Deserialize;

use super::{GitHub, client::Tries};
use crate::{Error, names::RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAccess {
    /// `None` unless the token is a classic one.
    pub scopes: Option<Vec<String>>,
    pub private: bool,
    /// The permission of the account; the token may have less.
    pub account_may_push: bool,
    /// The permission of the account; the token may have less.
    pub account_may_administer: bool,
    pub unreadable: Vec<Right>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Contents,
    PullRequests,
    Issues,
    Statuses,
    Hooks,
}

impl Right {
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
struct RepositoryAnswer {
    default_branch: String,
    private: bool,
    has_issues: Option<bool>,
    #[serde(default)]
    permissions: RoleAnswer,
}

#[derive(Default, Deserialize)]
struct RoleAnswer {
    #[serde(default)]
    push: bool,
    #[serde(default)]
    admin: bool,
}

impl GitHub {
    /// Source: `GET /repos/{o}/{r}` with its headers, then one small list of each kind.
    /// Errors: `NotFound` for a repository hidden from the token.
    pub async fn access(&self, full_name: &str) -> Result<TokenAccess, Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let address = self.client.address(&["repos", owner, name]);
        let (answer, headers) =
            self.client.get_with_headers::<RepositoryAnswer>(address, full_name, Tries::Three).await?;
        let scopes = headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok()).map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
        });
        let branch = answer.default_branch.as_str();
        let lists: [(Right, &[&str]); 5] = [
            (Right::Contents, &["branches"]),
            (Right::PullRequests, &["pulls"]),
            (Right::Issues, &["issues"]),
            (Right::Statuses, &["commits", branch, "statuses"]),
            (Right::Hooks, &["hooks"]),
        ];
        let mut unreadable = Vec::new();
        for (right, path) in lists {
            // No token can read disabled issues.
            if right == Right::Issues && answer.has_issues == Some(false) {
                continue;
            }
            let segments = [&["repos", owner, name][..], path].concat();
            let mut address = self.client.address(&segments);
            address.query_pairs_mut().append_pair("per_page", "1");
            match self.client.get::<serde::de::IgnoredAny>(address, full_name, Tries::Three).await {
                Ok(_) => {}
                Err(Error::Forbidden { .. } | Error::NotFound { .. }) => unreadable.push(right),
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
            unreadable,
        })
    }
}
