//! Sends heartbeats on a task of its own, which never waits for work. `state` has their content.

use super::pace;
use super::refusals::{Asked, Meaning, meaning};
use super::state::Now;
use super::world::World;
use pullyard_domain::id::JobId;
use pullyard_protocol::client::Error;
use pullyard_protocol::runner::HeartbeatRequest;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Shortest pause, even if the state changes often.
const LEAST: Duration = Duration::from_secs(1);
/// Longest pause after a failed heartbeat.
const UNHEARD: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq)]
struct Said {
    active: BTreeSet<JobId>,
    draining: bool,
}

impl Said {
    fn of(now: &Now) -> Self {
        Self { active: now.active(), draining: now.leaving || now.told_to_drain }
    }
}

/// Sends heartbeats until this process can no longer be the runner.
pub(crate) async fn run(world: &World) {
    let offline_after = Duration::from_secs(world.registered.offline_after_secs);
    let (mut heard, mut failures, mut feared) = (Instant::now(), 0_u32, false);
    loop {
        // Start the clock before the request; the control plane starts its own later.
        let sent = Instant::now();
        let said = world.state().look(Said::of);
        let told = match speak(world, &said, false).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(failures, "heartbeats succeed again");
                }
                (heard, failures, feared) = (sent, 0, false);
                if world.state().look(|now| now.told_to_drain) != answer.drain {
                    let what = if answer.drain { "draining" } else { "resumed" };
                    tracing::info!(drain = answer.drain, "runner {what}");
                    world.state().change(|now| now.told_to_drain = answer.drain);
                }
                Duration::from_secs(answer.next_secs)
            }
            Err(error) => match meaning(&error, Asked::Heartbeat, &world.settings.name) {
                Meaning::Never(fall) => return world.state().fall(fall),
                Meaning::Later | Meaning::NotNow => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::warn!(error = %error, "heartbeat failed, retrying: {error}");
                    }
                    if !feared && sent.duration_since(heard) > offline_after {
                        feared = true;
                        tracing::error!(
                            "no heartbeat reached the control plane for {} s: the runner counts as Offline, and its jobs may fail",
                            offline_after.as_secs()
                        );
                    }
                    pace::back_off(failures, rand::random()).min(UNHEARD)
                }
            },
        };
        let busy = world.registered.heartbeat_busy_secs;
        let told = if said.active.is_empty() { told } else { told.min(Duration::from_secs(busy)) };
        let next = sent + pace::heartbeat(told, world.settings.heartbeat_interval);
        let news = async {
            sleep_until((sent + LEAST).min(next)).await;
            world.state().until(|now| failures == 0 && Said::of(now) != said).await;
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = news => {}
        }
    }
}

/// Sends the last heartbeat of this process. Returns whether it was answered.
pub(crate) async fn last(world: &World) -> bool {
    let said = world.state().look(Said::of);
    match speak(world, &Said { draining: true, ..said }, true).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(error = %error, "last heartbeat failed: {error}");
            false
        }
    }
}

async fn speak(world: &World, said: &Said, last: bool) -> Result<pullyard_protocol::runner::HeartbeatAnswer, Error> {
    let request = HeartbeatRequest {
        instance: world.home.instance.clone(),
        active: said.active.clone(),
        draining: said.draining,
        last,
    };
    let limit = world.settings.request_timeout;
    bounded(limit, &world.settings.api_url, world.client.heartbeat(world.runner(), &request)).await
}

pub(crate) async fn bounded<T>(
    limit: Duration,
    url: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::Unreachable { url: url.to_owned(), reason: format!("no answer within {} ms", limit.as_millis()) })
    })
}
