//! Serves the calls of self-hosted runners between jobs, and their administration.

use crate::routes::prelude::*;
use axum::http::HeaderMap;
use pullyard_control::runner as control;
use pullyard_domain::agent::runner::{CLAIM_INTERVAL, HEARTBEAT_BUSY, HEARTBEAT_IDLE, Heartbeat, OFFLINE_AFTER};
use pullyard_domain::job::fleet::Member;
use pullyard_domain::project::access::Object;
use pullyard_domain::text::id::RunnerId;
use pullyard_entry::RunnerCaller;
use pullyard_entry::openapi::AcceptedResponse;
use pullyard_entry::runner_view::{to_command, view_runner};
use pullyard_protocol::runner::{
    ClaimAnswer, ClaimRequest, ClaimedJob, HeartbeatAnswer, HeartbeatOrder, HeartbeatRequest, RegisterAnswer,
    RegisterRequest,
};
use pullyard_protocol::runner_admin::{RemovedRunner, Runner, RunnerCommand, RunnerList};
use std::time::Duration;

fn poll_ms() -> u64 {
    u64::try_from(CLAIM_INTERVAL.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) async fn register(
    State(ctx): State<Context>,
    caller: RunnerCaller,
    StrictJson(request): StrictJson<RegisterRequest>,
) -> Result<Json<RegisterAnswer>, Problem> {
    limits::check_runner(&request)?;
    caller.authorize_name(&request.name)?;
    let registration = control::Registration {
        name: request.name,
        instance: request.instance,
        capabilities: request.capabilities,
        labels: request.labels,
        version: request.version,
        slots: request.slots,
        offline_secs: request.offline_after_secs,
        isolation: request.isolation,
        updates: request.updates,
        active_jobs: request.active,
    };
    let answer = |runner, offline: Duration, mailbox| RegisterAnswer {
        runner,
        heartbeat_idle_secs: HEARTBEAT_IDLE.as_secs(),
        heartbeat_busy_secs: HEARTBEAT_BUSY.as_secs(),
        offline_after_secs: offline.as_secs(),
        poll_ms: poll_ms(),
        mailbox,
    };
    if request.check_only {
        let id = control::check_runner_name(&ctx, &caller.token, &registration).await?;
        return Ok(Json(answer(id, OFFLINE_AFTER, None)));
    }
    let runner = control::register_runner(&ctx, &caller.token, &registration).await?;
    let mailbox = runner.mailbox.as_ref().map(|mailbox| ctx.wakeups.mailbox_url(mailbox));
    Ok(Json(answer(runner.id.clone(), runner.offline_after(), mailbox)))
}

pub(crate) async fn heartbeat(
    State(ctx): State<Context>,
    caller: RunnerCaller,
    Path(runner): Path<RunnerId>,
    StrictJson(request): StrictJson<HeartbeatRequest>,
) -> Result<Json<HeartbeatAnswer>, Problem> {
    limits::check_active(&request.active)?;
    let heartbeat = Heartbeat {
        instance: request.instance,
        active_jobs: request.active,
        draining: request.draining,
        is_sign_off: request.last,
        order: request.order,
    };
    let runner = control::record_heartbeat(&ctx, &caller.token, &runner, &heartbeat).await?;
    Ok(Json(HeartbeatAnswer {
        next_secs: runner.heartbeat_interval().as_secs(),
        drain: runner.drain.is_some(),
        ended: runner.ended_jobs(),
        order: runner.open_order().map(|order| HeartbeatOrder {
            id: order.id.clone(),
            kind: Some(order.kind),
            version: order.version.clone(),
            state: Some(order.state),
        }),
    }))
}

pub(crate) async fn claim(
    State(ctx): State<Context>,
    caller: RunnerCaller,
    Path(runner): Path<RunnerId>,
    headers: HeaderMap,
    StrictJson(request): StrictJson<ClaimRequest>,
) -> Result<Json<ClaimAnswer>, Problem> {
    let claim = (&request.instance, &request.claim_id);
    let answer = control::claim_job(&ctx, &caller.token, &runner, claim, protocol_version(&headers)).await?;
    let (job, spent) = match answer {
        control::ClaimAnswer::Job(claimed) => {
            let control::ClaimResult { job, bootstrap } = *claimed;
            (Some(ClaimedJob { job: job.id, attempt: job.attempt, bootstrap }), false)
        }
        control::ClaimAnswer::NoJob => (None, false),
        control::ClaimAnswer::ClaimUsed => (None, true),
    };
    Ok(Json(ClaimAnswer { job, spent, poll_ms: poll_ms() }))
}

/// Longer than other pages, because each page reads all runners and profiles.
const LIST_SIZE: usize = 500;

/// The cursor is the name of the last runner.
pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<RunnerList>, Problem> {
    let now = caller.ctx.clock.now();
    let members = control::list_runners(&caller.ctx).await?.into_iter();
    let is_later = |runner: &Runner| after.as_ref().is_none_or(|after| runner.name > *after);
    let visible = members.filter_map(|member| view_runner(member, caller.projects(), now)).filter(is_later);
    let mut runners: Vec<Runner> = visible.take(LIST_SIZE + 1).collect();
    let has_more = runners.len() > LIST_SIZE;
    runners.truncate(LIST_SIZE);
    let next = runners.last().filter(|_| has_more).map(|last| last.name.clone());
    Ok(Json(RunnerList { runners, next }))
}

async fn load_visible<S>(caller: &Caller<S>, id: &str) -> Result<(Member, Runner), Problem> {
    let member = control::load_runner(&caller.ctx, id).await?;
    let runner = view_runner(member.clone(), caller.projects(), caller.ctx.clock.now());
    runner.map(|runner| (member, runner)).ok_or_else(|| Problem::not_found(format!("There is no runner {id}.")))
}

async fn load_commandable(caller: &Caller<scope::Admin>, id: &str) -> Result<RunnerId, Problem> {
    let (member, _) = load_visible(caller, id).await?;
    caller.authorize(Object::Runner(&member.profile))?;
    Ok(member.runner.id)
}

pub(crate) async fn show(caller: Caller<scope::Read>, Path(runner): Path<String>) -> Result<Json<Runner>, Problem> {
    Ok(Json(load_visible(&caller, &runner).await?.1))
}

pub(crate) async fn command(
    caller: Caller<scope::Admin>,
    Path(runner): Path<String>,
    StrictJson(request): StrictJson<RunnerCommand>,
) -> Result<Json<Runner>, Problem> {
    let id = load_commandable(&caller, &runner).await?;
    control::command_runner(&caller.ctx, &id, &to_command(&request, &caller.name)?).await?;
    Ok(Json(load_visible(&caller, id.as_str()).await?.1))
}

/// `200` if the runner is removed, `202` if its jobs are requeued first.
pub(crate) async fn remove(
    caller: Caller<scope::Admin>,
    Path(runner): Path<String>,
) -> Result<AcceptedResponse<RemovedRunner>, Problem> {
    let id = load_commandable(&caller, &runner).await?;
    let removed = control::remove_runner(&caller.ctx, &id).await?;
    let is_removed = removed == control::RemovalState::Removed;
    let removed = RemovedRunner { id, gone: is_removed };
    Ok(if is_removed { AcceptedResponse::Done(removed) } else { AcceptedResponse::Pending(removed) })
}
