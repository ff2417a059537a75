//! Tests work, questions, inputs and denied tools with the independent server.

use super::{Independent, both, shell, turn, words};
use crate::attempts::stage::{Agent, BOTH, Stage};
use crate::attempts::steering::{UNTIL_TOLD, say_while_it_runs};
use crate::world::{BRANCH, end_of};
use pullyard_protocol::attempt::{FinishOutcome, YieldOutcome};
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn work_becomes_a_pull_request() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let fixtures = [turn(0, shell(agent, "echo hello > greeting.txt")), turn(1, words("All done."))];
        let other = Independent::with(&stage, &fixtures).await;
        let ran = end_of(other.start(&stage)).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
        assert!(stage.world.api.texts().contains("All done."));
        other.end(stage).await;
    }
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn question_yields_the_job() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let asks = "mkdir -p .pullyard; echo 'Which language?' > .pullyard/question.md";
        let fixtures = [turn(0, shell(agent, asks)), turn(1, words("I wait for the answer."))];
        let other = Independent::with(&stage, &fixtures).await;
        let ran = end_of(other.start(&stage)).await;
        assert_eq!(ran.code, Some(0), "{agent:?} {}", ran.log);
        let [told] = stage.world.api.yields().try_into().unwrap();
        let question = told.question.as_deref();
        assert_eq!((told.outcome, question), (YieldOutcome::Asks, Some("Which language?")), "{agent:?}");
        assert_eq!(stage.world.head(BRANCH), None, "{agent:?}");
        other.end(stage).await;
    }
}

/// Adds thinking to an answer. The server refuses a request that omits its signature.
fn thought(agent: Agent, mut answer: Value) -> Value {
    if agent == Agent::ClaudeCode {
        answer["reasoning"] = json!("I have it run.");
        answer["reasoningSignature"] = json!("c2lnbmVk");
    }
    answer
}

/// Only the answer to the input creates this file.
#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn input_reaches_the_working_agent() {
    both(|agent| async move {
        let stage = Stage::of(agent).await;
        let said = "Greet in Latin.";
        // Claude Code sends the input with the tool result, Codex in its own turn.
        let (heard, then) = match agent {
            Agent::ClaudeCode => (json!({ "turnIndex": 1, "toolResultContains": said }), 2),
            Agent::Codex => (json!({ "turnIndex": 2, "userMessage": said }), 3),
        };
        if agent == Agent::ClaudeCode {
            // Claude Code sends system messages to newer models, and aimock 1.43.0 ignores these.
            stage.world.api.assign(|job| job.agent.model = Some("claude-sonnet-4-5".into()));
        }
        let fixtures = [
            json!({ "match": heard, "response": thought(agent, shell(agent, "echo salve > latin.txt")) }),
            turn(then, words("All done.")),
            turn(0, thought(agent, shell(agent, UNTIL_TOLD))),
            turn(1, words("Nobody said anything.")),
        ];
        let other = Independent::with(&stage, &fixtures).await;
        let runner = other.start(&stage);
        say_while_it_runs(&stage).await;
        let ran = end_of(runner).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "latin.txt").as_deref(), Some("salve\n"), "{agent:?}");
        let asked = if agent == Agent::ClaudeCode { 3 } else { 4 };
        assert_eq!(other.asked().await, asked, "{agent:?}");
        other.end(stage).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Claude Code, Codex and aimock: .ci/agents"]
async fn denied_action_has_no_effect_and_pushes_nothing() {
    both(|agent| async move {
        let stage = Stage::of(agent).await;
        let (tool, denial, code) = match agent {
            // Claude Code requires a permission to write its own settings, despite all allowances.
            Agent::ClaudeCode => {
                let write = json!({ "file_path": stage.tree().join(".claude/settings.json"), "content": "{}" });
                let tool = json!({ "toolCalls": [{ "name": "Write", "arguments": write }] });
                (tool, "requested permissions to write", "permission_denied")
            }
            // The sandbox reports the denial to the model only.
            Agent::Codex => (shell(agent, "touch /etc/pullyard-canary"), "Read-only file system", "no_changes"),
        };
        let other = Independent::with(&stage, &[turn(0, tool), turn(1, words("I could not."))]).await;
        let ran = end_of(other.start(&stage)).await;
        assert_eq!(stage.world.api.failure(), code, "{agent:?} {}", ran.log);
        assert!(other.heard().await.contains(denial), "{agent:?}: the model got no denial");
        assert!(!std::path::Path::new("/etc/pullyard-canary").exists(), "{agent:?}");
        assert_eq!((stage.world.head(BRANCH), other.asked().await), (None, 2), "{agent:?}");
        other.end(stage).await;
    })
    .await;
}
