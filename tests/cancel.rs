//! Tests cancelling a job in each of its states.

use crate::prelude::*;
use crate::story::finish_request;
use futures::future::join_all;
use pullyard_domain::job::DesiredState;
use pullyard_protocol::client::Error;

async fn cancel(story: &Story, job: &JobId) -> Result<Job, Error> {
    story.api.cancel_job(job, &CancelJob::default()).await
}

async fn want(client: &AttemptClient) -> DesiredState {
    client
        .events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None })
        .await
        .unwrap()
        .want
}

async fn claimed_job() -> (Story, JobId, AttemptClient) {
    let (story, job) = Story::with_job().await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client)
}

async fn assert_ticket_reset(story: &Story, key: &str) {
    let ticket = story.wait_for_settled_ticket(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.active_job), (TODO, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_a_ready_job_and_stops_its_task() {
    let (story, job) = Story::with_job().await;
    let task = story.wait_for_task(&job, 1).await;
    story.wait_for_empty_queues().await;
    let reason = Some("the wrong ticket".to_owned());
    let ended = story.api.cancel_job(&job, &CancelJob { reason: reason.clone() }).await.unwrap();
    let cancellation = ended.cancel.clone().unwrap();
    assert_eq!(
        (ended.status, cancellation.by.as_str(), cancellation.reason, cancellation.until),
        (JobStatus::Cancelled, "admin", reason, None)
    );
    assert_eq!((ended.failure, ended.result, ended.attempt), (None, None, 0));
    assert_eq!(story.api.explain_job(&job).await.unwrap().sentence, "Cancelled by admin: \"the wrong ticket\".");
    assert_ticket_reset(&story, "APP-1").await;
    story.wait_for_stopped_task(&task).await;
    // A claim that was already in flight is refused.
    assert_eq!(problem_of(story.claim_with_task(&task, &job, "c1").await.map(drop)).1, "unwanted");
    story.send_wake_up(&job).await;
    story.advance_and_sweep(Duration::from_secs(3_600)).await;
    story.wait_for_empty_queues().await;
    assert_eq!(
        (story.list_tasks(&job).await.len(), story.api.job(&job).await.unwrap().status),
        (1, JobStatus::Cancelled)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_a_task_whose_start_got_no_answer() {
    let story = Story::start_with_waiting_tasks().await;
    // No retry gets an answer, so the job never knows its task.
    story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::ResponseLost; 1_000]);
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    assert_eq!(cancel(&story, &job).await.unwrap().status, JobStatus::Cancelled);
    story.wait_for_stopped_task(&task).await;
    assert!(story.load_job_item(&job).await["dispatch"]["task"].is_null());
    assert_eq!(story.list_tasks(&job).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_receives_a_cancel_at_its_next_call_and_finishes() {
    for phase in [None, Some(Phase::Preparing), Some(Phase::Executing)] {
        let (story, job, client) = claimed_job().await;
        if let Some(phase) = phase {
            enter_phases(&client, phase).await;
        }
        assert_eq!(want(&client).await, DesiredState::Run);
        let updated_job = cancel(&story, &job).await.unwrap();
        assert!(!updated_job.status.is_terminal(), "{phase:?}");
        let (at, until) = updated_job.cancel.map(|cancel| (cancel.at, cancel.until.unwrap())).unwrap();
        assert_eq!(until.since(at), Duration::from_secs(60));
        assert!(story.api.explain_job(&job).await.unwrap().sentence.starts_with("admin cancelled the job "));
        assert_eq!(want(&client).await, DesiredState::Cancel);
        assert_eq!(
            story.ticket("APP-1").await.active_job.as_ref(),
            Some(&job),
            "the ticket released a job with a running agent"
        );
        if phase == Some(Phase::Executing) {
            let push = client.status(&StatusRequest { status: Phase::Syncing, inputs: None, waits_for: None }).await;
            assert_eq!(problem_of(push).1, "unwanted");
        }
        assert_eq!(
            client.finish(&finish_request("f1", FinishOutcome::Cancelled)).await.unwrap().status,
            JobStatus::Cancelled
        );
        assert_eq!(story.api.explain_job(&job).await.unwrap().sentence, "Cancelled by admin.");
        assert_ticket_reset(&story, "APP-1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_runners_job_is_cancelled_after_a_minute() {
    let (story, job, client) = claimed_job().await;
    enter_phases(&client, Phase::Executing).await;
    cancel(&story, &job).await.unwrap();
    story.advance_and_sweep(Duration::from_secs(30)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    story.advance_and_sweep(Duration::from_secs(31)).await;
    let ended = story.api.job(&job).await.unwrap();
    assert_eq!((ended.status, ended.failure, ended.cancel.unwrap().by.as_str()), (JobStatus::Cancelled, None, "admin"));
    assert_ticket_reset(&story, "APP-1").await;
    match client.finish(&completed_finish("f1", 7)).await.unwrap_err() {
        Error::Problem(problem) => {
            assert_eq!((problem.status, problem.code.as_str(), problem.recorded), (409, "lease_lost", Some(true)))
        }
        other => panic!("{other}"),
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Cancelled);
    let attempt = story.load_item(&format!("JOB#{job}"), "ATTEMPT#0001").await;
    assert_eq!((&attempt["late_result"]["number"], &attempt["ended"]["how"]), (&json!(7), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_push_wins_over_a_cancel() {
    let (story, job, client) = claimed_job().await;
    enter_phases(&client, Phase::Syncing).await;
    let updated_job = cancel(&story, &job).await.unwrap();
    assert_eq!((updated_job.status, want(&client).await), (JobStatus::Syncing, DesiredState::Cancel));
    // The minute is over, but the push window is open.
    story.advance_and_sweep(Duration::from_secs(75)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    assert_eq!(client.finish(&completed_finish("f1", 7)).await.unwrap().status, JobStatus::Completed);
    let done = story.api.job(&job).await.unwrap();
    assert_eq!((done.status, done.cancel), (JobStatus::Completed, None));
    let (status, code, sentence) = problem_of(cancel(&story, &job).await);
    assert_eq!((status, code.as_str()), (409, "too_late"));
    assert_eq!(sentence, format!("Job {} has already completed with pull request #7.", job.short()));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_refuses_failed_jobs_and_is_idempotent() {
    let (story, job, client) = claimed_job().await;
    client.finish(&failed_finish("f1")).await.unwrap();
    let (status, code, sentence) = problem_of(cancel(&story, &job).await);
    assert_eq!((status, code.as_str()), (409, "too_late"));
    assert!(sentence.ends_with("has already failed."), "{sentence}");

    let other = story.create_job("e2", "APP-2", 1).await;
    let answers = join_all((0..16).map(|_| cancel(&story, &other))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status, JobStatus::Cancelled);
    }
    let token = story.create_token(&[Scope::Jobs], None).await;
    let path = format!("/v1/jobs/{other}/cancel");
    let (status, _, again) =
        story.request(Method::POST, &path, Some(&token), b"{\"reason\":\"me too\"}".to_vec()).await;
    assert_eq!((status, &again["cancel"]["by"], &again["cancel"]["reason"]), (200, &json!("admin"), &json!(null)));
    assert_ticket_reset(&story, "APP-2").await;
}
