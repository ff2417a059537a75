//! Lists open pull requests and issues.

use serde::{Deserialize, de::IgnoredAny};

use super::GitHub;
use crate::{Actor, Error, Listing, OpenItem, Time};

#[derive(Default, Deserialize)]
pub(super) struct ReactionsResponse {
    #[serde(default)]
    pub(super) total_count: u32,
}

#[derive(Deserialize)]
struct HeadResponse {
    sha: String,
}

#[derive(Deserialize)]
struct OpenItemResponse {
    number: u64,
    html_url: String,
    title: String,
    body: Option<String>,
    user: Option<Actor>,
    #[serde(default)]
    draft: bool,
    created_at: Time,
    updated_at: Time,
    head: Option<HeadResponse>,
    /// Only of an issue that is a pull request.
    pull_request: Option<IgnoredAny>,
    /// Absent in the list of pull requests.
    #[serde(default)]
    reactions: ReactionsResponse,
}

impl GitHub {
    /// Source: `GET /repos/{owner}/{repo}/pulls`.
    pub(crate) async fn open_pulls(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        self.open_items(full_name, "pulls").await
    }

    /// GitHub's list contains pull requests, but not their heads.
    /// Source: `GET /repos/{owner}/{repo}/issues`.
    pub(crate) async fn open_issues(&self, full_name: &str) -> Result<Listing<OpenItem>, Error> {
        self.open_items(full_name, "issues").await
    }

    async fn open_items(&self, full_name: &str, list: &str) -> Result<Listing<OpenItem>, Error> {
        let mut address = self.url(full_name, &[list])?;
        let filter = [("state", "open"), ("sort", "updated"), ("direction", "desc")];
        address.query_pairs_mut().extend_pairs(filter);
        let answers: Listing<OpenItemResponse> = self.client.list(address, full_name).await?;
        Ok(answers.filter_map(|answer| {
            answer.pull_request.is_none().then(|| OpenItem {
                number: answer.number,
                title: answer.title,
                text: answer.body.unwrap_or_default(),
                url: answer.html_url,
                author: answer.user,
                draft: answer.draft,
                head: answer.head.map(|head| head.sha),
                created_at: answer.created_at,
                updated_at: answer.updated_at,
                reactions: answer.reactions.total_count,
            })
        }))
    }
}
