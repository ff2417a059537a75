//! What secrets that people set are for.

use serde::{Deserialize, Serialize};

/// What a secret is for: who may read its value follows from it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// To speak to a forge, or to hear from it: tokens, Apps' keys, webhooks' secrets.
    #[default]
    Forge,
    /// What jobs alone are given: models' keys, and those that commits are signed with.
    Job,
}

impl SecretKind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Forge, Self::Job];

    /// What stands before a secret's own name in its whole one, after the deployment's: roles are limited by it.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Forge => "user/",
            Self::Job => "job/",
        }
    }
}
