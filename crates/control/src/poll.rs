//! Polls connected repositories for events that no webhook delivered.
//! Finds reviews, `/pullyard` comments, closed, merged and reopened pull requests, and moved heads. Labels
//! cannot be polled: a forge's lists do not show who set a label and when.

mod comparison;
mod issue_comments;
mod repository_poll;
pub(crate) mod tool_poll;
pub(crate) mod update_poll;

use crate::forge::forge_client;
use crate::postpone::postpone_after;
use crate::trackers::issues::{has_issues_as_tickets, issue_key};
use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::forge::Integration;
use pullyard_domain::project::hook::poll_progress::{LOOK_BACK, PollProgress, poll_interval};
use pullyard_domain::project::hook::{Ingress, Poll, RECOVERY_INTERVAL};
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{WorkKey, Write};
use repository_poll::RepositoryPoll;
use std::time::Duration;
use update_poll::update_poll;

/// Covers the difference between the clocks, and issues that change while they are listed.
const ISSUE_OVERLAP: Duration = Duration::from_secs(120);
/// A poll that has taken this long leaves comments on issues to the next one: reading them may take 15 s, and
/// `calls::WORK_LIMIT` stops the poll.
const COMMENTS_UNTIL: Duration = Duration::from_secs(30);
/// Within this time after the choice of the tool, each repository is polled.
const FIRST_LIST: Duration = Duration::from_secs(3_600);

/// Idempotent: by the ids of reviews.
/// Errors: `Store`. A refusal by the forge is stored. After a permanent error the repository is put off, longer each
/// time until a poll succeeds; otherwise every sweep would send it again.
pub async fn poll_repository(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    let result = poll_if_due(ctx, project, integration, repository).await;
    let key = WorkKey::Poll(project.clone(), integration.clone(), repository);
    postpone_after(ctx, &key, result, |error| !error.is_transient()).await
}

async fn poll_if_due(
    ctx: &Context,
    project: &ProjectId,
    integration: &IntegrationId,
    repository: u64,
) -> Result<(), Error> {
    let Some(mut poll) = ctx.store.load_poll(project, integration, repository).await? else { return Ok(()) };
    let now = ctx.clock.now();
    let is_postponed = poll.not_before.is_some_and(|not_before| not_before > now);
    if poll.gone_at.is_some() || poll.next > now || is_postponed {
        return Ok(());
    }
    if repository == tool_poll::TOOL {
        return Box::pin(tool_poll::poll_tool(ctx, poll, now)).await;
    }
    let integration = ctx.store.load_integration(&poll.integration).await?;
    // Stored before calling the forge, so that a poll that fails or is killed does not start again at once.
    let interval = integration.as_ref().map(|integration| poll_interval(poll.ingress, integration.kind));
    poll.next = now.plus(interval.unwrap_or(RECOVERY_INTERVAL));
    poll.not_before = None;
    // Stale: another process polls, or the settings changed.
    if ctx.store.put_poll(&poll).await? == Write::Stale {
        return Ok(());
    }
    poll.rev += 1;
    match integration {
        Some(integration) => {
            poll.look = Box::pin(repository_poll::run_round(ctx, &integration, &poll)).await?;
            Box::pin(read_changed_issues(ctx, &integration, &mut poll, now)).await?;
        }
        None => poll.look.problem = Some(format!("there is no integration {}", poll.integration)),
    }
    poll.tries = 0;
    // Stale is harmless: the next poll compares again.
    ctx.store.put_poll(&poll).await?;
    Ok(())
}

/// Requests a look at each issue that changed, and raises limits by comments on issues, if the project's tickets are
/// issues. The first poll of a repository that is connected later only stores its time: moves since the choice of the
/// tool would start jobs. The next poll repeats a failure. `begun`: the start of the whole poll.
async fn read_changed_issues(
    ctx: &Context,
    integration: &Integration,
    poll: &mut Poll,
    begun: Timestamp,
) -> Result<(), Error> {
    let repository = ctx.store.load_repository(&poll.project, &poll.integration, poll.repository).await?;
    let repository = match has_issues_as_tickets(ctx, &poll.project, &integration.id).await? {
        true => repository,
        false => None,
    };
    let Some(repository) = repository else {
        let (issues, comments, undecided) = Default::default();
        poll.look = PollProgress { issues, comments, undecided, ..std::mem::take(&mut poll.look) };
        return Ok(());
    };
    let started = ctx.clock.now();
    let chosen = ctx.store.load_poll(&poll.project, &poll.integration, tool_poll::TOOL).await?;
    if let Some(chosen) = &chosen
        && let Err(error) = tool_poll::repeat_issue_looks(ctx, chosen, &repository.name).await
    {
        tracing::warn!(repository = %repository.name, error = %error, "looks at issues not repeated");
    }
    let chosen = chosen.and_then(|chosen| chosen.look.since).filter(|since| started.since(*since) < FIRST_LIST);
    let since = poll.look.issues.or(chosen.map(|since| since.minus(LOOK_BACK)));
    poll.look.comments = poll.look.comments.or(Some(since.unwrap_or(started).minus(repository_poll::CLOCK_SKEW)));
    poll.look.issues = Some(match since {
        Some(since) => Box::pin(look_at_changed_issues(ctx, integration, &repository, since)).await?,
        None => started,
    });
    if ctx.clock.now().since(begun) >= COMMENTS_UNTIL {
        tracing::info!(repository = %repository.name, "comments on issues left to the next poll");
        return Ok(());
    }
    let comments = Box::pin(issue_comments::raise_by_issue_comments(ctx, integration, &repository, &mut poll.look));
    if let Err(error) = repository_poll::with_timeout(integration, comments).await {
        tracing::warn!(repository = %repository.name, error = %error, "comments on issues not read");
    }
    Ok(())
}

/// Returns the time of the list; after a failure, `since`.
async fn look_at_changed_issues(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    since: Timestamp,
) -> Result<Timestamp, Error> {
    let started = ctx.clock.now();
    let list = async {
        let client = forge_client(ctx, integration, repository).await?.into_issue_client();
        let Some(client) = client else { return Ok(Vec::new()) };
        let since = since.minus(ISSUE_OVERLAP).to_string();
        Ok::<_, Error>(client.changed_issues(repository.name.as_str(), &since).await?)
    };
    let numbers = match repository_poll::with_timeout(integration, list).await {
        Ok(numbers) => numbers,
        Err(error) => {
            tracing::warn!(repository = %repository.name, error = %error, "forge did not list issues");
            return Ok(since);
        }
    };
    for key in numbers.iter().filter_map(|number| issue_key(&repository.name, *number)) {
        ctx.wake_look(&repository.project, &integration.id, &key, None).await?;
    }
    Ok(started)
}

/// Compares one pull request now, because a user has just changed it. The regular poll remains due.
/// Idempotent: by the ids of reviews.
pub(crate) async fn compare_pull_request(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    number: u64,
) -> Result<(), Error> {
    let id = PullRequestId { integration: integration.id.clone(), repository: repository.id, number };
    let round = RepositoryPoll::new(ctx, integration, repository, &PollProgress::default());
    repository_poll::with_timeout(integration, round.compare_reviews(&id)).await.map(drop)
}

/// Idempotent: by the value.
/// Errors: `Contended`; `Store`.
pub async fn set_ingress(ctx: &Context, repository: &Repository, ingress: Ingress) -> Result<Poll, Error> {
    let change = |poll: Poll, now| {
        let is_new = poll.ingress != ingress || poll.rev == 0;
        is_new.then_some(Poll { ingress, next: now, gone_at: None, ..poll })
    };
    update_poll(ctx, repository, change).await
}
