//! Tests a paused agent that resumes its session with the independent server.

use super::{Independent, shell, silent, turn, words};
use crate::attempts::stage::{BOTH, Stage};
use crate::world::{BRANCH, end_of};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Resume};
use serde_json::json;

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn paused_agent_resumes_its_session() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let first = [turn(0, shell(agent, "echo half > half.txt")), silent(turn(1, words("Too late.")))];
        let other = Independent::with(&stage, &first).await;
        let runner = other.start(&stage);
        other.wait_for(2).await;
        stage.world.api.script(|script| script.pause = true);
        assert_eq!(end_of(runner).await.code, Some(0), "{agent:?}");
        drop(other);

        // The resume prompt begins a new user turn without a tool result.
        let stopped = |answered: bool| json!({ "userMessage": "You were stopped", "hasToolResult": answered });
        let then = [
            json!({ "match": stopped(false), "response": shell(agent, "cat half.txt > whole.txt") }),
            json!({ "match": stopped(true), "response": words("All done.") }),
        ];
        let other = Independent::with(&stage, &then).await;
        let told = stage.world.api.yields().pop().unwrap();
        stage.world.api.next_attempt(|job| {
            let (read, policy) = (told.inputs, Policy::Require);
            job.resume = Some(Resume { agent: told.agent, session: told.session, read, policy, inputs: Vec::new() });
        });
        let ran = end_of(other.start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "whole.txt").as_deref(), Some("half\n"), "{agent:?}");
        assert!(other.heard().await.contains("echo half > half.txt"), "{agent:?}: the session differs");
        other.end(stage).await;
    }
}
