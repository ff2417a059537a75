//! Tests how an attempt reports an exhausted account, so that the job waits for the reset time.

use super::stage::{Agent, Stage};
use super::subscriptions::{SignedIn, with_token};
use crate::world::end_of;
use pullyard_demo_model::Refusal;
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Until;
use pullyard_domain::time::Timestamp;
use serde_json::json;
use tokio::process::Command;

/// After every test run, and in whole seconds as providers send it.
const RESETS: &str = "2031-05-06T07:00:00.000Z";

fn resets() -> Timestamp {
    Timestamp::parse(RESETS).unwrap()
}

/// Runs to a failure and counts the model requests.
async fn check(stage: &Stage, equip: impl FnOnce(&mut Command)) -> (Failure, usize) {
    let ran = end_of(stage.world.spawn(equip)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = stage.world.api.finish();
    (finish.failure.unwrap_or_else(|| panic!("{:?} {}", finish.outcome, ran.log)), stage.model.turns().len())
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_api_key_reports_the_reset_time() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let message =
        "You have reached your specified API usage limits. You will regain access on 2031-05-06 at 07:00 UTC.";
    stage.model.keep(Refusal::anthropic(429, "rate_limit_error", message));
    let (failure, _) = check(&stage, |command| stage.equip(command)).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(resets())) });
    assert_eq!(stage.world.api.finish().work.unwrap().starts, 1);
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_subscription_reports_reset_time_from_headers() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let resets_at = (resets().millis() / 1_000).to_string();
    let refusal = Refusal::too_many(3_600)
        .with("anthropic-ratelimit-unified-status", "rejected")
        .with("anthropic-ratelimit-unified-representative-claim", "five_hour")
        .with("anthropic-ratelimit-unified-reset", resets_at.as_str());
    stage.model.keep(refusal);
    let (failure, asked) = check(&stage, |command| with_token(&stage, command)).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(resets())) });
    assert_eq!((asked, stage.world.api.finish().work.unwrap().starts), (1, 1));
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn exhausted_codex_subscription_reports_its_reset_time() {
    let codex = Agent::Codex;
    let machine = SignedIn::new(codex).await;
    let error = json!({
        "type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "pro",
        "resets_at": resets().millis() / 1_000,
    });
    machine.stage.model.keep(Refusal::new(429, json!({ "error": error })));
    let equip = |command: &mut Command| {
        machine.equip(command);
        // The runner's local time differs from UTC.
        command.env("TZ", "America/New_York");
    };
    let (failure, asked) = check(&machine.stage, equip).await;
    assert_eq!(failure, Failure::AgentQuota { time: Until(Some(resets())) });
    assert_eq!((asked, machine.stage.world.api.finish().work.unwrap().starts), (1, 1), "{failure:?}");
}
