//! Comments below an issue or a pull request, not on a line.

use crate::{Actor, Time};

/// One comment in the conversation of an issue or pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Unique on its forge; may be larger than 2^53.
    pub id: u64,
    /// The text, as it is now.
    pub body: String,
    /// Who wrote it; `None` for an account that was deleted.
    pub author: Option<Actor>,
    /// When it was written.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// The page for people.
    pub url: String,
}
