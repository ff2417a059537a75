//! Tests which jobs daemons claim, and their cancel.

use crate::story::{Story, TRIGGER, has_status};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::runner_admin::RunnerStatus;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn daemon_claims_only_jobs_with_its_labels() {
    let (story, machine) = Story::with_daemons().await;
    machine.release_agents();
    let plain = machine.daemon("plain", &[]);
    story.wait_for_runner("plain", RunnerStatus::Online, 0).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = BTreeSet::from(["runner:gpu".into()]);
    let special = story.api.send_ticket_event(&event).await.unwrap().job.unwrap();
    let usual = story.create_job("e2", "APP-2", 2).await;
    // The newer job is done, so the older one was skipped.
    story.assert_completed(&usual, "APP-2").await;
    assert_eq!(story.api.job(&special).await.unwrap().status, JobStatus::Ready);
    assert_eq!(story.api.explain_job(&special).await.unwrap().code.as_deref(), Some("no_label"));
    // With the label the restarted daemon claims it.
    plain.kill().await;
    let labelled = machine.daemon("plain", &["--labels", "gpu,eu"]);
    story.assert_completed(&special, "APP-1").await;
    labelled.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_two_slots_never_runs_a_third_job() {
    let (story, machine) = Story::with_daemons().await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let mut jobs = Vec::new();
    for number in 1..=3 {
        jobs.push(story.create_job(&format!("e{number}"), &format!("APP-{number}"), number).await);
    }
    machine.wait_for_agent(&jobs[0]).await;
    machine.wait_for_agent(&jobs[1]).await;
    story.wait_for_runner("kite", RunnerStatus::Online, 2).await;
    story.pass_with_heartbeats(&["kite"], 60).await;
    assert_eq!((machine.started_jobs().len(), story.api.job(&jobs[2]).await.unwrap().status), (2, JobStatus::Ready));
    machine.release_agents();
    for (job, number) in jobs.iter().zip(1..) {
        story.assert_completed(job, &format!("APP-{number}")).await;
    }
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_job_stops_its_agent_and_frees_its_slot() {
    let (story, machine) = Story::with_daemons().await;
    // An agent that ignores signals.
    let deaf = machine.agent("");
    let deaf = ["sh", "-c", format!("trap '' TERM INT; {}", deaf[2]).leak()];
    story.set_agent_command(&deaf).await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.create_job("e1", "APP-1", 1).await;
    let agent = machine.wait_for_agent(&job).await;
    story.api.cancel_job(&job, &Default::default()).await.unwrap();
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Cancelled);
    machine.wait_until_dead(agent).await;
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (crate::story::TODO, 0));
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    machine.release_agents();
    let next = story.create_job("e2", "APP-2", 2).await;
    story.assert_completed(&next, "APP-2").await;
    assert_eq!(story.commits_of(&job).await, 0);
    daemon.stop().await;
    story.wait_for_job(&job, has_status(JobStatus::Cancelled)).await;
}
