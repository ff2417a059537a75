//! Requests a revision or a review by hand, and links pull requests to tickets.

use super::decide::decide_review;
use super::facts::ProjectScope;
use super::pull_request_ref::{PullRequestRef, load_repository};
use super::translate::to_pull_request_snapshot;
use crate::answer::Answer;
use crate::forge::forge_client;
use crate::{Context, Error, Requester};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Repository;
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId, PullRequestLink, PullRequestState};
use pullyard_domain::review::{
    Author, MAX_MESSAGE_CHARS, PullRequestSnapshot, RequestedAction, ReviewEvent, ReviewRequest,
};
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{EventId, RepositoryName, ReviewId, TicketKey};
use pullyard_domain::text::truncate;
use pullyard_store::Write;

/// Idempotent: with a key, by caller and key.
/// Errors: `NotFound` (project, repository, pull request), `Forge`, `Contended`.
pub async fn request_revision(
    ctx: &Context,
    reference: &PullRequestRef,
    message: Option<String>,
    caller: &Requester,
    key: Option<&EventId>,
) -> Result<Answer, Error> {
    let asks = RequestedAction::Revision { message: message.map(limit_message) };
    request_action(ctx, reference, asks, caller, key).await
}

/// Requests a review by an agent, and its fixes if `request` wants them.
/// Idempotent: with a key, by caller and key.
/// Errors: as `request_revision`, and `Invalid` for an unknown agent or model.
pub async fn request_review(
    ctx: &Context,
    reference: &PullRequestRef,
    request: ReviewRequest,
    caller: &Requester,
    key: Option<&EventId>,
) -> Result<Answer, Error> {
    let request = ReviewRequest { message: request.message.map(limit_message), ..request };
    request_action(ctx, reference, RequestedAction::Review(request), caller, key).await
}

