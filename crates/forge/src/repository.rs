//! What a forge says about repositories, branches and accounts.

/// A repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// `owner/name` as it is now: after a rename it differs from what was asked for.
    pub full_name: String,
    /// The branch that pull requests go to by default.
    pub default_branch: String,
    /// What `git clone` takes, without credentials.
    pub clone_url: String,
    /// The page for people.
    pub html_url: String,
    /// Whether only invited accounts see it.
    pub private: bool,
}

/// The account behind a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The forge's id, which survives renames; may be larger than 2^53.
    pub id: u64,
    /// The account's name.
    pub login: String,
}

/// A branch and where it points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The name without `refs/heads/`.
    pub name: String,
    /// The commit.
    pub sha: String,
}
