//! What we say about a commit, shown beside it on its forge.

/// The longest description that GitHub takes. Units: characters.
const MAX_DESCRIPTION: usize = 140;

/// What is said about a commit. A later one of the same context replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// How it stands.
    pub state: CommitState,
    /// Who speaks, such as `pullyard`; Bitbucket, whose key it is, takes 40 characters.
    pub context: String,
    /// One sentence; cut to 140 characters.
    pub description: String,
    /// The page with more.
    pub target_url: Option<String>,
    /// The branch whose pull request it is for, by its own name without `refs/heads/`: Bitbucket shows it there by that.
    /// GitHub wants none.
    pub branch: Option<String>,
}

impl CommitStatus {
    /// The description, as long as every forge takes it.
    pub(crate) fn shortened(&self) -> String {
        let description = &self.description;
        if description.chars().count() <= MAX_DESCRIPTION {
            return description.clone();
        }
        description.chars().take(MAX_DESCRIPTION - 1).chain(['…']).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_description_is_cut_where_github_would_refuse_it() {
        let shortened = |description: String| {
            let context = "pullyard".to_owned();
            CommitStatus { state: CommitState::Pending, context, description, target_url: None, branch: None }
                .shortened()
        };
        assert_eq!(shortened("ü".repeat(140)), "ü".repeat(140));
        assert_eq!(shortened("ü".repeat(141)), "ü".repeat(139) + "…");
    }
}
