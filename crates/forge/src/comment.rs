//! Comments on an issue or a whole pull request, not on lines.

use crate::{Actor, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Option<Actor>,
    pub created_at: Time,
}
