//! Tests pausing, questions and answers of a job through the control plane; the test acts as the runner.

use crate::prelude::*;
use pullyard_domain::job::{AgentReport, DesiredState};
use pullyard_protocol::artifact::AttemptOutcome;
use pullyard_protocol::attempt::{Assignment, YieldAnswer};
use pullyard_protocol::client::Error;

const WEEK: Duration = Duration::from_secs(7 * 86_400);

async fn start_executing_job() -> (Story, JobId, AttemptClient) {
    start_executing_job_of("command").await
}

async fn start_executing_job_of(agent: &str) -> (Story, JobId, AttemptClient) {
    let story = Story::start_with_waiting_tasks().await;
    story.set_agent(agent).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.resume, None);
    enter_phases(&client, Phase::Executing).await;
    (story, job, client)
}

async fn heartbeat(client: &AttemptClient) -> (DesiredState, u32) {
    let answer = client
        .events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None })
        .await
        .unwrap();
    (answer.want, answer.inputs)
}

pub(crate) fn yield_request(question: Option<&str>, inputs: u32) -> YieldRequest {
    YieldRequest {
        yield_id: FinishId::new("y1").unwrap(),
        outcome: if question.is_some() { YieldReason::Asks } else { YieldReason::Paused },
        question: question.map(str::to_owned),
        agent: Some("command".into()),
        session: Some("s1".into()),
        inputs,
        spent_usd_micros: Some(1_500),
        work: Some(usage()),
    }
}

fn usage() -> AgentReport {
    let usage = json!({
        "agent": "command", "session": "s1", "isolation": "none",
        "starts": 1, "turns": 2, "input_tokens": 30, "output_tokens": 4,
    });
    serde_json::from_value(usage).unwrap()
}

async fn yield_question(client: &AttemptClient, inputs: u32) -> YieldAnswer {
    client.yield_job(&yield_request(Some("Which list?"), inputs)).await.unwrap()
}

async fn yield_paused(client: &AttemptClient) -> YieldAnswer {
    client.yield_job(&yield_request(None, 0)).await.unwrap()
}

async fn complete_second_attempt(story: &Story, job: &JobId) -> Assignment {
    story.wait_for_job(job, has_status(JobStatus::Ready)).await;
    story.wait_for_task(job, 2).await;
    let (assignment, client) = story.claim(job, "c2").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    assert_eq!(client.finish(&completed_finish("f2", 7)).await.unwrap().status, JobStatus::Completed);
    assignment
}

async fn badges(story: &Story) -> Vec<String> {
    story.ticket("APP-1").await.badges
}

fn problem_code<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer.unwrap_err() {
        Error::Problem(problem) => problem.code,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_job_resumes_and_completes_with_its_pull_request() {
    let (story, job, client) = start_executing_job().await;
    let details = story.api.pause_job(&job).await.unwrap();
    assert_eq!((details.status, details.pause.unwrap().by.as_str()), (JobStatus::Executing, "admin"));
    assert_eq!(
        story.api.pause_job(&job).await.unwrap().status,
        JobStatus::Executing,
        "a repeated pause changes nothing"
    );
    assert_eq!(heartbeat(&client).await.0, DesiredState::Pause);
    let push = client.status(&StatusRequest { status: Phase::Syncing, inputs: None, waits_for: None }).await.unwrap();
    assert_eq!((push.want, push.push_for_secs), (DesiredState::Pause, None));
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);

    assert_eq!(yield_paused(&client).await.status, JobStatus::Paused);
    assert_eq!(yield_paused(&client).await.status, JobStatus::Paused, "a repeated yield gets the same answer");
    assert_eq!(story.load_job_item(&job).await["spent_usd_micros"], 1_500, "the cost of a repeated yield counts once");
    let rested = story.api.attempts(&job).await.unwrap().attempts.remove(0);
    assert_eq!((rested.how, rested.spent_usd_micros), (AttemptOutcome::Paused, Some(1_500)));
    assert_eq!(rested.work, Some(usage()), "the attempt stores its usage data");
    assert_eq!(badges(&story).await, ["AI Waiting"]);
    assert_eq!(story.ticket("APP-1").await.active_job.as_ref(), Some(&job));
    assert!(story.api.explain_job(&job).await.unwrap().sentence.starts_with("admin paused the job "));
    assert_eq!(heartbeat_error(&client).await, "lease_lost");
    story.advance_and_sweep(Duration::from_secs(3_600)).await;
    assert_eq!((story.api.job(&job).await.unwrap().status, story.list_tasks(&job).await.len()), (JobStatus::Paused, 1));

    story.api.continue_job(&job).await.unwrap();
    assert_eq!(badges(&story).await.len(), 0);
    let resume = complete_second_attempt(&story, &job).await.resume.unwrap();
    assert_eq!((resume.agent.as_deref(), resume.session.as_deref()), (Some("command"), Some("s1")));
    assert_eq!((resume.inputs.len(), resume.read), (0, 0));
    assert_eq!(story.wait_for_settled_ticket("APP-1").await.badges.len(), 0);
    assert_eq!(problem_code(story.api.pause_job(&job).await), "too_late");
    assert_eq!(problem_code(story.api.continue_job(&job).await), "too_late");
}

