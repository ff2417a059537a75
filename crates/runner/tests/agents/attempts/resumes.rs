//! An agent whose model was away goes on in the session that it had.

use super::stage::{EACH, Stage};
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Refusal, Step};
use pullyard_protocol::attempt::FinishOutcome;

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn after_a_transient_fault_the_same_session_goes_on() {
    for agent in EACH {
        let stage = Stage::of(agent).await;
        stage.model.play([agent.shell("echo hello > greeting.txt")]);
        stage.model.keep(match agent {
            super::stage::Agent::ClaudeCode => Step::from(Refusal::overloaded()),
            super::stage::Agent::Codex | super::stage::Agent::CodexServer => Step::from(Refusal::openai_at_capacity()),
        });
        let runner = stage.world.spawn(|command| {
            stage.equip(command);
            // Long enough to change the script meanwhile, on a loaded machine, too.
            command.env("PULLYARD_AGENT_RETRY_SECS", "10");
        });
        stage.world.api.wait_for_text("Trying again").await;
        stage.model.keep(Answer::text("All done."));
        let ran = end_of(runner).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
        assert_eq!(finish.work.unwrap().starts, 2);
        let turns = stage.model.turns();
        let last = turns.last().unwrap();
        assert!(last.mentions("Write a greeting.") && last.mentions("greeting.txt"), "{agent:?}: not the same session");
        stage.end();
    }
}
