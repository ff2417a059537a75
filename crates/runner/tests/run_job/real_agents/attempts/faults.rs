//! Tests which failure ends an attempt for each fault of a model provider.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::real_agents::fixture::ClosedPort;
use pullyard_demo_model::{Answer, Refusal, Step, StreamFault};

/// Ends an attempt whose every model request meets the same fault.
async fn check(agent: Agent, step: Step, code: &str) {
    let stage = Stage::start_for(agent).await;
    stage.model.set_repeating_step(step);
    let failure = stage.run_to_failure().await;
    assert_eq!(failure.code(), code, "{agent:?} {failure:?}");
    let starts = stage.world.api.only_finish().work.unwrap().starts;
    let transient = ["agent_overloaded", "agent_unreachable"].contains(&code);
    assert_eq!(starts, if transient { 2 } else { 1 }, "{agent:?} {failure:?}");
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn faults_of_claude_codes_provider_fail_by_cause() {
    for (step, code) in [
        (Refusal::overloaded().into(), "agent_overloaded"),
        (Refusal::internal().into(), "agent_overloaded"),
        (Answer::text("Let me").fail_after(4, StreamFault::overloaded()).into(), "agent_overloaded"),
        (Refusal::too_many(1).into(), "agent_overloaded"),
        (Step::Reset, "agent_unreachable"),
        (Answer::text("Half of it").disconnect_after(4).into(), "agent_unreachable"),
        (Refusal::wrong_key().into(), "agent_auth"),
        (Refusal::no_credit().into(), "agent_billing"),
        (Refusal::prompt_too_long().into(), "context_too_long"),
        (Refusal::no_such_model("x").into(), "model_unavailable"),
        (Answer::text("I can't").with_refusal_stop().into(), "agent_refused"),
    ] {
        check(Agent::ClaudeCode, step, code).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn faults_of_codex_provider_fail_by_cause() {
    for (step, code) in [
        (Refusal::openai_server_error(503).into(), "agent_overloaded"),
        (Refusal::openai_at_capacity().into(), "agent_overloaded"),
        (Refusal::openai_server_error(500).into(), "agent_overloaded"),
        (Answer::text("Let me").fail_after(3, StreamFault::at_capacity()).into(), "agent_overloaded"),
        (Refusal::openai_too_many(1).into(), "agent_overloaded"),
        (Step::Reset, "agent_unreachable"),
        (Answer::text("Half of it").disconnect_after(4).into(), "agent_unreachable"),
        (Refusal::openai_wrong_key().into(), "agent_auth"),
        (Answer::text("x").fail_after(2, StreamFault::quota()).into(), "agent_billing"),
        (Refusal::openai_quota().into(), "agent_billing"),
        (Answer::text("x").fail_after(2, StreamFault::context_exceeded()).into(), "context_too_long"),
        (Refusal::openai_no_such_model("gpt-5").into(), "model_unavailable"),
    ] {
        check(Agent::Codex, step, code).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn closed_port_fails_as_agent_unreachable() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        stage.model.shutdown().await;
        let nobody = ClosedPort::reserve();
        let ran = stage
            .run_with(|command| {
                command.env("ANTHROPIC_BASE_URL", &nobody.url);
                command.env("OPENAI_BASE_URL", format!("{}/v1", nobody.url));
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert_eq!(stage.world.api.failure_code(), "agent_unreachable", "{agent:?} {}", ran.log);
        stage.check_end();
    }
}
