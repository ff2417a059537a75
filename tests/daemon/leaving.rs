//! Tests daemons that are drained, revoked or deleted.

use crate::story::Story;
use nix::sys::signal::Signal;
use pullyard_domain::job::JobStatus;
use pullyard_protocol::fleet::RunnerStatus;

#[tokio::test(flavor = "multi_thread")]
async fn drained_daemon_finishes_its_job_and_goes_offline() {
    let (story, machine) = Story::of_daemons().await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let job = story.job_for("e1", "APP-1", 1).await;
    machine.works(&job).await;
    daemon.signal(Signal::SIGTERM);
    story.runner_gets("kite", RunnerStatus::Draining, 1).await;
    let other = story.job_for("e2", "APP-2", 2).await;
    story.while_heard(&["kite"], 120).await;
    machine.go();
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log}");
    story.runner_gets("kite", RunnerStatus::Offline, 0).await;
    story.is_done(&job, "APP-1").await;
    assert_eq!(story.api.job(&other).await.unwrap().status, JobStatus::Ready);
    // The next process is a new instance and may register at once.
    let daemon = machine.daemon("kite", &[]);
    story.is_done(&other, "APP-2").await;
    daemon.stop().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_a_revoked_token_loses_its_job_and_exits() {
    let (story, machine) = Story::of_daemons().await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.job_for("e1", "APP-1", 1).await;
    let agent = machine.works(&job).await;
    story.api.revoke_token(&machine.token.about.id).await.unwrap();
    story.local.sweep().await.unwrap();
    story.has_failed(&job, "APP-1", "runner_removed").await;
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("The runner token is unknown, revoked or expired"), "{log}");
    machine.agent_is_gone(agent).await;
    let (code, _) = machine.daemon("kite", &[]).ended().await;
    assert_eq!(code, Some(4));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_of_a_deleted_runner_loses_its_job_and_exits() {
    let (story, machine) = Story::of_daemons().await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.job_for("e1", "APP-1", 1).await;
    machine.works(&job).await;
    story.api.remove_runner("kite").await.unwrap();
    story.local.sweep().await.unwrap();
    story.has_failed(&job, "APP-1", "runner_removed").await;
    let (code, log) = daemon.ended().await;
    assert!(matches!(code, Some(3 | 5)), "{code:?} {log}");
    story.local.sweep().await.unwrap();
    machine.go();
    let daemon = machine.daemon("kite", &[]);
    let next = story.job_for("e2", "APP-2", 2).await;
    story.is_done(&next, "APP-2").await;
    daemon.stop().await;
    story.end().await;
}
