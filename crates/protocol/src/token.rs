//! API and runner tokens: `/v1/tokens…`.

use crate::limits;
pub use pullyard_domain::project::token::{Scope, TokenKind};
use pullyard_domain::text::id::{ProjectId, TokenId};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Body of `POST /v1/tokens`. Idempotent: by `Idempotency-Key`; a repeat creates no token and fails with `token_shown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Display name.
    #[schemars(length(min = 1, max = 100), regex(pattern = limits::LINE))]
    pub name: String,
    /// Kind of holder.
    pub kind: TokenKind,
    /// Granted scopes; a runner token has no scopes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<Scope>,
    /// Projects that the token may access; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub projects: Option<BTreeSet<ProjectId>>,
    /// Name of the only runner that may use the token; only for runner tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Lifetime; absent: until the token is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 316_224_000))]
    pub expires_in_secs: Option<u64>,
}

/// Answer to `POST /v1/tokens`. No other answer contains the token itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedToken {
    /// The token itself, a credential.
    pub token: String,
    /// Its public data.
    #[serde(flatten)]
    pub about: Token,
}

debug_only!(CreatedToken { about });

/// A token as the API shows it; also the answer to `GET /v1/tokens/self`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Token {
    /// Public id.
    pub id: TokenId,
    /// Display name.
    pub name: String,
    /// Kind of holder.
    pub kind: TokenKind,
    /// First characters of the token.
    pub prefix: String,
    /// Granted scopes.
    pub scopes: BTreeSet<Scope>,
    /// Projects that the token may access; null: all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// Name of the only runner that may use the token.
    pub runner: Option<String>,
    /// Creation time; null for the first token.
    #[serde(with = "OptionalWireTime")]
    pub created: Option<Timestamp>,
    /// Name of the token that created it.
    pub created_by: Option<String>,
    /// Last use, to about a minute.
    #[serde(with = "OptionalWireTime")]
    pub last_used: Option<Timestamp>,
    /// Expiry.
    #[serde(with = "OptionalWireTime")]
    pub expires_at: Option<Timestamp>,
    /// Whether the token is valid now.
    pub state: TokenState,
}

/// Whether a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Valid.
    Active,
    /// Past its expiry.
    Expired,
    /// Revoked by an administrator.
    Revoked,
}

/// Answer to `GET /v1/tokens?after=CURSOR`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenPage {
    /// At most 50.
    pub tokens: Vec<Token>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Answer to `DELETE /v1/tokens/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevokedToken {
    /// Whether the caller used this token for the call itself; it then needs another one.
    pub own: bool,
    /// The revoked token.
    #[serde(flatten)]
    pub about: Token,
}
