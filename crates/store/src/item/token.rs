//! A token as the table keeps it: its hash is the key, the token itself is nowhere.

use super::Stored;
use crate::key::{self, Key};
use pullyard_domain::id::{ProjectId, TokenId};
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::is_good;
pub use pullyard_domain::token::{Scope, TokenKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// SHA-256 of the token, hex.
    pub hash: String,
    #[serde(default)]
    pub kind: TokenKind,
    /// Its name for people, unique among tokens only by habit.
    pub name: String,
    /// The first characters of the token, to tell tokens apart.
    pub prefix: String,
    pub scopes: BTreeSet<Scope>,
    pub projects: Option<BTreeSet<ProjectId>>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
    /// The name of the only runner that may show it; none means any. Only of a runner's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// When it was made; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The name of the token that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When it was last shown, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

impl Token {
    pub fn id(&self) -> TokenId {
        TokenId::of_hash(&self.hash)
    }

    pub fn is_good(&self, now: Timestamp) -> bool {
        is_good(self.revoked, self.expires_at, now)
    }
}

impl Stored for Token {
    fn key(&self) -> Key {
        key::token(&self.hash)
    }
    /// The first one has no time of making, and stands last.
    fn listed(&self) -> Option<(String, String)> {
        Some((key::TOKEN_LIST.into(), key::sortable(self.created.unwrap_or(Timestamp::from_millis(0)))))
    }
}
