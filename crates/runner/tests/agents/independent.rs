//! Runs the agents against the model server `aimock`, because our own server may share a mistake with our tests.
//!
//! Only our own server covers errors within a stream, headers besides `retry-after`, further fields of a refusal, and
//! cuts or silence in an answer without a stream.

use crate::attempts::stage::{Agent, BOTH, Stage, WAITED_FOR_MS};
use crate::running::PATIENCE;
use crate::scene::program;
use crate::world::{BRANCH, end_of};
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

struct Independent {
    server: Child,
    url: String,
}

impl Independent {
    async fn with(stage: &Stage, fixtures: &[Value]) -> Self {
        let path = stage.world.dir.path().join("fixtures.json");
        std::fs::write(&path, json!({ "fixtures": fixtures }).to_string()).unwrap();
        let mut server = Command::new(program("PULLYARD_AIMOCK"))
            .args(["--port", "0", "--strict", "--fixtures"])
            .arg(&path)
            // Each answer belongs to one turn.
            .env("AIMOCK_STRICT_TURN_INDEX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                if let Some((_, url)) = line.split_once("listening on ") {
                    return url.trim().to_owned();
                }
            }
        };
        let url = timeout(PATIENCE, listening).await.unwrap();
        // Drain the output so that the server never blocks.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { server, url }
    }

    /// Starts a runner without retries of the agent.
    fn start(&self, stage: &Stage) -> Child {
        stage.world.spawn(|command| {
            stage.equip(command);
            command
                .env("ANTHROPIC_BASE_URL", &self.url)
                .env("OPENAI_BASE_URL", format!("{}/v1", self.url))
                .env("PULLYARD_AGENT_RETRY_SECS", "");
        })
    }

    /// The requests to the model, from the server's journal.
    async fn journal(&self) -> Vec<Value> {
        let journal = reqwest::get(format!("{}/__aimock/journal", self.url)).await.unwrap();
        let journal: Value = serde_json::from_slice(&journal.bytes().await.unwrap()).unwrap();
        let entries = journal.as_array().unwrap_or_else(|| panic!("{journal}"));
        entries.iter().filter(|entry| entry["method"] == "POST").cloned().collect()
    }

    async fn end(mut self, stage: Stage) {
        // The server answers a request without a fixture as if it were overloaded.
        let journal = self.journal().await;
        let strange: Vec<_> = journal.iter().filter(|entry| entry["response"]["fixture"].is_null()).collect();
        assert!(strange.is_empty(), "{:?}: {strange:?}", stage.agent);
        self.server.kill().await.unwrap();
        stage.end();
    }
}

fn shell(agent: Agent, command: &str) -> Value {
    let (name, arguments) = match agent {
        Agent::Codex => ("exec_command", json!({ "cmd": command, "yield_time_ms": WAITED_FOR_MS })),
        Agent::ClaudeCode => ("Bash", json!({ "command": command, "description": "run" })),
    };
    json!({ "toolCalls": [{ "name": name, "arguments": arguments }] })
}

fn words(words: &str) -> Value {
    json!({ "content": words })
}

/// The answer in the turn with this number, from zero.
fn turn(n: u32, response: Value) -> Value {
    json!({ "match": { "turnIndex": n }, "response": response })
}

fn always(response: Value) -> Value {
    json!({ "match": {}, "response": response })
}

/// Cuts the stream after four events. Events are sent one by one, because unread data is lost with the connection on a
/// loaded machine.
fn cut(mut fixture: Value) -> Value {
    fixture["latency"] = json!(500);
    fixture["chunkSize"] = json!(8);
    fixture["truncateAfterChunks"] = json!(4);
    fixture
}

/// Lets every request meet the same fixture, without retries.
async fn check(agent: Agent, fixture: &Value, code: &str) {
    let stage = Stage::of(agent).await;
    let other = Independent::with(&stage, std::slice::from_ref(fixture)).await;
    let ran = end_of(other.start(&stage)).await;
    let failure = stage.world.api.finish().failure.unwrap_or_else(|| panic!("{agent:?} {fixture} {}", ran.log));
    assert_eq!(failure.code(), code, "{agent:?} {fixture} {failure:?} {}", ran.log);
    assert!(!other.journal().await.is_empty(), "{agent:?} {fixture}: no request came");
    assert_eq!(stage.world.head(BRANCH), None, "{agent:?} {fixture}");
    other.end(stage).await;
}

