//! Tests cancelling a job in each of its states, and races with claims, finishes and deaths.

use crate::story::{
    Setup, Story, TODO, TRIGGER, Task, begin_all, completed, failed, finish, is, refusal, started_by_agent, until,
};
use futures::future::{join, join_all};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{DesiredState, JobStatus};
use pullyard_protocol::attempt::{EventsRequest, FinishOutcome, Phase, StatusRequest};
use pullyard_protocol::client::{AttemptClient, Error};
use pullyard_protocol::job::{CancelJob, Job};
use pullyard_store::Scope;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

/// Longer than the grace period for a finish after a death.
const GRACE: Duration = Duration::from_secs(16);

async fn cancel(story: &Story, job: &JobId) -> Result<Job, Error> {
    story.api.cancel_job(job, &CancelJob::default()).await
}

async fn want(client: &AttemptClient) -> DesiredState {
    client.events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None }).await.unwrap().want
}

async fn claimed() -> (Story, JobId, AttemptClient) {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client)
}

async fn assert_back(story: &Story, key: &str) {
    let ticket = story.settled(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len(), ticket.active_job), (TODO, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_a_ready_job_and_stops_its_task() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    story.quiet().await;
    let reason = Some("the wrong ticket".to_owned());
    let ended = story.api.cancel_job(&job, &CancelJob { reason: reason.clone() }).await.unwrap();
    let said = ended.cancel.clone().unwrap();
    assert_eq!(
        (ended.status, said.by.as_str(), said.reason, said.until),
        (JobStatus::Cancelled, "admin", reason, None)
    );
    assert_eq!((ended.failure, ended.result, ended.attempt), (None, None, 0));
    assert_eq!(story.api.why(&job).await.unwrap().sentence, "Cancelled by admin: \"the wrong ticket\".");
    assert_back(&story, "APP-1").await;
    story.task_stopped(&task).await;
    // A claim that was already in flight is refused.
    assert_eq!(refusal(story.claim_as(&task, &job, "c1").await.map(drop)).1, "unwanted");
    story.wake(&job).await;
    story.pass(Duration::from_secs(3_600)).await;
    story.quiet().await;
    assert_eq!(
        (story.tasks_of(&job).await.len(), story.api.job(&job).await.unwrap().status),
        (1, JobStatus::Cancelled)
    );
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_receives_a_cancel_at_its_next_call_and_finishes() {
    for phase in [None, Some(Phase::Preparing), Some(Phase::Executing)] {
        let (story, job, client) = claimed().await;
        if let Some(phase) = phase {
            begin_all(&client, phase).await;
        }
        assert_eq!(want(&client).await, DesiredState::Run);
        let asked = cancel(&story, &job).await.unwrap();
        assert!(!asked.status.is_terminal(), "{phase:?}");
        let (at, until) = asked.cancel.map(|cancel| (cancel.at, cancel.until.unwrap())).unwrap();
        assert_eq!(until.since(at), Duration::from_secs(60));
        assert!(story.api.why(&job).await.unwrap().sentence.starts_with("admin cancelled the job "));
        assert_eq!(want(&client).await, DesiredState::Cancel);
        assert_eq!(
            story.ticket("APP-1").await.active_job.as_ref(),
            Some(&job),
            "the ticket released a job with a running agent"
        );
        if phase == Some(Phase::Executing) {
            let push = client.status(&StatusRequest { status: Phase::Syncing, inputs: None }).await;
            assert_eq!(refusal(push).1, "unwanted");
        }
        assert_eq!(client.finish(&finish("f1", FinishOutcome::Cancelled)).await.unwrap().status, JobStatus::Cancelled);
        assert_eq!(story.api.why(&job).await.unwrap().sentence, "Cancelled by admin.");
        assert_back(&story, "APP-1").await;
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_runners_job_is_cancelled_after_a_minute() {
    let (story, job, client) = claimed().await;
    begin_all(&client, Phase::Executing).await;
    cancel(&story, &job).await.unwrap();
    story.pass(Duration::from_secs(30)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    story.pass(Duration::from_secs(31)).await;
    let ended = story.api.job(&job).await.unwrap();
    assert_eq!((ended.status, ended.failure, ended.cancel.unwrap().by.as_str()), (JobStatus::Cancelled, None, "admin"));
    assert_back(&story, "APP-1").await;
    match client.finish(&completed("f1", 7)).await.unwrap_err() {
        Error::Problem(problem) => {
            assert_eq!((problem.status, problem.code.as_str(), problem.recorded), (409, "lease_lost", Some(true)))
        }
        other => panic!("{other}"),
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Cancelled);
    let attempt = story.item(&format!("JOB#{job}"), "ATTEMPT#0001").await;
    assert_eq!((&attempt["late_result"]["number"], &attempt["ended"]["how"]), (&json!(7), &json!("cancelled")));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_push_wins_over_a_cancel() {
    let (story, job, client) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let asked = cancel(&story, &job).await.unwrap();
    assert_eq!((asked.status, want(&client).await), (JobStatus::Syncing, DesiredState::Cancel));
    // The minute is over, but the push window is open.
    story.pass(Duration::from_secs(75)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, JobStatus::Completed);
    let done = story.api.job(&job).await.unwrap();
    assert_eq!((done.status, done.cancel), (JobStatus::Completed, None));
    let (status, code, said) = refusal(cancel(&story, &job).await);
    assert_eq!((status, code.as_str()), (409, "too_late"));
    assert_eq!(said, format!("Too late: job {} completed with pull request #7.", job.short()));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_job_is_cancelled_after_its_push_window() {
    let (story, job, client) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    cancel(&story, &job).await.unwrap();
    story.pass(Duration::from_secs(80)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    story.pass(Duration::from_secs(41)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Cancelled);
    assert_back(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn death_after_a_cancel_does_not_requeue_the_job() {
    let (story, job, client) = claimed().await;
    begin_all(&client, Phase::Preparing).await;
    cancel(&story, &job).await.unwrap();
    let task = story.task_of(&job, 1).await;
    story.kill(&task).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    let ended = story.api.job(&job).await.unwrap();
    assert_eq!((ended.status, ended.attempt), (JobStatus::Cancelled, 1));
    assert_eq!(story.stored(&job).await["requeues"], json!(0));
    assert_back(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_refuses_failed_jobs_and_is_idempotent() {
    let (story, job, client) = claimed().await;
    client.finish(&failed("f1")).await.unwrap();
    let (status, code, said) = refusal(cancel(&story, &job).await);
    assert_eq!((status, code.as_str()), (409, "too_late"));
    assert!(said.ends_with("failed (`no_changes`)."), "{said}");

    let other = story.job_for("e2", "APP-2", 1).await;
    let answers = join_all((0..16).map(|_| cancel(&story, &other))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status, JobStatus::Cancelled);
    }
    let token = story.token(&[Scope::Jobs], None).await;
    let path = format!("/v1/jobs/{other}/cancel");
    let (status, _, again) = story.raw(Method::POST, &path, Some(&token), b"{\"reason\":\"me too\"}".to_vec()).await;
    assert_eq!((status, &again["cancel"]["by"], &again["cancel"]["reason"]), (200, &json!("admin"), &json!(null)));
    assert_back(&story, "APP-2").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_racing_a_claim_or_finish_ends_the_job_once() {
    let story = Story::waiting().await;
    for n in 0..6 {
        let (key, event) = (format!("APP-{n}"), format!("e{n}"));
        let job = story.job_for(&event, &key, 1).await;
        let task = story.task_of(&job, 1).await;
        let (asked, claim) = join(cancel(&story, &job), story.claim_as(&task, &job, "c1")).await;
        let asked = asked.unwrap();
        match claim {
            // The claim came first, so its runner receives the cancel.
            Ok((_, client)) => {
                if !asked.status.is_terminal() {
                    assert_eq!(want(&client).await, DesiredState::Cancel);
                    let finish = finish("f1", FinishOutcome::Cancelled);
                    let ((), finished) =
                        join(async { story.local.sweep().await.unwrap() }, async { client.finish(&finish).await })
                            .await;
                    assert_eq!(finished.unwrap().status, JobStatus::Cancelled);
                }
            }
            Err(error) => assert_eq!(error.code(), Some("unwanted"), "{error}"),
        }
        assert_eq!(story.ended(&job).await.status, JobStatus::Cancelled);
        assert_back(&story, &key).await;
    }
    for n in 6..12 {
        let (key, event) = (format!("APP-{n}"), format!("e{n}"));
        let job = story.job_for(&event, &key, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        let last = failed("f1");
        let (asked, finished) = join(cancel(&story, &job), client.finish(&last)).await;
        // The failure wins in either order.
        assert_eq!(finished.unwrap().status, JobStatus::Failed);
        match asked {
            Ok(asked) => assert_eq!(asked.status, JobStatus::Claimed),
            late => assert_eq!(refusal(late).1, "too_late"),
        }
        assert_eq!(story.settled(&key).await.badges, ["AI Failed"]);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_during_a_pending_cancel_starts_its_own_job() {
    let (story, job, client) = claimed().await;
    cancel(&story, &job).await.unwrap();
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    client.finish(&finish("f1", FinishOutcome::Cancelled)).await.unwrap();
    let next = until("the next job is made", async || {
        let ticket = story.ticket("APP-1").await;
        ticket.active_job.clone().ok_or_else(|| format!("{ticket:?}"))
    })
    .await;
    assert_ne!(next, job);
    assert_eq!(story.api.job(&next).await.unwrap().retry_of, None);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_validates_its_body_and_authorisation() {
    let (story, job, _client) = claimed().await;
    let path = format!("/v1/jobs/{job}/cancel");
    let ask = async |token: &str, body: String| {
        let (status, _, said) = story.raw(Method::POST, &path, Some(token), body.into_bytes()).await;
        (status, said["code"].as_str().unwrap_or_default().to_owned())
    };
    let admin = story.local.admin_token();
    for body in [json!({ "why": "x" }), json!({ "reason": "x".repeat(121) }), json!({ "reason": " " }), json!([])] {
        assert_eq!(ask(admin, body.to_string()).await, (400, "body_unreadable".into()), "{body}");
    }
    assert_eq!(ask(admin, json!({ "reason": "two\nlines" }).to_string()).await.0, 400);
    let other = story.token(&[Scope::Jobs], Some(&["other"])).await;
    assert_eq!(ask(&other, "{}".into()).await, (404, "not_found".into()));
    let reader = story.token(&[Scope::Read], None).await;
    assert_eq!(ask(&reader, "{}".into()).await, (403, "not_allowed".into()));
    assert_eq!(story.stored(&job).await["want"], "run");
    let absent = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    assert_eq!(refusal(cancel(&story, &absent).await).0, 404);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_runner_kills_its_agent_and_pushes_nothing() {
    let runner = [env!("CARGO_BIN_EXE_pullyard"), "runner", "run-job", "--stop-grace-secs", "1"];
    let program = runner.iter().map(|word| word.to_string()).collect();
    let story = Story::with(Setup { task: Task::Program(program), ..Setup::default() }).await;
    let script = "trap '' TERM; echo x > work.txt; (trap '' TERM; exec sleep 600) & while :; do sleep 600; done";
    story.agent(&["sh", "-c", script]).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.job_until(&job, is(JobStatus::Executing)).await;
    until("the agent works, and what it started", async || {
        let there = started_by_agent(story.folder(), &job);
        if there.len() >= 2 { Ok(()) } else { Err(format!("{there:?}")) }
    })
    .await;
    cancel(&story, &job).await.unwrap();
    let ended = story.ended(&job).await;
    assert_eq!((ended.status, ended.result), (JobStatus::Cancelled, None));
    assert!(story.stored(&job).await["ended_by"]["finish"].is_string(), "the sweeper ended the job");
    assert_eq!(started_by_agent(story.folder(), &job), [""; 0]);
    assert!(story.branches().await.is_empty() && story.pulls().await.is_empty());
    assert_back(&story, "APP-1").await;
    story.end().await;
}
