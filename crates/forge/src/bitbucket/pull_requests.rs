//! Reads and edits pull requests.

use pullyard_domain::review::pull_request::MergeMethod;
use reqwest::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{
    Bitbucket,
    pages::PageResponse,
    responses::{CommitResponse, PullRequestResponse},
};
use crate::{Error, Page, PullRequest, http_client::RetryPolicy};

pub(super) const PER_PAGE: &str = "50";

const FULL_HASH_LENGTH: usize = 40;
const MAX_REVIEWERS_TRIED: usize = 10;

/// Fields that a PUT replaces together.
#[derive(Deserialize)]
struct EditableFieldsResponse {
    title: String,
    description: Option<String>,
    summary: Option<SummaryResponse>,
    #[serde(default)]
    close_source_branch: bool,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    reviewers: Vec<ReviewerResponse>,
}

#[derive(Deserialize)]
struct SummaryResponse {
    raw: Option<String>,
}

#[derive(Deserialize)]
struct ReviewerResponse {
    /// Required: a PUT would remove a reviewer without a UUID, so parsing must fail.
    uuid: String,
}

fn is_reviewer_refused(error: &Error) -> bool {
    matches!(error, Error::Refused { reason } if reason.to_lowercase().contains("reviewer"))
}

impl Bitbucket {
    /// Reads the pull request, which has twelve characters of the hash, then the commit for the full hash.
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}` and `/commit/{commit}`.
    pub async fn pull_request(&self, full_name: &str, number: u64) -> Result<PullRequest, Error> {
        let address = self.url(full_name, &["pullrequests", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        let answer: PullRequestResponse = self.client.get(address, &subject, RetryPolicy::Retry).await?;
        let mut pull = PullRequest::from(answer);
        let is_short = !pull.head_sha.is_empty() && pull.head_sha.len() < FULL_HASH_LENGTH;
        if is_short && pull.head_sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let address = self.url(full_name, &["commit", &pull.head_sha])?;
            match self.client.get::<CommitResponse>(address, &subject, RetryPolicy::Retry).await {
                Ok(commit) if commit.hash.starts_with(&pull.head_sha) => pull.head_sha = commit.hash,
                // The commit is in a fork, or its branch was deleted.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pull)
    }

    pub async fn pull_request_text(&self, full_name: &str, number: u64) -> Result<String, Error> {
        let fields = self.get_editable_fields(full_name, number).await?;
        let text = fields.description.or_else(|| fields.summary?.raw);
        Ok(text.unwrap_or_default())
    }

    pub async fn edit_pull_request_text(&self, full_name: &str, number: u64, text: &str) -> Result<(), Error> {
        let address = self.url(full_name, &["pullrequests", &number.to_string()])?;
        let subject = format!("the text of pull request {number} of {full_name}");
        // A PUT without reviewers removes them.
        let fields = self.get_editable_fields(full_name, number).await?;
        let put = async |left_out: Option<usize>| {
            let reviewers = fields.reviewers.iter().enumerate().filter(|(at, _)| Some(*at) != left_out);
            let reviewers: Vec<_> = reviewers.map(|(_, reviewer)| json!({ "uuid": reviewer.uuid })).collect();
            let body = json!({
                "title": fields.title,
                "description": text,
                "reviewers": reviewers,
                "close_source_branch": fields.close_source_branch,
                "draft": fields.draft,
            });
            // No retry: the text may have changed, so the caller must read it again first.
            self.client
                .send::<IgnoredAny>(Method::PUT, address.clone(), &subject, &body, RetryPolicy::Once)
                .await
                .map(drop)
        };
        let refused = match put(None).await {
            Err(error) if is_reviewer_refused(&error) => error,
            other => return other,
        };
        // Bitbucket accepts no account that was deactivated or left the workspace since, and may not name it.
        for left_out in 0..fields.reviewers.len().min(MAX_REVIEWERS_TRIED) {
            match put(Some(left_out)).await {
                Err(error) if is_reviewer_refused(&error) => {}
                other => return other,
            }
        }
        Err(refused)
    }

    async fn get_editable_fields(&self, full_name: &str, number: u64) -> Result<EditableFieldsResponse, Error> {
        let address = self.url(full_name, &["pullrequests", &number.to_string()])?;
        let subject = format!("pull request {number} of {full_name}");
        self.client.get(address, &subject, RetryPolicy::Retry).await
    }

    /// Reads the head first, because the merge has no condition.
    /// Source: `POST /repositories/{workspace}/{repo_slug}/pullrequests/{pull_request_id}/merge`.
    pub async fn merge(
        &self,
        full_name: &str,
        number: u64,
        head: &str,
        method: Option<MergeMethod>,
    ) -> Result<(), Error> {
        if !self.pull_request(full_name, number).await?.is_at(head) {
            return Err(Error::Refused { reason: "the pull request has new commits".into() });
        }
        let address = self.url(full_name, &["pullrequests", &number.to_string(), "merge"])?;
        let subject = format!("pull request {number} of {full_name}");
        let strategy = method.map(|method| match method {
            MergeMethod::Merge => "merge_commit",
            MergeMethod::Squash => "squash",
            MergeMethod::Rebase => "rebase_fast_forward",
        });
        let body = strategy.map_or_else(|| json!({}), |strategy| json!({ "merge_strategy": strategy }));
        self.client.send::<IgnoredAny>(Method::POST, address, &subject, &body, RetryPolicy::Once).await?;
        Ok(())
    }

    pub async fn pull_requests(&self, full_name: &str, page: u32) -> Result<Page<PullRequest, u32>, Error> {
        let page = page.max(1);
        let mut address = self.url(full_name, &["pullrequests"])?;
        address
            .query_pairs_mut()
            .extend_pairs(["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].map(|state| ("state", state)))
            .append_pair("sort", "-updated_on")
            .append_pair("pagelen", PER_PAGE)
            .append_pair("page", &page.to_string());
        let answer: PageResponse<PullRequestResponse> = self.client.get(address, full_name, RetryPolicy::Retry).await?;
        let pulls = answer.values.into_iter().map(PullRequest::from).collect();
        Ok(Page { items: pulls, next: answer.next.map(|_| page.saturating_add(1)) })
    }
}
