//! Comparing what we know of open pull requests with what their forge says.

use super::said;
use crate::forge::{forge_of, too_slow};
use crate::review::translate::{review_event, seen};
use crate::review::{Reach, decide_review, pull_request_changed};
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::hook::recovery::{GoesOn, Look};
use pullyard_domain::hook::{is_answered, is_answered_when_linked, is_undecided};
use pullyard_domain::project::{Integration, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::Asks;
use pullyard_domain::time::Timestamp;
use pullyard_forge::{Review, ReviewState};
use pullyard_store::Error as StoreError;
use std::time::Duration;

/// How many pull requests a round compares at most: each is two calls of the forge.
const MOST: usize = 20;

/// How many rows of the list are read at once.
const PAGE: i32 = 20;

/// How long a round may take, and how long one pull request of it: its function is stopped after a minute, and
/// whatever was not written down by then is compared again and again.
const ROUND: Duration = Duration::from_secs(15);
const ONE: Duration = Duration::from_secs(15);

/// How far the forge's clock and ours may be apart.
const APART: Duration = Duration::from_secs(600);

/// Where to look.
pub(super) struct Place<'a> {
    /// For whose projects.
    pub(super) reach: &'a Reach,
    /// At which forge.
    pub(super) integration: &'a Integration,
    /// In this repository only.
    pub(super) only: Option<u64>,
    /// What was submitted before is left alone in the first round.
    pub(super) from: Timestamp,
}

/// What a round found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) pull_requests: usize,
    pub(super) reviews: usize,
}

/// What a round goes by, and what it found so far.
struct Round<'a> {
    ctx: &'a Context,
    place: &'a Place<'a>,
    started: Timestamp,
    /// What was submitted, or changed, before has been seen.
    since: Timestamp,
    found: Found,
    problem: Option<String>,
}

/// One round, from where the last one stopped: after so many, or when its time is over. A round that is whole, and
/// had no problem, moves on what was seen.
pub(super) async fn look(ctx: &Context, place: &Place<'_>, known: &Look) -> Result<(Found, Look), Error> {
    let started = ctx.clock.now();
    let began = known.began.filter(|_| known.goes_on.is_some()).unwrap_or(started);
    let since = known.since.unwrap_or(place.from).minus(APART);
    let problem = known.problem.clone().filter(|_| known.goes_on.is_some());
    let mut round = Round { ctx, place, started, since, found: Found::default(), problem };
    let again = match place.only.filter(|_| known.goes_on.is_none()) {
        Some(repository) => round.compare_opened_again(repository).await?,
        None => Vec::new(),
    };
    let (projects, mut after) = known.left(std::iter::once(&place.reach.home).chain(&place.reach.others));
    let mut projects = projects.into_iter().peekable();
    while let Some(project) = projects.next() {
        loop {
            let (ids, next) = ctx.store.open_pull_requests(project, after.as_deref(), PAGE).await?;
            let last = ids.len();
            let is_new = |id: &PullRequestId| is_here(place, id) && !again.contains(id);
            for (nth, (id, row)) in ids.iter().enumerate().filter(|(_, (id, _))| is_new(id)) {
                round.compare(id).await?;
                if round.is_over() && (nth + 1 < last || next.is_some() || projects.peek().is_some()) {
                    let goes_on = Some(GoesOn { project: project.clone(), after: Some(row.clone()) });
                    let Round { found, problem, .. } = round;
                    return Ok((found, Look { since: known.since, began: Some(began), goes_on, problem }));
                }
            }
            after = next;
            let goes_on = match (&after, projects.peek()) {
                (Some(_), _) => Some(GoesOn { project: project.clone(), after: after.clone() }),
                (None, Some(&next)) => Some(GoesOn { project: next.clone(), after: None }),
                (None, None) => None,
            };
            if round.found.pull_requests >= MOST && goes_on.is_some() {
                let Round { found, problem, .. } = round;
                return Ok((found, Look { since: known.since, began: Some(began), goes_on, problem }));
            }
            if after.is_none() {
                break;
            }
        }
    }
    let Round { found, problem, .. } = round;
    let since = if problem.is_none() { Some(began) } else { known.since };
    Ok((found, Look { since, began: None, goes_on: None, problem }))
}

impl Round<'_> {
    fn is_over(&self) -> bool {
        self.ctx.clock.now().since(self.started) >= ROUND
    }

    async fn compare(&mut self, id: &PullRequestId) -> Result<(), Error> {
        self.found.pull_requests += 1;
        // Boxed: the future of a whole decision is large, and there are two ways to it.
        let compared = Box::pin(compare(self.ctx, self.place, id, self.since));
        match in_time(self.place, compared).await {
            Ok(compared) => {
                self.found.reviews += compared.reviews;
                self.problem = compared.undecided.or(self.problem.take());
            }
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(pull_request = %id, error = %error, "a pull request could not be compared with its forge");
                self.problem = Some(said(&error));
            }
        }
        Ok(())
    }

    /// One that was closed is on no list of ours, and may have been opened again: those that the forge says are open
    /// are compared where we think that they are not. Which ones.
    async fn compare_opened_again(&mut self, repository: u64) -> Result<Vec<PullRequestId>, Error> {
        let again = match in_time(self.place, opened_again(self.ctx, self.place, repository, self.since)).await {
            Ok(again) => again,
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(repository, error = %error, "a forge did not say which pull requests are open");
                self.problem = Some(said(&error));
                return Ok(Vec::new());
            }
        };
        for id in &again {
            if self.is_over() {
                // Those that are left are found by the next round.
                self.problem = Some(said(&too_slow(self.place.integration, ROUND)));
                break;
            }
            self.compare(id).await?;
        }
        Ok(again)
    }
}

