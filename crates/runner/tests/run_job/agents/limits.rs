//! Tests early ends of an agent: limits, stalls and cancels.

use super::{AgentMachine, CLAUDE, CODEX, run_to_failure};
use crate::prelude::*;
use pullyard_domain::text::Span;

/// Reports a tool call, waits for input, and ends like an interrupted Claude Code.
const INTERRUPTIBLE: &str =
    "head -n 1 > /dev/null; grep -v '\"type\":\"result\"' @CLAUDE@/interrupted_in_tool.jsonl | head -n 2
     head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1";

#[tokio::test]
async fn turn_limit_interrupts_before_the_next_request() {
    // The second recorded line requests a tool.
    let script = "head -n 1 > /dev/null; grep '\"init\"\\|\"assistant\"' @CLAUDE@/interrupted_in_tool.jsonl
         head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1";
    let (machine, failure, _) = run_to_failure(CLAUDE, script, |job| job.limits.turns = Some(1)).await;
    assert_eq!(failure, Failure::TurnLimit { limit: 1 });
    let input = std::fs::read_to_string(machine.world.outside_path("told")).unwrap();
    assert!(input.contains("\"interrupt\""), "{input}");
    assert!(machine.start_arguments()[0].contains(&"--max-turns=1".to_owned()));
    let work = machine.world.api.only_finish().work.unwrap();
    // Usage in the final line counts too.
    assert_eq!((work.turns, work.output_tokens), (1, 50));
}

#[tokio::test]
async fn cost_limit_applies_to_an_agent_without_cost_reports() {
    let script = "cat > /dev/null; mkdir -p $CODEX_HOME/sessions/2026; head -n 1 @CODEX@/resume_before.jsonl
         head -n 3 @CODEX@/rollout.jsonl > $CODEX_HOME/sessions/2026/rollout-1.jsonl; exec sleep 600";
    let (_, failure, _) = run_to_failure(CODEX, script, |job| job.limits.cost_usd_micros = Some(500)).await;
    assert_eq!(failure.code(), "cost_limit");
}

#[tokio::test]
async fn agent_that_only_retries_fails_as_provider_stalled() {
    let script = "head -n 1 > /dev/null; head -n 1 @CLAUDE@/reset.jsonl
         while :; do grep api_retry @CLAUDE@/reset.jsonl; sleep 0.2; done";
    let (_, failure, starts) = run_to_failure(CLAUDE, script, |job| job.limits.stall_secs = 3).await;
    assert!(matches!(failure, Failure::ProviderStalled { limit: Span(3), .. }), "{failure:?}");
    assert_eq!(starts, 1);
}

#[tokio::test]
async fn cancel_interrupts_the_agent_before_sigterm() {
    let machine =
        AgentMachine::with_agent(CLAUDE, &format!("trap 'echo > @DIR@/terminated' TERM; {INTERRUPTIBLE}")).await;
    let child = machine.world.spawn(|command| {
        command.env(machine.setting, &machine.program).env("ANTHROPIC_API_KEY", "k");
    });
    machine.world.api.wait_for(|calls| calls.iter().any(|call| call.body.to_string().contains("executing"))).await;
    let starts = machine.world.outside_path("starts");
    machine.world.api.wait_for(|_| starts.exists()).await;
    machine.world.api.change_script(|script| script.cancel = true);
    let ran = crate::world::wait_for_exit(child).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Cancelled);
    assert_eq!(finish.work.unwrap().agent, "claude_code");
    assert!(std::fs::read_to_string(machine.world.outside_path("told")).unwrap().contains("\"interrupt\""));
    assert!(!machine.world.outside_path("terminated").exists(), "SIGTERM was sent to an ending agent");
}
