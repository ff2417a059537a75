//! Polls connected repositories for events that no webhook delivered.
//! Finds reviews, `/pullyard revise` comments, closed, merged and reopened pull requests, and moved heads. Labels
//! cannot be polled: a forge's lists do not show who set a label and when.

mod comparison;
mod repository_poll;

use crate::error::format_for_table;
use crate::sweep::postpone::postpone_after;
use crate::{Context, Error};
use pullyard_domain::hook::poll_progress::{PollProgress, poll_interval};
use pullyard_domain::hook::{Ingress, Poll, Webhook, WebhookScope};
use pullyard_domain::id::{HookName, IntegrationId, ProjectId};
use pullyard_domain::project::Repository;
use pullyard_domain::time::Timestamp;
use pullyard_store::{WorkKey, Write};
use repository_poll::{PollCounts, as_problem};
use std::time::Duration;

/// `poll_hook_repositories` starts no repository after this time: each may take half a minute, and the caller waits.
const START_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollSummary {
    pub repositories: usize,
    /// Due repositories that are left to the sweeper.
    pub waiting: usize,
    pub pull_requests: usize,
    pub reviews: usize,
    pub problems: Vec<String>,
}

/// Idempotent: by the ids of reviews.
/// Errors: `Store`. A refusal by the forge is stored. After a permanent error the repository is put off, longer each
/// time until a poll succeeds; otherwise every sweep would send it again.
pub async fn poll_repository(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    let polled = poll_if_due(ctx, project, integration, repository).await;
    let key = WorkKey::Poll(project.clone(), integration.clone(), repository);
    postpone_after(ctx, &key, polled, |error| !error.is_transient()).await
}

async fn poll_if_due(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    let Some(poll) = ctx.store.load_poll(project, integration, repository).await? else { return Ok(()) };
    let now = ctx.clock.now();
    let is_resting = poll.not_before.is_some_and(|not_before| not_before > now);
    if poll.gone_at.is_some() || poll.next > now || is_resting {
        return Ok(());
    }
    poll_once(ctx, poll).await.map(drop)
}

/// Polls all repositories of a hook now.
/// Idempotent: by the ids of reviews.
/// Errors: `NotFound`; `Contended`; `Store`. A forge's refusal is one of the problems.
pub async fn poll_hook_repositories(
    ctx: &Context,
    name: &HookName,
    since: Option<Timestamp>,
) -> Result<PollSummary, Error> {
    let hook = ctx.load_hook(name).await?;
    let began = ctx.clock.now();
    let mut looked = PollSummary::default();
    for repository in list_repositories_of_hook(ctx, &hook).await? {
        let Some(poll) = make_poll_due(ctx, &repository, since).await? else { continue };
        if ctx.clock.now().since(began) >= START_TIMEOUT {
            looked.waiting += 1;
            continue;
        }
        match poll_once(ctx, poll).await {
            Ok(Some(found)) => {
                looked.repositories += 1;
                looked.pull_requests += found.pull_requests;
                looked.reviews += found.reviews;
                looked.problems.extend(found.problem);
            }
            Ok(None) => looked.waiting += 1,
            Err(error) => looked.problems.push(format_for_table(&as_problem(error)?)),
        }
    }
    tracing::info!(hook = %hook.name, ?looked, "repositories polled");
    Ok(looked)
}

async fn list_repositories_of_hook(ctx: &Context, hook: &Webhook) -> Result<Vec<Repository>, Error> {
    if let WebhookScope::Repository { id, .. } = &hook.kind {
        let repository = ctx.store.load_repository(&hook.home, &hook.integration, *id).await?;
        return Ok(repository.into_iter().collect());
    }
    let mut all = Vec::new();
    for project in ctx.store.list_all_project_ids().await? {
        let connected = ctx.store.list_repositories(&project).await?.into_iter();
        all.extend(connected.filter(|repository| repository.integration == hook.integration));
    }
    Ok(all)
}

/// Makes the next poll due now, and lets it start at `since` if that is earlier. `None` if the repository is gone.
async fn make_poll_due(
    ctx: &Context,
    repository: &Repository,
    since: Option<Timestamp>,
) -> Result<Option<Poll>, Error> {
    let poll = update_poll(ctx, repository, |mut poll, now| {
        if poll.gone_at.is_some() {
            return None;
        }
        if let Some(since) = since {
            poll.look = PollProgress::starting_at(poll.look.since.map_or(since, |last| last.min(since)));
        }
        Some(Poll { next: now, not_before: None, ..poll })
    });
    Ok(Some(poll.await?).filter(|poll| poll.gone_at.is_none()))
}

/// Polls once. `None` if another process polls, or changed the settings.
async fn poll_once(ctx: &Context, mut poll: Poll) -> Result<Option<PollCounts>, Error> {
    let integration = ctx.store.load_integration(&poll.integration).await?;
    // Stored before calling the forge, so that a poll that fails or is killed does not start again at once.
    let every = integration.as_ref().map(|integration| poll_interval(poll.ingress, integration.kind));
    poll.next = ctx.clock.now().plus(every.unwrap_or(pullyard_domain::hook::RECOVERY_INTERVAL));
    poll.not_before = None;
    if ctx.store.put_poll(&poll).await? == Write::Stale {
        return Ok(None);
    }
    poll.rev += 1;
    let found = match integration {
        Some(integration) => {
            let (found, next) = repository_poll::run_round(ctx, &integration, &poll).await?;
            poll.look = next;
            found
        }
        None => {
            poll.look.problem = Some(format!("there is no integration {}", poll.integration));
            PollCounts::default()
        }
    };
    poll.tries = 0;
    // Stale is harmless: the next poll compares again.
    ctx.store.put_poll(&poll).await?;
    Ok(Some(PollCounts { problem: poll.look.problem, ..found }))
}

/// Idempotent: by the value.
/// Errors: `Contended`; `Store`.
pub async fn set_ingress(ctx: &Context, repository: &Repository, ingress: Ingress) -> Result<Poll, Error> {
    let set = |poll: Poll, now| {
        let is_new = poll.ingress != ingress || poll.rev == 0;
        is_new.then_some(Poll { ingress, next: now, gone_at: None, ..poll })
    };
    update_poll(ctx, repository, set).await
}

/// Stores the change of a repository's poll, unless `change` returns that there is none.
pub(crate) async fn update_poll(
    ctx: &Context,
    repository: &Repository,
    change: impl Fn(Poll, Timestamp) -> Option<Poll>,
) -> Result<Poll, Error> {
    let mut rounds = ctx.retries(&repository.name);
    loop {
        let now = ctx.clock.now();
        let stored = ctx.store.load_poll(&repository.project, &repository.integration, repository.id).await?;
        let poll = stored.unwrap_or_else(|| Poll::new(repository, now));
        let Some(changed) = change(poll.clone(), now) else { return Ok(poll) };
        if ctx.store.put_poll(&changed).await? == Write::Applied {
            return Ok(Poll { rev: changed.rev + 1, ..changed });
        }
        rounds.backoff().await?;
    }
}
