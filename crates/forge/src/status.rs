//! What we say about a commit, shown beside it on its forge.

/// The longest description that GitHub takes. Units: characters.
pub(crate) const MAX_DESCRIPTION: usize = 140;

/// What is said about a commit. A later one of the same context replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// How it stands.
    pub state: CommitState,
    /// Who speaks, such as `pullyard`.
    pub context: String,
    /// One sentence; cut to 140 characters.
    pub description: String,
    /// The page with more.
    pub target_url: Option<String>,
}

/// How it stands with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitState {
    /// Under way.
    Pending,
    /// Good.
    Success,
    /// Not good.
    Failure,
    /// Not known, for a fault.
    Error,
}
