//! Tests the finish of an attempt: repeated, refused and late.

use super::{GRACE, claimed_job, claimed_job_with_limits, kill_task, lease_lost, refusal, report_phase};
use crate::prelude::*;
use crate::story::finish_request;
use pullyard_domain::project::Limits;
use pullyard_protocol::attempt::FinishResult;

#[tokio::test(flavor = "multi_thread")]
async fn finish_is_repeatable_and_a_second_finish_is_refused() {
    let (story, job, client, _) = claimed_job().await;
    enter_phases(&client, Phase::Syncing).await;
    for _ in 0..3 {
        assert_eq!(client.finish(&completed_finish("f1", 7)).await.unwrap().status, JobStatus::Completed);
    }
    let before = story.load_job_item(&job).await;
    assert_eq!(refusal(client.finish(&failed_finish("f2")).await), lease_lost(false));
    assert_eq!(refusal(client.finish(&completed_finish("f3", 8)).await), lease_lost(true));
    // A finish with a known id is a repeat, even with a different body.
    assert_eq!(client.finish(&failed_finish("f1")).await.unwrap().status, JobStatus::Completed);
    assert_eq!(story.load_job_item(&job).await, before);
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_completes_only_while_syncing_and_fails_in_any_phase() {
    let (story, job, client, _) = claimed_job().await;
    let wrong = || (409, "wrong_status".to_owned(), None);
    assert_eq!(refusal(client.finish(&completed_finish("f1", 7)).await), wrong());
    report_phase(&client, Phase::Preparing).await;
    assert_eq!(refusal(client.finish(&completed_finish("f1", 7)).await), wrong());
    report_phase(&client, Phase::Executing).await;
    assert_eq!(refusal(client.finish(&completed_finish("f1", 7)).await), wrong());
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    // The refused finish did not consume its id.
    report_phase(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed_finish("f1", 7)).await.unwrap().status, JobStatus::Completed);
    let other = story.create_job("e2", "APP-2", 1).await;
    let (_, client) = story.claim(&other, "c2").await.unwrap();
    assert_eq!(client.finish(&failed_finish("f1")).await.unwrap().status, JobStatus::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_result_is_refused_and_the_attempt_continues() {
    let (story, job, client, _) = claimed_job().await;
    enter_phases(&client, Phase::Syncing).await;
    let with = |change: &dyn Fn(&mut FinishResult)| {
        let mut request = completed_finish("f1", 7);
        change(request.result.as_mut().unwrap());
        request
    };
    for (request, status) in [
        (FinishRequest { result: None, ..completed_finish("f1", 7) }, 422),
        (FinishRequest { failure: Some(no_changes()), ..completed_finish("f1", 7) }, 400),
        (FinishRequest { failure: None, ..failed_finish("f1") }, 400),
        (
            FinishRequest {
                result: completed_finish("f1", 7).result,
                ..finish_request("f1", FinishOutcome::Cancelled)
            },
            400,
        ),
        (with(&|result| result.head = "not hex".into()), 422),
        (with(&|result| result.head = "g".repeat(40)), 422),
        (with(&|result| result.head = "a".repeat(39)), 422),
        (with(&|result| result.head = "a".repeat(65)), 422),
        (with(&|result| result.branch = String::new()), 422),
        (with(&|result| result.branch = "a\nb".into()), 422),
        (with(&|result| result.branch = "b".repeat(256)), 422),
        (with(&|result| result.pull_request = None), 422),
        (with(&|result| result.pull_request.as_mut().unwrap().url = "javascript:alert(1)".into()), 422),
        (with(&|result| result.pull_request.as_mut().unwrap().url = "https://x/\ny".into()), 422),
        (with(&|result| result.pull_request.as_mut().unwrap().url = format!("https://x/{}", "y".repeat(491))), 422),
    ] {
        assert_eq!(refusal(client.finish(&request).await).0, status, "{request:?}");
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    let longest = with(&|result| {
        result.head = "a".repeat(64);
        result.branch = "b".repeat(255);
        result.pull_request.as_mut().unwrap().url = format!("https://x/{}", "y".repeat(490));
    });
    client.finish(&longest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_attempt_is_ended_only_after_its_push_window() {
    let limits = Limits { wall_secs: 60, ..Limits::default() };
    let (story, job, client, task) = claimed_job_with_limits(limits).await;
    enter_phases(&client, Phase::Syncing).await;
    kill_task(&story, &job, &task).await;
    // The attempt is dead and over its time limit, but its push window is open.
    for _ in 0..2 {
        story.advance_and_sweep(Duration::from_secs(40)).await;
        story.wait_for_empty_queues().await;
        assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
        client.credentials().await.unwrap();
    }
    story.advance_and_sweep(Duration::from_secs(41)).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!(client.credentials().await.unwrap_err().code(), Some("lease_lost"));
    assert_eq!(ended.failure.unwrap().code, "time_limit");
    assert_eq!(ended.unverified_push.as_deref(), Some("A lost attempt may have pushed."));
}

fn without_requeues() -> Limits {
    Limits { requeues: 0, ..Limits::default() }
}

/// Ends the job by a sweep, then sends its finish with a pull request.
async fn late_finish() -> (Story, JobId) {
    let (story, job, client, task) = claimed_job_with_limits(without_requeues()).await;
    enter_phases(&client, Phase::Syncing).await;
    kill_task(&story, &job, &task).await;
    story.advance_and_sweep(Duration::from_secs(121)).await;
    story.wait_for_end(&job).await;
    story.wait_for_settled_ticket("APP-1").await;
    let before = story.load_job_item(&job).await;
    for _ in 0..2 {
        assert_eq!(refusal(client.finish(&completed_finish("f1", 7)).await), lease_lost(true));
    }
    assert_eq!(story.load_job_item(&job).await, before);
    assert_eq!(story.api.job(&job).await.unwrap().failure.unwrap().code, "runner_crashed");
    assert_eq!(story.load_item(&format!("JOB#{job}"), "ATTEMPT#0001").await["late_result"]["number"], 7);
    let pull = story.load_item(&format!("PR#gh1#{}#7", before["repository"]), "PR").await;
    assert_eq!((&pull["job"], &pull["ticket"]), (&json!(job), &json!("APP-1")));
    (story, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_results_pull_request_is_linked_and_continued() {
    let (story, _) = late_finish().await;
    let ticket = wait_until("the link shows", async || {
        let ticket = story.wait_for_settled_ticket("APP-1").await;
        if ticket.pull_request.is_some() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    let next = story.create_job("e2", "APP-1", 2).await;
    let (assignment, _) = story.claim(&next, "c2").await.unwrap();
    assert_eq!(assignment.continues.unwrap().number, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_result_does_not_replace_the_tickets_pull_request() {
    let (story, _, client, _) = claimed_job_with_limits(without_requeues()).await;
    enter_phases(&client, Phase::Syncing).await;
    client.finish(&completed_finish("f1", 7)).await.unwrap();
    story.wait_for_settled_ticket("APP-1").await;
    let second = story.create_job("e2", "APP-1", 2).await;
    let task = story.wait_for_task(&second, 1).await;
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    kill_task(&story, &second, &task).await;
    story.advance_and_sweep(Duration::from_secs(121)).await;
    story.wait_for_end(&second).await;
    assert_eq!(refusal(client.finish(&completed_finish("f2", 8)).await), lease_lost(true));
    story.wait_for_empty_queues().await;
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_result_does_not_affect_the_current_attempt() {
    let (story, job, client, task) = claimed_job().await;
    report_phase(&client, Phase::Preparing).await;
    kill_task(&story, &job, &task).await;
    story.advance_and_sweep(GRACE).await;
    story.wait_for_task(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    enter_phases(&second, Phase::Executing).await;
    let before = story.load_job_item(&job).await;
    assert_eq!(refusal(client.finish(&completed_finish("f1", 7)).await), lease_lost(true));
    assert_eq!(refusal(client.finish(&failed_finish("f2")).await), lease_lost(false));
    assert_eq!(
        refusal(client.status(&StatusRequest { status: Phase::Executing, inputs: None, waits_for: None }).await),
        lease_lost(false)
    );
    assert_eq!(story.load_job_item(&job).await, before);
    report_phase(&second, Phase::Syncing).await;
    assert_eq!(second.finish(&completed_finish("f3", 7)).await.unwrap().status, JobStatus::Completed);
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
}
