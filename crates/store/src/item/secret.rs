//! Defines the items of users' secrets.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::text::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of a secret that a user set. It is stored before the value, so that each value has a name. After an
/// interrupted call, the value is missing or older than `set_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The secret's full name.
    pub secret: String,
    pub set_at: Timestamp,
    pub rev: u64,
}

impl SecretRecord {
    /// The record to store when the secret is set. `stored`: the record that was read.
    pub fn next(stored: Option<Self>, secret: &str, set_at: Timestamp) -> Self {
        Self { secret: secret.to_owned(), set_at, rev: stored.map_or(0, |stored| stored.rev) }
    }
}

impl Item for SecretRecord {
    fn key(&self) -> Key {
        key::secret_record(&self.secret)
    }
}
