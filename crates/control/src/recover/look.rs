//! Compares the open pull requests that we know with their forge: state, head, reviews, `/pullyard revise` comments.

use super::said;
use crate::forge::{forge_of, too_slow};
use crate::review::translate::{comment_event, review_event, seen};
use crate::review::{Reach, decide_review, name_learnt, pull_request_changed};
use crate::webhook::connected;
use crate::{Context, Error};
use pullyard_domain::decision::Reason;
use pullyard_domain::delivery::Source;
use pullyard_domain::hook::recovery::{GoesOn, Look, MOST_AGAIN};
use pullyard_domain::hook::{is_answered, is_answered_when_linked, is_undecided, most_compared};
use pullyard_domain::id::RepositoryName;
use pullyard_domain::project::{ForgeKind, Integration, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Asks, ReviewEvent};
use pullyard_domain::time::Timestamp;
use pullyard_forge::{PullRequest as Told, Review, ReviewState};
use pullyard_store::Error as StoreError;
use std::time::Duration;

/// How many pages of the forge's list a round reads at most, a hundred on each, and for how long it begins another one.
const MOST_PAGES: u32 = 5;
const PAGES_WITHIN: Duration = Duration::from_secs(5);

/// How long a round may take, and how long one pull request of it: its function is stopped after a minute, and
/// whatever was not written down by then is compared again and again.
const ROUND: Duration = Duration::from_secs(15);
const ONE: Duration = Duration::from_secs(15);

/// How far the forge's clock and ours may be apart.
const APART: Duration = Duration::from_secs(600);

/// What is said where more changed than a round reads of the forge's list. Of those that were passed over, one that was
/// opened again is found when it changes once more.
const PASSED_OVER: &str = "more open pull requests changed than a look reads of the list, and the older of them were \
                           passed over; those that were opened again among them are not known";

pub(super) struct Place<'a> {
    pub(super) reach: &'a Reach,
    pub(super) integration: &'a Integration,
    pub(super) only: Option<u64>,
    /// What was submitted before is left alone in the first round.
    pub(super) from: Timestamp,
    /// How long the forge's list, once it was read, is not read again.
    pub(super) lists_every: Duration,
}

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
    since: Timestamp,
    /// The same of those that were opened again: nobody looked at one before the forge's list named it.
    since_listed: Timestamp,
    found: Found,
    problem: Option<String>,
    listed: Option<Timestamp>,
    again: Vec<u64>,
}

/// One round, from where the last one stopped: after so many, or when its time is over. One that is whole, had no
/// problem, and left none that was opened again, moves on what was seen.
pub(super) async fn look(ctx: &Context, place: &Place<'_>, known: &Look) -> Result<(Found, Look), Error> {
    let started = ctx.clock.now();
    let began = known.began.filter(|_| known.goes_on.is_some()).unwrap_or(started);
    let seen = known.since.unwrap_or(place.from);
    let mut round = Round {
        ctx,
        place,
        started,
        since: seen.minus(APART),
        since_listed: seen.min(known.listed.unwrap_or(seen)).minus(APART),
        found: Found::default(),
        problem: known.problem.clone().filter(|_| known.goes_on.is_some()),
        listed: known.listed,
        again: known.again.clone(),
    };
    let again = match place.only.filter(|_| known.goes_on.is_none()) {
        Some(repository) => round.compare_opened_again(repository).await?,
        None => Vec::new(),
    };
    // As many rows of our list at once as a round compares.
    let page = i32::from(most_compared(place.integration.kind));
    let (projects, mut after) = known.left(place.reach.all());
    let mut projects = projects.into_iter().peekable();
    if round.is_over() || round.is_full() {
        // The forge's list, and those of it that were compared, took all of it.
        if let Some(&first) = projects.peek() {
            return Ok(round.ended(known, began, Some(GoesOn { project: first.clone(), after })));
        }
    }
    while let Some(project) = projects.next() {
        loop {
            let (ids, next) = ctx.store.open_pull_requests(project, after.as_deref(), page).await?;
            let last = ids.len();
            let is_new = |id: &PullRequestId| is_here(place, id) && !again.contains(id);
            for (nth, (id, row)) in ids.iter().enumerate().filter(|(_, (id, _))| is_new(id)) {
                round.compare(id, round.since).await?;
                if round.is_over() && (nth + 1 < last || next.is_some() || projects.peek().is_some()) {
                    let goes_on = GoesOn { project: project.clone(), after: Some(row.clone()) };
                    return Ok(round.ended(known, began, Some(goes_on)));
                }
            }
            after = next;
            let goes_on = match (&after, projects.peek()) {
                (Some(_), _) => Some(GoesOn { project: project.clone(), after: after.clone() }),
                (None, Some(&next)) => Some(GoesOn { project: next.clone(), after: None }),
                (None, None) => None,
            };
            if round.is_full() && goes_on.is_some() {
                return Ok(round.ended(known, began, goes_on));
            }
            if after.is_none() {
                break;
            }
        }
    }
    Ok(round.ended(known, began, None))
}

