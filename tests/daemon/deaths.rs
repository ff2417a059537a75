//! Tests the death of a daemon during a job.

use crate::prelude::*;
use pullyard_protocol::runner::OrderState;

#[tokio::test(flavor = "multi_thread")]
async fn restarted_daemon_keeps_its_identity_and_completes_its_job() {
    let (story, machine) = Story::with_daemons().await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.create_job("e1", "APP-1", 1).await;
    machine.wait_for_agent(&job).await;
    story.wait_for_runner("kite", RunnerStatus::Online, 1).await;
    let before = story.api.runner("kite").await.unwrap();
    daemon.kill().await;
    // Shorter than the time after which a silent runner is Offline.
    story.pass_without_heartbeats(60).await;
    let daemon = machine.daemon("kite", &["--slots", "3", "--labels", "gpu"]);
    let after = wait_until("it is registered again", async || {
        let runner = story.api.runner("kite").await.unwrap();
        if runner.slots == 3 { Ok(runner) } else { Err(format!("{runner:?}")) }
    })
    .await;
    assert_eq!((&after.instance, after.busy), (&before.instance, 1));
    assert!(after.labels.contains("gpu") && after.last_heartbeat > before.last_heartbeat);
    story.pass_with_heartbeats(&["kite"], 120).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    machine.release_agents();
    story.assert_completed(&job, "APP-1").await;
    assert_eq!(machine.started_jobs().len(), 1);
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_restarted_from_afar_completes_its_job() {
    let (story, machine) = Story::with_daemons().await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let job = story.create_job("e1", "APP-1", 1).await;
    machine.wait_for_agent(&job).await;
    story.wait_for_runner("kite", RunnerStatus::Online, 1).await;
    let before = story.api.runner("kite").await.unwrap();
    let user = crate::cli::User::of(&story);
    let output = user.run(&["runners", "restart", "kite"]).await;
    assert!(
        output.code == 0
            && output
                .err
                .contains("kite restarts with its next heartbeat, if its check passes; its running job continues."),
        "{}",
        output.err
    );
    let after = wait_until("the order is done", async || {
        let runner = story.api.runner("kite").await.unwrap();
        let is_done = runner.order.as_ref().is_some_and(|order| order.state == OrderState::Done);
        if is_done { Ok(runner) } else { Err(format!("{runner:?}")) }
    })
    .await;
    assert_eq!((&after.instance, after.busy, after.slots), (&before.instance, 1, 2));
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    machine.release_agents();
    story.assert_completed(&job, "APP-1").await;
    assert_eq!(machine.started_jobs().len(), 1);
    let second = story.create_job("e2", "APP-2", 1).await;
    story.assert_completed(&second, "APP-2").await;
    daemon.stop().await;
}
