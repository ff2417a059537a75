//! Accounts on a forge.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "crate::github::ActorResponse")]
pub struct Actor {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// May belong to another account after a rename.
    pub login: String,
    pub is_bot: bool,
}