/// What keeps what was seen from moving on, and no more. One that others keep changing is looked at again; the rest
/// need not wait for it.
///
/// Errors: the table's.
fn problem_of(error: Error) -> Result<Error, Error> {
    match error {
        Error::Store(error) if !matches!(error, StoreError::Contended { .. } | StoreError::Corrupt { .. }) => {
            Err(error.into())
        }
        error => Ok(error),
    }
}

/// What changed since then of the pull requests that are open at their forge, and closed as far as we know.
async fn opened_again(
    ctx: &Context,
    place: &Place<'_>,
    repository: u64,
    since: Timestamp,
) -> Result<Vec<PullRequestId>, Error> {
    let mut again = Vec::new();
    // One that is connected no more is nobody's business.
    let Some(known) = connected(ctx, place, repository).await? else { return Ok(again) };
    let forge = forge_of(ctx, place.integration, &known).await?;
    let mut page = Some(1);
    while let Some(number) = page {
        let listed = forge.open_pull_requests(known.name.as_str(), number).await?;
        page = listed.next;
        for told in listed.found {
            if Timestamp::from_millis(told.updated_at.millis()) < since {
                // What changed last comes first.
                page = None;
                continue;
            }
            let id = PullRequestId { integration: place.integration.id.clone(), repository, number: told.number };
            let is_closed = |linked: &PullRequest| {
                linked.state == PullRequestState::Closed && place.reach.includes(&linked.project)
            };
            // Of a moment ago is good enough: what is compared is read again.
            if ctx.store.eventually().pull_request(&id).await?.as_ref().is_some_and(is_closed) {
                again.push(id);
            }
        }
    }
    Ok(again)
}

/// The repository in the first project that it is connected to.
async fn connected(ctx: &Context, place: &Place<'_>, repository: u64) -> Result<Option<Repository>, Error> {
    for project in std::iter::once(&place.reach.home).chain(&place.reach.others) {
        if let Some(known) = ctx.store.repository(project, &place.integration.id, repository).await? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// A forge that says nothing for so long says nothing to the next call either, and the others wait.
async fn in_time<T>(place: &Place<'_>, comparing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ONE, comparing).await {
        Ok(compared) => compared,
        Err(_) => Err(too_slow(place.integration, ONE)),
    }
}

fn is_here(place: &Place<'_>, id: &PullRequestId) -> bool {
    id.integration == place.integration.id && place.only.is_none_or(|only| only == id.repository)
}

/// What the comparison of one pull request found.
#[derive(Default)]
struct Compared {
    /// How many reviews nobody had told of.
    reviews: usize,
    /// Why one could not be decided yet: the forge did not say whose it is. Were what was seen moved on, nobody would
    /// look at that again.
    undecided: Option<String>,
}

async fn compare(ctx: &Context, place: &Place<'_>, id: &PullRequestId, since: Timestamp) -> Result<Compared, Error> {
    let mut compared = Compared::default();
    // The list may name one that was linked to a ticket of another project since.
    let linked = ctx.store.pull_request(id).await?.filter(|linked| place.reach.includes(&linked.project));
    let Some(linked) = linked else { return Ok(compared) };
    // One that is connected no more is nobody's business.
    let Some(known) = ctx.store.repository(&linked.project, &id.integration, id.repository).await? else {
        return Ok(compared);
    };
    let (name, forge) = (known.name.clone(), forge_of(ctx, place.integration, &known).await?);
    let told = forge.pull_request(name.as_str(), id.number).await?;
    let now = seen(id.integration.clone(), id.repository, name.clone(), &told);
    pull_request_changed(ctx, place.reach, &now).await?;
    if now.state != PullRequestState::Open {
        return Ok(compared);
    }
    let reviews = forge.reviews(name.as_str(), id.number).await?.found;
    for review in standing(&reviews) {
        let at = review.submitted_at.map(|at| Timestamp::from_millis(at.millis()));
        let Some(at) = at.filter(|at| *at >= since) else { continue };
        let event = review_event(Source::Poll, None, Asks::Changes {}, review, now.clone(), ctx.clock.now());
        let first = ctx.store.delivery(&event.ledger_id(&linked.project)).await?;
        let first = first.as_ref().map(|first| &first.reason);
        let answered = match linked.ticket {
            Some(_) => is_answered_when_linked(first),
            None => is_answered(first),
        };
        if answered {
            continue;
        }
        let answer = Box::pin(decide_review(ctx, place.reach, &event)).await?;
        match answer.reason {
            reason if is_undecided(&reason, ctx.clock.now().since(at)) => compared.undecided = Some(reason.sentence()),
            Reason::PermissionUnknown { .. } => {}
            _ => compared.reviews += 1,
        }
    }
    Ok(compared)
}

/// The reviews that still ask for changes: whoever approved afterwards asks for nothing any more.
fn standing(reviews: &[Review]) -> impl Iterator<Item = &Review> {
    let asks = |review: &&Review| review.state == ReviewState::ChangesRequested;
    let overruled = |review: &Review| {
        reviews.iter().any(|later| {
            let same = later.author.as_ref().map(|author| author.id) == review.author.as_ref().map(|author| author.id);
            later.state == ReviewState::Approved && same && later.submitted_at > review.submitted_at
        })
    };
    reviews.iter().filter(asks).filter(move |review| !overruled(review))
}
