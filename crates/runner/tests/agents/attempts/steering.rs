//! Tests inputs for a working agent: Claude Code reads them before its next model request, Codex after its turn.

use super::stage::{Agent, BOTH, Stage};
use crate::running::is_written;
use crate::world::end_of;
use pullyard_demo_model::Answer;
use pullyard_protocol::attempt::{FinishOutcome, Input};
use pullyard_protocol::event::EventKind;

fn input() -> Input {
    Input { seq: 1, by: "ana".into(), question: None, text: "Greet in Latin.".into() }
}

/// Runs until the file `go` exists, and two seconds longer: the agent may read a new input with a delay.
const UNTIL_TOLD: &str = "echo hello > greeting.txt; while [ ! -e go ]; do sleep 0.05; done; sleep 2";

/// Sends an input while that command runs; the command ends once the runner has the input.
async fn say_while_it_runs(stage: &Stage) {
    let tree = stage.tree();
    is_written(&tree.join("greeting.txt")).await;
    let api = &stage.world.api;
    api.script(|script| script.inputs = vec![input()]);
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
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.keep(Answer::text("All done."));
        stage.model.play([agent.shell(UNTIL_TOLD)]);
        let runner = stage.start();
        say_while_it_runs(&stage).await;
        let ran = end_of(runner).await;
        let finish = stage.world.api.finish();
        assert_eq!(finish.outcome, FinishOutcome::Completed, "{agent:?} {finish:?} {}", ran.log);
        let turns = stage.model.turns();
        // Claude Code sends the tool result and the input in one request, Codex sends the input after its last answer.
        let (starts, requests) = if agent == Agent::Codex { (2, 3) } else { (1, 2) };
        assert_eq!((finish.work.unwrap().starts, turns.len()), (starts, requests), "{agent:?}");
        let last = turns.last().unwrap().body.to_string();
        assert_eq!(last.matches("> Greet in Latin.").count(), 1, "{agent:?}: {last}");
        assert!(last.contains("Write a greeting.") && last.contains("greeting.txt"), "{agent:?}: the task is lost");
        assert_eq!(stage.told(EventKind::Steer).len(), 1, "{agent:?}");
        assert!(stage.told(EventKind::Log).iter().all(|event| !event.text.as_ref().unwrap().contains("Latin")));
        stage.end();
    }
}
