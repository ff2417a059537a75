//! Tests attempts that fall silent although their task runs on.

use super::assert_done_once;
use super::deaths::Blocker;
use crate::prelude::*;
use pullyard_domain::project::OfflinePolicy;
use pullyard_domain::text::failure::FailureClass;

#[tokio::test(flavor = "multi_thread")]
async fn frozen_task_is_stopped_and_its_job_runs_again() {
    let holds = Blocker::new();
    holds.block("agent");
    let story = holds.story().await;
    story.update_settings(|settings| settings.offline = OfflinePolicy::Requeue).await;
    story.local.sweep().await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    let first = story.wait_for_task(&job, 1).await;
    holds.wait_until_blocked("agent").await;
    story.freeze_task(&first).await;
    holds.unblock("agent");
    let mut warnings = Vec::new();
    while story.api.job(&job).await.unwrap().attempt == 1 && story.list_tasks(&job).await.len() == 1 {
        assert!(warnings.len() < 20, "{warnings:?}");
        warnings.push(story.api.explain_job(&job).await.unwrap().sentence);
        story.pass_in_steps(10).await;
    }
    let warned = |sentence: &String| sentence.starts_with("Attempt 1 (Executing) has been silent for ");
    assert!(warnings.iter().any(warned), "{warnings:?}");
    story.wait_for_stopped_task(&first).await;
    let ended = story.wait_for_end(&job).await;
    assert_done_once(&story, &ended).await;
    let attempts = story.api.attempts(&job).await.unwrap().attempts;
    let lost = attempts.into_iter().find(|attempt| attempt.attempt == 1).unwrap().failure.unwrap();
    assert_eq!((ended.attempt, lost.code.as_str()), (2, "attempt_silent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_attempt_fails_its_job_and_the_ticket_returns() {
    let story = Story::start_with_waiting_tasks().await;
    story.local.sweep().await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    let heartbeat = EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None };
    for _ in 0..4 {
        story.pass_in_steps(50).await;
        client.events(&heartbeat).await.unwrap();
    }
    // As a runner that stops.
    client.events(&EventsRequest { spent_usd_micros: Some(400_000), ..heartbeat.clone() }).await.unwrap();
    story.pass_in_steps(130).await;
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.class), ("attempt_silent", Some(FailureClass::Infra)));
    let stored = story.store().await.load_job(&job).await.unwrap().unwrap();
    assert_eq!(stored.spent_usd_micros, 400_000, "the cost that its runner reported");
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    assert_eq!(client.events(&heartbeat).await.unwrap_err().code(), Some("lease_lost"));
    story.wait_for_stopped_task(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_of_a_machine_that_slept_goes_on() {
    let story = Story::start_with_waiting_tasks().await;
    story.local.sweep().await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_task(&job, 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    let heartbeat = EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None };
    for hours in [2, 72, 24] {
        // Neither the sweeper nor the attempt runs. The sweeper wakes up first.
        story.advance_and_sweep(Duration::from_secs(hours * 3_600)).await;
        story.pass_in_steps(50).await;
        client.events(&heartbeat).await.unwrap();
        story.pass_in_steps(50).await;
        client.events(&heartbeat).await.unwrap();
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
}
