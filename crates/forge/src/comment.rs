//! Comments on an issue or a whole pull request, not on lines.

use serde::Deserialize;

use crate::{Actor, Time};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "crate::github::CommentResponse")]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Option<Actor>,
    pub created_at: Time,
}
