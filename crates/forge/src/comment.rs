//! Comments in the conversation of an issue or a pull request, not on a line.

use crate::{Actor, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Option<Actor>,
    pub created_at: Time,
    pub updated_at: Time,
    pub url: String,
}