fn refusal(status: u16, kind: &str, message: &str) -> Value {
    always(json!({ "error": { "message": message, "type": kind }, "status": status }))
}

/// A refusal of OpenAI, which has a code too.
fn coded(status: u16, code: &str, message: &str) -> Value {
    let kind = if status == 429 { code } else { "invalid_request_error" };
    let error = json!({ "message": message, "type": kind, "code": code });
    always(json!({ "error": error, "status": status }))
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn shared_faults_fail_by_cause() {
    let mut fixtures = Vec::new();
    for (status, kind, message, code) in [
        (529, "overloaded_error", "Overloaded", "agent_overloaded"),
        (503, "api_error", "Come back later", "agent_overloaded"),
        (500, "api_error", "Oh no", "agent_overloaded"),
        (429, "rate_limit_error", "This would exceed your rate limit.", "agent_overloaded"),
        (408, "timeout", "Too slow", "agent_overloaded"),
        (401, "authentication_error", "invalid x-api-key", "agent_auth"),
        (403, "permission_error", "Your key may not use this.", "agent_auth"),
        (402, "billing_error", "Nothing is left.", "agent_billing"),
        (413, "request_too_large", "Request exceeds the maximum size", "context_too_long"),
    ] {
        fixtures.push((refusal(status, kind, message), code));
    }
    for fault in ["disconnectRate", "malformedRate"] {
        let mut broken = always(words("Nobody hears this."));
        broken["chaos"] = json!({ fault: 1 });
        fixtures.push((broken, "agent_unreachable"));
    }
    for (fixture, code) in &fixtures {
        tokio::join!(check(Agent::ClaudeCode, fixture, code), check(Agent::Codex, fixture, code));
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn provider_specific_refusals_fail_by_cause() {
    let invalid = |message| refusal(400, "invalid_request_error", message);
    let mut declined = words("I can't");
    declined["finishReason"] = json!("refusal");
    let limit = "You have reached your specified API usage limits. You will regain access on 2031-05-06 at 07:00 UTC.";
    for (anthropic, openai, code) in [
        (
            invalid("Your credit balance is too low to access the Anthropic API."),
            coded(429, "insufficient_quota", "You exceeded your current quota, please check your plan."),
            "agent_billing",
        ),
        (
            refusal(429, "rate_limit_error", limit),
            refusal(429, "usage_limit_reached", "The usage limit has been reached"),
            "agent_quota",
        ),
        (
            invalid("prompt is too long: 214000 tokens > 200000 maximum"),
            coded(400, "context_length_exceeded", "Your input exceeds the context window of this model."),
            "context_too_long",
        ),
        (
            refusal(404, "not_found_error", "model: x"),
            coded(404, "model_not_found", "The model `x` does not exist or you do not have access to it."),
            "model_unavailable",
        ),
        (
            always(declined),
            coded(400, "invalid_prompt", "Invalid prompt: it was flagged as violating our usage policy."),
            "agent_refused",
        ),
    ] {
        tokio::join!(check(Agent::ClaudeCode, &anthropic, code), check(Agent::Codex, &openai, code));
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn tool_call_of_a_cut_stream_runs_once_after_a_retry() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let call = shell(agent, "echo hello >> greeting.txt");
        let mut half = cut(turn(0, call.clone()));
        half["match"]["sequenceIndex"] = json!(0);
        let other = Independent::with(&stage, &[half, turn(0, call), turn(1, words("All done."))]).await;
        let ran = end_of(other.start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").as_deref(), Some("hello\n"), "{agent:?}");
        assert!(stage.world.api.texts().contains("All done."));
        let journal = other.journal().await;
        let broken: Vec<_> = journal.iter().map(|entry| entry["response"]["interrupted"] == true).collect();
        assert_eq!(broken, [true, false, false], "{agent:?}");
        other.end(stage).await;
    }
}
