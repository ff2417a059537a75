//! Sends heartbeats on a task of its own, which never waits for work. `state` has their content.

use super::call_failure::{CallKind, RunnerCallFailure, classify_failure};
use super::context::DaemonContext;
use super::pauses;
use super::state::StateSnapshot;
use pullyard_domain::id::JobId;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner::HeartbeatRequest;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq)]
struct HeartbeatState {
    active: BTreeSet<JobId>,
    draining: bool,
}

impl HeartbeatState {
    fn from_state(now: &StateSnapshot) -> Self {
        Self { active: now.active_jobs(), draining: now.is_leaving || now.is_draining }
    }
}

pub(crate) async fn run(world: &DaemonContext) {
    let offline_after = Duration::from_secs(world.registration.offline_after_secs);
    let (mut answered_at, mut failures, mut feared) = (Instant::now(), 0_u32, false);
    loop {
        // Start the clock before the request; the control plane starts its own later.
        let sent = Instant::now();
        let state = world.state().read(HeartbeatState::from_state);
        let pause = match post_heartbeat(world, &state, false).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "heartbeats succeed again");
                }
                (answered_at, failures, feared) = (sent, 0, false);
                if world.state().read(|now| now.is_draining) != answer.drain {
                    let what = if answer.drain { "draining" } else { "resumed" };
                    tracing::info!(drain = answer.drain, "runner {what}");
                    world.state().update(|now| now.is_draining = answer.drain);
                }
                Duration::from_secs(answer.next_secs)
            }
            Err(error) => match classify_failure(&error, CallKind::Heartbeat, &world.settings.name) {
                RunnerCallFailure::Fatal(fall) => return world.state().leave_with_error(fall),
                RunnerCallFailure::RetryLater | RunnerCallFailure::NotNow => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(error = %error, "heartbeat failed, retrying: {error}");
                    }
                    if !feared && sent.duration_since(answered_at) > offline_after {
                        feared = true;
                        tracing::error!(
                            "no heartbeat reached the control plane for {} s: the runner counts as Offline, and its jobs may fail",
                            offline_after.as_secs()
                        );
                    }
                    pauses::back_off(failures, rand::random()).min(MAX_RETRY_PAUSE)
                }
            },
        };
        let busy = world.registration.heartbeat_busy_secs;
        let pause = if state.active.is_empty() { pause } else { pause.min(Duration::from_secs(busy)) };
        let next = sent + pauses::heartbeat_pause(pause, world.settings.heartbeat_interval);
        let news = async {
            sleep_until((sent + MIN_INTERVAL).min(next)).await;
            world.state().wait_until(|now| failures == 0 && HeartbeatState::from_state(now) != state).await;
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = news => {}
        }
    }
}

pub(crate) async fn send_last(world: &DaemonContext) -> bool {
    let state = world.state().read(HeartbeatState::from_state);
    match post_heartbeat(world, &HeartbeatState { draining: true, ..state }, true).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = %error, "last heartbeat failed: {error}");
            false
        }
    }
}

async fn post_heartbeat(
    world: &DaemonContext,
    state: &HeartbeatState,
    last: bool,
) -> Result<pullyard_protocol::runner::HeartbeatAnswer, Error> {
    let request = HeartbeatRequest {
        instance: world.home.instance.clone(),
        active: state.active.clone(),
        draining: state.draining,
        last,
    };
    let limit = world.settings.request_timeout;
    with_timeout(limit, &world.settings.api_url, world.client.heartbeat(world.runner_id(), &request)).await
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
