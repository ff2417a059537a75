//! Handles the messages of both ordered queues, and lets a host rest after a timeout.
//! Messages in the queue of effects move work. Messages in the queue of calls only call an address of a user.

use crate::corrupt::{load_readable_tracker, skip_corrupt};
use crate::host_rest::{load_forge_host, load_host_rest, tool_host};
use crate::poll::tool_poll::repeat_look;
use crate::postpone::{postpone, put_off_until};
use crate::tickets::settle_ticket::{put_off_late, settle_ticket, settle_without_calls};
use crate::trackers::look::look_at_ticket;
use crate::{Context, Error, advance_run, poll_repository, review, send_notice};
use futures::future::BoxFuture;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::run::wakeup::{
    EffectMessage, LookWakeup, NoticeWakeup, PollWakeup, QueuedReview, TicketWakeup, call_group,
};
use pullyard_domain::text::host::{HostRest, HostSign, SignRule};
use pullyard_domain::text::id::{IntegrationId, ProjectId};
use pullyard_store::{WorkKey, Write};
use std::future::ready;
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
            // The message is repeated.
            let is_late = ready(Err(late_error()));
            call_host(ctx, host, key, Box::pin(review::freeze_reviews(ctx, &wakeup.job)), is_late).await
        }
        EffectMessage::Advance(wakeup) => Box::pin(advance_run(ctx, &wakeup.advance)).await,
        EffectMessage::Review(queued) => {
            // The review is only in the message, so no item in the table can put it off.
            let host = load_forge_host(ctx, &queued.event.pull_request.id.integration).await?;
            call_resting_host(ctx, host, Box::pin(decide(ctx, *queued)), ready(Err(late_error()))).await
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
    let result = make_call(ctx, effect, group).await;
    result.or_else(|error| match is_derivable {
        true => {
            tracing::error!(error = &error as &dyn std::error::Error, "call failed; the sweeper repeats it");
            Ok(())
        }
        false => Err(error),
    })
}

/// Not `async`, so that the futures of all kinds of call are not on the stack while one of them runs.
fn make_call<'a>(ctx: &'a Context, effect: EffectMessage, group: &'a str) -> BoxFuture<'a, Result<(), Error>> {
    match effect {
        EffectMessage::Notify(wakeup) => Box::pin(async move { notify(ctx, &wakeup, group).await }),
        EffectMessage::Look(wakeup) => Box::pin(look(ctx, wakeup)),
        EffectMessage::Settle(wakeup) => Box::pin(settle(ctx, wakeup)),
        EffectMessage::Tell(wakeup) => Box::pin(tell(ctx, wakeup.pull_request)),
        EffectMessage::Poll(wakeup) => Box::pin(poll(ctx, wakeup)),
        // Work without a call belongs into the other queue.
        other => Box::pin(handle_effect(ctx, other)),
    }
}

async fn look(ctx: &Context, wakeup: LookWakeup) -> Result<(), Error> {
    let host = load_tool_host(ctx, &wakeup.look).await?;
    let look = Box::pin(look_at_ticket(ctx, &wakeup.look, &wakeup.ticket));
    call_resting_host(ctx, host, look, repeat_late_look(ctx, &wakeup)).await
}

async fn settle(ctx: &Context, wakeup: TicketWakeup) -> Result<(), Error> {
    let host = load_tool_host(ctx, &wakeup.project).await?;
    let settle = Box::pin(settle_ticket(ctx, &wakeup.project, &wakeup.ticket));
    call_resting_host(ctx, host, settle, put_off_late(ctx, &wakeup.project, &wakeup.ticket)).await
}

async fn tell(ctx: &Context, id: PullRequestId) -> Result<(), Error> {
    let host = load_forge_host(ctx, &id.integration).await?;
    let key = WorkKey::PullRequest(id.clone());
    let put_off = postpone_late(ctx, key.clone());
    call_host(ctx, host, key, Box::pin(review::post_status(ctx, &id)), put_off).await
}

async fn poll(ctx: &Context, wakeup: PollWakeup) -> Result<(), Error> {
    let (project, integration, repository) = (&wakeup.poll, &wakeup.integration, wakeup.repository);
    let host = match load_readable_tracker(ctx, integration).await? {
        Some(tool) if repository == crate::poll::tool_poll::TOOL => tool_host(ctx, &tool).await?,
        _ => load_forge_host(ctx, integration).await?,
    };
    let key = WorkKey::Poll(project.clone(), integration.clone(), repository);
    let put_off = postpone_late(ctx, key.clone());
    let poll = Box::pin(poll_repository(ctx, project, integration, repository));
    call_host(ctx, host, key, poll, put_off).await
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
    let sent = record_exchanges(ctx, &host, rest, Box::pin(send_notice(ctx, &wakeup.notice, &wakeup.endpoint))).await;
    sent.unwrap_or_else(|| Err(late_error()))
}

