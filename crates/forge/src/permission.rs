//! Permissions of an account in a repository.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub permission: Permission,
    /// The role's name, such as `maintain` or a custom one; often finer than the permission.
    pub role: String,
    /// Account that has this login now; `None` when the forge does not return it. Compare it, because a login may
    /// change owners.
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
