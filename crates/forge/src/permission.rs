//! An account's permission in a repository.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub permission: Permission,
    /// The role, such as `maintain` or a custom one; often finer than the permission.
    pub role: String,
    /// Current account of the login, if the forge returns it. Compare it, because logins may change owners.
    pub account: Option<u64>,
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
