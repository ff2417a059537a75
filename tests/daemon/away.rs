//! Tests a daemon while the control plane is unreachable or a call fails.

use super::wire::Wire;
use crate::daemon::Machine;
use crate::story::{Story, until};
use crate::up;
use nix::sys::signal::{Signal, killpg};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::fleet::RunnerStatus;

#[tokio::test(flavor = "multi_thread")]
async fn undelivered_finish_keeps_its_slot_until_it_is_delivered() {
    let (story, machine) = Story::of_daemons().await;
    let wire = Wire::to(story.local.api_url()).await;
    let machine = machine.through(&wire.url);
    let daemon = machine.daemon("kite", &[]);
    let job = story.job_for("e1", "APP-1", 1).await;
    machine.works(&job).await;
    wire.cut("/finish ");
    machine.go();
    until("it is pushed, and its finish waits", async || match machine.letters() {
        1 => Ok(()),
        other => Err(format!("{other} letters")),
    })
    .await;
    // After this only the daemon can deliver the finish.
    killpg(machine.child("kite", &job), Signal::SIGKILL).unwrap();
    story.while_heard(&["kite"], 200).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    story.runner_gets("kite", RunnerStatus::Online, 1).await;
    // A restarted daemon delivers it too.
    daemon.kill().await;
    let daemon = machine.daemon("kite", &[]);
    story.while_heard(&["kite"], 80).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    wire.mend();
    story.is_done(&job, "APP-1").await;
    story.runner_gets("kite", RunnerStatus::Online, 0).await;
    until("the outbox is empty", async || match machine.letters() {
        0 => Ok(()),
        other => Err(format!("{other} letters")),
    })
    .await;
    daemon.stop().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_on_a_daemon_survives_a_restart_of_the_control_plane() {
    let user = up::Machine::new();
    let up = user.up().await;
    user.project().await;
    user.done(&["settings", "set", "compute=runners"]).await;
    let machine = Machine::of(up.url(), &up.api).await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let job = user.moved(&up).await;
    up.job_when(&job, |job| job.status == JobStatus::Executing).await;
    up.kill().await;
    // The agent ends while the control plane is down.
    user.let_go();
    let up = user.up().await;
    let ended = up.ended(&job).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 1), "{ended:?}");
    up.ticket_shows("In Review", &[]).await;
    assert_eq!(user.branches().len(), 1);
    until("the slot is free", async || {
        let runner = up.api.runner("kite").await.map_err(|error| error.to_string())?;
        let free = runner.status == RunnerStatus::Online && runner.busy == 0;
        if free { Ok(()) } else { Err(format!("{runner:?}")) }
    })
    .await;
    daemon.stop().await;
    up.stop(Signal::SIGTERM).await;
}
