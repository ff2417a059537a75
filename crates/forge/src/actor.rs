//! Who did something on a forge.

/// Somebody on a forge: a person, a bot or an organisation.
///
/// Where the forge may say nobody (an account that was deleted), it is an `Option`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// The name, which may be given to somebody else after a rename.
    pub login: String,
    /// Whether the forge says that it is a program's account, such as an App's.
    pub is_bot: bool,
}
