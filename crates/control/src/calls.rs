//! Handles the messages of both ordered queues. No message calls a host that rests after a timeout.
//! The queue of effects moves work; the queue of calls has the messages whose only purpose is a call to a user's address.

use crate::corrupt::skip_corrupt;
use crate::sweep::postpone::put_off_until;
use crate::tickets::settle_ticket::{settle_ticket, settle_without_calls};
use crate::trackers::load_readable_tracker;
use crate::trackers::look::look_at_ticket;
use crate::{Context, Error, advance_run, poll_repository, review, send_notice};
use pullyard_domain::host::{Exchanges, HostRest, HostSign, host_of};
use pullyard_domain::id::{IntegrationId, ProjectId};
use pullyard_domain::time::Timestamp;
use pullyard_domain::tracker::{Tracker, TrackerKind};
use pullyard_domain::wakeup::{EffectMessage, NoticeWakeup, QueuedReview, call_group};
use pullyard_store::WorkKey;
use std::time::Duration;

/// For the work of one message with calls. The functions have 60 s.
const WORK_LIMIT: Duration = Duration::from_secs(50);

/// Handles a message of the queue of effects. A call that is due is sent to the other queue.
/// Idempotent: by the table.
/// Errors: of the use cases.
pub async fn handle_effect(ctx: &Context, effect: EffectMessage) -> Result<(), Error> {
    match effect {
        EffectMessage::Settle(wakeup) => Box::pin(settle_without_calls(ctx, &wakeup.project, &wakeup.ticket)).await,
        EffectMessage::Admit(wakeup) => {
            let host = match skip_corrupt(ctx, ctx.store.load_job(&wakeup.job).await)?.flatten() {
                Some(job) => load_forge_host(ctx, &job.integration).await?,
                None => None,
            };
            let key = WorkKey::Job(wakeup.job.clone());
            call_host(ctx, host, key, Box::pin(review::freeze_reviews(ctx, &wakeup.job))).await
        }
        EffectMessage::Advance(wakeup) => Box::pin(advance_run(ctx, &wakeup.advance)).await,
        EffectMessage::Review(queued) => {
            // Only the message has the review, so it does not wait for the end of a rest.
            let host = load_forge_host(ctx, &queued.event.pull_request.id.integration).await?;
            record_exchanges_of(ctx, host, Box::pin(decide(ctx, *queued))).await
        }
        // An older version sent it here.
        EffectMessage::Tell(wakeup) => Ok(ctx.wakeups.wake_pull_request(&wakeup).await?),
        EffectMessage::Poll(wakeup) => Ok(ctx.wakeups.wake_poll(&wakeup).await?),
        EffectMessage::Notify(wakeup) => match ctx.store.load_notice(&wakeup.notice).await? {
            Some(notice) => Ok(ctx.wakeups.wake_notice(&notice.data.project, &wakeup).await?),
            None => Ok(()),
        },
        EffectMessage::Look(wakeup) => match load_connection_id(ctx, &wakeup.look).await? {
            Some(connection) => Ok(ctx.wakeups.look_at_ticket(&connection, &wakeup).await?),
            None => Ok(()),
        },
    }
}

/// Handles a message of the queue of calls. `group`: its message group, which limits the calls to one host.
/// Idempotent: by the table.
/// Errors: of a look, which only its message requests. The others are put off in the table, where the sweeper finds
/// them: a message that fails would block all calls of its group.
pub async fn handle_call(ctx: &Context, effect: EffectMessage, group: &str) -> Result<(), Error> {
    let is_derivable = !matches!(effect, EffectMessage::Look(_) | EffectMessage::Review(_));
    let result = Box::pin(make_call(ctx, effect, group)).await;
    result.or_else(|error| match is_derivable {
        true => {
            tracing::error!(error = &error as &dyn std::error::Error, "call failed; the sweeper repeats it");
            Ok(())
        }
        false => Err(error),
    })
}

async fn make_call(ctx: &Context, effect: EffectMessage, group: &str) -> Result<(), Error> {
    match effect {
        EffectMessage::Notify(wakeup) => Box::pin(notify(ctx, &wakeup, group)).await,
        EffectMessage::Look(wakeup) => {
            let host = load_tool_host(ctx, &wakeup.look).await?;
            let look = Box::pin(look_at_ticket(ctx, &wakeup.look, &wakeup.ticket));
            record_exchanges_of(ctx, host, look).await
        }
        EffectMessage::Settle(wakeup) => {
            let host = load_tool_host(ctx, &wakeup.project).await?;
            let settle = Box::pin(settle_ticket(ctx, &wakeup.project, &wakeup.ticket));
            record_exchanges_of(ctx, host, settle).await
        }
        EffectMessage::Tell(wakeup) => {
            let id = &wakeup.pull_request;
            let host = load_forge_host(ctx, &id.integration).await?;
            let key = WorkKey::PullRequest(id.clone());
            call_host(ctx, host, key, Box::pin(review::post_status(ctx, id))).await
        }
        EffectMessage::Poll(wakeup) => {
            let (project, integration, repository) = (&wakeup.poll, &wakeup.integration, wakeup.repository);
            let host = match load_readable_tracker(ctx, integration).await? {
                Some(tool) if repository == crate::poll::tool_poll::TOOL => tool_host(ctx, &tool).await?,
                _ => load_forge_host(ctx, integration).await?,
            };
            let key = WorkKey::Poll(project.clone(), integration.clone(), repository);
            call_host(ctx, host, key, Box::pin(poll_repository(ctx, project, integration, repository))).await
        }
        // Work without a call belongs into the other queue.
        other => Box::pin(handle_effect(ctx, other)).await,
    }
}

