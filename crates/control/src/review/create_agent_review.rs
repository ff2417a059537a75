//! Creates the job of a requested review by an agent.

use super::facts::LoadedFacts;
use super::snapshot::with_snapshot;
use crate::jobs::new_job::{NewJob, NewReview, write_new_job};
use crate::{Context, Error};
use pullyard_domain::job::{JobKind, PullRequestUnderReview};
use pullyard_domain::review::delivery::Delivery;
use pullyard_domain::review::pull_request::{Note, PullRequest};
use pullyard_domain::review::{PullRequestSnapshot, RequestedAction, ReviewEvent};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::ticket::event::TicketText;
use pullyard_store::Write;

/// Creates the job, the pull request's item that names it, and the decision in one transaction.
/// Writes: the job's context, which stays unused if the job is not created; then see `Store::create_job`.
/// Idempotent: by the job's id.
/// Errors: `Invalid` for an unknown agent or model.
pub(super) async fn create_agent_review(
    ctx: &Context,
    event: &ReviewEvent,
    loaded: &LoadedFacts,
    reason: &Reason,
    delivery: &Delivery,
) -> Result<Write, Error> {
    let (RequestedAction::Review(request), Reason::Accepted { job: id }, Some(project), Some(repository)) =
        (&event.asks, reason, &loaded.project, &loaded.repository)
    else {
        return Err(Error::Inconsistent("a review was accepted without its repository".into()));
    };
    let snapshot = &event.pull_request;
    let mut repository = repository.clone().resolve_agent(&project.settings);
    repository.agent =
        repository.agent.with_job_choice(request.agent.as_deref(), request.model.as_deref()).map_err(|bad| {
            Error::Invalid { pointer: if bad.field == "model" { "/model" } else { "/agent" }, fault: bad.message }
        })?;
    let new = || PullRequest::new(snapshot.id.clone(), project.id.clone(), None, None);
    let mut item = with_snapshot(&loaded.pull_request.clone().unwrap_or_else(new), snapshot);
    item.reviews.start(id, request.automatic, loaded.facts.now);
    item.set_review_note(Note::job_created(id.clone()));
    let is_resolve = event.asks.is_resolve();
    let pull_request = PullRequestUnderReview {
        number: snapshot.id.number,
        url: snapshot.url.clone(),
        title: snapshot.title.clone(),
        branch: snapshot.branch.clone(),
        head: snapshot.head.clone(),
        since: next_since(&item, snapshot).filter(|_| !request.full && !is_resolve).map(str::to_owned),
    };
    let retried = match &request.retry_of {
        Some(retried) => Some(ctx.load_job(retried).await?),
        None => None,
    };
    // A review does not belong to the ticket, but has the labels and the priority of the ticket's jobs.
    let text = match &loaded.ticket {
        Some(ticket) => ctx.store.load_ticket_text(&ticket.project, &ticket.key).await?.map(|stored| stored.text),
        None => None,
    };
    let kind = if is_resolve { JobKind::Resolve } else { JobKind::Review };
    let new = NewJob {
        instructions: request.message.clone(),
        reviews: Some(NewReview { pull_request, item, ticket: loaded.ticket.clone().filter(|_| is_resolve) }),
        base: Some(snapshot.base.clone()),
        labels: text.as_ref().map(TicketText::runner_labels).unwrap_or_default(),
        priority: text.as_ref().and_then(TicketText::priority),
        retry_of: retried.as_ref(),
        ..NewJob::new(id.clone(), kind, (project, &repository), loaded.facts.now)
    };
    write_new_job(ctx, new, delivery, None).await
}

/// The commit after which the review begins. `None` if the head is reviewed already: a message about it then refers to
/// the whole change.
fn next_since<'a>(item: &'a PullRequest, snapshot: &PullRequestSnapshot) -> Option<&'a str> {
    item.reviews.next_since(&snapshot.base).filter(|since| !since.starts_with(&snapshot.head))
}
