//! Tests which agents are restarted: in their session, from the beginning, or not at all.

use super::{AgentMachine, CLAUDE, CODEX, run_to_failure};
use crate::answers::ask;
use crate::prelude::*;
use crate::world::World;
use pullyard_domain::review::output::{Answer, JobOutput};

#[tokio::test]
async fn overload_is_retried_in_the_same_session() {
    let machine = AgentMachine::with_agent(
        CLAUDE,
        "head -n 1 > @DIR@/prompt
         if grep -q -- --resume @DIR@/starts.args; then
           echo hello > greeting.txt; cat @CLAUDE@/resume_after.jsonl; cat > /dev/null
         else
           cat @CLAUDE@/resume_before.jsonl; exit 1
         fi",
    )
    .await;
    let finish = machine.completes().await;
    let starts = machine.start_arguments();
    assert_eq!(starts.len(), 2);
    assert!(starts[1].contains(&"--resume=11111111-1111-4111-8111-111111111111".to_owned()), "{starts:?}");
    assert!(starts[1].iter().all(|arg| !arg.starts_with("--session-id")));
    let prompt = std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap();
    assert!(!prompt.contains("Write a greeting."), "the prompt repeats the task: {prompt}");
    assert!(machine.world.api.event_texts().contains("The model was overloaded. Trying again in 0 s (1 of 3)."));
    let work = finish.work.unwrap();
    assert_eq!((work.starts, work.turns, finish.spent_usd_micros), (2, 2, Some(3_500)));
}

async fn agent_with_lost_session() -> AgentMachine {
    AgentMachine::with_agent(
        CLAUDE,
        "head -n 1 > @DIR@/prompt
         if grep -q -- --resume @DIR@/starts.args; then
           echo 'No conversation found with session ID: 1' >&2; cat @CLAUDE@/session_unknown.jsonl; exit 1
         elif [ -e @DIR@/again ]; then
           echo hello > greeting.txt; cat @CLAUDE@/resume_after.jsonl; cat > /dev/null
         else
           [ ! -d .pullyard ] || echo '{\"v\":1,\"text\":\"First.\"}' > .pullyard/output.json
           touch @DIR@/again; cat @CLAUDE@/reset.jsonl; exit 1
         fi",
    )
    .await
}

#[tokio::test]
async fn required_session_that_is_lost_fails_the_job() {
    let machine = agent_with_lost_session().await;
    machine.world.api.change_assignment(|job| job.requires_session = true);
    let finish = machine.run().await;
    assert_eq!(finish.failure.map(|failure| failure.code()), Some("session_lost"));
    assert_eq!(finish.work.unwrap().starts, 2);
}

#[tokio::test]
async fn lost_session_restarts_with_the_whole_task() {
    let machine = agent_with_lost_session().await;
    let finish = machine.completes().await;
    assert_eq!(finish.work.unwrap().starts, 3);
    let prompt = std::fs::read_to_string(machine.world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("Write a greeting.") && prompt.contains("earlier session"), "{prompt}");
}

#[tokio::test]
async fn answer_of_a_lost_session_is_dropped() {
    let machine = agent_with_lost_session().await;
    machine.world.api.change_assignment(ask);
    let finish = machine.completes().await;
    assert_eq!(finish.work.unwrap().starts, 3);
    let Some(JobOutput::Read(Answer { text, .. })) = finish.output else { panic!("no output") };
    assert_eq!(text, "went on");
}

#[tokio::test]
async fn transient_faults_are_retried_and_permanent_ones_are_not() {
    let (_, failure, starts) = run_to_failure(CLAUDE, "cat @CLAUDE@/overloaded.jsonl; exit 1", |_| ()).await;
    assert_eq!((failure, starts), (Failure::AgentOverloaded { n: 3 }, 4));
    let (_, failure, starts) = run_to_failure(CODEX, "cat @CODEX@/connection_refused.jsonl; exit 1", |_| ()).await;
    let reason = "Connection failed: error sending request".into();
    assert_eq!((failure, starts), (Failure::AgentUnreachable { reason }, 4));
    let (_, failure, starts) = run_to_failure(CLAUDE, "cat @CLAUDE@/wrong_key.jsonl; exit 1", |_| ()).await;
    assert_eq!((failure.code(), starts), ("agent_auth", 1));
}

#[tokio::test]
async fn exit_75_of_a_command_agent_requests_a_restart() {
    let world =
        World::with_agent("[ -e @DIR@/once ] && echo hello > greeting.txt && exit 0; touch @DIR@/once; exit 75").await;
    let ran = world.run_under("PULLYARD_AGENT_RETRY_SECS", "0").await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let work = finish.work.unwrap();
    assert_eq!((work.agent.as_str(), work.starts), ("command", 2));
    assert!(world.api.event_texts().contains("The agent asked to be started again. Trying again in 0 s (1 of 1)."));
}
