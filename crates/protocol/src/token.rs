//! Tokens of people, programs and runners: `/v1/tokens…`.

#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::id::{ProjectId, TokenId};
use pullyard_domain::time::{Timestamp, rfc3339};
pub use pullyard_domain::token::{Scope, TokenKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// `POST /v1/tokens`. With an `Idempotency-Key`, a repeat makes no second token and is told `token_shown`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name for people.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100), regex(pattern = limits::LINE)))]
    pub name: String,
    /// Who is going to show it.
    pub kind: TokenKind,
    /// What it may be used for; a runner's token has none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<Scope>,
    /// For which projects; left out, for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 50)))]
    pub projects: Option<BTreeSet<ProjectId>>,
    /// The name of the only runner that may show it; only of a runner's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// How long it works; left out, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 60, max = 316_224_000)))]
    pub expires_in_secs: Option<u64>,
}

/// The answer to `POST /v1/tokens`: the only time that the token itself is shown.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedToken {
    /// The token itself.
    pub token: String,
    /// What it is.
    #[serde(flatten)]
    pub about: Token,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("about", &self.about).finish_non_exhaustive()
    }
}

/// A token as the API shows it; also the answer to `GET /v1/tokens/self`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its public id.
    pub id: TokenId,
    /// Its name for people.
    pub name: String,
    /// Who shows it.
    pub kind: TokenKind,
    /// Its first characters.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// For which projects; null for all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// The only runner that may show it.
    pub runner: Option<String>,
    /// When it was made; null for the first one.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub created: Option<Timestamp>,
    /// The name of the token that made it.
    pub created_by: Option<String>,
    /// When it was last shown, to about a minute.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub last_used: Option<Timestamp>,
    /// When it stops working.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub expires_at: Option<Timestamp>,
    /// Whether it works now.
    pub state: TokenState,
}

/// Whether a token works.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// `GET /v1/tokens?after=CURSOR`: newest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPage {
    /// At most 50.
    pub tokens: Vec<Token>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// The answer to `DELETE /v1/tokens/{id}`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token that was used for this very call: the next one needs another.
    pub own: bool,
    /// What it was.
    #[serde(flatten)]
    pub about: Token,
}
