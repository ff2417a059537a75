//! Loads the facts of a decision about a review.

use crate::facts::{load_spending_fact, load_usage_today};
use crate::{Context, Error};
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::project::{Project, Repository};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::guard::{AgentReviewFacts, ReviewFacts, StoredResult, TicketFacts};
use pullyard_domain::review::pull_request::{AgentReviews, PullRequest};
use pullyard_domain::review::{Permission, PullRequestSnapshot, Review, ReviewEvent, ReviewState, resolve_absorbed};
use pullyard_domain::text::id::{HookName, JobId, ProjectId};
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectScope {
    pub hook: Option<HookName>,
    pub main_project: ProjectId,
    pub others: Vec<ProjectId>,
}

impl ProjectScope {
    pub fn single(project: ProjectId) -> Self {
        Self { hook: None, main_project: project, others: Vec::new() }
    }

    /// Returns `None` without projects. The first one is the main project.
    pub fn from_projects(hook: Option<HookName>, projects: Vec<ProjectId>) -> Option<Self> {
        let mut projects = projects.into_iter();
        let main_project = projects.next()?;
        Some(Self { hook, main_project, others: projects.collect() })
    }

    pub fn includes(&self, project: &ProjectId) -> bool {
        self.projects().any(|id| id == project)
    }

    pub(crate) fn projects(&self) -> impl Iterator<Item = &ProjectId> {
        std::iter::once(&self.main_project).chain(&self.others)
    }
}

pub(super) struct LoadedFacts {
    pub(super) facts: ReviewFacts,
    /// The review's ledger entry, possibly in the ledger of another project of the hook.
    pub(super) first_delivery: Option<Delivery>,
    pub(super) project: Option<Project>,
    pub(super) repository: Option<Repository>,
    pub(super) integration: Integration,
    pub(super) pull_request: Option<PullRequest>,
    pub(super) ticket: Option<Ticket>,
    pub(super) review: Option<Review>,
    /// Whether a refusal may be stored: the item is not, or was not, another project's.
    pub(super) may_store_refusal: bool,
}

