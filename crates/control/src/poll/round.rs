//! Polls one repository: compares its linked pull requests with the forge.

use crate::corrupt::skip_corrupt;
use crate::error::said;
use crate::forge::{forge_of, too_slow};
use crate::review::translate::{comment_event, review_event, seen};
use crate::review::{Reach, decide_review, name_learnt, pull_request_changed};
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::hook::look::{MAX_CHANGED, PollProgress};
use pullyard_domain::hook::{Poll, is_decided, is_decided_for_linked, max_compared_per_poll, should_retry_permission};
use pullyard_domain::id::RepositoryName;
use pullyard_domain::project::{ForgeKind, Integration, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{RequestedAction, ReviewEvent};
use pullyard_domain::time::Timestamp;
use pullyard_forge::{PullRequest as Told, Review, ReviewState};
use pullyard_store::Error as StoreError;
use std::time::Duration;

/// Limits for reading the forge's list: the number of pages, and the time after which no further page is read.
const MOST_PAGES: u32 = 5;
const PAGES_WITHIN: Duration = Duration::from_secs(5);

/// Time limits of a round and of one pull request. The function is stopped after a minute, and the rest is repeated.
const ROUND: Duration = Duration::from_secs(15);
const ONE: Duration = Duration::from_secs(15);

/// Allowed difference between the forge's clock and ours, or between a review and the link of its pull request.
const APART: Duration = Duration::from_secs(600);

const PASSED_OVER: &str = "more pull requests changed than one poll reads; the next full comparison finds skipped \
                           reviews, but not reopened pull requests";

#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) pull_requests: usize,
    pub(super) reviews: usize,
    pub(super) problem: Option<String>,
}

struct Round<'a> {
    ctx: &'a Context,
    integration: &'a Integration,
    repository: &'a Repository,
    reach: Reach,
    started: Timestamp,
    /// Earlier rounds have seen reviews from before this time.
    since: Timestamp,
    found: Found,
    look: PollProgress,
    compared: Vec<u64>,
}

/// Compares changed pull requests. If due, then compares all open ones, from where the last round stopped.
pub(super) async fn look(
    ctx: &Context,
    integration: &Integration,
    poll: &Poll,
) -> Result<(Found, PollProgress), Error> {
    let known = &poll.look;
    let repository = ctx.store.repository(&poll.project, &poll.integration, poll.repository).await?;
    let Some(repository) = repository else { return Ok((Found::default(), known.clone())) };
    let started = ctx.clock.now();
    let is_full = known.is_full_due(integration.kind, started);
    let seen = known.since.unwrap_or(started);
    let mut round = Round {
        ctx,
        integration,
        repository: &repository,
        reach: Reach::of(poll.project.clone()),
        started,
        since: seen.minus(APART),
        found: Found::default(),
        look: PollProgress {
            since: Some(seen),
            began: known.began.or(is_full.then_some(started)),
            problem: known.problem.clone().filter(|_| known.began.is_some()),
            ..known.clone()
        },
        compared: Vec::new(),
    };
    round.list_changed().await?;
    round.compare_changed().await?;
    if is_full {
        round.compare_open().await?;
    }
    Ok((round.found, round.look))
}