/// Does the work unless the host rests; during a rest, the item is put off until the rest ends.
/// `if_late`: in place of work that `WORK_LIMIT` stopped.
/// Errors: any error of the work.
async fn call_host(
    ctx: &Context,
    host: Option<String>,
    key: WorkKey,
    work: impl Future<Output = Result<(), Error>>,
    if_late: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let Some(host) = host else { return work.await };
    let rest = load_host_rest(ctx, &host).await?;
    if let Some(until) = rest.as_ref().and_then(|rest| rest.active_until(ctx.clock.now())) {
        tracing::info!(host, until = %until, item = ?key, "host rests; the call is put off");
        return put_off_until(ctx, &key, until).await;
    }
    match record_exchanges(ctx, &host, rest, work).await {
        Some(result) => result,
        None => if_late.await,
    }
}

/// Does the work even if the host rests. The work itself checks for a rest, or cannot be put off.
/// `if_late`: in place of work that `WORK_LIMIT` stopped.
/// Errors: any error of the work.
async fn call_resting_host(
    ctx: &Context,
    host: Option<String>,
    work: impl Future<Output = Result<(), Error>>,
    if_late: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let Some(host) = host else { return work.await };
    let rest = load_host_rest(ctx, &host).await?;
    match record_exchanges(ctx, &host, rest, work).await {
        Some(result) => result,
        None => if_late.await,
    }
}

fn late_error() -> Error {
    Error::Timeout { step: "do the work of a message", within: WORK_LIMIT }
}

async fn postpone_late(ctx: &Context, key: WorkKey) -> Result<(), Error> {
    postpone(ctx, &key, Some(&late_error())).await
}

async fn repeat_late_look(ctx: &Context, wakeup: &LookWakeup) -> Result<(), Error> {
    match load_connection_id(ctx, &wakeup.look).await? {
        Some(tool) => repeat_look(ctx, &wakeup.look, &tool, &wakeup.ticket, None).await,
        None => Ok(()),
    }
}

/// Does the work for at most `WORK_LIMIT`, then records whether the host answered. Several calls of one message can
/// hang in turn; without the limit, the function would be killed before it records the rest.
/// `rest`: as stored before the work. The message reads the item once, because the conditional write detects a change.
/// `None`: the limit stopped the work, so its use case has not put it off.
/// Writes: HOST after a timeout, and after the first answer that follows one.
/// Errors: any error of the work.
async fn record_exchanges(
    ctx: &Context,
    host: &str,
    rest: Option<HostRest>,
    work: impl Future<Output = Result<(), Error>>,
) -> Option<Result<(), Error>> {
    let (forge, user) = (ctx.forges.exchanges(host), ctx.outbound.exchanges(host));
    let result = ctx.clock.with_timeout(WORK_LIMIT, work).await;
    if result.is_none() {
        tracing::warn!(host, "work of a message stopped at its time limit");
    }
    // Forges have a client of their own.
    let of_user = ctx.outbound.exchanges(host).sign_since(user, SignRule::User);
    let sign = of_user.or(ctx.forges.exchanges(host).sign_since(forge, SignRule::Forge));
    // A failed write of the rest must not hide the result of the work.
    if let Err(error) = record_sign(ctx, host, rest, sign).await {
        tracing::warn!(host, error = &error as &dyn std::error::Error, "rest of a host not stored");
    }
    result
}

async fn record_sign(ctx: &Context, host: &str, rest: Option<HostRest>, sign: Option<HostSign>) -> Result<(), Error> {
    let changed = match sign {
        Some(HostSign::Hangs) => HostRest::after_timeout(rest, host, ctx.clock.now()),
        Some(HostSign::Answers) => rest.and_then(|rest| rest.after_answer(ctx.clock.now())),
        None => None,
    };
    let Some(rest) = changed else { return Ok(()) };
    // Stale: a concurrent call has recorded its own result.
    if ctx.store.put_host_rest(&rest).await? == Write::Applied && rest.timeouts > 0 {
        tracing::warn!(host, until = %rest.until, timeouts = rest.timeouts, "host does not answer; it rests");
    }
    Ok(())
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
