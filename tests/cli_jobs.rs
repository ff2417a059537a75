//! Tests the job commands of the CLI and the lists behind them.

use crate::prelude::*;
use pullyard_protocol::event::{Event, EventKind};
use pullyard_protocol::job::JobQuery;

async fn create_prompt_job(story: &Story, prompt: &str) -> JobId {
    let project = story.project.clone();
    let request = CreateJob {
        kind: JobKind::Implement,
        project,
        ticket: None,
        prompt: Some(prompt.into()),
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    };
    story.api.create_job(&request, None).await.unwrap().job.unwrap()
}

async fn cancel(story: &Story, job: &JobId) {
    story.api.cancel_job(job, &CancelJob::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_cancel_needs_confirmation_and_reports_each_job() {
    let (story, user) = Story::with_user().await;
    let (one, other) = (story.create_job("e1", "APP-1", 1).await, story.create_job("e2", "APP-2", 1).await);
    // There is no terminal for a prompt.
    user.run(&["jobs", "cancel", one.as_str()]).await.assert_exit(2, "add --yes");
    user.run(&["jobs", "cancel", one.as_str(), "--json"]).await.assert_exit(2, "add --yes");
    user.run(&["jobs", "cancel"]).await.assert_exit(2, "JOB");
    user.run(&["jobs", "cancel", "nope", one.as_str(), "--yes"]).await.assert_exit(5, "there is no job nope");
    assert_eq!(
        story.api.job(&one).await.unwrap().status,
        JobStatus::Ready,
        "one job was cancelled although the other is unknown"
    );
    let ran = user.run(&["jobs", "cancel", &short(&one), one.as_str(), "--yes", "--reason", "wrong ticket"]).await;
    assert_eq!(ran.err.trim(), format!("Job {} was cancelled by admin.", short(&one)));
    assert_eq!(ran.assert_success(), "");
    let output = user.ok(&["jobs", "show", one.as_str()]).await;
    assert!(output.contains("cancelled_by\tadmin: wrong ticket\n"), "{output}");
    assert_eq!(user.ok(&["why", one.as_str()]).await.trim(), "Cancelled by admin: \"wrong ticket\".");
    // No agent worked, so this is not the ticket's last job, but `why` still shows it.
    let sentence = format!("Job {}: Cancelled by admin: \"wrong ticket\".", short(&one));
    assert_eq!(user.ok(&["why", "APP-1"]).await.trim(), sentence);
    // A repeat succeeds; a finished job does not prevent the cancel of another.
    assert_eq!(user.json(&["jobs", "cancel", one.as_str(), "--yes"]).await["status"], "cancelled");
    let failed = story.create_job("e3", "APP-3", 1).await;
    let (_, client) = story.claim(&failed, "c1").await.unwrap();
    let finish = json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "no_changes" } });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    let both = ["jobs", "cancel", failed.as_str(), other.as_str(), "--yes", "--json"];
    let ran = user.run(&both).await.assert_exit(3, "has already");
    let answers: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&answers[0]["code"], &answers[1]["status"]), (&json!("too_late"), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_prompt_changes_nothing_and_fails() {
    let (story, user) = Story::with_user().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    for (command, question) in [
        (&["jobs", "cancel", job.as_str()][..], "its work is not published. [y/N]"),
        (&["repos", "delete", REPOSITORY], "from acme? [y/N]"),
    ] {
        let mut terminal = user.at_terminal(command);
        terminal.wait_for_text(question).await;
        terminal.write("n\n");
        let (code, out) = terminal.wait().await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{command:?}: {}", terminal.text());
        assert!(terminal.text().contains("nothing was changed"), "{command:?}: {}", terminal.text());
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Ready);
    let mut terminal = user.at_terminal(&["jobs", "cancel", job.as_str()]);
    terminal.wait_for_text("[y/N]").await;
    terminal.write("y\n");
    assert_eq!(terminal.wait().await.0, Some(0), "{}", terminal.text());
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_with_wait_returns_when_the_job_ends() {
    let (story, user) = Story::with_user().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let mut waiting = user.spawn(&["jobs", "cancel", job.as_str(), "--yes", "--wait"]);
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap()).lines();
    assert!(stderr.next_line().await.unwrap().unwrap().contains("Stopping job"));
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    assert_eq!(stderr.next_line().await.unwrap().unwrap(), format!("Job {} was cancelled by admin.", short(&job)));
    assert_eq!(waiting.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_prints_its_job_and_can_wait_for_it() {
    let story = Story::begin_story().await;
    let user = User::of(&story);
    story.set_agent_command(&["true"]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let watched =
        user.run(&["jobs", "logs", job.as_str(), "-f"]).await.assert_exit(6, "without changing a file (no_changes)");
    assert!(watched.err.contains("-- executing, attempt 1 --"), "{watched:?}");
    assert!(watched.err.contains("-- agent: command, isolation: none --"), "{watched:?}");
    let failed = user.ok(&["jobs", "show", job.as_str()]).await;
    assert!(failed.contains("cause\tagent\n"), "{failed}");
    assert_eq!(user.json(&["jobs", "show", job.as_str()]).await["failure"]["class"], "agent");
    story.wait_for_settled_ticket("APP-1").await;
    story.set_agent_command(&["./agent.sh"]).await;
    let ran = user.run(&["jobs", "retry", &short(&job), "--wait"]).await;
    assert!(ran.err.contains("Completed in "), "{ran:?}");
    let out = ran.assert_success();
    let again: JobId = out.lines().next().unwrap().parse().unwrap();
    let done = story.api.job(&again).await.unwrap();
    assert_eq!((done.retry_of.as_ref(), done.status), (Some(&job), JobStatus::Completed));
    assert_eq!(out.lines().last(), done.result.map(|result| result.url).as_deref());
    let output = user.ok(&["jobs", "show", again.as_str()]).await;
    assert!(output.contains(&format!("retry_of\t{job}\n")) && !output.contains("\ncause\t"), "{output}");
    user.run(&["jobs", "retry", again.as_str()]).await.assert_exit(3, "(not_failed)");
    let key = ["jobs", "retry", job.as_str(), "--idempotency-key", "k1", "--wait", "--json"];
    let ended: Value = serde_json::from_str(&user.run(&key).await.out).unwrap();
    assert_eq!(ended["retry_of"], job.as_str(), "the output is not the ended job");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_shows_text_commands_and_warnings() {
    let (story, user) = Story::with_user().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let event = |seq, kind, text: &str| Event {
        seq,
        age_ms: 0,
        kind,
        text: Some(text.into()),
        name: None,
        path: None,
        call: None,
        data: None,
    };
    let events = vec![
        event(1, EventKind::Text, "Looking.\n  indented\u{1b}[31m red"),
        event(2, EventKind::Command, "npm test"),
        event(3, EventKind::ToolResult, "1 passed"),
        event(4, EventKind::Log, "a warning"),
        event(5, EventKind::Usage, "12 tokens"),
    ];
    client
        .events(&EventsRequest { first_seq: 1, events: events.clone(), inputs: None, spent_usd_micros: None })
        .await
        .unwrap();
    let log = user.ok(&["jobs", "logs", job.as_str()]).await;
    assert_eq!(log, "Looking.\n  indented [31m red\n$ npm test\n1 passed\na warning\n");
    assert_eq!(user.ok(&["jobs", "logs", "@last", "--attempt", "1"]).await, log);
    user.run(&["jobs", "logs", "@last", "--attempt", "2"]).await.assert_exit(5, "no attempt 2");
    user.run(&["jobs", "logs", "@last", "-f", "--json"]).await.assert_exit(2, "--jsonl");
    let jsonl = user.ok(&["jobs", "logs", "@last", "--jsonl"]).await;
    assert_eq!(jsonl.lines().count(), 5);
    let document = user.json(&["jobs", "logs", "@last"]).await;
    assert_eq!(document, body(&story, &format!("/v1/jobs/{job}/events")).await);
    let mut follow = user.spawn(&["jobs", "logs", job.as_str(), "--follow"]);
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    while lines.next_line().await.unwrap().unwrap() != "a warning" {}
    client
        .events(&EventsRequest {
            first_seq: 6,
            events: vec![event(6, EventKind::Text, "Later.")],
            inputs: None,
            spent_usd_micros: None,
        })
        .await
        .unwrap();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "Later.");
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    assert_eq!(follow.wait().await.unwrap().code(), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_shows_growing_usage() {
    let (story, user) = Story::with_user().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let event = |seq: u64, kind: &str, more: Value| {
        let mut event = json!({ "seq": seq, "age_ms": 0, "kind": kind });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Event>(event).unwrap()
    };
    let used = |seq: u64, turns: u32, cost: &str, micros: u64| {
        event(seq, "usage", json!({ "data": { "so_far": true, "turns": turns, cost: micros } }))
    };
    let events = vec![
        used(1, 1, "about_usd_micros", 40_000),
        event(2, "text", json!({ "text": "Looking." })),
        used(3, 3, "about_usd_micros", 120_000),
        event(4, "usage", json!({ "data": { "cost_usd_micros": 130_000, "output_tokens": 7 } })),
    ];
    client.events(&EventsRequest { first_seq: 1, events, inputs: None, spent_usd_micros: None }).await.unwrap();
    assert_eq!(user.ok(&["jobs", "logs", job.as_str()]).await, "Looking.\n");
    let mut watch = user.spawn(&["jobs", "watch", job.as_str()]);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for text in ["so far about $0.04, 1 turn", "Looking.", "so far about $0.12, 3 turns", "$0.13, 7 tokens written"] {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.ends_with(&format!("\t{text}")), "{line}");
    }
    let events = vec![used(5, 4, "cost_usd_micros", 250_000)];
    client.events(&EventsRequest { first_seq: 5, events, inputs: None, spent_usd_micros: None }).await.unwrap();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.ends_with("\t1.5\tusage\tso far $0.25, 4 turns"), "{line}");
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    let finish = json!({ "finish_id": "f1", "outcome": "cancelled" });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    assert_eq!(watch.wait().await.unwrap().code(), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn job_list_filters_and_returns_how_far_back_it_looked() {
    let (story, user) = Story::with_user().await;
    let ticket = story.create_job("e1", "APP-1", 1).await;
    let first = create_prompt_job(&story, "One.").await;
    cancel(&story, &first).await;
    story.clock.advance(Duration::from_secs(3_600));
    let noon = story.clock.now();
    let second = create_prompt_job(&story, "Two.").await;
    cancel(&story, &second).await;
    story.clock.advance(Duration::from_secs(60));
    let third = create_prompt_job(&story, "Three.").await;

    let listed = async |arguments: &[&str]| {
        let out = user.ok(&[&["jobs", "list"], arguments].concat()).await;
        out.lines().map(|line| line.split('\t').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ids = |jobs: &[&JobId]| jobs.iter().map(|job| job.to_string()).collect::<Vec<_>>();
    assert_eq!(listed(&[]).await, ids(&[&third, &second, &first, &ticket]));
    assert_eq!(listed(&["--status", "cancelled"]).await, ids(&[&second, &first]));
    assert_eq!(listed(&["--status", "ready,failed", "--status", "cancelled"]).await.len(), 4);
    assert_eq!(listed(&["--ticket", "APP-1"]).await, ids(&[&ticket]));
    let noon = noon.to_string();
    assert_eq!(listed(&["--since", &noon]).await, ids(&[&third, &second]));
    assert_eq!(listed(&["--until", &noon]).await, ids(&[&first, &ticket]));
    assert_eq!(listed(&["--since", &noon, "--status", "cancelled"]).await, ids(&[&second]));
    assert_eq!(listed(&["--status", "completed"]).await, [""; 0]);
    assert_eq!(listed(&["--since", &noon, "--until", "2020-01-01"]).await, [""; 0]);
    let (mut after, mut seen) = (None::<String>, Vec::new());
    loop {
        let mut arguments = vec!["jobs", "list", "--limit", "1", "--status", "cancelled,ready"];
        arguments.extend(after.as_ref().map(|_| "--after"));
        arguments.extend(after.as_deref());
        let page = user.json(&arguments).await;
        let jobs = page["jobs"].as_array().unwrap();
        seen.extend(jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        assert!(jobs.len() <= 1);
        assert_eq!(page["looked_back_to"], jobs.last().map_or(Value::Null, |job| job["created"].clone()));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids(&[&third, &second, &first, &ticket]));
    for (flag, value) in [("--status", "done"), ("--since", "soon"), ("--limit", "0"), ("--since", "9999999d")] {
        user.run(&["jobs", "list", flag, value]).await.assert_exit(2, flag);
    }
    let mistyped = ["jobs", "list", "--project", "acm", "--status", "failed"];
    user.run(&mistyped).await.assert_exit(5, "there is no project acm");
    user.run(&["jobs", "list", "--watch"]).await.assert_exit(2, "needs a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_list_with_few_matches_searches_older_pages() {
    let story = Story::start_with_waiting_tasks().await;
    let oldest = create_prompt_job(&story, "The oldest.").await;
    cancel(&story, &oldest).await;
    for n in 0..12 {
        story.clock.advance(Duration::from_secs(1));
        create_prompt_job(&story, &format!("Job {n}.")).await;
    }
    let query = JobQuery { statuses: vec![JobStatus::Cancelled], limit: Some(2), ..JobQuery::default() };
    let page = story.api.list_jobs_matching(&story.project, &query).await.unwrap();
    assert_eq!((page.jobs.len(), page.next, page.jobs[0].id.clone()), (1, None, oldest));
    assert_eq!(page.searched_to, Some(page.jobs[0].created));
    let ask = async |query: &str| {
        let path = format!("/v1/jobs?project=acme&{query}");
        let (status, _, response) =
            story.request(Method::GET, &path, Some(story.local.admin_token()), Vec::new()).await;
        (status, response["code"].as_str().unwrap_or_default().to_owned(), response)
    };
    for query in
        ["status=done", "status=", "limit=0", "limit=51", "limit=x", "since=yesterday", "until=1", "ticket=", "what=1"]
    {
        let (status, code, problem) = ask(query).await;
        assert_eq!((status, code.as_str()), (400, "bad_parameter"), "{query}: {problem}");
    }
    // A cursor is valid only for its own time range.
    let next = ask("limit=1").await.2["next"].as_str().unwrap().to_owned();
    assert_eq!(ask(&format!("limit=1&after={next}")).await.0, 200);
    let (status, code, _) = ask(&format!("until=2020-01-01T00:00:00Z&after={next}")).await;
    assert_eq!((status, code.as_str()), (400, "bad_parameter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_explains_a_long_wait() {
    let story = Story::start_with(Setup { task: crate::story::Task::Waiting, ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_task(&job, 1).await;
    story.wait_for_empty_queues().await;
    let mut watch = User::of(&story).spawn(&["jobs", "watch", job.as_str()]);
    let mut stderr = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert_eq!(stderr.next_line().await.unwrap().unwrap(), "Waiting: task starting");
    let reason = stderr.next_line().await.unwrap().unwrap();
    assert_eq!(reason, "The job is starting.");
    cancel(&story, &job).await;
    assert!(stderr.next_line().await.unwrap().unwrap().contains("was cancelled by admin"));
    assert_eq!(watch.wait().await.unwrap().code(), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn help_covers_topics_and_job_commands() {
    let user = User::new();
    for (about, expected) in [
        (&["exit-codes"][..], "6    the watched job or run failed"),
        (&["json"], "--jsonl"),
        (&["environment"], "PULLYARD_TOKEN"),
        (&["jobs", "cancel"], "pullyard jobs cancel 7F2K"),
        (&[], "Operate:\n  doctor"),
    ] {
        let out = user.ok(&[&["help"], about].concat()).await;
        assert!(out.contains(expected), "{about:?}: {out}");
    }
    user.run(&["help", "nonsense"]).await.assert_exit(2, "topics are exit-codes, json, environment");
    assert!(user.ok(&["jobs", "list", "--help"]).await.contains("PULLYARD_PROJECT"));
}
