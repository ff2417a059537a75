//! Tests that the model's key reaches no event, artifact or commit.

use super::stage::{Agent, Stage};
use crate::scene::KEY;
use pullyard_demo_model::Answer;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn key_printed_by_a_tool_does_not_leave_the_runner() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let shows = "env; echo $ANTHROPIC_API_KEY | base64; echo hello > greeting.txt";
    let says = Answer::text(format!("The key is {KEY}."));
    stage.model.play([Agent::ClaudeCode.shell(shows), says]);
    stage.succeeds().await;
    // The tools see the key; the runner removes it from the events.
    assert!(stage.model.turns()[1].mentions(KEY));
    assert!(stage.everything().contains("The key is"), "{}", stage.everything());
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn key_streamed_in_pieces_is_redacted_in_the_raw_capture() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    // The model streams its text in two halves.
    let (first, second) = KEY.split_at(KEY.len() / 2);
    stage.model.play([Agent::ClaudeCode.shell("echo hello > greeting.txt"), Answer::text(KEY)]);
    let ran = stage
        .run_with(|command| {
            command.env("PULLYARD_RAW_CAPTURE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let raw = String::from_utf8(stage.world.api.kept("provider-payload.txt").unwrap()).unwrap();
    assert!(raw.contains("[redacted]"), "the key was not redacted: {raw}");
    assert!(!raw.contains(first) && !raw.contains(second), "{raw}");
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn change_with_the_key_is_not_pushed() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let writes = Agent::ClaudeCode.shell("echo key=$ANTHROPIC_API_KEY > notes.txt");
    stage.model.play([writes, Answer::text("All done.")]);
    assert_eq!(stage.fails().await.code(), "secret_in_change");
    stage.end();
}