fn limit_message(message: String) -> String {
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

async fn request_action(
    ctx: &Context,
    reference: &PullRequestRef,
    asks: RequestedAction,
    caller: &Requester,
    key: Option<&EventId>,
) -> Result<Answer, Error> {
    let LoadedPullRequest { pull_request: snapshot, .. } = load_pull_request(ctx, reference).await?;
    // Without a key, each call is a request of its own.
    let key = key.map_or_else(|| ctx.clock.ulid(), |key| key.to_string());
    // A script may use one key for all kinds of request.
    let prefix = if asks.is_resolve() { "resolve" } else { "review" };
    let key = if asks.is_agent_review() { format!("{prefix}/{key}") } else { key };
    let event = ReviewEvent {
        source: Source::Person,
        delivery: None,
        review: ReviewId::for_request(&caller.id, &key),
        asks,
        author: Author { id: 0, login: truncate(&caller.name, 48), bot: false },
        submitted_at: ctx.clock.now(),
        marked: false,
        pull_request: snapshot,
    };
    decide_review(ctx, &ProjectScope::single(reference.project.clone()), &event).await
}

/// Idempotent: an existing link stays.
/// Errors: `NotFound` (project, repository, ticket, pull request); `Forge`; `Contended`; `Denied` if it is linked to
/// another ticket or a job resolves it; `Invalid` if it was closed, merged or comes from a fork.
pub async fn link_pull_request(
    ctx: &Context,
    reference: &PullRequestRef,
    key: &TicketKey,
) -> Result<PullRequest, Error> {
    let LoadedPullRequest { repository, pull_request: snapshot } = load_pull_request(ctx, reference).await?;
    if snapshot.from_fork {
        // Jobs cannot push to a fork, and its text is untrusted.
        let fault = format!("{} comes from a fork, and Pullyard can't push to forks", snapshot.label());
        return Err(Error::Invalid { pointer: "/number", fault });
    }
    if snapshot.state != PullRequestState::Open {
        let fault = format!("{} is {}", snapshot.label(), snapshot.state.display_name());
        return Err(Error::Invalid { pointer: "/number", fault });
    }
    let mut rounds = ctx.retries(&snapshot.id);
    loop {
        let (stored, ticket) = tokio::try_join!(
            ctx.store.load_pull_request(&snapshot.id),
            ctx.store.load_ticket(&reference.project, key)
        )?;
        let mut ticket = ticket.ok_or_else(|| Error::not_found("ticket", key))?;
        if let Some(stored) = &stored
            && let Some(other) = &stored.ticket
        {
            if stored.project == reference.project && other == key {
                return Ok(stored.clone());
            }
            // Do not reveal other projects' tickets.
            let to = match stored.project == reference.project {
                true => other.to_string(),
                false => "a ticket of another project".into(),
            };
            let pr = format!("{}#{}", repository.name, reference.number);
            return Err(Error::Denied(Denial::LinkedElsewhere { pr, to }));
        }
        if let Some(stored) = stored.as_ref().filter(|stored| stored.project == reference.project) {
            check_not_resolved(ctx, stored, &repository.name).await?;
        }
        let mut linked = stored.unwrap_or_else(|| {
            PullRequest::new(snapshot.id.clone(), reference.project.clone(), Some(key.clone()), None)
        });
        if linked.project != reference.project {
            // The other project's reviews stay its own.
            let (id, rev) = (linked.id, linked.rev);
            linked = PullRequest { rev, ..PullRequest::new(id, reference.project.clone(), None, None) };
        }
        linked.ticket = Some(key.clone());
        linked.url.clone_from(&snapshot.url);
        linked.branch.clone_from(&snapshot.branch);
        linked.head.clone_from(&snapshot.head);
        linked.repository_name = Some(repository.name.clone());
        linked.state = snapshot.state;
        linked.updated_at = Some(snapshot.updated_at);
        let status = ticket.wanted.status.clone().filter(|_| ticket.is_unsynced());
        let link =
            PullRequestLink { id: snapshot.id.clone(), url: snapshot.url.clone(), branch: snapshot.branch.clone() };
        ticket.request_state(status, ticket.wanted.badge, Some(link));
        if ctx.store.link_pull_request(&linked, &ticket).await? == Write::Applied {
            tracing::info!(pull_request = %snapshot.id, ticket = %key, "pull request linked");
            ctx.wake_ticket(&reference.project, key).await;
            return Ok(linked);
        }
        rounds.backoff().await?;
    }
}

/// Refuses while a resolve job has not ended. It would not lock a ticket that is linked now, so a revision could start
/// at the same time.
async fn check_not_resolved(ctx: &Context, stored: &PullRequest, repository: &RepositoryName) -> Result<(), Error> {
    let Some(id) = &stored.reviews.active_job else { return Ok(()) };
    match ctx.store.load_job(id).await? {
        Some(job) if job.kind == JobKind::Resolve && !job.status.is_terminal() => {
            Err(Error::Denied(Denial::JobInRepository { job: job.id, repo: repository.clone() }))
        }
        _ => Ok(()),
    }
}

/// Idempotent: a pull request without a link does not change.
/// Errors: `NotFound` (project, repository), `Contended`.
pub async fn unlink_pull_request(ctx: &Context, reference: &PullRequestRef) -> Result<Option<TicketKey>, Error> {
    let repository = load_repository(ctx, reference).await?;
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: reference.number };
    let mut rounds = ctx.retries(&id);
    loop {
        let stored = ctx.store.load_pull_request(&id).await?.filter(|stored| stored.project == reference.project);
        let Some(mut linked) = stored else { return Ok(None) };
        let Some(key) = linked.ticket.take() else { return Ok(None) };
        let ticket = ctx.store.load_ticket(&reference.project, &key).await?;
        let write = match ticket {
            Some(mut ticket) => {
                if ticket.pull_request.as_ref().is_some_and(|link| link.id == id) {
                    ticket.unlink();
                }
                ctx.store.link_pull_request(&linked, &ticket).await?
            }
            None => ctx.store.update_pull_request(&linked).await?,
        };
        if write == Write::Applied {
            tracing::info!(pull_request = %id, ticket = %key, "pull request unlinked");
            ctx.wake_ticket(&reference.project, &key).await;
            return Ok(Some(key));
        }
        rounds.backoff().await?;
    }
}

struct LoadedPullRequest {
    repository: Repository,
    pull_request: PullRequestSnapshot,
}

async fn load_pull_request(ctx: &Context, reference: &PullRequestRef) -> Result<LoadedPullRequest, Error> {
    let repository = load_repository(ctx, reference).await?;
    let integration = ctx.load_integration(&repository.integration).await?;
    let forge = forge_client(ctx, &integration, &repository).await?;
    let pull = match forge.pull_request(repository.name.as_str(), reference.number).await {
        Ok(pull) => pull,
        Err(pullyard_forge::Error::NotFound { .. }) => {
            return Err(Error::not_found("pull request", format!("{}#{}", repository.name, reference.number)));
        }
        Err(error) => return Err(error.into()),
    };
    let (integration, name) = (repository.integration.clone(), repository.name.clone());
    let snapshot = to_pull_request_snapshot(integration, repository.id, name, &pull);
    Ok(LoadedPullRequest { repository, pull_request: snapshot })
}
