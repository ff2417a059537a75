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
async fn a_key_in_a_file_is_not_pushed() {
    let stage = Stage::of(Agent::ClaudeCode).await;
    let writes = Agent::ClaudeCode.shell("echo key=$ANTHROPIC_API_KEY > notes.txt");
    stage.model.play([writes, Answer::text("All done.")]);
    assert_eq!(stage.fails().await.code(), "secret_in_change");
    stage.end();
}
