//! Tests that an agent resumes its session after a transient fault of its model.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::world::{BRANCH, wait_for_exit};
use pullyard_demo_model::{Answer, Refusal, Step, Usage};
use pullyard_protocol::attempt::FinishOutcome;

/// The job's cost limit. Units: millionths of a US dollar.
const COST_LIMIT_USD_MICROS: u64 = 1_000_000;

/// A model and a usage of over half the limit. A second count of the same usage, by the runner or the agent, exceeds
/// the limit.
fn expensive_usage(agent: Agent) -> (&'static str, Usage) {
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
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        let (model, usage) = expensive_usage(agent);
        stage.world.api.change_assignment(|job| {
            job.agent.model = Some(model.into());
            job.limits.cost_usd_micros = Some(COST_LIMIT_USD_MICROS);
        });
        stage.model.add_steps([agent.run_command_answer("echo hello > greeting.txt").with_usage(usage)]);
        stage.model.set_repeating_step(match agent {
            Agent::ClaudeCode => Step::from(Refusal::overloaded()),
            Agent::Codex => Step::from(Refusal::openai_at_capacity()),
        });
        let runner = stage.world.spawn(|command| {
            stage.set_env(command);
            // Long enough to change the script, even on a loaded machine.
            command.env("PULLYARD_AGENT_RETRY_SECS", "10");
        });
        stage.world.api.wait_for_text("Trying again").await;
        // The agent checks its limit between two requests.
        stage.model.set_repeating_step(Answer::text("All done."));
        stage.model.add_steps([agent.run_command_answer("cat greeting.txt")]);
        let ran = wait_for_exit(runner).await;
        let finish = stage.world.api.only_finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        assert_eq!(stage.world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
        let spent = finish.spent_usd_micros.unwrap();
        assert!(COST_LIMIT_USD_MICROS / 2 < spent && spent < COST_LIMIT_USD_MICROS, "{agent:?}: {spent}");
        assert_eq!(finish.work.unwrap().starts, 2);
        let turns = stage.model.model_calls();
        let last = turns.last().unwrap();
        assert!(
            last.contains_text("Write a greeting.") && last.contains_text("greeting.txt"),
            "{agent:?}: not the same session"
        );
        stage.check_end();
    }
}
