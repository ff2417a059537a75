//! An agent whose model was away goes on in the session that it had.

use super::stage::{Agent, BOTH, Stage};
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Refusal, Step, Usage};
use pullyard_protocol::attempt::FinishOutcome;

/// What the job may cost. Units: millionths of a US dollar.
const ALLOWED: u64 = 1_000_000;

/// A model, and an answer of it that costs over half of that, and not all of it: then who counted it twice would have
/// passed the limit, in the runner or in the agent.
fn dear(agent: Agent) -> (&'static str, Usage) {
    // For a million tokens that are written, 25 and 10 dollars.
    let (model, output) = match agent {
        Agent::ClaudeCode => ("claude-opus-4-8[1m]", 28_000),
        Agent::Codex => ("gpt-6.1-sol", 70_000),
    };
    (model, Usage { input: 1_000, cached: 0, output })
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn after_a_transient_fault_the_same_session_goes_on() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        let (model, usage) = dear(agent);
        stage.world.api.assign(|job| {
            job.agent.model = Some(model.into());
            job.limits.cost_usd_micros = Some(ALLOWED);
        });
        stage.model.play([agent.shell("echo hello > greeting.txt").taking(usage)]);
        stage.model.keep(match agent {
            Agent::ClaudeCode => Step::from(Refusal::overloaded()),
            Agent::Codex => Step::from(Refusal::openai_at_capacity()),
        });
        let runner = stage.world.spawn(|command| {
            stage.equip(command);
            // Long enough to change the script meanwhile, on a loaded machine, too.
            command.env("PULLYARD_AGENT_RETRY_SECS", "10");
        });
        stage.world.api.wait_for_text("Trying again").await;
        // A limit is looked at between two requests.
        stage.model.keep(Answer::text("All done."));
        stage.model.play([agent.shell("cat greeting.txt")]);
        let ran = end_of(runner).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file(BRANCH, "greeting.txt").unwrap(), "hello\n");
        let spent = finish.spent_usd_micros.unwrap();
        assert!(ALLOWED / 2 < spent && spent < ALLOWED, "{agent:?}: {spent}");
        assert_eq!(finish.work.unwrap().starts, 2);
        let turns = stage.model.turns();
        let last = turns.last().unwrap();
        assert!(last.mentions("Write a greeting.") && last.mentions("greeting.txt"), "{agent:?}: not the same session");
        stage.end();
    }
}
