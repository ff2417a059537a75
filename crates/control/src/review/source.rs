//! Reads the reviews of a job from its forge. A job requested by a user also takes over unanswered reviews and
//! requests. The job of a Bitbucket review takes over its author's earlier reviews.

use super::permission::get_permission;
use super::read::{ReadError, load_unanswered_reviews, read_pull_request, read_reviews, time_of};
use super::reviews_for_job::{list_unfinished_jobs, readable_job};
use crate::corrupt::skip_corrupt;
use crate::own_comment::is_refused;
use crate::{Context, Error};
use pullyard_domain::job::{Job, has_handled_reviews, is_withdrawn_unread};
use pullyard_domain::kinds::prompt::review::{KnownComments, ReviewContext};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::review::{
    Author, Permission, Review, ReviewState, UnansweredScope, absorbed_reviews, jobs_of_earlier_requests,
    unanswered_requests, unanswered_scope,
};
use pullyard_domain::text::id::{JobId, ReviewId};
use pullyard_forge::Forge;
use pullyard_store::Write;

pub(super) struct ReviewSource<'a> {
    pub(super) ctx: &'a Context,
    pub(super) job: &'a Job,
    pub(super) owner_job: &'a JobId,
    pub(super) integration: &'a Integration,
    pub(super) forge: &'a Forge,
    pub(super) repository: &'a Repository,
}

impl ReviewSource<'_> {
    pub(super) async fn read(
        &self,
        id: &PullRequestId,
        covered: &mut Vec<Review>,
        all: &[Review],
    ) -> Result<ReviewContext, ReadError> {
        let name = self.repository.name.as_str();
        let pull = read_pull_request(self.forge, name, id.number).await?;
        let scope = unanswered_scope(self.integration.kind, covered);
        // Also runs if the job already owns some, because an earlier process may have crashed in between.
        if self.job.answers_reviews() && scope != UnansweredScope::None {
            let mut unfinished = list_unfinished_jobs(self.ctx, self.job, self.owner_job, all).await?;
            if scope == UnansweredScope::Earlier {
                unfinished.extend(self.list_unread_jobs(covered, all).await?);
            }
            let mut found = load_unanswered_reviews(self.forge, name, id.number, all, &unfinished).await?;
            let covered_before: &[Review] = covered;
            found.retain(|review| {
                let author = review.author.as_ref().map(|author| author.id);
                scope.includes(covered_before, author, review.submitted_at.map(time_of))
            });
            // Check all permissions before taking any review, because the forge may fail in between.
            let mut admitted = self.permitted_reviews(id, found, all).await?;
            if let Some(key) = self.job.ticket.as_ref().filter(|_| scope == UnansweredScope::All) {
                let requests = unanswered_requests(all, &self.job.project, key, &unfinished);
                admitted.extend(requests.into_iter().map(|request| request.assign_to(self.owner_job)));
            }
            let mut assigned = Vec::with_capacity(admitted.len());
            for review in admitted {
                assigned.extend(self.assign_review(review, all).await?);
            }
            covered.extend(absorbed_reviews(&assigned, all).into_iter().cloned());
            covered.extend(assigned);
            // In the order of a restart: the newest request last.
            covered.sort_by_key(|review| (review.submitted_at, review.at, review.id.clone()));
        }
        let known = self.load_handled_comments(covered, all).await?;
        read_reviews(self.forge, name, pull, covered, &known).await
    }

    /// Lists the jobs of these authors' earlier requests that were cancelled before an agent read them.
    async fn list_unread_jobs(&self, covered: &[Review], all: &[Review]) -> Result<Vec<JobId>, Error> {
        let mut unread = Vec::new();
        for id in jobs_of_earlier_requests(self.integration.kind, covered, all) {
            unread.extend(readable_job(self.ctx, id).await?.filter(is_withdrawn_unread).map(|job| job.id));
        }
        Ok(unread)
    }

    /// Collects the comments that completed jobs of these authors' earlier requests handled.
    async fn load_handled_comments(&self, covered: &[Review], all: &[Review]) -> Result<KnownComments, Error> {
        let mut comments = KnownComments::default();
        for id in jobs_of_earlier_requests(self.integration.kind, covered, all) {
            let Some(job) = readable_job(self.ctx, id).await?.filter(has_handled_reviews) else { continue };
            let context = skip_corrupt(self.ctx, self.ctx.store.load_context(&job.id, &job.context).await)?;
            if let Some(review) = context.flatten().and_then(|context| context.review) {
                comments.add(&review);
            }
        }
        Ok(comments)
    }

    /// Assigns reviews to this job if their authors may start jobs. Stored reviews passed that check before.
    async fn permitted_reviews(
        &self,
        id: &PullRequestId,
        found: Vec<pullyard_forge::Review>,
        all: &[Review],
    ) -> Result<Vec<Review>, Error> {
        let Some(key) = &self.job.ticket else { return Ok(Vec::new()) };
        let mut admitted = Vec::with_capacity(found.len());
        for review in found {
            let review_id = ReviewId::for_forge_review(review.id);
            let (project, ticket) = (self.job.project.clone(), key.clone());
            if let Some(stored) = all.iter().find(|stored| stored.id == review_id) {
                admitted.push(Review { project, ticket, ..stored.assign_to(self.owner_job) });
            } else if let Some(author) = self.permitted_author(id.number, &review).await? {
                admitted.push(Review {
                    pull_request: id.clone(),
                    id: review_id,
                    project,
                    ticket,
                    author,
                    submitted_at: review.submitted_at.map_or(self.job.created, time_of),
                    request: None,
                    at: self.ctx.clock.now(),
                    version: 0,
                    // The first of the retries owns them, because a failed retry would lose them.
                    state: ReviewState::Started { job: self.owner_job.clone() },
                    had: None,
                });
            }
        }
        Ok(admitted)
    }

    /// Errors: the forge does not answer now. A lasting refusal skips this review only.
    async fn permitted_author(&self, number: u64, review: &pullyard_forge::Review) -> Result<Option<Author>, Error> {
        let Some(author) = &review.author else { return Ok(None) };
        let author = Author { id: author.id, login: author.login.clone(), bot: author.is_bot };
        if author.id == self.integration.account.id && (author.bot || Marker::is_present(&review.body)) {
            return Ok(None);
        }
        match get_permission(self.ctx, self.integration, self.repository, number, &author).await {
            Ok(permission) => Ok((permission == Permission::Write).then_some(author)),
            Err(Error::Forge(error)) if is_refused(&error) => {
                tracing::warn!(job.id = %self.job.id, review = review.id, error = %error, "review omitted: its author's permission is unknown");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn assign_review(&self, review: Review, all: &[Review]) -> Result<Option<Review>, Error> {
        let from = all.iter().find(|stored| stored.id == review.id).and_then(Review::started_job);
        let write = self.ctx.store.assign_review(&review, from).await?;
        Ok((write == Write::Applied).then_some(review))
    }
}
