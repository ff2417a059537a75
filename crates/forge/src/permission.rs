//! What an account may do in a repository.

/// What an account may do in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The strongest of what it may.
    pub permission: Permission,
    /// The role by its name, such as `maintain` or one that the organisation made; often finer.
    pub role: String,
    /// Who is called that now; `None` when the forge doesn't say. Compare it: a name may have been given away.
    pub account: Option<u64>,
}

/// What an account may do in a repository, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// See it; the role `triage` is among these.
    Read,
    /// Push to it; the role `maintain` is among these.
    Write,
    /// Everything.
    Admin,
}
