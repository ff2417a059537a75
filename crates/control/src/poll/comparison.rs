//! Compares a pull request's reviews and comments with the ledger, and decides the missed ones.

use super::repository_poll::RepositoryPoll;
use crate::Error;
use crate::forge::forge_client;
use crate::review::read::time_of;
use crate::review::translate::{CommentedItem, RaiseComment, comment_event, review_event, to_pull_request_snapshot};
use crate::review::{decide_review, record_pull_request_change};
use crate::tickets::raise_comment::raise_if_missed;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::hook::{RETRY_LIMIT, is_decided, is_decided_for_linked, should_retry_permission};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{PullRequestSnapshot, ReviewEvent};
use pullyard_forge::{Comment, Review, ReviewState};

impl RepositoryPoll<'_> {
    /// Decides the reviews and comments of a pull request that no webhook delivered. Returns the reason if one
    /// stays undecided: the forge did not return its author's permission.
    pub(super) async fn compare_reviews(&self, id: &PullRequestId) -> Result<Option<String>, Error> {
        let linked = self.ctx.store.load_pull_request(id).await?.filter(|linked| self.scope.includes(&linked.project));
        let Some(linked) = linked else { return Ok(None) };
        let forge = forge_client(self.ctx, self.integration, self.repository).await?;
        let pull_request = forge.pull_request(self.repository.name.as_str(), id.number).await?;
        let name = self.current_name(&pull_request).await?;
        let snapshot = to_pull_request_snapshot(id.integration.clone(), id.repository, name.clone(), &pull_request);
        Box::pin(record_pull_request_change(self.ctx, &self.scope, &snapshot)).await?;
        if snapshot.state != PullRequestState::Open {
            return Ok(None);
        }
        let mut undecided = None;
        let reviews = forge.reviews(name.as_str(), id.number).await?.items;
        for review in active_change_requests(self.integration.kind, &reviews) {
            if review.submitted_at.is_none() {
                continue;
            }
            let event = review_event(Source::Poll, None, review, snapshot.clone(), self.ctx.clock.now());
            undecided = self.decide_missed_event(&linked, &event).await?.or(undecided);
        }
        // Last, so that a failure to list comments does not block reviews.
        for comment in forge.issue_comments(name.as_str(), id.number).await?.items {
            if let Some(raise) = self.raise_comment(&comment, &snapshot)
                && let Err(error) = raise_if_missed(self.ctx, &self.scope, self.integration, &raise).await
            {
                tracing::warn!(repository = %name, error = %error, "comment with a raise not decided");
                // It must not hide the later comments, nor block the comparison for ever.
                let age = self.ctx.clock.now().since(time_of(comment.created_at));
                undecided = (age < RETRY_LIMIT).then(|| error.to_string()).or(undecided);
            }
            let Some(event) = comment_event(&comment, snapshot.clone()) else { continue };
            undecided = self.decide_missed_event(&linked, &event).await?.or(undecided);
        }
        Ok(undecided)
    }

    /// `None` if the comment is older or raises no limit, or its author's account is deleted.
    fn raise_comment(&self, comment: &Comment, snapshot: &PullRequestSnapshot) -> Option<RaiseComment> {
        let (repository, number) = (snapshot.id.repository, snapshot.id.number);
        let item = CommentedItem { repository, repository_name: &snapshot.repository, number, is_pull_request: true };
        let author = comment.author.as_ref().filter(|_| time_of(comment.created_at) >= self.since)?;
        RaiseComment::from_comment(comment, Some(author), item)
    }

    async fn decide_missed_event(&self, linked: &PullRequest, event: &ReviewEvent) -> Result<Option<String>, Error> {
        if event.submitted_at < self.since {
            return Ok(None);
        }
        let first = self.ctx.store.load_delivery(&event.ledger_id(&linked.project)).await?;
        let first = first.as_ref().map(|first| &first.reason);
        let is_known = match linked.ticket {
            Some(_) => is_decided_for_linked(first),
            None => is_decided(first),
        };
        if is_known {
            return Ok(None);
        }
        let reason = Box::pin(decide_review(self.ctx, &self.scope, event)).await?.reason;
        let is_undecided = should_retry_permission(&reason, self.ctx.clock.now().since(event.submitted_at));
        Ok(is_undecided.then(|| reason.sentence()))
    }
}

/// Returns the reviews that still request changes. A later approval by the same user withdraws earlier requests. If the
/// forge has one request per user, only the last one counts.
fn active_change_requests(kind: ForgeKind, reviews: &[Review]) -> impl Iterator<Item = &Review> {
    let requests_changes = |review: &&Review| review.state == ReviewState::ChangesRequested;
    let withdraws = move |state: ReviewState| match state {
        ReviewState::Approved => true,
        ReviewState::ChangesRequested => kind.spec().one_request_per_user,
        ReviewState::Commented | ReviewState::Dismissed | ReviewState::Pending => false,
    };
    let is_withdrawn = move |review: &Review| {
        reviews.iter().any(|later| {
            let is_same_user = later.author.as_ref().map(|user| user.id) == review.author.as_ref().map(|user| user.id);
            withdraws(later.state) && is_same_user && later.submitted_at > review.submitted_at
        })
    };
    reviews.iter().filter(requests_changes).filter(move |review| !is_withdrawn(review))
}
