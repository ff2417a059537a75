//! Tests refusals, cut streams and refused connections against the independent server.

use super::{Independent, always, both, cut, shell, turn, words};
use crate::attempts::stage::{Agent, Stage};
use crate::attempts::steering::UNTIL_TOLD;
use crate::running::is_written;
use crate::world::{BRANCH, end_of};
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::FinishOutcome;
use serde_json::{Value, json};

/// Lets every request meet the same fixture, without retries.
async fn check(agent: Agent, fixture: Value, code: &str) -> Failure {
    let stage = Stage::of(agent).await;
    let other = Independent::with(&stage, std::slice::from_ref(&fixture)).await;
    let ran = end_of(other.start_once(&stage)).await;
    let failure = stage.world.api.finish().failure.unwrap_or_else(|| panic!("{agent:?} {fixture} {}", ran.log));
    assert_eq!(failure.code(), code, "{agent:?} {fixture} {failure:?} {}", ran.log);
    assert!(other.asked().await > 0, "{agent:?} {fixture}: no request came");
    assert_eq!(stage.world.head(BRANCH), None, "{agent:?} {fixture}");
    other.end(stage).await;
    failure
}

async fn check_both(fixture: &Value, code: &str) {
    both(|agent| async move {
        check(agent, fixture.clone(), code).await;
    })
    .await;
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
async fn overloaded_provider_fails_as_agent_overloaded() {
    for (status, kind, message) in
        [(529, "overloaded_error", "Overloaded"), (503, "api_error", "Come back later"), (500, "api_error", "Oh no")]
    {
        check_both(&refusal(status, kind, message), "agent_overloaded").await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn rate_limits_and_timeouts_fail_as_agent_overloaded() {
    for (status, kind, message) in
        [(429, "rate_limit_error", "This would exceed your rate limit."), (408, "timeout", "Too slow")]
    {
        check_both(&refusal(status, kind, message), "agent_overloaded").await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn shared_refusals_fail_by_cause() {
    for (status, kind, message, code) in [
        (401, "authentication_error", "invalid x-api-key", "agent_auth"),
        (403, "permission_error", "Your key may not use this.", "agent_auth"),
        (402, "billing_error", "Nothing is left.", "agent_billing"),
        (413, "request_too_large", "Request exceeds the maximum size", "context_too_long"),
    ] {
        check_both(&refusal(status, kind, message), code).await;
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
        both(|agent| {
            let own = if agent == Agent::ClaudeCode { &anthropic } else { &openai };
            async move {
                check(agent, own.clone(), code).await;
            }
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn broken_answers_fail_as_agent_unreachable() {
    for fault in ["disconnectRate", "malformedRate"] {
        let mut broken = always(words("Nobody hears this."));
        broken["chaos"] = json!({ fault: 1 });
        check_both(&broken, "agent_unreachable").await;
    }
}

/// Claude Code finally requests an answer without a stream, which this server cannot cut.
#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn repeatedly_cut_stream_is_unreachable_for_codex() {
    let half = cut(always(words("Half of what it would have said, and nobody hears the rest.")));
    let failure = check(Agent::Codex, half, "agent_unreachable").await;
    assert!(format!("{failure:?}").contains("response body"), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn tool_call_of_a_cut_stream_runs_once_after_a_retry() {
    both(|agent| async move {
        let stage = Stage::of(agent).await;
        let call = shell(agent, "echo hello >> greeting.txt");
        let mut half = cut(turn(0, call.clone()));
        half["match"]["sequenceIndex"] = json!(0);
        let other = Independent::with(&stage, &[half, turn(0, call), turn(1, words("All done."))]).await;
        let ran = end_of(other.start_once(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").as_deref(), Some("hello\n"), "{agent:?}");
        let journal = other.journal().await;
        let broken: Vec<_> = journal.iter().map(|entry| entry["response"]["interrupted"] == true).collect();
        assert_eq!(broken, [true, false, false], "{agent:?}");
        other.end(stage).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn server_stopped_between_requests_fails_as_unreachable() {
    both(|agent| async move {
        let stage = Stage::of(agent).await;
        let other = Independent::with(&stage, &[turn(0, shell(agent, UNTIL_TOLD))]).await;
        let runner = other.start_once(&stage);
        is_written(&stage.tree().join("greeting.txt")).await;
        let _taken = other.vanish().await;
        std::fs::write(stage.tree().join("go"), "").unwrap();
        let ran = end_of(runner).await;
        assert_eq!(stage.world.api.failure(), "agent_unreachable", "{agent:?} {}", ran.log);
        assert_eq!(stage.world.head(BRANCH), None, "{agent:?}");
        stage.end();
    })
    .await;
}
