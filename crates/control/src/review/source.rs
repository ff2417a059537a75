//! Where the reviews of a job are read: its pull request at the forge.
//!
//! A job that a person asked for takes on the way what nobody answered. What is frozen of it is `admit`'s.

use super::owed::unfinished;
use super::permission::ask;
use super::read::{Unread, read_pull_request, read_reviews, read_unanswered, time_of};
use crate::{Context, Error};
use pullyard_domain::id::{JobId, ReviewId};
use pullyard_domain::job::{Job, Kind};
use pullyard_domain::marker::Marker;
use pullyard_domain::project::{Integration, Repository};
use pullyard_domain::prompt::review::ReviewContext;
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::review::{Author, Permission, Review, ReviewState, absorbed_by, takes_unanswered};
use pullyard_forge::Forge;
use pullyard_store::Write;

/// Where a job's reviews are read.
pub(super) struct Source<'a> {
    pub(super) ctx: &'a Context,
    pub(super) job: &'a Job,
    /// The job that they were given to: of retries the first.
    pub(super) first: &'a JobId,
    pub(super) integration: &'a Integration,
    pub(super) forge: &'a Forge,
    pub(super) repository: &'a Repository,
}

/// Why the reviews are not read: by the forge, or by a fault of our own services.
pub(super) enum Stopped {
    Unread(Unread),
    Ours(Error),
}

impl From<Unread> for Stopped {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl Source<'_> {
    /// Reads the `covered` reviews, and what the job takes on the way, which are covered then.
    pub(super) async fn read(
        &self,
        id: &PullRequestId,
        covered: &mut Vec<Review>,
        all: &[Review],
    ) -> Result<ReviewContext, Stopped> {
        let name = self.repository.name.as_str();
        let pull = read_pull_request(self.forge, name, id.number).await?;
        // Also if it took some of them before: whoever did that may have died before the rest.
        if self.job.kind == Kind::Revise && takes_unanswered(covered) {
            let unfinished = unfinished(self.ctx, self.job, self.first, all).await.map_err(Stopped::Ours)?;
            let mut taken = Vec::new();
            for review in read_unanswered(self.forge, name, id.number, all, &unfinished).await? {
                taken.extend(self.take(id, review, all).await.map_err(Stopped::Ours)?);
            }
            covered.extend(absorbed_by(&taken, all).into_iter().cloned());
            covered.extend(taken);
        }
        Ok(read_reviews(self.forge, name, pull, covered).await?)
    }

    /// Makes a review one of this job's, if its author may start jobs and nobody else has it.
    async fn take(
        &self,
        id: &PullRequestId,
        review: pullyard_forge::Review,
        all: &[Review],
    ) -> Result<Option<Review>, Error> {
        let (Some(author), Some(key)) = (review.author, &self.job.ticket) else { return Ok(None) };
        let author = Author { id: author.id, login: author.login, bot: author.is_bot };
        let ours = author.id == self.integration.account.id && (author.bot || Marker::is_on(&review.body));
        if ours || ask(self.ctx, self.integration, self.repository, &author).await? != Permission::Write {
            return Ok(None);
        }
        let name = ReviewId::new(review.id.to_string())
            .map_err(|_| Error::Inconsistent("a forge's id is no number".into()))?;
        let taken = Review {
            pull_request: id.clone(),
            id: name.clone(),
            project: self.job.project.clone(),
            ticket: key.clone(),
            author,
            submitted_at: review.submitted_at.map_or(self.job.created, time_of),
            request: None,
            at: self.ctx.clock.now(),
            version: 0,
            // Of retries the first has them: what one of them took would be nobody's once that died.
            state: ReviewState::Started { job: self.first.clone() },
            edited: false,
            had: None,
        };
        let known = all.iter().find(|known| known.id == name);
        let taken = taken.after(known);
        let written = self.ctx.store.take_review(&taken, known.and_then(Review::job)).await?;
        Ok((written == Write::Applied).then_some(taken))
    }
}