impl Round<'_> {
    /// What it found, and what is known after it, where the next one goes on.
    fn ended(self, known: &Look, began: Timestamp, goes_on: Option<GoesOn>) -> (Found, Look) {
        let Self { found, problem, listed, again, .. } = self;
        let is_whole = goes_on.is_none();
        let is_seen = is_whole && problem.is_none() && again.is_empty();
        let since = if is_seen { Some(began) } else { known.since };
        (found, Look { since, began: Some(began).filter(|_| !is_whole), goes_on, problem, listed, again })
    }

    fn is_over(&self) -> bool {
        self.ctx.clock.now().since(self.started) >= ROUND
    }

    /// It has compared as many as its forge allows for.
    fn is_full(&self) -> bool {
        self.found.pull_requests >= usize::from(most_compared(self.place.integration.kind))
    }

    async fn compare(&mut self, id: &PullRequestId, since: Timestamp) -> Result<bool, Error> {
        self.found.pull_requests += 1;
        // Boxed: the future of a whole decision is large, and there are two ways to it.
        let compared = Box::pin(compare(self.ctx, self.place, id, since));
        match in_time(self.place, compared).await {
            Ok(compared) => {
                self.found.reviews += compared.reviews;
                self.problem = compared.undecided.or(self.problem.take());
                Ok(true)
            }
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(pull_request = %id, error = %error, "a pull request could not be compared with its forge");
                self.problem = Some(said(&error));
                Ok(false)
            }
        }
    }

    /// One that was closed is on no list of ours, and may have been opened again: those that the forge says are open
    /// are compared where we think that they are not. Which ones were.
    ///
    /// Those that are not, or could not be, are kept by their numbers: the forge's list is not read for them again.
    async fn compare_opened_again(&mut self, repository: u64) -> Result<Vec<PullRequestId>, Error> {
        if self.listed.is_none_or(|at| self.started.since(at) >= self.place.lists_every) {
            self.list_opened_again(repository).await?;
        }
        let (mut compared, mut failed) = (Vec::new(), Vec::new());
        let mut left = std::mem::take(&mut self.again).into_iter();
        while !self.is_over() && !self.is_full() {
            let Some(number) = left.next() else { break };
            let id = PullRequestId { integration: self.place.integration.id.clone(), repository, number };
            if !self.compare(&id, self.since_listed).await? {
                failed.push(number);
            }
            compared.push(id);
        }
        // One that fails each time keeps none of the others waiting.
        self.again = left.chain(failed).collect();
        Ok(compared)
    }

    /// Adds what the forge's list says. It has been read up to now, unless there are more than are kept.
    async fn list_opened_again(&mut self, repository: u64) -> Result<(), Error> {
        let since = self.listed.map_or(self.since, |at| at.minus(APART));
        let mut numbers = Vec::new();
        let listed = in_time(self.place, opened_again(self.ctx, self.place, repository, since, &mut numbers)).await;
        // Also of a list that broke off: what it named is compared, and the whole of it is read again.
        let mut has_room = true;
        for number in numbers {
            if !self.again.contains(&number) {
                has_room = self.again.len() < MOST_AGAIN;
                if !has_room {
                    break;
                }
                self.again.push(number);
            }
        }
        match listed {
            Ok(left_out) => {
                if has_room {
                    self.listed = Some(self.started);
                }
                if left_out {
                    tracing::warn!(repository, "older ones of the open pull requests that changed were passed over");
                    self.problem = Some(PASSED_OVER.to_owned());
                }
            }
            Err(error) => {
                let error = problem_of(error)?;
                tracing::warn!(repository, error = %error, "a forge did not say which pull requests are open");
                self.problem = Some(said(&error));
            }
        }
        Ok(())
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

/// Adds to `again` what changed since then of the pull requests that are open at their forge, and closed as far as we
/// know or no more to be read; whether older ones were passed over.
async fn opened_again(
    ctx: &Context,
    place: &Place<'_>,
    repository: u64,
    since: Timestamp,
    again: &mut Vec<u64>,
) -> Result<bool, Error> {
    // One that is connected no more is nobody's business.
    let Some(known) = connected(ctx, place.reach, &place.integration.id, repository).await? else {
        return Ok(false);
    };
    let forge = forge_of(ctx, place.integration, &known).await?;
    let began = ctx.clock.now();
    for page in 1..=MOST_PAGES {
        // A list that is cut has been read; one that takes too long has not, and would be as long the next time.
        if page > 1 && ctx.clock.now().since(began) >= PAGES_WITHIN {
            break;
        }
        let listed = forge.open_pull_requests(known.name.as_str(), page).await?;
        if let Some(first) = listed.found.first().filter(|_| page == 1) {
            name_in(ctx, place, &known, first).await?;
        }
        for told in listed.found {
            if Timestamp::from_millis(told.updated_at.millis()) < since {
                // What changed last comes first.
                return Ok(false);
            }
            let id = PullRequestId { integration: place.integration.id.clone(), repository, number: told.number };
            let is_again = match ctx.store.pull_request(&id).await {
                Ok(linked) => linked.is_some_and(|linked| {
                    linked.state == PullRequestState::Closed && place.reach.includes(&linked.project)
                }),
                Err(StoreError::Corrupt { .. }) => true,
                Err(error) => return Err(error.into()),
            };
            if is_again {
                again.push(told.number);
            }
        }
        if listed.next.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
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

#[derive(Default)]
struct Compared {
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
    let forge = forge_of(ctx, place.integration, &known).await?;
    let told = forge.pull_request(known.name.as_str(), id.number).await?;
    let name = name_in(ctx, place, &known, &told).await?;
    let now = seen(id.integration.clone(), id.repository, name.clone(), &told);
    pull_request_changed(ctx, place.reach, &now).await?;
    if now.state != PullRequestState::Open {
        return Ok(compared);
    }
    let reviews = forge.reviews(name.as_str(), id.number).await?.found;
    // A review without this time is not submitted yet.
    for review in standing(place.integration.kind, &reviews).filter(|review| review.submitted_at.is_some()) {
        let event = review_event(Source::Poll, None, Asks::Changes {}, review, now.clone(), ctx.clock.now());
        decide_missed(ctx, place, &linked, &event, since, &mut compared).await?;
    }
    // Last, so that reviews are decided also while the forge does not list the comments.
    for comment in forge.issue_comments(name.as_str(), id.number).await?.found {
        let Some(event) = comment_event(&comment, now.clone()) else { continue };
        decide_missed(ctx, place, &linked, &event, since, &mut compared).await?;
    }
    Ok(compared)
}

/// Decides a review or comment that the ledger has no answer to.
async fn decide_missed(
    ctx: &Context,
    place: &Place<'_>,
    linked: &PullRequest,
    event: &ReviewEvent,
    since: Timestamp,
    compared: &mut Compared,
) -> Result<(), Error> {
    if event.submitted_at < since {
        return Ok(());
    }
    let first = ctx.store.delivery(&event.ledger_id(&linked.project)).await?;
    let first = first.as_ref().map(|first| &first.reason);
    let answered = match linked.ticket {
        Some(_) => is_answered_when_linked(first),
        None => is_answered(first),
    };
    if answered {
        return Ok(());
    }
    let answer = Box::pin(decide_review(ctx, place.reach, event)).await?;
    match answer.reason {
        reason if is_undecided(&reason, ctx.clock.now().since(event.submitted_at)) => {
            compared.undecided = Some(reason.sentence());
        }
        Reason::PermissionUnknown { .. } => {}
        _ => compared.reviews += 1,
    }
    Ok(())
}

/// What a repository is called in what its forge says of a pull request of it, which is learnt where that is new.
///
/// Errors: `Taken` where the answer is of another repository, which has the name by now: nothing of it is ours.
async fn name_in(ctx: &Context, place: &Place<'_>, known: &Repository, told: &Told) -> Result<RepositoryName, Error> {
    let Some(base) = &told.base_repository else { return Ok(known.name.clone()) };
    if base.id != known.id {
        return Err(Error::Taken { what: "repository", name: known.name.to_string() });
    }
    let Some(name) = &base.full_name else { return Ok(known.name.clone()) };
    name_learnt(ctx, place.reach, place.integration, known, name).await?;
    RepositoryName::new(name).map_err(|bad| Error::Inconsistent(bad.to_string()))
}

/// The reviews that still ask for changes: whoever approved afterwards asks for nothing any more. Where one person has one
/// request at a time, the job of their last one is told of those before it that nobody answered.
fn standing(kind: ForgeKind, reviews: &[Review]) -> impl Iterator<Item = &Review> {
    let asks = |review: &&Review| review.state == ReviewState::ChangesRequested;
    let overrules = move |state: ReviewState| match state {
        ReviewState::Approved => true,
        ReviewState::ChangesRequested => kind.has_one_request_each(),
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
