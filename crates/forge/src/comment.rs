//! Comments in the conversation of an issue or a pull request, not on a line.

use crate::{Actor, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Unique on its forge; may be larger than 2^53.
    pub id: u64,
    pub body: String,
    /// `None` for a deleted account.
    pub author: Option<Actor>,
    pub created_at: Time,
    pub updated_at: Time,
    pub url: String,
}
