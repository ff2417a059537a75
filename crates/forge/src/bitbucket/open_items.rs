//! Lists open pull requests. Bitbucket Cloud has no issues.

use serde::Deserialize;

use super::{
    Bitbucket,
    pull_requests::PER_PAGE,
    responses::{AccountResponse, CommitResponse, PageLinkResponse},
};
use crate::{Error, Listing, OpenItem, Time};

#[derive(Deserialize)]
struct SourceResponse {
    commit: Option<CommitResponse>,
}

#[derive(Deserialize)]
struct OpenItemResponse {
    id: u64,
    title: String,
    description: Option<String>,
    author: Option<AccountResponse>,
    #[serde(default)]
    draft: bool,
    created_on: Time,
    updated_on: Time,
    source: SourceResponse,
    #[serde(default)]
    links: PageLinkResponse,
}

impl Bitbucket {
    /// Source: `GET /repositories/{workspace}/{repo_slug}/pullrequests`.
    pub(crate) async fn open_pulls(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        let mut address = self.url(full_name, &["pullrequests"])?;
        address.query_pairs_mut().extend_pairs([("state", "OPEN"), ("sort", "-updated_on")]);
        let answers: Listing<OpenItemResponse> = self.client.list(address, full_name, PER_PAGE).await?;
        Ok(answers.filter_map(|answer| {
            Some(OpenItem {
                number: answer.id,
                title: answer.title,
                text: answer.description.unwrap_or_default(),
                url: answer.links.url(),
                author: answer.author.as_ref().and_then(AccountResponse::actor),
                draft: answer.draft,
                head: answer.source.commit.map(|commit| commit.hash),
                created_at: answer.created_on,
                updated_at: answer.updated_on,
                reactions: 0,
            })
        }))
    }
}