pub(super) async fn load_facts(
    ctx: &Context,
    scope: &ProjectScope,
    event: &ReviewEvent,
    permission: Option<Permission>,
) -> Result<LoadedFacts, Error> {
    let id = &event.pull_request.id;
    let (pull_request, stored, integration) = tokio::try_join!(
        ctx.store.load_pull_request(id),
        ctx.store.load_review(id, &event.review),
        ctx.store.load_integration(&id.integration),
    )?;
    let integration = integration.ok_or_else(|| Error::not_found("integration", &id.integration))?;
    let (mut pull_request, foreign) = match pull_request {
        Some(linked) if !scope.includes(&linked.project) => (None, Some(linked)),
        linked => (linked, None),
    };
    let (mut location, ticket, first) = match &pull_request {
        Some(linked) => Box::pin(load_linked_pull_request(ctx, linked, event)).await?,
        None => (Box::pin(find_location(ctx, scope, &event.pull_request)).await?, None, None),
    };
    let (is_agent_review, is_foreign) = (event.asks.is_agent_review(), foreign.is_some());
    let mut is_owned_elsewhere = false;
    let mut is_taken_over = false;
    // The item belongs to another project, or to a project that the repository has left.
    let is_left = |stored: &mut PullRequest| stored.is_only_reviewed() && location.repository.is_none();
    let left = pull_request.take_if(|stored| is_agent_review && is_left(stored));
    let other = left.as_ref().or(foreign.as_ref()).filter(|_| is_agent_review).cloned();
    if let Some(other) = other {
        if left.is_some() {
            location = Box::pin(find_location(ctx, scope, &event.pull_request)).await?;
        }
        let connected = ctx.store.load_repository(&other.project, &id.integration, id.repository).await?;
        match &location.project {
            Some(project) if location.repository.is_some() && connected.is_none() && may_take_over(&other) => {
                let rev = other.rev;
                pull_request = Some(PullRequest { rev, ..PullRequest::new(other.id, project.id.clone(), None, None) });
                is_taken_over = true;
            }
            _ if location.repository.is_some() => is_owned_elsewhere = true,
            _ => pull_request = left,
        }
    }
    let ledger_project = location.project.as_ref().map_or(&scope.main_project, |project| &project.id).clone();
    let first = match &pull_request {
        Some(linked) if linked.project == ledger_project && !is_taken_over => first,
        _ => ctx.store.load_delivery(&event.ledger_id(&ledger_project)).await?,
    };
    let stored_result = match &stored {
        Some(review) if scope.includes(&review.project) => load_review_result(ctx, review).await?,
        // The review's project is outside the hook's scope: do not reveal or overwrite its result.
        Some(review) if pull_request.is_some() => {
            load_review_result(ctx, review).await?.is_some().then_some(StoredResult::Elsewhere {})
        }
        // The request's ledger entry may have expired before its job.
        None if is_owned_elsewhere => Some(StoredResult::Elsewhere {}),
        None if is_agent_review => {
            let job = ctx.store.load_job(&JobId::for_review(id, &event.review)).await?;
            job.map(|job| match scope.includes(&job.project) {
                true => StoredResult::Started { job: job.id },
                false => StoredResult::Elsewhere {},
            })
        }
        _ => None,
    };
    let first = match (&stored, &stored_result) {
        // Before, the pull request was linked to another project's ticket, so the entry is in that project's ledger.
        (Some(review), Some(StoredResult::Started { .. } | StoredResult::Deferred {}))
            if first.is_none() && review.project != ledger_project =>
        {
            ctx.store.load_delivery(&event.ledger_id(&review.project)).await?
        }
        _ => first,
    };
    let linked_state = pull_request.as_ref().filter(|linked| linked.updated_at > Some(event.pull_request.updated_at));
    let now = ctx.clock.now();
    let today = load_usage_today(ctx, location.project.as_ref(), now).await?;
    // The same item as the charge of the new job: a deleted ticket's pull request goes on naming it.
    let of = match pull_request.as_ref().and_then(|linked| linked.ticket.clone()) {
        Some(ticket) => Some(SpentOn::Ticket(ticket)),
        None => is_agent_review.then(|| SpentOn::PullRequest(id.clone())),
    };
    let label = event.pull_request.label();
    let spending = load_spending_fact(ctx, location.project.as_ref(), of, Some(&label), now).await?;
    let facts = ReviewFacts {
        now,
        asks: event.asks.clone(),
        author: event.author.login.clone(),
        own: ReviewFacts::is_own(event, integration.account.id),
        first: final_answer(first.as_ref(), stored_result.as_ref()),
        stored: stored_result,
        project: ledger_project,
        settings: location.project.as_ref().map(|project| (&project.settings).into()),
        integration: id.integration.clone(),
        repository: event.pull_request.repository.clone(),
        connected: location.repository.is_some(),
        number: id.number,
        // The state with the newer time of the forge, regardless of the order of arrival.
        state: linked_state.map_or(event.pull_request.state, |linked| linked.state),
        permission,
        ticket: ticket_facts(location.project.as_ref(), ticket.as_ref(), pull_request.as_ref()),
        revised: pull_request.as_ref().and_then(|linked| linked.revised.clone()),
        today,
        spending,
        agent_review: agent_review_facts(event, pull_request.as_ref()),
    };
    Ok(LoadedFacts {
        facts,
        first_delivery: first,
        project: location.project,
        repository: location.repository,
        integration,
        pull_request,
        ticket,
        review: stored,
        may_store_refusal: !is_taken_over && !is_foreign,
    })
}

/// Whether a review may store the pull request for its own project, once the repository left the other one. A job or a
/// ticket of the other project owns it.
fn may_take_over(stored: &PullRequest) -> bool {
    stored.is_only_reviewed() && stored.reviews.active_job.is_none()
}

