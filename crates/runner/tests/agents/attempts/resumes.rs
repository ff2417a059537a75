//! Tests that an agent resumes its session after a transient fault of its model.

use super::stage::{Agent, BOTH, Stage};
use crate::world::{BRANCH, end_of};
use pullyard_demo_model::{Answer, Refusal, Step, Usage};
use pullyard_protocol::attempt::FinishOutcome;

/// The job's cost limit. Units: millionths of a US dollar.
const ALLOWED: u64 = 1_000_000;

/// A model and a usage of over half the limit. A second count of the same usage, by the runner or the agent, exceeds
/// the limit.
fn dear(agent: Agent) -> (&'static str, Usage) {
    // Output costs 25 and 10 dollars per million tokens.
    let (model, output) = match agent {
        Agent::ClaudeCode => ("claude-opus-4-8[1m]", 28_000),
        Agent::Codex => ("gpt-6.1-sol", 70_000),
    };
    (model, Usage { input: 1_000, cached: 0, output })
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn session_continues_after_a_transient_fault() {
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
            // Long enough to change the script, even on a loaded machine.
            command.env("PULLYARD_AGENT_RETRY_SECS", "10");
        });
        stage.world.api.wait_for_text("Trying again").await;
        // The agent checks its limit between two requests.
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
