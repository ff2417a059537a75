//! Accounts of a forge, and an account's permission in a repository.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
}

/// Deserialized only from the form in `github`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The forge's id; survives renames and may exceed 2^53.
    pub id: u64,
    /// May belong to another account after a rename.
    pub login: String,
    pub is_bot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub permission: Permission,
    /// The role, such as `maintain` or a custom one; often finer than the permission.
    pub role: String,
    /// Current account of the login, if the forge returns it. Compare it, because logins may change owners.
    pub account: Option<u64>,
}

impl Access {
    /// The access of a missing account.
    pub(crate) fn none() -> Self {
        Self { permission: Permission::None, role: "none".to_owned(), account: None }
    }
}

/// Ordered from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    /// Includes the role `triage`.
    Read,
    /// Includes the role `maintain`.
    Write,
    Admin,
}

impl Permission {
    /// The name is the same at GitHub and Bitbucket. An unknown permission grants nothing.
    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "admin" => Self::Admin,
            "write" => Self::Write,
            "read" => Self::Read,
            _ => Self::None,
        }
    }
}
