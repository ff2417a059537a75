//! Commit statuses.

/// GitHub's limit. Units: characters.
const MAX_DESCRIPTION: usize = 140;

/// A later status with the same context replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    pub state: CommitState,
    pub context: String,
    pub description: String,
    pub target_url: Option<String>,
    /// Head branch without `refs/heads/`, which Bitbucket needs to show the status on the pull request.
    pub branch: Option<String>,
}

impl CommitStatus {
    pub(crate) fn short_description(&self) -> String {
        let description = &self.description;
        if description.chars().count() <= MAX_DESCRIPTION {
            return description.clone();
        }
        description.chars().take(MAX_DESCRIPTION - 1).chain(['…']).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitState {
    Pending,
    Success,
    Failure,
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_description_is_cut_to_140_characters() {
        let shorten = |description: String| {
            let context = "pullyard".to_owned();
            CommitStatus { state: CommitState::Pending, context, description, target_url: None, branch: None }
                .short_description()
        };
        assert_eq!(shorten("ü".repeat(140)), "ü".repeat(140));
        assert_eq!(shorten("ü".repeat(141)), "ü".repeat(139) + "…");
    }
}
