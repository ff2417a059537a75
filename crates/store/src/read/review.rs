//! Reviews and the pull requests they are of.

use crate::item::{decode, key_of};
use crate::read::list::Order;
use crate::{Error, Store, key};
use pullyard_domain::id::{ProjectId, ReviewId};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::review::Review;

impl Store {
    pub async fn review(&self, pull_request: &PullRequestId, review: &ReviewId) -> Result<Option<Review>, Error> {
        self.get(&key::review(pull_request, review)).await
    }

    /// All that is known of a pull request's reviews, read strongly: whoever absorbs must see them all.
    pub async fn reviews(&self, pull_request: &PullRequestId) -> Result<Vec<Review>, Error> {
        self.below(&key::pull_request(pull_request).pk, key::REVIEWS, "read the reviews of a pull request").await
    }

    /// A pull request's link and all that is known of its reviews, read strongly and in one query: small as they are,
    /// the link costs nothing beside them.
    pub async fn link_and_reviews(&self, id: &PullRequestId) -> Result<(Option<PullRequest>, Vec<Review>), Error> {
        let link = key::pull_request(id);
        let (mut linked, mut reviews) = (None, Vec::new());
        for item in self.partition(&link.pk, "read a pull request and its reviews").await? {
            let of = key_of(&item);
            if of == link {
                linked = Some(decode(item, &of)?);
            } else if of.sk.starts_with(key::REVIEWS) {
                reviews.push(decode(item, &of)?);
            }
        }
        Ok((linked, reviews))
    }

    /// The open pull requests that a project's tickets are linked to, and where the next page begins.
    pub async fn open_pull_requests(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<(PullRequestId, String)>, Option<String>), Error> {
        let list = key::pull_request_list(project);
        let (rows, next) = self.list_rows(&list, Order::ByName, None, after, limit).await?;
        let id = |(pk, cursor): (String, String)| {
            let id = pk.strip_prefix("PR#")?.replace('#', "/").parse().ok()?;
            Some((id, cursor))
        };
        Ok((rows.into_iter().filter_map(id).collect(), next))
    }
}
