//! Tests inputs for a working agent: Claude Code reads them before its next model request, Codex after its turn.

use super::fixture::{ALL_AGENTS, Agent, Stage};
use crate::real_agents::agent_process::wait_for_content;
use crate::world::wait_for_exit;
use pullyard_demo_model::Answer;
use pullyard_protocol::attempt::{FinishOutcome, Input};
use pullyard_protocol::event::EventKind;

fn input() -> Input {
    Input { seq: 1, by: "ana".into(), question: None, text: "Greet in Latin.".into() }
}

/// Runs until the file `go` exists, and two seconds longer: the agent may read a new input with a delay.
const WAIT_FOR_GO_COMMAND: &str = "echo hello > greeting.txt; while [ ! -e go ]; do sleep 0.05; done; sleep 2";

async fn send_input_during_command(stage: &Stage) {
    let tree = stage.worktree();
    wait_for_content(&tree.join("greeting.txt")).await;
    let api = &stage.world.api;
    api.change_script(|script| script.inputs = vec![input()]);
    match stage.agent {
        Agent::ClaudeCode => api.wait_for_text("Greet in Latin.").await,
        Agent::Codex => {
            let before = api.calls("events").len();
            api.wait_for(|calls| calls.iter().filter(|call| call.route == "events").count() >= before + 2).await;
        }
    }
    std::fs::write(tree.join("go"), "").unwrap();
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn input_reaches_the_working_agent() {
    for agent in ALL_AGENTS {
        let stage = Stage::start_for(agent).await;
        stage.model.set_repeating_step(Answer::text("All done."));
        stage.model.add_steps([agent.run_command_answer(WAIT_FOR_GO_COMMAND)]);
        let runner = stage.start();
        send_input_during_command(&stage).await;
        let ran = wait_for_exit(runner).await;
        let finish = stage.world.api.only_finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        let turns = stage.model.model_calls();
        // Claude Code sends the tool result and the input in one request, Codex sends the input after its last answer.
        let (starts, requests) = if agent == Agent::Codex { (2, 3) } else { (1, 2) };
        assert_eq!((finish.work.unwrap().starts, turns.len()), (starts, requests), "{agent:?}");
        let last = turns.last().unwrap().body.to_string();
        assert_eq!(last.matches("> Greet in Latin.").count(), 1, "{agent:?}: {last}");
        assert!(last.contains("Write a greeting.") && last.contains("greeting.txt"), "{agent:?}: the task is lost");
        assert_eq!(stage.events_of_kind(EventKind::Steer).len(), 1, "{agent:?}");
        assert!(
            stage.events_of_kind(EventKind::Log).iter().all(|event| !event.text.as_ref().unwrap().contains("Latin"))
        );
        stage.check_end();
    }
}
