//! Handles the messages of both ordered queues, and lets a host rest after a timeout.
//! Messages in the queue of effects move work. Messages in the queue of calls only call an address of a user.

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
use pullyard_store::{WorkKey, Write};
use std::time::Duration;

/// Limit for the calls of one message. The function has 60 s.
const WORK_LIMIT: Duration = Duration::from_secs(50);

/// Handles a message of the queue of effects. Forwards calls to the queue of calls.
/// Idempotent: by the table.
/// Errors: any error of the use cases.
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
            // The review is only in the message, so no item in the table can put it off.
            let host = load_forge_host(ctx, &queued.event.pull_request.id.integration).await?;
            call_resting_host(ctx, host, Box::pin(decide(ctx, *queued))).await
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
/// Errors: only for a look or a review, which are only in their messages. All other failures are logged, because a failed
/// message blocks its group. The sweeper repeats these calls from the table.
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
            call_resting_host(ctx, host, look).await
        }
        EffectMessage::Settle(wakeup) => {
            let host = load_tool_host(ctx, &wakeup.project).await?;
            let settle = Box::pin(settle_ticket(ctx, &wakeup.project, &wakeup.ticket));
            call_resting_host(ctx, host, settle).await
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

/// Sends the notice again if its group is not the group of its host. The address can be in a secret, so the sender of the
/// message does not know the host.
async fn notify(ctx: &Context, wakeup: &NoticeWakeup, group: &str) -> Result<(), Error> {
    let Some(host) = crate::notify::load_host(ctx, wakeup).await? else {
        return send_notice(ctx, &wakeup.notice, &wakeup.endpoint).await;
    };
    let right = call_group(&host, wakeup.endpoint.as_str());
    if group != right {
        return Ok(ctx.wakeups.send_notice(right, wakeup).await?);
    }
    let rest = load_host_rest(ctx, &host).await?;
    if let Some(until) = rest.as_ref().and_then(|rest| rest.active_until(ctx.clock.now())) {
        return crate::notify::put_off(ctx, wakeup, until).await;
    }
    record_exchanges(ctx, &host, rest, Box::pin(send_notice(ctx, &wakeup.notice, &wakeup.endpoint))).await
}

/// Does the work unless the host rests; during a rest, the item is put off until the rest ends.
/// Errors: any error of the work; `Timeout`.
async fn call_host(
    ctx: &Context,
    host: Option<String>,
    key: WorkKey,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let Some(host) = host else { return work.await };
    let rest = load_host_rest(ctx, &host).await?;
    if let Some(until) = rest.as_ref().and_then(|rest| rest.active_until(ctx.clock.now())) {
        tracing::info!(host, until = %until, item = ?key, "host rests; the call is put off");
        return put_off_until(ctx, &key, until).await;
    }
    record_exchanges(ctx, &host, rest, work).await
}

/// Does the work even if the host rests. The work itself checks for a rest, or cannot be put off.
/// Errors: any error of the work; `Timeout`.
async fn call_resting_host(
    ctx: &Context,
    host: Option<String>,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let Some(host) = host else { return work.await };
    let rest = load_host_rest(ctx, &host).await?;
    record_exchanges(ctx, &host, rest, work).await
}

/// Does the work for at most `WORK_LIMIT`, then records whether the host answered. Several calls of one message can
/// hang in turn; without the limit, the function would be killed before it records the rest.
/// `rest`: as stored before the work. The message reads the item once, because the conditional write detects a change.
/// Writes: HOST after a timeout, and after the first answer that follows one.
/// Errors: any error of the work; `Timeout`.
async fn record_exchanges(
    ctx: &Context,
    host: &str,
    rest: Option<HostRest>,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let before = count_exchanges(ctx, host);
    let late = Error::Timeout { step: "do the work of a message", within: WORK_LIMIT };
    let result = ctx.clock.with_timeout(WORK_LIMIT, work).await.unwrap_or(Err(late));
    let sign = count_exchanges(ctx, host).sign_since(before);
    // A failed write of the rest must not hide the result of the work.
    if let Err(error) = record_sign(ctx, host, rest, sign).await {
        tracing::warn!(host, error = &error as &dyn std::error::Error, "rest of a host not stored");
    }
    result
}

async fn record_sign(ctx: &Context, host: &str, rest: Option<HostRest>, sign: Option<HostSign>) -> Result<(), Error> {
    let changed = match sign {
        Some(HostSign::Hangs) => HostRest::after_timeout(rest, host, ctx.clock.now()),
        Some(HostSign::Answers) => rest.and_then(HostRest::after_answer),
        None => None,
    };
    let Some(rest) = changed else { return Ok(()) };
    // Stale: a concurrent call has recorded its own result.
    if ctx.store.put_host_rest(&rest).await? == Write::Applied && rest.timeouts > 0 {
        tracing::warn!(host, until = %rest.until, timeouts = rest.timeouts, "host does not answer; it rests");
    }
    Ok(())
}

/// The exchanges of this process with a host. Forges have a client of their own.
fn count_exchanges(ctx: &Context, host: &str) -> Exchanges {
    let (forge, other) = (ctx.forges.exchanges(host), ctx.outbound.exchanges(host));
    Exchanges { answers: forge.answers + other.answers, timeouts: forge.timeouts + other.timeouts }
}

/// An unreadable rest counts as none: it must not stop the calls to its host.
async fn load_host_rest(ctx: &Context, host: &str) -> Result<Option<HostRest>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_host_rest(host).await)?.flatten())
}

/// The end of a connection's pause: the pause that its tool requested, or the rest of its host if that ends later.
pub(crate) async fn load_tool_rest(ctx: &Context, connection: &Tracker) -> Result<Option<Timestamp>, Error> {
    let requested = connection.rest_until.filter(|until| *until > ctx.clock.now());
    let rest = match tool_host(ctx, connection).await? {
        Some(host) => load_host_rest(ctx, &host).await?.and_then(|rest| rest.active_until(ctx.clock.now())),
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