async fn decide(ctx: &Context, queued: QueuedReview) -> Result<(), Error> {
    let scope = review::ProjectScope::from_projects(queued.hook, queued.projects)
        .ok_or_else(|| Error::Inconsistent("queued review has no project".into()))?;
    review::decide_review(ctx, &scope, &queued.event).await.map(|_| ())
}

/// The address may be in a secret, so the sender of the message does not know its host. A message in another group than
/// that of its host is sent again.
async fn notify(ctx: &Context, wakeup: &NoticeWakeup, group: &str) -> Result<(), Error> {
    let Some(host) = crate::notify::load_host(ctx, wakeup).await? else {
        return send_notice(ctx, &wakeup.notice, &wakeup.endpoint).await;
    };
    let right = call_group(&host, wakeup.endpoint.as_str());
    if group != right {
        return Ok(ctx.wakeups.send_notice(right, wakeup).await?);
    }
    if let Some(until) = load_rest(ctx, &host).await? {
        return crate::notify::put_off(ctx, wakeup, until).await;
    }
    record_exchanges_of(ctx, Some(host), Box::pin(send_notice(ctx, &wakeup.notice, &wakeup.endpoint))).await
}

/// Does the work unless the host rests. Then the item is put off until the end of the rest.
/// Errors: of the work.
async fn call_host(
    ctx: &Context,
    host: Option<String>,
    key: WorkKey,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    if let Some(host) = &host
        && let Some(until) = load_rest(ctx, host).await?
    {
        tracing::info!(host, until = %until, item = ?key, "host rests; the call is put off");
        return put_off_until(ctx, &key, until).await;
    }
    record_exchanges_of(ctx, host, work).await
}

/// Does the work, and lets the host rest if no call was answered in time. Calls to several hosts in one message may hang
/// one after the other; `WORK_LIMIT` ends the work before the function is killed, so that the rest is recorded.
/// Writes: HOST after a timeout, and after the first answer that follows one.
/// Errors: of the work; `Timeout`.
async fn record_exchanges_of(
    ctx: &Context,
    host: Option<String>,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let Some(host) = host else { return work.await };
    let before = count_exchanges(ctx, &host);
    let result = match tokio::time::timeout(WORK_LIMIT, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout { step: "do the work of a message", within: WORK_LIMIT }),
    };
    // The rest must not hide the result of the work.
    if let Err(error) = record_exchanges(ctx, &host, before).await {
        tracing::warn!(host, error = &error as &dyn std::error::Error, "rest of a host not stored");
    }
    result
}

async fn record_exchanges(ctx: &Context, host: &str, before: Exchanges) -> Result<(), Error> {
    let changed = match count_exchanges(ctx, host).sign_since(before) {
        Some(HostSign::Hangs) => {
            let rest = HostRest::after_timeout(ctx.store.load_host_rest(host).await?, host, ctx.clock.now());
            if let Some(rest) = &rest {
                tracing::warn!(host, until = %rest.until, timeouts = rest.timeouts, "host does not answer; it rests");
            }
            rest
        }
        Some(HostSign::Answers) => ctx.store.load_host_rest(host).await?.and_then(HostRest::after_answer),
        None => None,
    };
    if let Some(rest) = changed {
        // Stale: a concurrent call has recorded its own result.
        ctx.store.put_host_rest(&rest).await?;
    }
    Ok(())
}

/// The exchanges of this process, by both clients.
fn count_exchanges(ctx: &Context, host: &str) -> Exchanges {
    let (forge, other) = (ctx.forges.exchanges(host), ctx.outbound.exchanges(host));
    Exchanges { answers: forge.answers + other.answers, timeouts: forge.timeouts + other.timeouts }
}

/// The end of the host's rest, if it rests.
async fn load_rest(ctx: &Context, host: &str) -> Result<Option<Timestamp>, Error> {
    let rest = ctx.store.load_host_rest(host).await?;
    Ok(rest.map(|rest| rest.until).filter(|until| *until > ctx.clock.now()))
}

/// The end of the pause of a connection: the one that its tool requested, or the rest of its host.
pub(crate) async fn load_tool_rest(ctx: &Context, connection: &Tracker) -> Result<Option<Timestamp>, Error> {
    let requested = connection.rest_until.filter(|until| *until > ctx.clock.now());
    let rest = match tool_host(ctx, connection).await? {
        Some(host) => load_rest(ctx, &host).await?,
        None => None,
    };
    Ok(requested.max(rest))
}

async fn load_tool_host(ctx: &Context, project: &ProjectId) -> Result<Option<String>, Error> {
    let Some(id) = load_connection_id(ctx, project).await? else { return Ok(None) };
    match load_readable_tracker(ctx, &id).await? {
        Some(connection) => tool_host(ctx, &connection).await,
        None => Ok(None),
    }
}

async fn load_connection_id(ctx: &Context, project: &ProjectId) -> Result<Option<IntegrationId>, Error> {
    let project = ctx.store.load_project(project).await?;
    Ok(project.and_then(|project| project.settings.tracker).map(|tool| tool.connection))
}

async fn tool_host(ctx: &Context, connection: &Tracker) -> Result<Option<String>, Error> {
    match connection.kind {
        TrackerKind::Issues => load_forge_host(ctx, &connection.id).await,
        TrackerKind::Http | TrackerKind::Jira | TrackerKind::Linear => Ok(host_of(&connection.url)),
    }
}

async fn load_forge_host(ctx: &Context, id: &IntegrationId) -> Result<Option<String>, Error> {
    let integration = skip_corrupt(ctx, ctx.store.load_integration(id).await)?.flatten();
    Ok(integration.and_then(|integration| host_of(&integration.api_url)))
}
