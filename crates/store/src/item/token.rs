//! An API token as the table keeps it: its hash is the key, the token itself is nowhere.

use super::Stored;
use crate::key::{self, Key};
use pullyard_domain::id::ProjectId;
use pullyard_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looking at everything.
    Read,
    /// Telling ticket events.
    Tickets,
    /// Making jobs, moving tickets on the board.
    Jobs,
    /// Everything.
    Admin,
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// Its name for people, unique among tokens only by habit.
    pub name: String,
    /// The first characters of the token, to tell tokens apart.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// For which projects; none means all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// It was taken back.
    pub revoked: bool,
}

impl Stored for ApiToken {
    fn key(&self) -> Key {
        key::token(&self.hash)
    }
}
