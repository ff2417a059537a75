//! Loads the facts of a decision about a review.

use crate::facts::today;
use crate::{Context, Error};
use pullyard_domain::delivery::Delivery;
use pullyard_domain::id::{HookName, JobId, ProjectId};
use pullyard_domain::project::{Integration, Project, Repository};
use pullyard_domain::pull_request::PullRequest;
use pullyard_domain::review::guard::{FACTS_VERSION, ReviewFacts, StoredResult, TicketFacts};
use pullyard_domain::review::{Permission, PullRequestSnapshot, Review, ReviewEvent, ReviewState, resolve_absorbed};
use pullyard_domain::ticket::Ticket;
use pullyard_store::Linked;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    pub hook: Option<HookName>,
    pub home: ProjectId,
    pub others: Vec<ProjectId>,
}

impl Reach {
    pub fn of(project: ProjectId) -> Self {
        Self { hook: None, home: project, others: Vec::new() }
    }

    /// Returns `None` without projects. The first one is the home.
    pub fn over(hook: Option<HookName>, projects: Vec<ProjectId>) -> Option<Self> {
        let mut projects = projects.into_iter();
        let home = projects.next()?;
        Some(Self { hook, home, others: projects.collect() })
    }

    pub fn includes(&self, project: &ProjectId) -> bool {
        self.all().any(|one| one == project)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &ProjectId> {
        std::iter::once(&self.home).chain(&self.others)
    }
}

pub(super) struct Loaded {
    pub(super) facts: ReviewFacts,
    /// The review's ledger entry, possibly in the ledger of another project of the hook.
    pub(super) first: Option<Delivery>,
    pub(super) project: Option<Project>,
    pub(super) repository: Option<Repository>,
    pub(super) integration: Integration,
    pub(super) pull_request: Option<PullRequest>,
    pub(super) ticket: Option<Ticket>,
    pub(super) review: Option<Review>,
}

pub(super) async fn load(
    ctx: &Context,
    reach: &Reach,
    event: &ReviewEvent,
    permission: Option<Permission>,
) -> Result<Loaded, Error> {
    let id = &event.pull_request.id;
    let (pull_request, stored, integration) = ctx.store.link_and_review(id, &event.review).await?;
    let integration =
        integration.ok_or_else(|| Error::NotFound { what: "integration", name: id.integration.to_string() })?;
    let pull_request = pull_request.filter(|linked| reach.includes(&linked.project));
    let (place, ticket, first) = match &pull_request {
        Some(linked) => where_linked(ctx, linked, event).await?,
        None => (place_of(ctx, reach, &event.pull_request).await?, None, None),
    };
    let decided_for = place.project.as_ref().map_or_else(|| reach.home.clone(), |project| project.id.clone());
    let first = match &pull_request {
        Some(linked) if linked.project == decided_for => first,
        _ => ctx.store.delivery(&event.ledger_id(&decided_for)).await?,
    };
    let stored_as = match &stored {
        Some(review) if reach.includes(&review.project) => known(ctx, review).await?,
        // The review's project is outside the hook's reach: do not reveal or overwrite its result.
        Some(review) if pull_request.is_some() => {
            known(ctx, review).await?.is_some().then_some(StoredResult::Elsewhere {})
        }
        _ => None,
    };
    let first = match (&stored, &stored_as) {
        // Before, the pull request was linked to another project's ticket, so the entry is in that project's ledger.
        (Some(review), Some(StoredResult::Started { .. } | StoredResult::Deferred {}))
            if first.is_none() && review.project != decided_for =>
        {
            ctx.store.delivery(&event.ledger_id(&review.project)).await?
        }
        _ => first,
    };
    let linked_state = pull_request.as_ref().filter(|linked| linked.updated_at > Some(event.pull_request.updated_at));
    let now = ctx.clock.now();
    let today = today(ctx, place.project.as_ref(), now).await?;
    let facts = ReviewFacts {
        v: FACTS_VERSION,
        now,
        asks: event.asks.clone(),
        author: event.author.login.clone(),
        own: ReviewFacts::is_own(event, integration.account.id),
        first: lasting(first.as_ref(), stored_as.as_ref()),
        stored: stored_as,
        project: decided_for,
        settings: place.project.as_ref().map(|project| (&project.settings).into()),
        integration: id.integration.clone(),
        repository: event.pull_request.repository.clone(),
        connected: place.repository.is_some(),
        number: id.number,
        // The state with the newer time of the forge, regardless of the order of arrival.
        state: linked_state.map_or(event.pull_request.state, |linked| linked.state),
        permission,
        ticket: ticket_facts(place.project.as_ref(), ticket.as_ref(), pull_request.as_ref()),
        revised: pull_request.as_ref().and_then(|linked| linked.revised.clone()),
        today,
    };
    Ok(Loaded {
        facts,
        first,
        project: place.project,
        repository: place.repository,
        integration,
        pull_request,
        ticket,
        review: stored,
    })
}

/// Returns code and job of a final answer, or of any answer while the review waits.
fn lasting(first: Option<&Delivery>, stored: Option<&StoredResult>) -> Option<(String, Option<JobId>)> {
    let waits = stored == Some(&StoredResult::Deferred {});
    let lasting = first.filter(|first| first.reason.is_final() || waits);
    lasting.map(|first| (first.reason.code().to_owned(), first.job.clone()))
}

pub(crate) async fn project_of(ctx: &Context, reach: &Reach, seen: &PullRequestSnapshot) -> Result<ProjectId, Error> {
    let linked = ctx.store.pull_request(&seen.id).await?.filter(|linked| reach.includes(&linked.project));
    if let Some(linked) = linked {
        return Ok(linked.project);
    }
    let place = place_of(ctx, reach, seen).await?;
    Ok(place.project.map_or_else(|| reach.home.clone(), |project| project.id))
}

pub(super) fn ticket_facts(
    project: Option<&Project>,
    ticket: Option<&Ticket>,
    pull_request: Option<&PullRequest>,
) -> Option<TicketFacts> {
    let (project, ticket, pull_request) = (project?, ticket?, pull_request?);
    Some(TicketFacts {
        key: ticket.key.clone(),
        closed: project.settings.statuses.is_closed(&ticket.status),
        active_job: ticket.active_job.clone(),
        last_outcome: ticket.last_job.as_ref().map(|last| last.outcome),
        defers: ticket.has_deferred(&pull_request.id),
        deferred: ticket.deferred.len(),
    })
}

#[derive(Default)]
struct Place {
    project: Option<Project>,
    repository: Option<Repository>,
}

async fn where_linked(
    ctx: &Context,
    linked: &PullRequest,
    event: &ReviewEvent,
) -> Result<(Place, Option<Ticket>, Option<Delivery>), Error> {
    let (id, project) = (&event.pull_request.id, &linked.project);
    let entry = event.ledger_id(project);
    let found = ctx.store.linked(project, id, id.repository, linked.ticket.as_ref(), &entry).await?;
    let Linked { project, repository, ticket, delivery } = found;
    Ok((Place { project, repository }, ticket, delivery))
}

async fn place_in(ctx: &Context, project: &ProjectId, seen: &PullRequestSnapshot) -> Result<Place, Error> {
    let (integration, repository) = (&seen.id.integration, seen.id.repository);
    let (project, repository) = ctx.store.project_and_repository(project, integration, repository).await?;
    Ok(Place { project, repository })
}

async fn place_of(ctx: &Context, reach: &Reach, seen: &PullRequestSnapshot) -> Result<Place, Error> {
    let home = place_in(ctx, &reach.home, seen).await?;
    if home.repository.is_some() {
        return Ok(home);
    }
    for project in &reach.others {
        let place = place_in(ctx, project, seen).await?;
        if place.repository.is_some() {
            return Ok(place);
        }
    }
    Ok(home)
}

/// Returns the result of a review. Follows the chain of reviews that absorbed it.
async fn known(ctx: &Context, review: &Review) -> Result<Option<StoredResult>, Error> {
    let state = match &review.state {
        ReviewState::Absorbed { .. } => {
            let all = ctx.store.reviews(&review.pull_request).await?;
            resolve_absorbed(review, &all).state.clone()
        }
        state => state.clone(),
    };
    Ok(match state {
        ReviewState::Started { job } => Some(StoredResult::Started { job }),
        // If the absorbing review is gone, the chain has no end, and this review still waits.
        ReviewState::Deferred {} | ReviewState::Absorbed { .. } => Some(StoredResult::Deferred {}),
        // A redelivery is deliberate, so a refused review is decided again.
        ReviewState::Refused { .. } => None,
    })
}

pub(super) fn job_of(loaded: &Loaded) -> Option<JobId> {
    match (&loaded.facts.first, &loaded.facts.stored) {
        (_, Some(StoredResult::Started { job })) => Some(job.clone()),
        (Some((_, job)), _) => job.clone(),
        _ => None,
    }
}
