//! Sets commit statuses.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{GitHub, client::RetryPolicy};
use crate::{CommitState, CommitStatus, Error, names::commit_name};

impl GitHub {
    /// Source: `POST /repos/{owner}/{repo}/statuses/{sha}`.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let subject = format!("commit {sha} of {full_name}");
        let sha = commit_name(sha, &subject)?;
        let mut body = json!({
            "state": match status.state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failure",
                CommitState::Error => "error",
            },
            "context": status.context,
            "description": status.short_description(),
        });
        if let Some(url) = &status.target_url {
            body["target_url"] = url.as_str().into();
        }
        let address = self.url(full_name, &["statuses", sha])?;
        // Retrying is safe: setting the same status twice has no effect.
        self.client.send::<IgnoredAny>(Method::POST, address, &subject, &body, RetryPolicy::Retry).await?;
        Ok(())
    }
}