fn agent_review_facts(event: &ReviewEvent, pull_request: Option<&PullRequest>) -> Option<AgentReviewFacts> {
    if !event.asks.is_agent_review() {
        return None;
    }
    let reviews = pull_request.map(|stored| &stored.reviews);
    let last = reviews.and_then(AgentReviews::last_posted);
    Some(AgentReviewFacts {
        from_fork: event.pull_request.from_fork,
        head: event.pull_request.head.clone(),
        active_job: reviews.and_then(|reviews| reviews.active_job.clone()),
        last: last.map(|(job, commit)| (job.clone(), commit.head.clone())),
    })
}

/// Returns code and job of a final answer, or of any answer while the review waits.
fn final_answer(first: Option<&Delivery>, stored: Option<&StoredResult>) -> Option<(String, Option<JobId>)> {
    let is_waiting = stored == Some(&StoredResult::Deferred {});
    let answer = first.filter(|first| first.reason.is_final() || is_waiting);
    answer.map(|first| (first.reason.code().to_owned(), first.job.clone()))
}

pub(crate) async fn load_project_id(
    ctx: &Context,
    scope: &ProjectScope,
    snapshot: &PullRequestSnapshot,
) -> Result<ProjectId, Error> {
    let linked = ctx.store.load_pull_request(&snapshot.id).await?.filter(|linked| scope.includes(&linked.project));
    if let Some(linked) = linked {
        return Ok(linked.project);
    }
    let location = find_location(ctx, scope, snapshot).await?;
    Ok(location.project.map_or_else(|| scope.main_project.clone(), |project| project.id))
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

/// The project of the scope that connects the pull request's repository.
pub(super) async fn find_project(
    ctx: &Context,
    scope: &ProjectScope,
    snapshot: &PullRequestSnapshot,
) -> Result<Option<Project>, Error> {
    let location = find_location(ctx, scope, snapshot).await?;
    Ok(location.project.filter(|_| location.repository.is_some()))
}

#[derive(Default)]
struct RepositoryLocation {
    project: Option<Project>,
    repository: Option<Repository>,
}

async fn load_linked_pull_request(
    ctx: &Context,
    linked: &PullRequest,
    event: &ReviewEvent,
) -> Result<(RepositoryLocation, Option<Ticket>, Option<Delivery>), Error> {
    let entry = event.ledger_id(&linked.project);
    let ticket = async {
        match &linked.ticket {
            Some(ticket) => Ok(ctx.store.load_ticket(&linked.project, ticket).await?),
            None => Ok(None),
        }
    };
    let delivery = async { Ok(ctx.store.load_delivery(&entry).await?) };
    tokio::try_join!(load_location(ctx, &linked.project, &event.pull_request), ticket, delivery)
}

async fn load_location(
    ctx: &Context,
    project: &ProjectId,
    snapshot: &PullRequestSnapshot,
) -> Result<RepositoryLocation, Error> {
    let (integration, repository) = (&snapshot.id.integration, snapshot.id.repository);
    let (project, repository) = tokio::try_join!(
        ctx.store.load_project(project),
        ctx.store.load_repository(project, integration, repository),
    )?;
    Ok(RepositoryLocation { project, repository })
}

async fn find_location(
    ctx: &Context,
    scope: &ProjectScope,
    snapshot: &PullRequestSnapshot,
) -> Result<RepositoryLocation, Error> {
    let main = load_location(ctx, &scope.main_project, snapshot).await?;
    if main.repository.is_some() {
        return Ok(main);
    }
    for project in &scope.others {
        let location = load_location(ctx, project, snapshot).await?;
        if location.repository.is_some() {
            return Ok(location);
        }
    }
    Ok(main)
}

async fn load_review_result(ctx: &Context, review: &Review) -> Result<Option<StoredResult>, Error> {
    let state = match &review.state {
        ReviewState::Absorbed { .. } => {
            let all = ctx.store.list_reviews(&review.pull_request).await?;
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

pub(super) fn answered_job(loaded: &LoadedFacts) -> Option<JobId> {
    match (&loaded.facts.first, &loaded.facts.stored) {
        (_, Some(StoredResult::Started { job })) => Some(job.clone()),
        (Some((_, job)), _) => job.clone(),
        _ => None,
    }
}