impl Round<'_> {
    fn is_over(&self) -> bool {
        self.ctx.clock.now().since(self.started) >= ROUND
    }

    fn is_full(&self) -> bool {
        self.found.pull_requests >= usize::from(max_compared_per_poll(self.integration.kind))
    }

    fn id(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: self.integration.id.clone(), repository: self.repository.id, number }
    }

    /// Adds the changed pull requests in the forge's list to those to compare.
    async fn list_changed(&mut self) -> Result<(), Error> {
        let since = self.look.listed.or(self.look.since).unwrap_or(self.started).minus(APART);
        let mut numbers = Vec::new();
        let listed = in_time(self.integration, self.changed_since(since, &mut numbers)).await;
        // Use the numbers of a list that failed midway, too. The next round reads the whole list again.
        let mut has_room = true;
        for number in numbers {
            if !self.look.changed.contains(&number) {
                has_room = self.look.changed.len() < MAX_CHANGED;
                if !has_room {
                    break;
                }
                self.look.changed.push(number);
            }
        }
        match listed {
            Ok(is_cut) => {
                if has_room {
                    self.look.listed = Some(self.started);
                }
                if is_cut {
                    tracing::warn!(repository = %self.repository.name, "older changed pull requests skipped");
                    self.look.problem = Some(PASSED_OVER.to_owned());
                }
            }
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(repository = %self.repository.name, error = %error, "forge did not list pull requests");
                self.look.problem = Some(said(&error));
            }
        }
        Ok(())
    }

    /// Collects linked pull requests that changed after `since`, newest first. Returns whether older ones were skipped.
    async fn changed_since(&self, since: Timestamp, numbers: &mut Vec<u64>) -> Result<bool, Error> {
        let forge = forge_of(self.ctx, self.integration, self.repository).await?;
        let began = self.ctx.clock.now();
        for page in 1..=MOST_PAGES {
            // Treat a cut list as read, because a slow list would be as slow the next time.
            if page > 1 && self.ctx.clock.now().since(began) >= PAGES_WITHIN {
                break;
            }
            let listed = forge.pull_requests(self.repository.name.as_str(), page).await?;
            if let Some(first) = listed.found.first().filter(|_| page == 1) {
                self.name_in(first).await?;
            }
            for told in listed.found {
                if Timestamp::from_millis(told.updated_at.millis()) < since {
                    return Ok(false);
                }
                let linked = self.ctx.store.pull_request(&self.id(told.number)).await;
                // An item that cannot be parsed is compared, so that the round reports it.
                let is_linked =
                    |linked: Option<PullRequest>| linked.is_some_and(|linked| self.reach.includes(&linked.project));
                if skip_corrupt(self.ctx, linked)?.is_none_or(is_linked) {
                    numbers.push(told.number);
                }
            }
            if listed.next.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares the listed pull requests. Failed and undecided ones go to the end of the next round's list.
    async fn compare_changed(&mut self) -> Result<(), Error> {
        let mut left = std::mem::take(&mut self.look.changed).into_iter();
        let mut again = Vec::new();
        // Compare at least one, even if reading the list took all the time.
        while self.compared.is_empty() || !(self.is_over() || self.is_full()) {
            let Some(number) = left.next() else { break };
            if !self.compare(number).await? {
                again.push(number);
            }
        }
        self.look.changed = left.chain(again).collect();
        Ok(())
    }

    /// Compares open pull requests. After a complete comparison without a problem, `since` becomes its start.
    async fn compare_open(&mut self) -> Result<(), Error> {
        let page = i32::from(max_compared_per_poll(self.integration.kind));
        loop {
            if self.is_over() || self.is_full() {
                return Ok(());
            }
            let after = self.look.after.as_deref();
            let (ids, next) = self.ctx.store.open_pull_requests(&self.repository.project, after, page).await?;
            let last = ids.len();
            for (nth, (id, row)) in (1..).zip(ids) {
                if id == self.id(id.number) && !self.compared.contains(&id.number) {
                    self.compare(id.number).await?;
                    if self.is_over() && (nth < last || next.is_some()) {
                        self.look.after = Some(row);
                        return Ok(());
                    }
                }
            }
            self.look.after = next;
            if self.look.after.is_none() {
                break;
            }
        }
        let began = self.look.began.take();
        if self.look.problem.is_none() && self.look.changed.is_empty() {
            self.look.since = began;
        }
        Ok(())
    }

    /// Returns whether the pull request needs no further comparison.
    async fn compare(&mut self, number: u64) -> Result<bool, Error> {
        self.found.pull_requests += 1;
        self.compared.push(number);
        match in_time(self.integration, Box::pin(self.compared(&self.id(number)))).await {
            Ok(compared) => {
                self.found.reviews += compared.reviews;
                let is_done = compared.undecided.is_none();
                self.look.problem = compared.undecided.or(self.look.problem.take());
                Ok(is_done)
            }
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(pull_request = %self.id(number), error = %error, "pull request comparison failed");
                self.look.problem = Some(said(&error));
                Ok(false)
            }
        }
    }

    async fn compared(&self, id: &PullRequestId) -> Result<Compared, Error> {
        let mut compared = Compared::default();
        let linked = self.ctx.store.pull_request(id).await?.filter(|linked| self.reach.includes(&linked.project));
        let Some(linked) = linked else { return Ok(compared) };
        let forge = forge_of(self.ctx, self.integration, self.repository).await?;
        let told = forge.pull_request(self.repository.name.as_str(), id.number).await?;
        let name = self.name_in(&told).await?;
        let now = seen(id.integration.clone(), id.repository, name.clone(), &told);
        pull_request_changed(self.ctx, &self.reach, &now).await?;
        if now.state != PullRequestState::Open {
            return Ok(compared);
        }
        let reviews = forge.reviews(name.as_str(), id.number).await?.found;
        // A review without this time is not submitted yet.
        for review in standing(self.integration.kind, &reviews).filter(|review| review.submitted_at.is_some()) {
            let event = review_event(
                Source::Poll,
                None,
                RequestedAction::Changes {},
                review,
                now.clone(),
                self.ctx.clock.now(),
            );
            self.decide_missed(&linked, &event, &mut compared).await?;
        }
        // Last, so that a failure to list comments does not block reviews.
        for comment in forge.issue_comments(name.as_str(), id.number).await?.found {
            let Some(event) = comment_event(&comment, now.clone()) else { continue };
            self.decide_missed(&linked, &event, &mut compared).await?;
        }
        Ok(compared)
    }

    /// Decides a review or comment that has no answer in the ledger.
    async fn decide_missed(
        &self,
        linked: &PullRequest,
        event: &ReviewEvent,
        compared: &mut Compared,
    ) -> Result<(), Error> {
        if event.submitted_at < self.since {
            return Ok(());
        }
        let first = self.ctx.store.delivery(&event.ledger_id(&linked.project)).await?;
        let first = first.as_ref().map(|first| &first.reason);
        let is_known = match linked.ticket {
            Some(_) => is_decided_for_linked(first),
            None => is_decided(first),
        };
        if is_known {
            return Ok(());
        }
        let answer = Box::pin(decide_review(self.ctx, &self.reach, event)).await?;
        match answer.reason {
            reason if should_retry_permission(&reason, self.ctx.clock.now().since(event.submitted_at)) => {
                compared.undecided = Some(reason.sentence());
            }
            Reason::PermissionUnknown { .. } => {}
            _ => compared.reviews += 1,
        }
        Ok(())
    }

    /// Returns the repository's name from the forge's answer. Stores a new name.
    /// Errors: `Taken` if another repository now has the stored name, so that the answer is about that one.
    async fn name_in(&self, told: &Told) -> Result<RepositoryName, Error> {
        let known = self.repository;
        let Some(base) = &told.base_repository else { return Ok(known.name.clone()) };
        if base.id != known.id {
            return Err(Error::Taken { what: "repository", name: known.name.to_string() });
        }
        let Some(name) = &base.full_name else { return Ok(known.name.clone()) };
        name_learnt(self.ctx, &self.reach, self.integration, known, name).await?;
        RepositoryName::new(name).map_err(|bad| Error::Inconsistent(bad.to_string()))
    }
}

