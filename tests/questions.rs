//! Tests jobs of kind `read`: they answer a question about a repository and change nothing.

use crate::cli::User;
use crate::pages::Browser;
use crate::prelude::*;
use crate::story::{finish_request, task_variable};
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_protocol::client::Error;

const ANSWERING_AGENT: &str = r#"#!/bin/sh
echo "reading"
printf '{"v":1,"text":"**Twice**, in `README.md`."}' > .pullyard/output.json
echo changed > README.md
"#;

async fn begin() -> (Story, User) {
    let story = Story::start_with(Setup { agent: ANSWERING_AGENT, ..Setup::default() }).await;
    let user = User::of(&story);
    (story, user)
}

fn answer(text: &str) -> Option<JobOutput> {
    Some(JobOutput::Read(Answer { text: text.into(), ..Answer::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_answered_and_nothing_is_pushed() {
    let (story, user) = begin().await;
    let ran = user.run(&["jobs", "create", "--kind", "read", "-p", "How often?", "--wait"]).await;
    assert!(ran.out.ends_with("**Twice**, in `README.md`.\n"), "{}", ran.out);
    assert!(ran.err.contains("an answer"), "{}", ran.err);
    let job = story.jobs().await.remove(0);
    assert_eq!((job.kind, job.status, job.branch.as_str()), (JobKind::Read, JobStatus::Completed, "main"));
    assert_eq!((job.ticket, job.result), (None, None));
    let id = short(&job.id);
    assert_eq!(user.ok(&["jobs", "output", &id]).await, "**Twice**, in `README.md`.\n");
    let output = json!({ "kind": "read", "text": "**Twice**, in `README.md`." });
    assert_eq!(user.json(&["jobs", "output", &id]).await["output"], output);
    let shown = user.ok(&["jobs", "show", &id]).await;
    assert!(shown.contains(&format!("pullyard jobs output {id}")), "{shown}");
    let why = user.run(&["why", job.id.as_str()]).await;
    assert!(why.out.contains("completed with an answer"), "{}", why.out);
    assert_eq!(story.branches().await, [""; 0]);

    let browser = Browser::admin(&story).await;
    let page = browser.get(&format!("/jobs/{}", job.id)).await;
    page.assert_contains(&["<strong>Twice</strong>", ">Output</a>"]);
    assert!(!page.contains(">Changes</a>") && !page.contains("<b>Pushing</b>"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn question_needs_a_prompt_and_no_ticket() {
    let (story, user) = Story::with_user().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let ran = user.run(&["jobs", "create", "--kind", "read", "--ticket", "APP-1", "-p", "Why?"]).await;
    ran.assert_exit(2, "a job of kind read has no ticket");
    user.run(&["jobs", "create", "--kind", "revise", "-p", "Why?"]).await.assert_exit(2, "implement, read");
    user.run(&["jobs", "create", "--kind", "read"]).await.assert_exit(2, "--prompt");
    user.run(&["jobs", "create", "--kind", "read", "-p", " "]).await.assert_exit(2, "give a ticket or a prompt");
    let request = CreateJob {
        project: story.project.clone(),
        kind: JobKind::Revise,
        ticket: None,
        prompt: Some("Why?".into()),
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    };
    let refused = story.api.create_job(&request, None).await;
    assert!(matches!(refused, Err(Error::Problem(problem)) if problem.pointer.as_deref() == Some("/kind")));
    assert!(story.jobs().await.is_empty());

    let browser = Browser::admin(&story).await;
    let form = [("project", "acme"), ("kind", "read"), ("prompt", "Why?")];
    let created = browser.post("/jobs", &form).await;
    let (_, address) = created.redirect();
    browser.get(&format!("{address}/output")).await.assert_contains(&["appears here once the agent"]);
    let job = story.jobs().await.remove(0);
    user.run(&["jobs", "output", job.id.as_str()]).await.assert_exit(5, "no output yet");
    user.ok(&["jobs", "cancel", job.id.as_str(), "--yes"]).await;
    user.run(&["jobs", "output", job.id.as_str()]).await.assert_exit(5, "has no output");
    // A retry asks the same question again.
    let retry = user.json(&["jobs", "retry", job.id.as_str()]).await["job"].as_str().unwrap().to_owned();
    let retry = story.api.job(&retry.parse().unwrap()).await.unwrap();
    assert_eq!((retry.kind, retry.title.as_str(), retry.branch.as_str()), (JobKind::Read, "Why?", "main"));
    assert_eq!(retry.retry_of, Some(job.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_of_a_question_has_an_output_and_no_result() {
    let story = Story::start_with_waiting_tasks().await;
    let request = json!({ "project": "acme", "kind": "read", "prompt": "Why?" });
    let request: CreateJob = serde_json::from_value(request).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    assert_eq!((assignment.kind, assignment.branch.as_str()), (JobKind::Read, "main"));
    enter_phases(&client, Phase::Syncing).await;
    let code = |error: Error| match error {
        Error::Problem(problem) => (problem.status, problem.code, problem.pointer),
        error => panic!("{error}"),
    };
    let completed = || finish_request("f1", FinishOutcome::Completed);
    let long = answer(&"x".repeat(32_001));
    for (finish, pointer) in [
        (completed(), "/output"),
        (completed_finish("f1", 7), "/result"),
        (FinishRequest { output: answer(" "), ..completed() }, "/output/text"),
        (FinishRequest { output: long, ..completed() }, "/output/text"),
        (FinishRequest { output: answer("Yes."), ..failed_finish("f1") }, "/output"),
        (FinishRequest { result: completed_finish("f1", 7).result, ..failed_finish("f1") }, "/result"),
    ] {
        let (status, _, found) = code(client.finish(&finish).await.unwrap_err());
        assert!(matches!(status, 400 | 422), "{status}");
        assert_eq!(found.as_deref(), Some(pointer));
    }
    let finish = FinishRequest { output: answer("Because."), ..completed() };
    for _ in 0..2 {
        assert_eq!(client.finish(&finish).await.unwrap().status, JobStatus::Completed);
    }
    assert_eq!(story.api.job_output(&job).await.unwrap().output, answer("Because."));
}

#[tokio::test(flavor = "multi_thread")]
async fn message_before_the_answer_keeps_the_job_open() {
    let story = Story::start_with_waiting_tasks().await;
    story.set_agent("codex").await;
    let request = json!({ "project": "acme", "kind": "read", "prompt": "Why?" });
    let request: CreateJob = serde_json::from_value(request).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    User::of(&story).ok(&["jobs", "send", job.as_str(), "and where?"]).await;
    let hand_over = |inputs: u32| serde_json::from_value(json!({ "status": "syncing", "inputs": inputs })).unwrap();
    assert!(client.status(&hand_over(0)).await.unwrap().has_unread_inputs);
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    assert!(!client.status(&hand_over(1)).await.unwrap().has_unread_inputs);
    let finish = FinishRequest { output: answer("Here."), ..finish_request("f1", FinishOutcome::Completed) };
    assert_eq!(client.finish(&finish).await.unwrap().status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_that_knows_no_output_gets_other_jobs_only() {
    let story = Story::start_with_waiting_tasks().await;
    for (kind, expected) in [("read", 426), ("implement", 200)] {
        let request = json!({ "project": "acme", "kind": kind, "prompt": "Why?" });
        let request: CreateJob = serde_json::from_value(request).unwrap();
        let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
        let task =
            wait_until("the task is asked for", async || story.list_tasks(&job).await.pop().ok_or("none".to_owned()))
                .await;
        let authorization = format!("Bearer {}", task_variable(&task, "PULLYARD_BOOTSTRAP"));
        let headers = [("pullyard-version", "1"), ("authorization", authorization.as_str())];
        let body = json!({ "claim_id": format!("claim-{kind}"), "instance": "one" }).to_string().into();
        let path = format!("/v1/jobs/{job}/attempts/1/start");
        let (status, _, answer) = story.request_with_headers(Method::POST, &path, &headers, body).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn question_in_its_last_phase_is_shown_as_executing() {
    let story = Story::start_with_waiting_tasks().await;
    let request = json!({ "project": "acme", "kind": "read", "prompt": "Why?" });
    let request: CreateJob = serde_json::from_value(request).unwrap();
    let job = story.api.create_job(&request, None).await.unwrap().job.unwrap();
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    let page = Browser::admin(&story).await.get(&format!("/jobs/{job}")).await;
    page.assert_contains(&[r#"<li class="at" aria-current="step">"#, "<b>Executing</b>", "handing over the answer"]);
    assert!(!page.contains("Pushing"), "{}", page.body);
}
