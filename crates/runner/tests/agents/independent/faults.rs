//! Refusals, and streams that break off.

use super::{Independent, always, words};
use crate::attempts::stage::{BOTH, Stage};
use crate::world::end_of;
use serde_json::{Value, json};

/// Every request meets the same, and nothing is begun again.
async fn check(fixture: Value, code: &str) {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let other = Independent::with(&stage, std::slice::from_ref(&fixture)).await;
        let runner = stage.world.spawn(|command| {
            stage.equip(command);
            other.equip(command);
            command.env("PULLYARD_AGENT_RETRY_SECS", "");
        });
        let ran = end_of(runner).await;
        assert_eq!(stage.world.api.failure(), code, "{agent:?} {fixture} {}", ran.log);
        other.end(stage).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn refusals_are_told_apart() {
    let refusals = [
        (529, "overloaded_error", "Overloaded", "agent_overloaded"),
        (401, "authentication_error", "invalid x-api-key", "agent_auth"),
    ];
    for (status, kind, message, code) in refusals {
        check(always(json!({ "error": { "message": message, "type": kind }, "status": status })), code).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn a_stream_that_is_cut_every_time_is_a_lost_connection() {
    let mut cut = always(words("Half of what it would have said, and nobody hears the rest."));
    cut["truncateAfterChunks"] = json!(3);
    check(cut, "agent_unreachable").await;
}