async fn heartbeat_error(client: &AttemptClient) -> String {
    problem_code(
        client.events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None }).await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_shown_and_answered_on_the_command_line() {
    let (story, job, client) = start_executing_job().await;
    let answer = yield_question(&client, 0).await;
    assert_eq!((answer.status, answer.has_unread_inputs), (JobStatus::AwaitingInput, false));
    assert_eq!(badges(&story).await, ["AI Waiting"]);
    let details = story.api.job(&job).await.unwrap();
    assert_eq!(
        (details.question.unwrap().text.as_str(), details.waits.unwrap().code.as_str()),
        ("Which list?", "needs_input")
    );
    assert_eq!(problem_code(story.api.continue_job(&job).await), "asks");
    assert_eq!(problem_code(story.api.pause_job(&job).await), "not_pausable");

    let user = User::of(&story);
    let output = user.run(&["jobs", "show", job.as_str()]).await;
    assert!(output.out.contains("Which list?"), "{output:?}");
    output.assert_exit(0, &format!("`pullyard jobs answer {}`", job.short()));
    let reply = user.run_with(&["jobs", "answer", job.as_str(), "-"], "An empty list.\nNothing else.").await;
    reply.assert_exit(0, ", which resumes.");
    let resume = complete_second_attempt(&story, &job).await.resume.unwrap();
    let inputs: Vec<_> = resume.inputs.iter().map(|input| (input.question.as_deref(), input.text.as_str())).collect();
    assert_eq!(inputs, [(Some("Which list?"), "An empty list.\nNothing else.")]);
    assert_eq!((resume.read, resume.inputs[0].by.as_str()), (0, "admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn yield_has_a_question_exactly_when_the_agent_asks() {
    let (story, job, client) = start_executing_job().await;
    let paused = yield_request(None, 0);
    for wrong in [
        yield_request(Some(""), 0),
        yield_request(Some(" \n"), 0),
        YieldRequest { outcome: YieldReason::Asks, ..paused.clone() },
        YieldRequest { question: Some("Which list?".into()), ..paused },
    ] {
        match client.yield_job(&wrong).await.unwrap_err() {
            Error::Problem(problem) => {
                assert_eq!((problem.status, problem.pointer.as_deref()), (422, Some("/question")), "{wrong:?}");
            }
            other => panic!("{wrong:?}: {other}"),
        }
    }
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    // The rejected requests did not use up the yield id. Text from a runner is truncated.
    let wordy = YieldRequest {
        work: Some(AgentReport { model: Some("m".repeat(9_000)), ..usage() }),
        ..yield_request(Some("Which list?"), 0)
    };
    assert_eq!(client.yield_job(&wordy).await.unwrap().status, JobStatus::AwaitingInput);
    let rested = story.api.attempts(&job).await.unwrap().attempts.remove(0);
    assert_eq!(rested.work.unwrap().model.unwrap().chars().count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_before_the_question_is_read_by_the_same_attempt() {
    let (story, job, client) = start_executing_job_of("codex").await;
    story.api.send_input(&job, "An empty list.", Some("k1")).await.unwrap();
    let again = story.api.send_input(&job, "An empty list.", Some("k1")).await.unwrap();
    assert_eq!((again.status, again.inputs), (JobStatus::Executing, 1), "a repeated answer adds no input");
    assert_eq!(problem_code(story.api.send_input(&job, "A full one.", Some("k1")).await), "idempotency_key_reused");
    assert_eq!(heartbeat(&client).await.1, 1);

    let answer = yield_question(&client, 0).await;
    assert_eq!((answer.status, answer.has_unread_inputs), (JobStatus::Executing, true));
    let inputs = client.inputs(0).await.unwrap().inputs;
    assert_eq!(
        inputs.iter().map(|input| (input.seq, input.text.as_str())).collect::<Vec<_>>(),
        [(1, "An empty list.")]
    );
    assert_eq!(client.inputs(1).await.unwrap().inputs, []);
    assert_eq!(yield_question(&client, 1).await.status, JobStatus::AwaitingInput);
    assert_eq!(problem_code(client.inputs(0).await), "lease_lost");
}

async fn request_push(client: &AttemptClient, input_count: u32) -> (bool, bool) {
    let answer = client
        .status(&StatusRequest { status: Phase::Syncing, inputs: Some(input_count), waits_for: None })
        .await
        .unwrap();
    (answer.has_unread_inputs, answer.push_for_secs.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn message_to_a_working_command_is_refused_until_it_pauses() {
    let (story, job) = Story::with_job().await;
    story.api.send_input(&job, "Use tabs.", Some("k1")).await.unwrap();
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    assert_eq!(assignment.resume.unwrap().inputs.len(), 1, "a message before the start is in the prompt");
    assert_eq!(problem_code(story.api.send_input(&job, "Or spaces.", None).await), "command_works");
    enter_phases(&client, Phase::Executing).await;
    assert_eq!(problem_code(story.api.send_input(&job, "Or spaces.", None).await), "command_works");
    assert_eq!(request_push(&client, 1).await, (false, true));
    assert_eq!(problem_code(story.api.send_input(&job, "Or spaces.", None).await), "command_works");
    assert_eq!(story.api.send_input(&job, "Use tabs.", Some("k1")).await.unwrap().inputs, 1, "a repeat");

    let (story, job, client) = start_executing_job().await;
    let output = User::of(&story).run(&["jobs", "send", job.as_str(), "Use tabs."]).await;
    output.assert_exit(3, "it reads messages only when it starts");
    story.api.pause_job(&job).await.unwrap();
    assert_eq!(yield_paused(&client).await.status, JobStatus::Paused);
    story.api.send_input(&job, "Use tabs.", None).await.unwrap();
    assert_eq!(complete_second_attempt(&story, &job).await.resume.unwrap().inputs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn message_to_a_working_agent_is_delivered_before_the_push() {
    let (story, job, client) = start_executing_job_of("codex").await;
    let user = User::of(&story);
    let output = user.run(&["jobs", "send", job.as_str(), "Use tabs."]).await;
    output.assert_exit(0, ". The agent reads this at its next step or its next start.");
    assert_eq!(heartbeat(&client).await, (DesiredState::Run, 1));
    assert_eq!(request_push(&client, 0).await, (true, false));
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Executing);
    assert_eq!(client.inputs(0).await.unwrap().inputs[0].text, "Use tabs.");
    assert_eq!(request_push(&client, 1).await, (false, true));
    assert_eq!(request_push(&client, 1).await, (false, true), "a repeated request gets the same answer");
    // A message sent during the push is too late for this attempt; the answer contains a notice.
    let output = user.run(&["jobs", "send", job.as_str(), "And this."]).await;
    output.assert_exit(0, ". The work is being published; only another attempt would read this.");
    assert_eq!(request_push(&client, 1).await, (false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn job_awaiting_input_fails_after_a_week() {
    let (story, job, client) = start_executing_job().await;
    yield_question(&client, 0).await;
    story.advance_and_sweep(WEEK - Duration::from_secs(60)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::AwaitingInput);
    story.advance_and_sweep(Duration::from_secs(120)).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (JobStatus::Failed, "input_timeout"));
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, ["AI Failed".to_owned()].as_slice()));
    assert_eq!(problem_code(story.api.send_input(&job, "Too late.", None).await), "too_late");
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_job_continues_from_its_checkpoint() {
    let story = Story::begin_story().await;
    let script = r#"cat > prompt.txt; [ -e half.txt ] && cat half.txt > whole.txt && exit 0
        echo half > half.txt; echo '{"kind":"question","text":"Which list?"}'"#;
    story.set_agent_command(&["sh", "-c", script]).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_job(&job, has_status(JobStatus::AwaitingInput)).await;
    let rested = story.api.attempts(&job).await.unwrap().attempts.remove(0);
    assert_eq!((rested.how, rested.work.unwrap().agent.as_str()), (AttemptOutcome::Asked, "command"));
    let artifacts = story.api.artifacts(&job).await.unwrap().artifacts;
    for kind in [ArtifactKind::AgentOutput, ArtifactKind::Checkpoint] {
        assert!(
            artifacts.iter().any(|artifact| artifact.kind == kind && artifact.stored && artifact.attempt == 1),
            "{kind:?}: {artifacts:?}"
        );
    }
    story.api.send_input(&job, "The empty one.", None).await.unwrap();
    let done = story.wait_for_end(&job).await;
    assert_eq!(done.status, JobStatus::Completed, "{:?}", done.failure);
    let head = done.result.unwrap().head;
    assert_eq!(story.git(&["show", &format!("{head}:whole.txt")]).await.trim(), "half");
    assert!(story.git(&["show", &format!("{head}:prompt.txt")]).await.contains("> The empty one."));
}
