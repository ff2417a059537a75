//! Tests that the model's key reaches no event, artifact or commit.

use super::fixture::{Agent, Stage};
use crate::real_agents::fixture::KEY;
use pullyard_demo_model::Answer;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn key_printed_by_a_tool_does_not_leave_the_runner() {
    let stage = Stage::start_for(Agent::ClaudeCode).await;
    let shows = "env; echo $ANTHROPIC_API_KEY | base64; echo hello > greeting.txt";
    let answer = Answer::text(format!("The key is {KEY}."));
    stage.model.add_steps([Agent::ClaudeCode.run_command_answer(shows), answer]);
    stage.run_to_success().await;
    // The tools see the key; the runner removes it from the events.
    assert!(stage.model.model_calls()[1].contains_text(KEY));
    assert!(stage.events_json().contains("The key is"), "{}", stage.events_json());
    stage.check_end();
}
