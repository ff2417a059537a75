//! Tests stall, turn and cost limits against the independent server.

use super::{Independent, always, both, faltering, shell, silent, words};
use crate::attempts::limits::AGAIN;
use crate::attempts::stage::{Agent, BOTH, Stage};
use crate::world::end_of;
use pullyard_protocol::attempt::Limits;
use serde_json::{Value, json};

/// Runs an attempt to its limit. Returns the number of model requests.
async fn check(agent: Agent, fixture: Value, limit: fn(&mut Limits), code: &str) -> usize {
    let stage = Stage::of(agent).await;
    stage.world.api.assign(|job| limit(&mut job.limits));
    let other = Independent::with(&stage, &[fixture]).await;
    let ran = end_of(other.start(&stage)).await;
    assert_eq!(stage.world.api.failure(), code, "{agent:?} {}", ran.log);
    let asked = other.asked().await;
    other.end(stage).await;
    asked
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn silent_model_fails_as_stalled() {
    for silence in [silent, faltering] {
        both(|agent| async move {
            let answer = silence(always(words("Too late.")));
            check(agent, answer, |limits| limits.stall_secs = 8, "stalled").await;
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn turn_limit_stops_further_requests() {
    for agent in BOTH {
        let again = always(shell(agent, AGAIN));
        assert_eq!(check(agent, again, |limits| limits.turns = Some(2), "turn_limit").await, 2, "{agent:?}");
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn cost_limit_stops_further_requests() {
    for agent in BOTH {
        let mut dear = shell(agent, AGAIN);
        dear["usage"] = json!({ "input_tokens": 100_000, "output_tokens": 100_000 });
        let asked = check(agent, always(dear), |limits| limits.cost_usd_micros = Some(500_000), "cost_limit").await;
        assert_eq!(asked, 1, "{agent:?}");
    }
}
