//! What we say about commits.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Bitbucket;
use crate::{
    CommitState, CommitStatus, Error,
    call::Tries,
    names::{RepositoryName, commit_name},
};

impl Bitbucket {
    /// See [`Forge::set_status`](crate::Forge::set_status).
    /// Bitbucket's `POST /repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build`.
    pub async fn set_status(&self, full_name: &str, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let repository = RepositoryName::parse(full_name)?;
        let what = format!("commit {sha} of {full_name}");
        let sha = commit_name(sha, &what)?;
        let mut body = json!({
            "key": status.context,
            "name": status.context,
            "state": match status.state {
                CommitState::Pending => "INPROGRESS",
                CommitState::Success => "SUCCESSFUL",
                CommitState::Failure => "FAILED",
                CommitState::Error => "STOPPED",
            },
            "description": status.shortened(),
            // Bitbucket takes none without an address. Where there is no page, the commit's says as much.
            "url": status.target_url.clone().unwrap_or_else(|| format!("https://bitbucket.org/{full_name}/commits/{sha}")),
        });
        // Without it, the commit has the status and its pull request need not.
        if let Some(branch) = &status.branch {
            body["refname"] = json!(branch);
        }
        let address = self.address(repository, &["commit", sha, "statuses", "build"]);
        // Said twice it is said: it may be repeated.
        self.client.send::<IgnoredAny>(Method::POST, address, &what, &body, Tries::Three).await?;
        Ok(())
    }
}
