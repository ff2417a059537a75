//! Accounts on a forge.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// May belong to another account after a rename.
    pub login: String,
    pub is_bot: bool,
}
