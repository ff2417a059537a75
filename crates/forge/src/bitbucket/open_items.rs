//! Lists open pull requests. Bitbucket Cloud has no issues.

use serde::Deserialize;

use super::{Bitbucket, pull_requests::PER_PAGE, responses::PullRequestResponse};
use crate::{Error, Listing, OpenItem, PullRequest};

#[derive(Deserialize)]
struct OpenItemResponse {
    description: Option<String>,
    #[serde(flatten)]
    pull: PullRequestResponse,
}

impl Bitbucket {
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests`.
    pub(crate) async fn open_pulls(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        let mut address = self.url(full_name, &["pullrequests"])?;
        address.query_pairs_mut().extend_pairs([("state", "OPEN"), ("sort", "-updated_on")]);
        let answers: Listing<OpenItemResponse> = self.client.list(address, full_name, PER_PAGE).await?;
        Ok(answers.filter_map(|answer| {
            let pull = PullRequest::from(answer.pull);
            Some(OpenItem {
                number: pull.number,
                title: pull.title,
                text: answer.description.unwrap_or_default(),
                url: pull.url,
                author: pull.author,
                draft: pull.draft,
                head: Some(pull.head_sha),
                created_at: pull.created_at.unwrap_or(pull.updated_at),
                updated_at: pull.updated_at,
                reactions: 0,
            })
        }))
    }
}
