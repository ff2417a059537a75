//! Tests inputs for a working agent: Claude Code reads them before its next model request, Codex after its turn.

use super::stage::{Agent, BOTH, Stage};
use crate::running::{PATIENCE, is_written};
use crate::world::end_of;
use pullyard_demo_model::{Answer, Step};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Input, Resume};
use pullyard_protocol::event::EventKind;
use tokio::process::Child;
use tokio::time::timeout;

fn input() -> Input {
    Input { seq: 1, by: "ana".into(), question: None, text: "Greet in Latin.".into() }
}

/// Runs until the file `go` exists, and two seconds longer: the agent may read a new input with a delay.
pub(crate) const UNTIL_TOLD: &str = "echo hello > greeting.txt; while [ ! -e go ]; do sleep 0.05; done; sleep 2";

/// Sends an input while that command runs; the command ends once the runner has the input.
pub(crate) async fn say_while_it_runs(stage: &Stage) {
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

/// Sends an input while a tool runs, then lets the model answer `more`.
async fn told_while_a_tool_runs(stage: &Stage, more: Vec<Answer>) -> Child {
    stage.model.play(std::iter::once(stage.agent.shell(UNTIL_TOLD)).chain(more));
    let runner = stage.start();
    say_while_it_runs(stage).await;
    runner
}

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn input_reaches_the_working_agent() {
    for agent in BOTH {
        let stage = Stage::of(agent).await;
        stage.model.keep(Answer::text("All done."));
        let ran = end_of(told_while_a_tool_runs(&stage, Vec::new()).await).await;
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

#[tokio::test]
#[ignore = "needs Claude Code and Codex: .ci/agents"]
async fn only_unanswered_inputs_are_sent_again_on_resume() {
    for (agent, answered) in [(Agent::ClaudeCode, true), (Agent::ClaudeCode, false)] {
        let stage = Stage::of(agent).await;
        stage.model.keep(Step::Hang);
        let more = if answered { vec![stage.agent.shell("true")] } else { Vec::new() };
        let runner = told_while_a_tool_runs(&stage, more).await;
        timeout(PATIENCE, stage.model.wait_for_turns(if answered { 3 } else { 2 })).await.unwrap();
        stage.world.api.script(|script| script.pause = true);
        assert_eq!(end_of(runner).await.code, Some(0));
        let told = stage.world.api.yields().pop().unwrap();
        // The session may lack an input that the model did not answer, so it is sent again.
        assert_eq!(told.inputs, u32::from(answered), "{agent:?}");
        let before = stage.model.turns().len();
        stage.model.keep(Answer::text("All done."));
        stage.world.api.next_attempt(|job| {
            let (read, policy, inputs) = (told.inputs, Policy::Require, vec![input()]);
            job.resume = Some(Resume { agent: told.agent, session: told.session, read, policy, inputs });
        });
        let ran = stage.run().await;
        assert_eq!(stage.world.api.finish().outcome, FinishOutcome::Completed, "{agent:?} {}", ran.log);
        let request = stage.model.turns()[before].body.to_string();
        assert!(request.contains("> Greet in Latin."), "{agent:?} {answered}: {request}");
        assert_eq!(request.contains("ana said:"), !answered, "{agent:?} {request}");
        stage.end();
    }
}
