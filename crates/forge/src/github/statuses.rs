//! What we say about commits.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{GitHub, client::Tries};
use crate::{CommitState, CommitStatus, Error, names::RepositoryName, status::MAX_DESCRIPTION};

impl GitHub {
    /// See [`Forge::set_status`](crate::Forge::set_status).
    /// Source: `POST /repos/{owner}/{repo}/statuses/{sha}`.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let RepositoryName { owner, name } = RepositoryName::parse(full_name)?;
        let what = format!("commit {sha} of {full_name}");
        if sha.is_empty() || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::NotFound { what, message: "that is no commit's name".to_owned() });
        }
        let mut body = json!({
            "state": match status.state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failure",
                CommitState::Error => "error",
            },
            "context": status.context,
            "description": shortened(&status.description),
        });
        if let Some(url) = &status.target_url {
            body["target_url"] = url.as_str().into();
        }
        let address = self.client.address(&["repos", owner, name, "statuses", sha]);
        // Said twice it is said: it may be repeated.
        self.client.send::<IgnoredAny>(Method::POST, address, &what, &body, Tries::Three).await?;
        Ok(())
    }
}

fn shortened(description: &str) -> String {
    if description.chars().count() <= MAX_DESCRIPTION {
        return description.to_owned();
    }
    description.chars().take(MAX_DESCRIPTION - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_description_is_cut_where_github_would_refuse_it() {
        assert_eq!(shortened(&"ü".repeat(140)), "ü".repeat(140));
        assert_eq!(shortened(&"ü".repeat(141)), "ü".repeat(139) + "…");
    }
}
