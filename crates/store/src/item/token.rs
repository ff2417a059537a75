//! Defines the item of a token.
//! The token's hash is the key; the token itself is not stored.

use super::Item;
use crate::key::{self, Key};
use data_encoding::HEXLOWER;
pub use pullyard_domain::project::token::{Scope, TokenKind};
use pullyard_domain::project::token::{VISIBLE_CHARS, is_valid};
use pullyard_domain::text::id::{ProjectId, TokenId};
use pullyard_domain::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// SHA-256 of the token, hex.
    pub hash: String,
    pub kind: TokenKind,
    pub name: String,
    /// The first characters of the token, by which users recognise it.
    pub prefix: String,
    pub scopes: BTreeSet<Scope>,
    pub projects: Option<BTreeSet<ProjectId>>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
    /// The name of the only runner that may use it; `None` for any. Only set for a runner's token.
    pub runner: Option<String>,
    /// `None` for the first token.
    pub created: Option<Timestamp>,
    pub created_by: Option<String>,
    /// The last use, accurate to about a minute.
    pub last_used: Option<Timestamp>,
}

impl Token {
    pub fn id(&self) -> TokenId {
        TokenId::from_hash(&self.hash)
    }

    pub fn is_valid(&self, now: Timestamp) -> bool {
        is_valid(self.revoked, self.expires_at, now)
    }
}

pub fn hash_token(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

pub fn to_stored_token(
    token: &str,
    name: &str,
    scopes: BTreeSet<Scope>,
    projects: Option<BTreeSet<ProjectId>>,
) -> Token {
    Token {
        hash: hash_token(token),
        name: name.to_owned(),
        prefix: token.chars().take(VISIBLE_CHARS).collect(),
        scopes,
        projects,
        expires_at: None,
        revoked: false,
        kind: TokenKind::Api,
        runner: None,
        created: None,
        created_by: None,
        last_used: None,
    }
}

impl Item for Token {
    fn key(&self) -> Key {
        key::token(&self.hash)
    }
    /// The first token has no creation time, so it is listed last.
    fn list_row(&self) -> Option<(String, String)> {
        Some((key::TOKEN_LIST.into(), key::to_sort_key(self.created.unwrap_or(Timestamp::from_millis(0)))))
    }
}
