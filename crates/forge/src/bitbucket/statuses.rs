//! Sets commit statuses.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Bitbucket;
use crate::{CommitState, CommitStatus, Error, http_client::RetryPolicy, names::commit_name};

impl Bitbucket {
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let subject = format!("commit {sha} of {full_name}");
        let sha = commit_name(sha, &subject)?;
        let mut body = json!({
            "key": status.context,
            "name": status.context,
            "state": match status.state {
                CommitState::Pending => "INPROGRESS",
                CommitState::Success => "SUCCESSFUL",
                CommitState::Failure => "FAILED",
                CommitState::Error => "STOPPED",
            },
            "description": status.short_description(),
            // Bitbucket requires a URL.
            "url": status.target_url.clone().unwrap_or_else(|| format!("https://bitbucket.org/{full_name}/commits/{sha}")),
        });
        // Without a branch, Bitbucket may not show the status on the pull request.
        if let Some(branch) = &status.branch {
            body["refname"] = json!(branch);
        }
        let address = self.url(full_name, &["commit", sha, "statuses", "build"])?;
        // Retrying is safe: setting the same status twice has no effect.
        self.client.send::<IgnoredAny>(Method::POST, address, &subject, &body, RetryPolicy::Retry).await?;
        Ok(())
    }
}
