//! Tests deaths of daemons, job processes and agents during a job.

use crate::daemon::Machine;
use crate::story::{Story, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_protocol::fleet::RunnerStatus;

async fn working() -> (Story, Machine, super::hands::Daemon, JobId) {
    let (story, machine) = Story::of_daemons().await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.job_for("e1", "APP-1", 1).await;
    machine.works(&job).await;
    story.runner_gets("kite", RunnerStatus::Online, 1).await;
    (story, machine, daemon, job)
}

async fn next_is_done(story: &Story, machine: &Machine) {
    machine.go();
    story.tell("e8", "APP-1", crate::story::TODO, 8).await;
    let next = story.job_for("e9", "APP-1", 9).await;
    story.is_done(&next, "APP-1").await;
    story.runner_gets("kite", RunnerStatus::Online, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_daemon_keeps_its_identity_and_completes_its_job() {
    let (story, machine, daemon, job) = working().await;
    let before = story.api.runner("kite").await.unwrap();
    daemon.kill().await;
    // Shorter than the time after which a silent runner is Offline.
    story.in_silence(60).await;
    let daemon = machine.daemon("kite", &["--slots", "3", "--labels", "gpu"]);
    let after = until("it is registered again", async || {
        let runner = story.api.runner("kite").await.unwrap();
        if runner.slots == 3 { Ok(runner) } else { Err(format!("{runner:?}")) }
    })
    .await;
    assert_eq!((&after.instance, after.busy), (&before.instance, 1));
    assert!(after.labels.contains("gpu") && after.heard > before.heard);
    story.while_heard(&["kite"], 120).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    machine.go();
    story.is_done(&job, "APP-1").await;
    assert_eq!(machine.begun().len(), 1);
    story.runner_gets("kite", RunnerStatus::Online, 0).await;
    daemon.stop().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_fails_when_its_runner_is_offline_too_long() {
    let (story, machine, daemon, job) = working().await;
    daemon.kill().await;
    machine.kill_child("kite", &job).await;
    story.in_silence(80).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    story.in_silence(40).await;
    story.runner_gets("kite", RunnerStatus::Offline, 0).await;
    story.has_failed(&job, "APP-1", "runner_offline").await;
    let daemon = machine.daemon("kite", &[]);
    next_is_done(&story, &machine).await;
    daemon.stop().await;
    story.end().await;
}