#[derive(Default)]
struct Compared {
    reviews: usize,
    /// Why a review or comment is undecided: the forge did not return its author's permission.
    undecided: Option<String>,
}

/// Returns an error after which the round continues. Contention and an unreadable item affect one pull request only.
/// Errors: any other `Store` error.
pub(super) fn problem_of(error: Error) -> Result<Error, Error> {
    match error {
        Error::Store(error) if !matches!(error, StoreError::Contended { .. } | StoreError::Corrupt { .. }) => {
            Err(error.into())
        }
        error => Ok(error),
    }
}

/// Stops a step that takes too long, so that an unresponsive forge does not use up the round.
async fn in_time<T>(integration: &Integration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ONE, step).await {
        Ok(done) => done,
        Err(_) => Err(too_slow(integration, ONE)),
    }
}

/// Returns the reviews that still request changes. A later approval by the same user withdraws earlier requests. If the
/// forge has one request per user, only the last one counts.
fn standing(kind: ForgeKind, reviews: &[Review]) -> impl Iterator<Item = &Review> {
    let asks = |review: &&Review| review.state == ReviewState::ChangesRequested;
    let overrules = move |state: ReviewState| match state {
        ReviewState::Approved => true,
        ReviewState::ChangesRequested => kind.allows_one_request_per_user(),
        ReviewState::Commented | ReviewState::Dismissed | ReviewState::Pending => false,
    };
    let overruled = move |review: &Review| {
        reviews.iter().any(|later| {
            let same = later.author.as_ref().map(|author| author.id) == review.author.as_ref().map(|author| author.id);
            overrules(later.state) && same && later.submitted_at > review.submitted_at
        })
    };
    reviews.iter().filter(asks).filter(move |review| !overruled(review))
}
