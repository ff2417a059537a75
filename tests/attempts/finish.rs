//! Tests the finish of an attempt: repeated, refused, late, and racing the attempt's death.

use super::{GRACE, begin, claimed, claimed_under, dies, lease_lost, refusal};
use crate::cli::User;
use crate::story::{REPOSITORY, REVIEW, Setup, Story, TODO, TRIGGER, begin_all, completed, failed, finish, is, until};
use futures::future::join_all;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{JobId, ProjectId};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Limits;
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest, FinishResult, Phase, StatusRequest};
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::ticket::TicketEvent;
use serde_json::{Value, json};
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
async fn hostile_failure_text_is_sanitized_and_truncated() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Executing).await;
    let hostile = "\u{1b}[2J\u{7}</script><script>alert(1)</script>\r\nSet-Cookie: a=b\n\u{202e}🧨".repeat(400);
    let failure = Failure::AgentFailed { agent: hostile.clone(), exit: hostile.clone(), last_words: hostile };
    let request = FinishRequest { failure: Some(failure), ..failed("f1") };
    assert_eq!(client.finish(&request).await.unwrap().status, JobStatus::Failed);
    let shown = story.api.job(&job).await.unwrap().failure.unwrap();
    assert_eq!(shown.code, "agent_failed");
    assert!(shown.sentence.chars().count() <= 160, "{}", shown.sentence);
    for text in [shown.sentence.as_str(), &shown.help, shown.facts["last_words"].as_str().unwrap()] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 200, "{text:?}");
    }
    let stored = story.stored(&job).await;
    assert!(stored["failure"].to_string().len() < 4_096, "{}", stored["failure"]);
    assert_eq!(story.settled("APP-1").await.badges, ["AI Failed"]);
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
async fn ticket_moves_in_the_write_that_ends_its_job() {
    for (last, finish, status) in [(Phase::Syncing, completed("f1", 7), REVIEW), (Phase::Executing, failed("f1"), TODO)]
    {
        let (story, _, client, _) = claimed().await;
        begin_all(&client, last).await;
        let before = story.item("TICKET#acme#APP-1", "TICKET").await;
        client.finish(&finish).await.unwrap();
        story.quiet().await;
        let after = story.item("TICKET#acme#APP-1", "TICKET").await;
        assert_eq!((&after["status"], &after["active_job"]), (&json!(status), &Value::Null), "{after}");
        assert_eq!(after["rev"].as_u64(), before["rev"].as_u64().map(|rev| rev + 1), "not exactly one write: {after}");
        assert!(after.get("wk").is_none() && after["synced_version"] == after["wanted"]["version"], "{after}");
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_32_concurrent_finishes_ends_the_job() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    let requests =
        (0..32u64).map(|n| if n % 2 == 0 { completed(&format!("f{n}"), 7) } else { failed(&format!("f{n}")) });
    let requests = requests.collect::<Vec<_>>();
    let answers = join_all(requests.iter().map(|request| client.finish(request))).await;
    let won = answers.iter().zip(&requests).filter(|(answer, _)| answer.is_ok()).collect::<Vec<_>>();
    assert_eq!(won.len(), 1);
    let (answer, request) = (won[0].0.as_ref().unwrap(), won[0].1);
    let stored = story.stored(&job).await;
    assert_eq!(stored["ended_by"], json!({ "attempt": 1, "finish": request.finish_id }));
    let ended = story.api.job(&job).await.unwrap();
    assert_eq!(ended.status, answer.status);
    let expected = if request.result.is_some() { JobStatus::Completed } else { JobStatus::Failed };
    assert_eq!(ended.status, expected);
    for lost in answers.into_iter().filter(Result::is_err) {
        let (status, code, _) = refusal(lost);
        assert_eq!((status, code.as_str()), (409, "lease_lost"));
    }
    let ticket = story.settled("APP-1").await;
    assert_eq!(ticket.last_job, Some(job));
    assert_eq!(ticket.badges.is_empty(), expected == JobStatus::Completed);
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
async fn attempt_may_finish_after_its_push_window_if_not_ended() {
    let (story, job, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    story.pass(Duration::from_secs(600)).await;
    assert_eq!(client.finish(&completed("f1", 7)).await.unwrap().status, JobStatus::Completed);
    assert_eq!(story.ended(&job).await.status, JobStatus::Completed);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_to_an_adopting_job_is_reported_as_undelivered() {
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
    story.adopts_nothing(&job).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, loss.code);
    let shown = user.run(&["jobs", "show", job.as_str()]).await.done();
    assert!(!shown.contains("adopts\t") && !shown.contains("\npushed\t"), "{shown}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_adopting_job_reports_a_possible_earlier_push() {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.job_until(&job, is(JobStatus::Ready)).await;
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert!(assignment.adopts);
    begin_all(&client, Phase::Syncing).await;
    client.finish(&failed("f2")).await.unwrap();
    let ended = story.ended(&job).await;
    assert!(ended.unlooked.is_some() && ended.unlooked == ended.failure, "{ended:?}");
    let why = story.api.why(&job).await.unwrap().sentence;
    assert!(why.ends_with(" An earlier attempt may have pushed."), "{why}");
    let shown = User::of(&story).run(&["jobs", "show", job.as_str()]).await.done();
    assert!(shown.contains("\npushed\tAn earlier attempt may have pushed.\n"), "{shown}");
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
async fn late_result_is_recorded_and_changes_no_job() {
    let (story, _) = late_finish().await;
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
    story.end().await;
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
async fn late_result_during_adoption_is_recorded_and_job_completes() {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(121)).await;
    story.job_until(&job, is(JobStatus::Ready)).await;
    story.task_of(&job, 2).await;
    let (assignment, second) = story.claim(&job, "c2").await.unwrap();
    assert!(assignment.adopts);
    begin(&second, Phase::Preparing).await;
    assert_eq!(refusal(client.finish(&completed("f1", 7)).await), lease_lost(true));
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Preparing);
    begin(&second, Phase::Executing).await;
    begin(&second, Phase::Syncing).await;
    assert_eq!(second.finish(&completed("f2", 7)).await.unwrap().status, JobStatus::Completed);
    let ended = story.ended(&job).await;
    assert_eq!((ended.failure, ended.unlooked, ended.result.unwrap().number), (None, None, 7));
    let ticket = story.settled("APP-1").await;
    let link = Some("https://forge.test/acme/app/pull/7");
    assert_eq!((ticket.status.as_str(), ticket.pull_request.as_deref()), (REVIEW, link));
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
async fn finish_with_another_tickets_pull_request_keeps_its_link() {
    let (story, first, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    client.finish(&completed("f1", 7)).await.unwrap();
    let link = format!("PR#gh1#{}#7", story.stored(&first).await["repository"]);
    let second = story.job_for("e2", "APP-2", 1).await;
    story.task_of(&second, 1).await;
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    begin_all(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed("f2", 7)).await.unwrap().status, JobStatus::Completed);
    let ended = story.ended(&second).await;
    assert_eq!(ended.result.unwrap().number, 7);
    let pull = story.item(&link, "PR").await;
    assert_eq!((&pull["ticket"], &pull["job"]), (&json!("APP-1"), &json!(first)));
    assert_eq!(story.settled("APP-2").await.status, REVIEW);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_with_another_projects_pull_request_keeps_its_link() {
    let (story, first, client, _) = claimed().await;
    begin_all(&client, Phase::Syncing).await;
    client.finish(&completed("f1", 7)).await.unwrap();
    let link = format!("PR#gh1#{}#7", story.stored(&first).await["repository"]);
    let other = ProjectId::new("other").unwrap();
    let settings = Setup::default().settings;
    story.api.create_project(&CreateProject { id: other.clone(), name: "Other".into(), settings }).await.unwrap();
    let add =
        json!({ "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["a"] } });
    story.api.add_repository(&other, &serde_json::from_value(add).unwrap()).await.unwrap();
    let event = TicketEvent { project: other, ..story.event("e2", "APP-1", TRIGGER, 1) };
    let second = story.api.ticket_event(&event).await.unwrap().job.unwrap();
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    begin_all(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed("f2", 7)).await.unwrap().status, JobStatus::Completed);
    let pull = story.item(&link, "PR").await;
    assert_eq!((&pull["project"], &pull["job"]), (&json!("acme"), &json!(first)));
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

/// Races finishes, sweeps and the death of the container, with the attempt in `phase`.
async fn check_race(phase: Phase, wait: Duration, finish: impl Fn(&str) -> FinishRequest) {
    let story = Story::waiting().await;
    let mut all = Vec::new();
    for n in 0..4 {
        let (event, key) = (format!("e{n}"), format!("APP-{n}"));
        let job = story.job_for(&event, &key, 1).await;
        let task = story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, &format!("c{n}")).await.unwrap();
        begin_all(&client, phase).await;
        dies(&story, &job, &task).await;
        all.push((job, key, client));
    }
    story.clock.advance(wait);
    let sweeps = join_all((0..4).map(|_| async { story.local.sweep().await.unwrap() }));
    let finishes = join_all(all.iter().map(|(_, _, client)| {
        let requests = [finish("f1"), finish("f2")];
        async move { [client.finish(&requests[0]).await, client.finish(&requests[1]).await] }
    }));
    let (_, answers) = tokio::join!(sweeps, finishes);
    for ((job, key, _), [first, second]) in all.iter().zip(answers) {
        // A possible push is looked for before its job fails.
        let looked_for = phase == Phase::Syncing && first.is_err();
        if looked_for {
            story.adopts_nothing(job).await;
        }
        let ended = story.ended(job).await;
        let stored = story.stored(job).await;
        assert_eq!(refusal(second).0, 409);
        match first {
            Ok(answer) => {
                assert_eq!(stored["ended_by"], json!({ "attempt": 1, "finish": "f1" }));
                assert_eq!(answer.status, ended.status);
            }
            Err(error) => {
                assert_eq!(error.code(), Some("lease_lost"));
                let by =
                    if looked_for { json!({ "attempt": 2, "finish": "nothing" }) } else { json!({ "attempt": 1 }) };
                assert_eq!(stored["ended_by"], by);
                assert_eq!(ended.failure.as_ref().unwrap().code, "runner_crashed");
            }
        }
        let ticket = story.settled(key).await;
        assert_eq!(ticket.last_job.as_ref(), Some(job));
        assert_eq!(ticket.badges.is_empty(), ended.status == JobStatus::Completed);
        assert_eq!(ticket.status == TODO, ended.status == JobStatus::Failed);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_finish_racing_death_and_sweeps_ends_the_job_once() {
    check_race(Phase::Executing, GRACE, failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_finish_racing_death_and_sweeps_ends_the_job_once() {
    let number = std::sync::atomic::AtomicU64::new(1);
    let next = || number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    check_race(Phase::Syncing, Duration::from_secs(121), |id| completed(id, next())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_within_the_grace_period_after_death_is_accepted() {
    let (story, job, client, task) = claimed().await;
    begin_all(&client, Phase::Executing).await;
    dies(&story, &job, &task).await;
    story.pass(Duration::from_secs(10)).await;
    story.job_until(&job, is(JobStatus::Executing)).await;
    client.finish(&failed("f1")).await.unwrap();
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "no_changes");
    story.end().await;
}
