//! Tests the finish of an attempt: repeated, refused and late.

use super::{GRACE, begin, claimed, claimed_under, dies, lease_lost, refusal};
use crate::cli::User;
use crate::story::{Story, TODO, begin_all, completed, failed, finish, is, until};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Limits;
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest, FinishResult, Phase, StatusRequest};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn finish_is_repeatable_and_a_second_finish_is_refused() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    for _ in 0..3 {
        assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, JobStatus::Completed);
    }
    let before = story.stored(&job).await;
    assert_eq!(refusal(client.finish(&failed("f2")).await), lease_lost(false));
    assert_eq!(refusal(client.finish(&completed("f3", 8)).await), lease_lost(true));
    // A finish with a known id is a repeat, even with a different body.
    assert_eq!(client.finish(&failed("f1")).await.unwrap().status, JobStatus::Completed);
    assert_eq!(story.stored(&job).await, before);
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_completes_only_while_syncing_and_fails_in_any_phase() {
    let (story, job, client, _) = claimed().await;
    let wrong = || (409, "wrong_status".to_owned(), None);
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    begin(&client, Phase::Preparing).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    begin(&client, Phase::Executing).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), wrong());
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    // The refused finish did not consume its id.
    begin(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, JobStatus::Completed);
    let other = story.job_for("e2", "APP-2", 1).await;
    let (_, client) = story.claim(&other, "c2").await.unwrap();
    assert_eq!(client.finish(&failed("f1")).await.unwrap().status, JobStatus::Failed);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_result_is_refused_and_the_attempt_continues() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let with = |change: &dyn Fn(&mut FinishResult)| {
        let mut request = completed("f1", 7);
        change(request.result.as_mut().unwrap());
        request
    };
    for (request, status) in [
        (FinishRequest { result: None, ..completed("f1", 7) }, 400),
        (FinishRequest { failure: Some(Failure::NoChanges {}), ..completed("f1", 7) }, 400),
        (FinishRequest { failure: None, ..failed("f1") }, 400),
        (FinishRequest { result: completed("f1", 7).result, ..finish("f1", FinishOutcome::Cancelled) }, 400),
        (with(&|result| result.head = "not hex".into()), 422),
        (with(&|result| result.head = "g".repeat(40)), 422),
        (with(&|result| result.head = "a".repeat(39)), 422),
        (with(&|result| result.head = "a".repeat(65)), 422),
        (with(&|result| result.branch = String::new()), 422),
        (with(&|result| result.branch = "a\nb".into()), 422),
        (with(&|result| result.branch = "b".repeat(256)), 422),
        (with(&|result| result.pull_request.url = "javascript:alert(1)".into()), 422),
        (with(&|result| result.pull_request.url = "https://x/\ny".into()), 422),
        (with(&|result| result.pull_request.url = format!("https://x/{}", "y".repeat(491))), 422),
    ] {
        assert_eq!(refusal(client.finish(&request).await).0, status, "{request:?}");
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    let longest = with(&|result| {
        result.head = "a".repeat(64);
        result.branch = "b".repeat(255);
        result.pull_request.url = format!("https://x/{}", "y".repeat(490));
    });
    client.finish(&longest).await.unwrap();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_attempt_is_ended_only_after_its_push_window() {
    let limits = Limits { wall_secs: 60, ..Limits::default() };
    let (story, job, client, task) = claimed_under(limits).await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    // The attempt is dead and over its time limit, but its push window is open.
    for _ in 0..2 {
        story.pass(Duration::from_secs(40)).await;
        story.quiet().await;
        assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
        client.credentials().await.unwrap();
    }
    story.pass(Duration::from_secs(41)).await;
    story.job_until(&job, is(JobStatus::Ready)).await;
    assert_eq!(client.credentials().await.unwrap_err().code(), Some("lease_lost"));
    story.adopts_nothing(&job).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "time_limit");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_job_reports_an_earlier_push_and_unread_input() {
    let (story, job, client, task) = claimed().await;
    let user = User::of(&story);
    begin_all(&client, Phase::Syncing).await;
    assert_eq!(story.api.job(&job).await.unwrap().adopts, None);
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.job_until(&job, is(JobStatus::Ready)).await;
    let loss = story.api.job(&job).await.unwrap().adopts.unwrap();
    let said = user.run(&["jobs", "send", job.as_str(), "Use tabs."]).await;
    said.ended(0, ". No agent works on this job any more; only a new job would read this.");
    let shown = user.run(&["jobs", "show", job.as_str()]).await.done();
    let looks =
        format!("adopts\tonly the commit that a lost attempt may have pushed. Cause of the loss: {}\n", loss.sentence);
    assert!(shown.contains(&looks), "{shown}");
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert!(assignment.adopts);
    begin_all(&client, Phase::Syncing).await;
    client.finish(&failed("f2")).await.unwrap();
    let ended = story.ended(&job).await;
    assert!(ended.unlooked.is_some() && ended.unlooked == ended.failure, "{ended:?}");
    let why = story.api.why(&job).await.unwrap().sentence;
    assert!(why.ends_with(" An earlier attempt may have pushed."), "{why}");
    let shown = user.run(&["jobs", "show", job.as_str()]).await.done();
    assert!(
        shown.contains("\npushed\tAn earlier attempt may have pushed.\n") && !shown.contains("adopts\t"),
        "{shown}"
    );
    story.end().await;
}

/// Ends the job by a sweep, then sends its finish with a pull request.
async fn late_finish() -> (Story, JobId) {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.adopts_nothing(&job).await;
    story.settled("APP-1").await;
    let before = story.stored(&job).await;
    for _ in 0..2 {
        assert_eq!(refusal(client.finish(&completed("f1", 7)).await), lease_lost(true));
    }
    assert_eq!(story.stored(&job).await, before);
    assert_eq!(story.api.job(&job).await.unwrap().failure.unwrap().code, "runner_crashed");
    assert_eq!(story.item(&format!("JOB#{job}"), "ATTEMPT#0001").await["late_result"]["number"], 7);
    let pull = story.item(&format!("PR#gh1#{}#7", before["repository"]), "PR").await;
    assert_eq!((&pull["job"], &pull["ticket"]), (&json!(job), &json!("APP-1")));
    (story, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_results_pull_request_is_linked_and_continued() {
    let (story, _) = late_finish().await;
    let ticket = until("the link shows", async || {
        let ticket = story.settled("APP-1").await;
        if ticket.pull_request.is_some() { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    let next = story.job_for("e2", "APP-1", 2).await;
    let (assignment, _) = story.claim(&next, "c2").await.unwrap();
    assert_eq!(assignment.continues.unwrap().number, 7);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_result_does_not_replace_the_tickets_pull_request() {
    let (story, _, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    client.finish(&completed("f1", 7)).await.unwrap();
    story.settled("APP-1").await;
    let second = story.job_for("e2", "APP-1", 2).await;
    let task = story.task_of(&second, 1).await;
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &second, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.adopts_nothing(&second).await;
    assert_eq!(refusal(client.finish(&completed("f2", 8)).await), lease_lost(true));
    story.quiet().await;
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_result_does_not_affect_the_current_attempt() {
    let (story, job, client, task) = claimed().await;
    begin(&client, Phase::Preparing).await;
    dies(&story, &job, &task).await;
    story.pass(GRACE).await;
    story.task_of(&job, 2).await;
    let (_, second) = story.claim(&job, "c2").await.unwrap();
    begin_all(&second, Phase::Executing).await;
    let before = story.stored(&job).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), lease_lost(true));
    assert_eq!(refusal(client.finish(&failed("f2")).await), lease_lost(false));
    assert_eq!(
        refusal(client.status(&StatusRequest { status: Phase::Executing, inputs: None }).await),
        lease_lost(false)
    );
    assert_eq!(story.stored(&job).await, before);
    begin(&second, Phase::Syncing).await;
    assert_eq!(second.finish(&completed("f3", 7)).await.unwrap().status, JobStatus::Completed);
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.pull_request.as_deref(), Some("https://forge.test/acme/app/pull/7"));
    story.end().await;
}
