//! Explains the state of a pull request's reviews in one sentence.

use super::facts::{ProjectScope, load_facts};
use super::pull_request_ref::{PullRequestRef, load_repository};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::job::explanation::explain_job;
use pullyard_domain::project::hook::Ingress;
use pullyard_domain::project::hook::poll_progress::describe_poll_interval;
use pullyard_domain::review::guard::{Decision, DecisionStep, decide};
use pullyard_domain::review::published::short_commit;
use pullyard_domain::review::pull_request::{EndedReview, Note, PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::review::{Author, Permission, PullRequestSnapshot, RequestedAction, ReviewEvent};
use pullyard_domain::text::Span;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::id::{JobId, ProjectId, ReviewId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::Ticket;

#[derive(Clone, Debug)]
pub struct PullRequestView {
    pub pull_request: PullRequest,
    pub job: Option<JobId>,
    pub deferred_until: Option<Timestamp>,
    pub sentence: String,
    pub help: String,
}

/// Errors: `NotFound` (project, repository). An unlinked pull request is no error.
pub async fn pull_request_view(ctx: &Context, reference: &PullRequestRef) -> Result<PullRequestView, Error> {
    let repository = load_repository(ctx, reference).await?;
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: reference.number };
    let linked = ctx.store.load_pull_request(&id).await?.filter(|linked| linked.project == reference.project);
    let mut linked = linked.unwrap_or_else(|| PullRequest::new(id, reference.project.clone(), None, None));
    linked.repository_name = Some(repository.name);
    load_view(ctx, linked).await
}

pub async fn load_pull_request_of_ticket(ctx: &Context, ticket: &Ticket) -> Result<Option<PullRequestView>, Error> {
    let Some(link) = &ticket.pull_request else { return Ok(None) };
    let linked = ctx.store.load_pull_request(&link.id).await?;
    let ours = linked.filter(|linked| linked.project == ticket.project && linked.ticket.as_ref() == Some(&ticket.key));
    let Some(mut linked) = ours else { return Ok(None) };
    if linked.repository_name.is_none() {
        let repository =
            ctx.store.load_repository(&linked.project, &linked.id.integration, linked.id.repository).await?;
        linked.repository_name = repository.map(|repository| repository.name);
    }
    if linked.repository_name.is_none() {
        return Ok(None);
    }
    load_view(ctx, linked).await.map(Some)
}

pub async fn list_pull_request_views(
    ctx: &Context,
    project: &ProjectId,
    after: Option<&str>,
    limit: i32,
) -> Result<(Vec<PullRequestView>, Option<String>), Error> {
    let (ids, next) = ctx.store.list_open_pull_requests(project, after, limit).await?;
    let mut views = Vec::with_capacity(ids.len());
    for (id, _) in ids {
        let linked = ctx.store.load_pull_request(&id).await?;
        // The index also contains pull requests of jobs without a ticket.
        if let Some(linked) = linked.filter(|linked| linked.ticket.is_some() || !linked.reviews.is_empty()) {
            views.push(load_view(ctx, linked).await?);
        }
    }
    Ok((views, next))
}

async fn load_view(ctx: &Context, linked: PullRequest) -> Result<PullRequestView, Error> {
    let now = ctx.clock.now();
    let ticket = match &linked.ticket {
        Some(key) => ctx.store.load_ticket(&linked.project, key).await?,
        None => None,
    };
    let deferred_until = ticket.as_ref().and_then(|ticket| ticket.deferred.get(&linked.id.to_string()).copied());
    let active_job = ticket.as_ref().and_then(|ticket| ticket.active_job.clone());
    let noted_job = match &linked.note {
        Some(Note::Job { job, .. }) if !linked.reviews.names(job) => Some(job.clone()),
        _ => None,
    };
    let job = match active_job.or(noted_job.filter(|_| deferred_until.is_none())) {
        Some(job) => ctx.store.load_job(&job).await?,
        None => None,
    };
    let reviewing = match &linked.reviews.active_job {
        Some(job) => ctx.store.load_job(job).await?,
        None => None,
    };
    let (sentence, help) = if let Some(job) = reviewing.filter(|job| !job.status.is_terminal()) {
        let wait = WaitExplainer::default().explain(ctx, &job, now).await?;
        let (sentence, help) = explain_job(&job, wait.as_ref(), None, now);
        (format!("Job {} reviews {}: {}", job.id.short(), linked.label(), lowercase_first(&sentence)), help)
    } else if let Some(sentence) = linked.explain_wanted_review(now).filter(|_| linked.ticket.is_none()) {
        (sentence, format!("To start it now: `pullyard review {}`.", linked.label()))
    } else if linked.ticket.is_none() && is_about_reviews(&linked) {
        explain_reviews(ctx, &linked).await?
    } else if linked.state != PullRequestState::Open || linked.ticket.is_none() {
        explain_next_review(ctx, &linked, None).await?
    } else if let Some(job) = job.as_ref().filter(|job| !job.status.is_terminal()) {
        let wait = WaitExplainer::default().explain(ctx, job, now).await?;
        let (sentence, help) = explain_job(job, wait.as_ref(), None, now);
        (format!("Job {} works on {}: {}", job.id.short(), linked.label(), lowercase_first(&sentence)), help)
    } else if let Some(until) = deferred_until {
        let remaining = Span::from(until.since(now));
        (
            format!("Reviews of {} are waiting; one job for all of them may start in {remaining}.", linked.label()),
            format!("To start it now: `pullyard revise {}`.", linked.label()),
        )
    } else {
        match &linked.note {
            Some(Note::Decision { reason }) if depends_on_state(reason) => {
                explain_next_review(ctx, &linked, Some(reason)).await?
            }
            Some(Note::Decision { reason }) => (reason.sentence(), reason.help()),
            _ => explain_next_review(ctx, &linked, None).await?,
        }
    };
    let job = job.map(|job| job.id);
    Ok(PullRequestView { pull_request: linked, job, deferred_until, sentence, help })
}

/// Whether the reason is a setting or a state, which may have changed since, and not the review or its author.
fn depends_on_state(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::RetriggerDisabled { .. }
            | Reason::ProjectHeld { .. }
            | Reason::BudgetExhausted { .. }
            | Reason::TicketLimit { .. }
            | Reason::RepositoryNotIntegrated { .. }
            | Reason::NoLinkedTicket { .. }
            | Reason::TicketInactive { .. }
            | Reason::PreviousJobNotCompleted { .. }
    )
}

