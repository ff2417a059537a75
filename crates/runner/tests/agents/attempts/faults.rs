//! Tests which failure ends an attempt for each fault of a model provider.

use super::stage::{Agent, BOTH, Stage};
use crate::scene::Nobody;
use pullyard_demo_model::{Answer, Refusal, Step, Stumble};
use pullyard_domain::failure::Failure;

/// Ends an attempt whose every model request meets the same fault.
async fn check(agent: Agent, step: impl Into<Step>, code: &str) -> Failure {
    let stage = Stage::of(agent).await;
    stage.model.keep(step);
    let failure = stage.fails().await;
    assert_eq!(failure.code(), code, "{agent:?} {failure:?}");
    let starts = stage.world.api.finish().work.unwrap().starts;
    let transient = ["agent_overloaded", "agent_unreachable"].contains(&code);
    assert_eq!(starts, if transient { 2 } else { 1 }, "{agent:?} {failure:?}");
    stage.end();
    failure
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_overload_fails_as_agent_overloaded() {
    check(Agent::ClaudeCode, Refusal::overloaded(), "agent_overloaded").await;
    check(Agent::ClaudeCode, Refusal::internal(), "agent_overloaded").await;
    let stumbles = Answer::text("Let me").stumbling_after(4, Stumble::overloaded());
    check(Agent::ClaudeCode, stumbles, "agent_overloaded").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_rate_limit_fails_as_agent_overloaded() {
    check(Agent::ClaudeCode, Refusal::too_many(1), "agent_overloaded").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_reset_connection_fails_as_agent_unreachable() {
    check(Agent::ClaudeCode, Step::Reset, "agent_unreachable").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_cut_streams_fail_as_agent_unreachable() {
    check(Agent::ClaudeCode, Answer::text("Half of it").cut_after(4), "agent_unreachable").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn claude_code_permanent_refusals_fail_by_cause() {
    check(Agent::ClaudeCode, Refusal::wrong_key(), "agent_auth").await;
    check(Agent::ClaudeCode, Refusal::no_credit(), "agent_billing").await;
    check(Agent::ClaudeCode, Refusal::prompt_too_long(), "context_too_long").await;
    check(Agent::ClaudeCode, Refusal::no_such_model("x"), "model_unavailable").await;
    check(Agent::ClaudeCode, Answer::text("I can't").declining(), "agent_refused").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_overload_fails_as_agent_overloaded() {
    let codex = Agent::Codex;
    check(codex, Refusal::openai_server_error(503), "agent_overloaded").await;
    check(codex, Refusal::openai_at_capacity(), "agent_overloaded").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_server_errors_fail_as_agent_overloaded() {
    let codex = Agent::Codex;
    check(codex, Refusal::openai_server_error(500), "agent_overloaded").await;
    let stumbles = Answer::text("Let me").stumbling_after(3, Stumble::at_capacity());
    check(codex, stumbles, "agent_overloaded").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_rate_limit_fails_as_agent_overloaded() {
    let codex = Agent::Codex;
    check(codex, Refusal::openai_too_many(1), "agent_overloaded").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_reset_connection_fails_as_agent_unreachable() {
    let codex = Agent::Codex;
    check(codex, Step::Reset, "agent_unreachable").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_cut_streams_fail_as_agent_unreachable() {
    let codex = Agent::Codex;
    check(codex, Answer::text("Half of it").cut_after(4), "agent_unreachable").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn codex_permanent_refusals_fail_by_cause() {
    let codex = Agent::Codex;
    check(codex, Refusal::openai_wrong_key(), "agent_auth").await;
    check(codex, Answer::text("x").stumbling_after(2, Stumble::quota()), "agent_billing").await;
    check(codex, Refusal::openai_quota(), "agent_billing").await;
    check(codex, Answer::text("x").stumbling_after(2, Stumble::too_long()), "context_too_long").await;
    check(codex, Refusal::openai_no_such_model("gpt-5"), "model_unavailable").await;
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn closed_port_fails_as_agent_unreachable() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.shutdown().await;
        let nobody = Nobody::somewhere();
        let ran = stage
            .run_with(|command| {
                command.env("ANTHROPIC_BASE_URL", &nobody.url);
                command.env("OPENAI_BASE_URL", format!("{}/v1", nobody.url));
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert_eq!(stage.world.api.failure(), "agent_unreachable", "{agent:?} {}", ran.log);
        stage.end();
    }
}
