//! Reads and edits pull requests, and requests reviewers.

use pullyard_domain::review::pull_request::MergeMethod;
use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{GitHub, client::RetryPolicy, pages, responses::PullRequestResponse};
use crate::{Actor, Error, NewState, Page, PullRequest, PullRequestDetails, Time};

#[derive(Deserialize)]
struct TextResponse {
    body: Option<String>,
}

#[derive(Deserialize)]
struct DetailsResponse {
    body: Option<String>,
    user: Option<Actor>,
    created_at: Time,
    /// The local forge omits it after git pruned the commits.
    #[serde(default)]
    commits: u64,
    merged_by: Option<Actor>,
    merge_commit_sha: Option<String>,
}

/// GitHub's decision about the call, which has a status of its own.
fn to_refusal(error: Error, statuses: &[u16]) -> Error {
    match error {
        Error::Unexpected { status, message } if statuses.contains(&status) => Error::Refused { reason: message },
        error => error,
    }
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn pull_request(&self, full_name: &str, number: u64) -> Result<PullRequest, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        let answer: PullRequestResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        Ok(answer.into())
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn pull_request_text(&self, full_name: &str, number: u64) -> Result<String, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        let answer: TextResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        Ok(answer.body.unwrap_or_default())
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn pull_request_details(&self, full_name: &str, number: u64) -> Result<PullRequestDetails, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        let answer: DetailsResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        Ok(PullRequestDetails {
            text: answer.body.unwrap_or_default(),
            author: answer.user,
            created_at: answer.created_at,
            commits: answer.commits,
            merged_by: answer.merged_by,
            merge_commit: answer.merge_commit_sha,
        })
    }

    /// Source: `PATCH /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn edit_pull_request_text(&self, full_name: &str, number: u64, text: &str) -> Result<(), Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("the text of pull request {number} of {full_name}");
        let body = json!({ "body": text });
        // No retry: the text may have changed, so the caller must read it again first.
        self.client.send::<IgnoredAny>(Method::PATCH, address, &subject, &body, RetryPolicy::Once).await?;
        Ok(())
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn diff(&self, full_name: &str, number: u64) -> Result<String, Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("the changes of pull request {number} of {full_name}");
        let result = self.client.get_text(address, &subject, "application/vnd.github.diff").await;
        result.map_err(|error| to_refusal(error, &[406]))
    }

    /// Source: `PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge`.
    pub async fn merge(
        &self,
        full_name: &str,
        number: u64,
        head: &str,
        method: Option<MergeMethod>,
    ) -> Result<(), Error> {
        let address = self.url(full_name, &["pulls", &number.to_string(), "merge"])?;
        let subject = format!("pull request {number} of {full_name}");
        let mut body = json!({ "sha": head });
        if let Some(method) = method {
            body["merge_method"] = json!(method);
        }
        let result = self.client.send::<IgnoredAny>(Method::PUT, address, &subject, &body, RetryPolicy::Once).await;
        result.map(drop).map_err(|error| to_refusal(error, &[405, 409]))
    }

    /// Source: `PATCH /repos/{owner}/{repo}/pulls/{pull_number}`.
    pub async fn set_state(&self, full_name: &str, number: u64, state: NewState) -> Result<(), Error> {
        let address = self.url(full_name, &["pulls", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        let body = json!({ "state": state });
        self.client.send::<IgnoredAny>(Method::PATCH, address, &subject, &body, RetryPolicy::Retry).await?;
        Ok(())
    }

    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub async fn pull_requests(&self, full_name: &str, page: u32) -> Result<Page<PullRequest, u32>, Error> {
        let page = page.max(1);
        let mut address = self.url(full_name, &["pulls"])?;
        address
            .query_pairs_mut()
            .append_pair("state", "all")
            .append_pair("sort", "updated")
            .append_pair("direction", "desc")
            .append_pair("per_page", pages::PER_PAGE)
            .append_pair("page", &page.to_string());
        let (answers, has_next): (Vec<PullRequestResponse>, _) = self.client.get_page(&address, full_name).await?;
        let pulls = answers.into_iter().map(PullRequest::from).collect();
        Ok(Page { items: pulls, next: has_next.then_some(page.saturating_add(1)) })
    }

    /// Source: `POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers`.
    pub async fn request_reviewers(&self, full_name: &str, number: u64, logins: &[&str]) -> Result<(), Error> {
        let address = self.url(full_name, &["pulls", &number.to_string(), "requested_reviewers"])?;
        let subject = format!("pull request {number} of {full_name}");
        let body = json!({ "reviewers": logins });
        // Retrying is safe: requesting a reviewer twice has no effect.
        self.client.send::<IgnoredAny>(Method::POST, address, &subject, &body, RetryPolicy::Retry).await?;
        Ok(())
    }
}
