//! Repositories and accounts as a forge returns them.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// Current `owner/name`; differs from the requested name after a rename.
    pub full_name: String,
    pub default_branch: String,
    pub clone_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
}
