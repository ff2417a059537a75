//! Sends heartbeats on a task of its own, which waits for no job. Their content comes from `state`.

use super::call_failure::{CallKind, RunnerCallFailure, classify_failure, is_unknown_field};
use super::context::DaemonContext;
use super::current_order::CurrentOrder;
use super::launch::STOP_MARGIN;
use super::lost::LostProcesses;
use super::pauses;
use super::program::own_program;
use super::state::StateSnapshot;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner::{HeartbeatRequest, OrderReport};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq)]
struct HeartbeatState {
    active: BTreeSet<JobId>,
    draining: bool,
    order: Option<OrderReport>,
}

impl HeartbeatState {
    fn from_state(snapshot: &StateSnapshot) -> Self {
        let draining = snapshot.is_leaving || snapshot.is_draining || snapshot.is_updating;
        let order = snapshot.order.as_ref().map(|order| order.report.clone());
        Self { active: snapshot.active_jobs(), draining, order }
    }
}

pub(crate) async fn run(daemon: &DaemonContext) {
    let offline_after = Duration::from_secs(daemon.registration.offline_after_secs);
    let (mut answered_at, mut failures, mut has_warned) = (Instant::now(), 0_u32, false);
    let mut is_confirmed = false;
    let mut lost = LostProcesses::default();
    loop {
        // Start the clock before the request; the control plane starts its own later.
        let sent_at = Instant::now();
        let heartbeat = daemon.state().read(HeartbeatState::from_state);
        let pause = match post_heartbeat(daemon, &heartbeat, false).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "heartbeats succeed again");
                }
                (answered_at, failures, has_warned) = (sent_at, 0, false);
                if !is_confirmed {
                    let programs = daemon.state_folder.programs();
                    is_confirmed = own_program().ok().is_none_or(|own| programs.confirm(&own));
                    // Until then, the update may still return to the program before.
                    let order = daemon.state_folder.load_order().filter(|_| is_confirmed);
                    daemon.state().update(|state| state.order = order.map(CurrentOrder::after_start));
                }
                if daemon.state().read(|state| state.is_draining) != answer.drain {
                    let status = if answer.drain { "draining" } else { "resumed" };
                    tracing::info!(drain = answer.drain, "runner {status}");
                    daemon.state().update(|state| state.is_draining = answer.drain);
                }
                daemon.state().update(|state| {
                    // A leaving daemon begins no order.
                    if is_confirmed && !state.is_leaving {
                        state.order = CurrentOrder::after_answer(state.order.take(), answer.order);
                    }
                });
                kill_lost(daemon, &mut lost, &answer.ended);
                Duration::from_secs(answer.next_secs)
            }
            Err(error) => match classify_failure(&error, CallKind::Heartbeat, &daemon.settings.name) {
                RunnerCallFailure::Fatal(fatal) => return daemon.state().leave_with_error(fatal),
                RunnerCallFailure::RetryLater | RunnerCallFailure::NotNow => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(error = %error, "heartbeat failed, retrying: {error}");
                    }
                    if !has_warned && sent_at.duration_since(answered_at) > offline_after {
                        has_warned = true;
                        tracing::error!(
                            "no heartbeat reached the control plane for {} s: the runner counts as Offline, and its jobs may fail",
                            offline_after.as_secs()
                        );
                    }
                    pauses::back_off(failures, rand::random()).min(MAX_RETRY_PAUSE)
                }
            },
        };
        let busy = daemon.registration.heartbeat_busy_secs;
        let pause = if heartbeat.active.is_empty() { pause } else { pause.min(Duration::from_secs(busy)) };
        let next = sent_at + pauses::heartbeat_pause(pause, daemon.settings.heartbeat_interval);
        let change = async {
            sleep_until((sent_at + MIN_INTERVAL).min(next)).await;
            daemon.state().wait_until(|state| failures == 0 && HeartbeatState::from_state(state) != heartbeat).await;
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = change => {}
        }
    }
}

fn kill_lost(daemon: &DaemonContext, lost: &mut LostProcesses, ended: &BTreeSet<JobId>) {
    let grace = daemon.settings.stop_grace + STOP_MARGIN;
    let killed = daemon.state().read(|state| lost.update(&state.running, ended, grace, Instant::now()));
    for record in killed {
        let (job, attempt) = (&record.job, record.attempt);
        tracing::warn!(job.id = %job, attempt, "killing the process of {job}: its attempt has ended, but it does not exit");
        record.kill(&daemon.jobs.starter.jobs);
    }
}

pub(crate) async fn send_last(daemon: &DaemonContext) -> bool {
    let heartbeat = daemon.state().read(HeartbeatState::from_state);
    match post_heartbeat(daemon, &HeartbeatState { draining: true, ..heartbeat }, true).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = %error, "last heartbeat failed: {error}");
            false
        }
    }
}

async fn post_heartbeat(
    daemon: &DaemonContext,
    heartbeat: &HeartbeatState,
    last: bool,
) -> Result<pullyard_protocol::runner::HeartbeatAnswer, Error> {
    let mut request = HeartbeatRequest {
        instance: daemon.state_folder.instance.clone(),
        active: heartbeat.active.clone(),
        draining: heartbeat.draining,
        last,
        order: heartbeat.order.clone(),
    };
    let (limit, url) = (daemon.settings.request_timeout, &daemon.settings.api_url);
    match with_timeout(limit, url, daemon.client.heartbeat(daemon.runner_id(), &request)).await {
        // An older release of the control plane was deployed again.
        Err(error) if is_unknown_field(&error, "/order") => {
            request.order = None;
            with_timeout(limit, url, daemon.client.heartbeat(daemon.runner_id(), &request)).await
        }
        answer => answer,
    }
}

pub(crate) async fn with_timeout<T>(
    limit: Duration,
    url: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::Unreachable { url: url.to_owned(), reason: format!("no answer within {} ms", limit.as_millis()) })
    })
}
