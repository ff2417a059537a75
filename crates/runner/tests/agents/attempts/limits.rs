//! Limits of a job end it, each with a failure of its own, and no further request is made.

use super::stage::{Agent, BOTH, Stage};
use pullyard_demo_model::{Answer, Step, Usage};
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use serde_json::json;
use std::time::Duration;

/// Runs for longer than a loaded machine takes to stop its agent, and no further request is asked meanwhile.
pub(crate) const AGAIN: &str = "echo again >> again.txt; sleep 8";

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn the_limit_of_turns_lets_no_further_request_out() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.world.api.assign(|job| job.limits.turns = Some(2));
        stage.model.keep(agent.shell(AGAIN));
        let failure = stage.fails().await;
        assert_eq!(failure.code(), "turn_limit", "{agent:?} {failure:?}");
        assert_eq!(stage.model.turns().len(), 2, "{agent:?}");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn the_limit_of_money_lets_no_further_request_out() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.world.api.assign(|job| job.limits.cost_usd_micros = Some(500_000));
        let dear = agent.shell(AGAIN);
        stage.model.keep(dear.taking(Usage { input: 100_000, cached: 0, output: 100_000 }));
        let failure = stage.fails().await;
        assert_eq!(failure.code(), "cost_limit", "{agent:?} {failure:?}");
        assert_eq!(stage.model.turns().len(), 1, "{agent:?}");
        stage.end();
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_call_that_no_line_of_codex_tells_of_lets_no_row_of_requests_out() {
    let stage = Stage::of(Agent::Codex).await;
    stage.world.api.assign(|job| job.limits.turns = Some(2));
    // It is answered at once that there is no such tool, and the model is asked again within 40 ms.
    // Its answers take seconds, so that a loaded machine is late by one request and not by a row of them.
    stage.model.keep(Answer::tool("no_such_tool", json!({})).slowly(Duration::from_secs(1)));
    let failure = stage.fails().await;
    assert_eq!(failure.code(), "turn_limit", "{failure:?}");
    // On a machine that is busy one more may go out.
    let asked = stage.model.turns().len();
    assert!((2..=3).contains(&asked), "{asked}");
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_model_that_never_answers_is_a_stall() {
    for agent in BOTH {
        for silence in [Step::Hang, Answer::text("Let me").hanging_after(4).into()] {
            let stage = Stage::of(agent).await;
            stage.world.api.assign(|job| job.limits.stall_secs = 8);
            stage.model.keep(silence);
            let failure = stage.fails().await;
            assert_eq!(failure.code(), "stalled", "{agent:?} {failure:?}");
            stage.end();
        }
    }
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_tool_that_takes_longer_than_a_stall_is_waited_for() {
    // Codex asks its model again after ten seconds, whatever still runs: see below.
    let stage = Stage::of(Agent::ClaudeCode).await;
    // More than a busy machine takes to start the program.
    stage.world.api.assign(|job| job.limits.stall_secs = 40);
    stage.model.play([Agent::ClaudeCode.shell("sleep 44; echo hello > greeting.txt"), Answer::text("All done.")]);
    stage.succeeds().await;
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_server_that_codex_left_running_excuses_no_silence_of_its_model() {
    let codex = Agent::Codex;
    let stage = Stage::of(codex).await;
    // More than a busy machine takes to start the program.
    stage.world.api.assign(|job| job.limits.stall_secs = 20);
    // It goes on with the model after a second; the command never ends.
    let serve = json!({ "cmd": "echo serving; while :; do sleep 0.1; done", "yield_time_ms": 1_000 });
    stage.model.play([Answer::tool("exec_command", serve)]);
    stage.model.keep(Step::Hang);
    let failure = stage.fails().await;
    assert!(matches!(failure, Failure::Stalled { limit: Span(20), .. }), "{failure:?}");
    assert_eq!(stage.model.turns().len(), 2);
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_command_that_codex_waits_for_may_be_silent_for_longer() {
    let codex = Agent::Codex;
    let stage = Stage::of(codex).await;
    stage.world.api.assign(|job| job.limits.stall_secs = 20);
    // Longer than a stall, and it is waited for: the model is not asked meanwhile.
    let slow = json!({ "cmd": "sleep 24; echo hello > greeting.txt", "yield_time_ms": 30_000 });
    stage.model.play([Answer::tool("exec_command", slow), Answer::text("All done.")]);
    stage.succeeds().await;
    assert_eq!(stage.model.turns().len(), 2);
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn the_time_of_the_attempt_ends_a_tool_that_runs() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.world.api.assign(|job| job.limits.wall_secs = 15);
        stage.model.play([agent.shell("while :; do sleep 0.1; done")]);
        stage.model.keep(Step::Hang);
        let failure = stage.fails().await;
        assert_eq!(failure.code(), "time_limit", "{agent:?} {failure:?}");
        stage.end();
    }
}
