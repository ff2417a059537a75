//! Delivers finishes that their own processes could not deliver.

use super::context::JobProcesses;
use super::pauses;
use std::time::Duration;
use tokio::time::sleep;

/// How often the outbox is checked, because a separate `run-job` may leave a finish there.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

pub(crate) async fn run(jobs: &JobProcesses) {
    let mut failures = 0_u32;
    loop {
        jobs.deliver_finishes().await;
        let has_pending = jobs.state.read(|state| !state.pending_reports.is_empty());
        failures = if has_pending { failures.saturating_add(1) } else { 0 };
        if has_pending {
            sleep(pauses::back_off(failures, rand::random())).await;
        } else {
            tokio::select! {
                () = sleep(POLL_INTERVAL) => {}
                () = jobs.state.wait_until(|state| !state.pending_reports.is_empty()) => {}
            }
        }
    }
}
