//! The model's key: an agent that shows it shows it to nobody.

use super::stage::{Agent, Stage};
use crate::scene::KEY;
use pullyard_demo_model::Answer;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_key_that_a_tool_prints_is_in_nothing_that_leaves_the_runner() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let shows = "env; echo $ANTHROPIC_API_KEY | base64; echo hello > greeting.txt";
    let says = Answer::text(format!("The key is {KEY}."));
    stage.model.play([Agent::ClaudeCode.shell(shows), says]);
    stage.succeeds().await;
    // Its tools do see it: what is not in the events was taken out of them.
    assert!(stage.model.turns()[1].mentions(KEY));
    assert!(stage.everything().contains("The key is"), "{}", stage.everything());
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_key_that_the_model_says_in_pieces_is_in_no_line_that_is_kept_as_it_came() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    // As the model's words come: in two halves.
    let (first, second) = KEY.split_at(KEY.len() / 2);
    stage.model.play([Agent::ClaudeCode.shell("echo hello > greeting.txt"), Answer::text(KEY)]);
    let ran = stage
        .run_with(|command| {
            command.env("PULLYARD_RAW_CAPTURE", "true");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let raw = String::from_utf8(stage.world.api.kept("provider-payload.txt").unwrap()).unwrap();
    assert!(raw.contains("[redacted]"), "the whole is kept: {raw}");
    assert!(!raw.contains(first) && !raw.contains(second), "{raw}");
    stage.end();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn a_key_in_a_file_is_not_pushed() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let writes = Agent::ClaudeCode.shell("echo key=$ANTHROPIC_API_KEY > notes.txt");
    stage.model.play([writes, Answer::text("All done.")]);
    assert_eq!(stage.fails().await.code(), "secret_in_change");
    stage.end();
}
