//! Reads reviews and their pull requests.

use crate::read::list::{Order, Page};
use crate::{Error, Store, key};
use pullyard_domain::review::Review;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::{ProjectId, ReviewId};

impl Store {
    pub async fn load_review(&self, pull_request: &PullRequestId, review: &ReviewId) -> Result<Option<Review>, Error> {
        self.load(&key::review(pull_request, review)).await
    }

    /// All reviews of a pull request, read strongly, because the absorbing review must know every other.
    pub async fn list_reviews(&self, pull_request: &PullRequestId) -> Result<Vec<Review>, Error> {
        self.list_with_prefix(&key::pull_request(pull_request).pk, key::REVIEWS, "read the reviews of a pull request")
            .await
    }

    /// The open pull requests of a project's tickets, each with its cursor, and the cursor of the next page.
    pub async fn list_open_pull_requests(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Page<(PullRequestId, String)>, Error> {
        let list = key::pull_request_list(project);
        let (rows, next) = self.list_rows(&list, Order::ByName, None, after, limit).await?;
        let id = |(pk, cursor): (String, String)| {
            let id = pk.strip_prefix("PR#")?.replace('#', "/").parse().ok()?;
            Some((id, cursor))
        };
        Ok((rows.into_iter().filter_map(id).collect(), next))
    }
}