fn is_about_reviews(linked: &PullRequest) -> bool {
    !linked.reviews.ended.is_empty() || matches!(linked.note, Some(Note::ReviewRefusal { .. }))
}

/// Explains the last review of a pull request without a ticket.
async fn explain_reviews(ctx: &Context, linked: &PullRequest) -> Result<(String, String), Error> {
    let label = linked.label();
    let again = match linked.state {
        PullRequestState::Open => format!("Review it again after a push: `pullyard review {label}`."),
        PullRequestState::Closed | PullRequestState::Merged => "Nothing to do.".to_owned(),
    };
    match linked.reviews.ended.first() {
        Some(EndedReview { posted: Some(commit), .. }) => {
            let head = short_commit(&commit.head);
            Ok((format!("An agent reviewed {label} at {head}. {}", commit.counts.sentence()), again))
        }
        Some(EndedReview { job, .. }) => match ctx.store.load_job(job).await? {
            Some(job) => {
                let (sentence, help) = explain_job(&job, None, None, ctx.clock.now());
                Ok((
                    format!("The last review of {label}, by job {}: {}", job.id.short(), lowercase_first(&sentence)),
                    help,
                ))
            }
            None => Ok((format!("The last review of {label} did not complete."), again)),
        },
        None => Ok(match &linked.note {
            Some(Note::ReviewRefusal { reason }) => (
                format!("No agent has reviewed {label}. The last request was refused: {}", reason.sentence()),
                reason.help(),
            ),
            _ => (format!("No agent has reviewed {label} yet."), format!("`pullyard review {label}`.")),
        }),
    }
}

/// Explains how a request for changes would be decided now. `refused` is why the newest review started no job.
async fn explain_next_review(
    ctx: &Context,
    linked: &PullRequest,
    refused: Option<&Reason>,
) -> Result<(String, String), Error> {
    let repository = ctx.store.load_repository(&linked.project, &linked.id.integration, linked.id.repository).await?;
    let name = linked.repository_name.clone().or(repository.map(|repository| repository.name));
    let Some(name) = name else {
        return Err(Error::not_found("repository", linked.id.repository));
    };
    let event = ReviewEvent {
        source: pullyard_domain::review::delivery::Source::Person,
        delivery: None,
        review: ReviewId::new("none")?,
        asks: RequestedAction::Changes {},
        author: Author { id: 0, login: "a reviewer".into(), bot: false },
        submitted_at: ctx.clock.now(),
        marked: false,
        pull_request: PullRequestSnapshot {
            id: linked.id.clone(),
            repository: name,
            state: linked.state,
            head: linked.head.clone(),
            branch: linked.branch.clone(),
            url: linked.url.clone(),
            updated_at: linked.updated_at.unwrap_or_else(|| Timestamp::from_millis(0)),
            title: String::new(),
            base: String::new(),
            from_fork: false,
            draft: false,
            opened_at: None,
        },
    };
    let loaded =
        load_facts(ctx, &ProjectScope::single(linked.project.clone()), &event, Some(Permission::Write)).await?;
    let reason = match decide(&loaded.facts, JobId::for_review(&linked.id, &event.review)) {
        DecisionStep::Decided(Decision { reason, .. }) => Some(reason),
        _ => None,
    };
    let label = linked.label();
    Ok(match (reason, refused) {
        (Some(reason), _) if !matches!(reason, Reason::Accepted { .. } | Reason::HeldUntil { .. }) => {
            (reason.sentence(), reason.help())
        }
        (_, Some(refused)) => (
            format!("The newest review of {label} started no job. The reason was: {}", refused.sentence()),
            format!("That no longer applies. Start a job for the review: `pullyard revise {label}`."),
        ),
        // Rephrased, because the reason's sentence is about an existing review.
        (Some(Reason::HeldUntil { time, .. }), None) => (
            format!(
                "No reviews are waiting. {label} is revised at most once an hour; the next review that requests \
                 changes starts a job in {}.",
                Span::from(time.since(loaded.facts.now))
            ),
            format!("To start one at once: `pullyard revise {label}`."),
        ),
        _ => {
            let PullRequestId { integration, repository, .. } = &linked.id;
            let poll = ctx.store.load_poll(&linked.project, integration, *repository).await?;
            let ingress = poll.map(|poll| poll.ingress).unwrap_or_default();
            let polling = describe_poll_interval(ingress, loaded.integration.kind);
            let sources = if ingress == Ingress::Poll { "polling" } else { "a webhook, or by polling" };
            (
                format!("No reviews are waiting. A review that requests changes on {label} starts a job."),
                format!("Pullyard receives reviews by {sources} {polling}."),
            )
        }
    })
}

fn lowercase_first(sentence: &str) -> String {
    let mut rest = sentence.chars();
    rest.next().map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}
