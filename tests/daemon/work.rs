//! Tests which jobs daemons claim, and their cancel.

use crate::story::{Story, TRIGGER, is};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::fleet::RunnerStatus;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn daemon_claims_only_jobs_with_its_labels() {
    let (story, machine) = Story::of_daemons().await;
    machine.go();
    let plain = machine.daemon("plain", &[]);
    story.runner_gets("plain", RunnerStatus::Online, 0).await;
    let mut event = story.event("e1", "APP-1", TRIGGER, 1);
    event.ticket.labels = BTreeSet::from(["runner:gpu".into()]);
    let special = story.api.ticket_event(&event).await.unwrap().job.unwrap();
    let usual = story.job_for("e2", "APP-2", 2).await;
    // The newer job is done, so the older one was skipped.
    story.is_done(&usual, "APP-2").await;
    assert_eq!(story.api.job(&special).await.unwrap().status, JobStatus::Ready);
    assert_eq!(story.api.why(&special).await.unwrap().code.as_deref(), Some("no_label"));
    // With the label the restarted daemon claims it.
    plain.kill().await;
    let labelled = machine.daemon("plain", &["--labels", "gpu,eu"]);
    story.is_done(&special, "APP-1").await;
    labelled.stop().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_with_two_slots_never_runs_a_third_job() {
    let (story, machine) = Story::of_daemons().await;
    let daemon = machine.daemon("kite", &["--slots", "2"]);
    let mut jobs = Vec::new();
    for number in 1..=3 {
        jobs.push(story.job_for(&format!("e{number}"), &format!("APP-{number}"), number).await);
    }
    machine.works(&jobs[0]).await;
    machine.works(&jobs[1]).await;
    story.runner_gets("kite", RunnerStatus::Online, 2).await;
    story.while_heard(&["kite"], 60).await;
    assert_eq!((machine.begun().len(), story.api.job(&jobs[2]).await.unwrap().status), (2, JobStatus::Ready));
    machine.go();
    for (job, number) in jobs.iter().zip(1..) {
        story.is_done(job, &format!("APP-{number}")).await;
    }
    story.runner_gets("kite", RunnerStatus::Online, 0).await;
    daemon.stop().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_job_stops_its_agent_and_frees_its_slot() {
    let (story, machine) = Story::of_daemons().await;
    // An agent that ignores signals.
    let deaf = machine.agent("");
    let deaf = ["sh", "-c", format!("trap '' TERM INT; {}", deaf[2]).leak()];
    story.agent(&deaf).await;
    let daemon = machine.daemon("kite", &[]);
    let job = story.job_for("e1", "APP-1", 1).await;
    let agent = machine.works(&job).await;
    story.api.cancel_job(&job, &Default::default()).await.unwrap();
    assert_eq!(story.ended(&job).await.status, JobStatus::Cancelled);
    machine.agent_is_gone(agent).await;
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (crate::story::TODO, 0));
    story.runner_gets("kite", RunnerStatus::Online, 0).await;
    machine.go();
    let next = story.job_for("e2", "APP-2", 2).await;
    story.is_done(&next, "APP-2").await;
    assert_eq!(story.pushed_by(&job).await, 0);
    daemon.stop().await;
    story.job_until(&job, is(JobStatus::Cancelled)).await;
    story.end().await;
}
