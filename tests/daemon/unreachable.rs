//! Tests a daemon while the control plane is unreachable.

use crate::daemon::Machine;
use crate::prelude::*;
use crate::up;

#[tokio::test(flavor = "multi_thread")]
async fn job_on_a_daemon_survives_a_restart_of_the_control_plane() {
    let user = up::Machine::new();
    let up = user.up().await;
    user.create_project().await;
    user.stdout(&["settings", "set", "compute=runners"]).await;
    let machine = Machine::of(up.url(), &up.api).await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let job = user.start_job(&up).await;
    up.wait_for_job(&job, |job| job.status == JobStatus::Executing).await;
    up.kill().await;
    // The agent ends while the control plane is down.
    user.open_gate();
    let up = user.up().await;
    let ended = up.wait_until_ended(&job).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 1), "{ended:?}");
    up.wait_for_ticket("In Review", &[]).await;
    assert_eq!(user.branches().len(), 1);
    wait_until("the slot is free", async || {
        let runner = up.api.runner("kite").await.map_err(|error| error.to_string())?;
        let free = runner.status == RunnerStatus::Online && runner.busy == 0;
        if free { Ok(()) } else { Err(format!("{runner:?}")) }
    })
    .await;
    daemon.stop().await;
    up.stop(Signal::SIGTERM).await;
}
