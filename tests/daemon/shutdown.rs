//! Tests daemons that are drained or revoked.

use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn drained_daemon_finishes_its_job_and_goes_offline() {
    let (story, machine) = Story::with_daemons().await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let job = story.create_job("e1", "APP-1", 1).await;
    machine.wait_for_agent(&job).await;
    daemon.signal(Signal::SIGTERM);
    story.wait_for_runner("kite", RunnerStatus::Draining, 1).await;
    let other = story.create_job("e2", "APP-2", 2).await;
    story.pass_with_heartbeats(&["kite"], 120).await;
    machine.release_agents();
    let (code, log) = daemon.wait().await;
    assert_eq!(code, Some(0), "{log}");
    story.wait_for_runner("kite", RunnerStatus::Offline, 0).await;
    story.assert_completed(&job, "APP-1").await;
    assert_eq!(story.api.job(&other).await.unwrap().status, JobStatus::Ready);
    // The next process is a new instance and may register at once.
    let daemon = machine.daemon("kite", &[]);
    story.assert_completed(&other, "APP-2").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_a_revoked_token_loses_its_job_and_exits() {
    let (story, machine) = Story::with_daemons().await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.create_job("e1", "APP-1", 1).await;
    let agent = machine.wait_for_agent(&job).await;
    story.api.revoke_token(&machine.token.about.id).await.unwrap();
    story.local.sweep().await.unwrap();
    story.assert_failed(&job, "APP-1", "runner_removed").await;
    let (code, log) = daemon.wait().await;
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("The runner token is unknown, revoked or expired"), "{log}");
    machine.wait_until_dead(agent).await;
    let (code, _) = machine.daemon("kite", &[]).wait().await;
    assert_eq!(code, Some(4));
}
