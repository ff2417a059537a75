//! Delivers finishes that their own processes could not deliver.

use super::pace;
use super::world::Jobs;
use std::time::Duration;
use tokio::time::sleep;

/// How often the outbox is checked, because a separate `run-job` may leave a finish there.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) async fn run(jobs: &Jobs) {
    let mut failures = 0_u32;
    loop {
        jobs.deliver().await;
        let left = jobs.state.look(|now| !now.undelivered.is_empty());
        failures = if left { failures.saturating_add(1) } else { 0 };
        if left {
            sleep(pace::back_off(failures, rand::random())).await;
        } else {
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = jobs.state.until(|now| !now.undelivered.is_empty()) => {}
            }
        }
    }
}
