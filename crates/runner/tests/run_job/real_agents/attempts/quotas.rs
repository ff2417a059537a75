//! Tests how an attempt reports an exhausted account, so that the job waits for the reset time.

use super::fixture::{Agent, Stage};
use super::subscriptions::{CodexLogin, set_token_env};
use crate::world::wait_for_exit;
use pullyard_demo_model::Refusal;
use pullyard_domain::text::Until;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;
use serde_json::json;
use tokio::process::Command;

/// After every test run, and in whole seconds as providers send it.
const RESET_TIME: &str = "2031-05-06T07:00:00.000Z";

fn reset_time() -> Timestamp {
    Timestamp::parse(RESET_TIME).unwrap()
}

async fn check(stage: &Stage, equip: impl FnOnce(&mut Command)) -> (Failure, usize) {
    let ran = wait_for_exit(stage.world.spawn(equip)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = stage.world.api.only_finish();
    (finish.failure.unwrap_or_else(|| panic!("{:?} {}", finish.outcome, ran.log)), stage.model.model_calls().len())
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_api_key_reports_the_reset_time() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    let message =
        "You have reached your specified API usage limits. You will regain access on 2031-05-06 at 07:00 UTC.";
    stage.model.set_repeating_step(Refusal::anthropic(429, "rate_limit_error", message));
    let (failure, _) = check(&stage, |command| stage.set_env(command)).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(reset_time())) });
    assert_eq!(stage.world.api.only_finish().work.unwrap().starts, 1);
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_subscription_reports_reset_time_from_headers() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    let resets_at = (reset_time().millis() / 1_000).to_string();
    let refusal = Refusal::too_many(3_600)
        .with_header("anthropic-ratelimit-unified-status", "rejected")
        .with_header("anthropic-ratelimit-unified-representative-claim", "five_hour")
        .with_header("anthropic-ratelimit-unified-reset", resets_at.as_str());
    stage.model.set_repeating_step(refusal);
    let (failure, call_count) = check(&stage, |command| set_token_env(&stage, command)).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(reset_time())) });
    assert_eq!((call_count, stage.world.api.only_finish().work.unwrap().starts), (1, 1));
    stage.check_end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_codex_subscription_reports_its_reset_time() {
    let codex = Agent::Codex;
    let machine = CodexLogin::new(codex).await;
    let error = json!({
        "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "pro",
        "resets_at": reset_time().millis() / 1_000,
    });
    machine.fixture.model.set_repeating_step(Refusal::new(429, json!({ "error": error })));
    let equip = |command: &mut Command| {
        machine.set_env(command);
        // The runner's local time differs from UTC.
        command.env("TZ", "America/New_York");
    };
    let (failure, call_count) = check(&machine.fixture, equip).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(reset_time())) });
    assert_eq!((call_count, machine.fixture.world.api.only_finish().work.unwrap().starts), (1, 1), "{failure:?}");
}
