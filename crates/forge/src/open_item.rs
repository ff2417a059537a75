//! Open pull requests and issues, as a forge lists them.

use crate::{Actor, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenItem {
    pub number: u64,
    pub title: String,
    pub text: String,
    pub url: String,
    pub author: Option<Actor>,
    pub draft: bool,
    /// The newest commit of a pull request, on Bitbucket shortened.
    pub head: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    /// Zero where the list lacks them.
    pub reactions: u32,
}
