//! Tests that each limit of a job ends it with its own failure and without a further model request.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use pullyard_demo_model::{Answer, Step, Usage};
use pullyard_domain::text::failure::Failure;
use serde_json::json;
use std::time::Duration;

/// Runs longer than a loaded machine needs to stop the agent, so that no further request goes out.
const SLOW_COMMAND: &str = "echo again >> again.txt; sleep 8";

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn turn_and_cost_limits_stop_further_requests() {
    for agent in ALL_AGENTS {
        for (code, requests) in [("turn_limit", 2), ("cost_limit", 1)] {
            let stage = Stage::start_for(agent).await;
            stage.world.api.change_assignment(|job| match code {
                "turn_limit" => job.limits.turns = Some(2),
                _ => job.limits.cost_usd_micros = Some(500_000),
            });
            stage.model.set_repeating_step(agent.run_command_answer(SLOW_COMMAND).with_usage(Usage {
                input: 100_000,
                cached: 0,
                output: 100_000,
            }));
            let failure = stage.run_to_failure().await;
            assert_eq!(failure.code(), code, "{agent:?} {failure:?}");
            assert_eq!(stage.model.model_calls().len(), requests, "{agent:?}");
            stage.check_end();
        }
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn proxy_applies_the_cost_limit_in_the_sandbox() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        stage.world.api.change_assignment(|job| job.limits.cost_usd_micros = Some(1_000_000));
        stage.model.set_repeating_step(agent.run_command_answer("echo again >> again.txt").with_usage(Usage {
            input: 10_000,
            cached: 0,
            output: 10_000,
        }));
        let ran = stage.run_with(|command| stage.set_isolation("bubblewrap", command)).await;
        let finish = stage.world.api.only_finish();
        let code = finish.failure.as_ref().map(Failure::code);
        assert_eq!(code, Some("cost_limit"), "{agent:?} {finish:?} {}", ran.log);
        let (calls, work) = (stage.model.model_calls().len(), finish.work.unwrap());
        assert!(calls > 1, "{agent:?}");
        assert_eq!(
            (work.input_tokens, work.output_tokens),
            (10_000 * calls as u64, 10_000 * calls as u64),
            "{agent:?}"
        );
        stage.check_end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn turn_limit_counts_codex_calls_without_event_lines() {
    let stage = Stage::start_for(Agent::Codex).await;
    stage.world.api.change_assignment(|job| job.limits.turns = Some(2));
    // Codex answers itself that the tool does not exist and sends the next request within 40 ms. The model answers
    // slowly, so that a loaded machine is late by one request only.
    stage.model.set_repeating_step(Answer::tool("no_such_tool", json!({})).with_pause(Duration::from_secs(1)));
    let failure = stage.run_to_failure().await;
    assert_eq!(failure.code(), "turn_limit", "{failure:?}");
    // A busy machine may let one more request out.
    let call_count = stage.model.model_calls().len();
    assert!((2..=3).contains(&call_count), "{call_count}");
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn silent_model_fails_as_stalled() {
    for agent in ALL_AGENTS {
        for silence in [Step::Hang, Answer::text("Let me").hang_after(4).into()] {
            let stage = Stage::start_for(agent).await;
            stage.world.api.change_assignment(|job| job.limits.stall_secs = 8);
            stage.model.set_repeating_step(silence);
            let failure = stage.run_to_failure().await;
            assert_eq!(failure.code(), "stalled", "{agent:?} {failure:?}");
            stage.check_end();
        }
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn tool_may_run_longer_than_the_stall_limit() {
    // Codex sends no model request while it waits for a command.
    let slow = json!({ "cmd": "sleep 24; echo hello > greeting.txt", "yield_time_ms": 30_000 });
    for (agent, stall_secs, tool) in [
        // Above the start time of the program on a busy machine.
        (Agent::ClaudeCode, 40, Agent::ClaudeCode.run_command_answer("sleep 44; echo hello > greeting.txt")),
        (Agent::Codex, 20, Answer::tool("exec_command", slow)),
    ] {
        let stage = Stage::start_for(agent).await;
        stage.world.api.change_assignment(|job| job.limits.stall_secs = stall_secs);
        stage.model.add_steps([tool, Answer::text("All done.")]);
        stage.run_to_success().await;
        assert_eq!(stage.model.model_calls().len(), 2, "{agent:?}");
        stage.check_end();
    }
}
