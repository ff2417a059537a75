//! What ends an agent before it has ended by itself: its limits, its silence, and a cancel.

use super::{CLAUDE, CODEX, Machine, fails};
use pullyard_domain::failure::Failure;
use pullyard_domain::text::Span;
use pullyard_protocol::attempt::FinishOutcome;

/// Says that it uses a tool, then waits for what it is told; ends as a real one does when it is interrupted.
const INTERRUPTIBLE: &str =
    "head -n 1 > /dev/null; grep -v '\"type\":\"result\"' @CLAUDE@/interrupted_in_tool.jsonl | head -n 2
     head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1";

#[tokio::test]
async fn a_limit_on_turns_asks_for_no_further_request() {
    // The second line of the recorded run asks for a tool.
    let says = "head -n 1 > /dev/null; grep '\"init\"\\|\"assistant\"' @CLAUDE@/interrupted_in_tool.jsonl
         head -n 1 > @DIR@/told; tail -n 1 @CLAUDE@/interrupted_in_tool.jsonl; cat > /dev/null; exit 1";
    let (machine, failure, _) = fails(CLAUDE, says, |job| job.limits.turns = Some(1)).await;
    assert_eq!(failure, Failure::TurnLimit { limit: 1 });
    let told = std::fs::read_to_string(machine.world.outside("told")).unwrap();
    assert!(told.contains("\"interrupt\""), "{told}");
    assert!(machine.starts()[0].contains(&"--max-turns=1".to_owned()));
    let work = machine.world.api.finish().work.unwrap();
    // What it told of its end is counted, too.
    assert_eq!((work.turns, work.output_tokens), (1, 50));
}

#[tokio::test]
async fn a_limit_on_cost_holds_for_an_agent_that_tells_no_cost() {
    let says = "cat > /dev/null; mkdir -p $CODEX_HOME/sessions/2026; head -n 1 @CODEX@/resume_before.jsonl
         head -n 3 @CODEX@/rollout.jsonl > $CODEX_HOME/sessions/2026/rollout-1.jsonl; exec sleep 600";
    let (_, failure, _) = fails(CODEX, says, |job| job.limits.cost_usd_micros = Some(500)).await;
    assert_eq!(failure.code(), "cost_limit");
}

#[tokio::test]
async fn a_tool_that_never_ends_is_a_stall_after_longer_than_a_silent_model() {
    // It says that it uses a tool, and nothing more.
    let says =
        "head -n 1 > /dev/null; grep '\"init\"\\|\"assistant\"' @CLAUDE@/interrupted_in_tool.jsonl; exec sleep 600";
    let (_, failure, _) = fails(CLAUDE, says, |job| job.limits.stall_secs = 3).await;
    assert!(matches!(failure, Failure::Stalled { limit: Span(9), .. }), "{failure:?}");
    // One that ended before excuses nothing.
    let says = "head -n 1 > /dev/null; grep -v '\"type\":\"result\"' @CLAUDE@/tools_and_edits.jsonl; exec sleep 600";
    let (_, failure, _) = fails(CLAUDE, says, |job| job.limits.stall_secs = 3).await;
    assert!(matches!(failure, Failure::Stalled { limit: Span(3), .. }), "{failure:?}");
}

#[tokio::test]
async fn a_command_of_codex_that_goes_on_excuses_no_silence_of_the_model() {
    // What it runs is told to have begun and not to have ended. The fourth recorded line is the answer that the model
    // got all the same.
    let says = "cat > /dev/null; mkdir -p $CODEX_HOME/sessions/2026; head -n 1 @CODEX@/resume_before.jsonl
         echo '{\"type\":\"item.started\",\"item\":{\"id\":\"item_0\",\"type\":\"command_execution\",\"command\":\"serve\"}}'
         head -n @LINES@ @CODEX@/rollout.jsonl > $CODEX_HOME/sessions/2026/rollout-1.jsonl; exec sleep 600";
    for (lines, limit) in [("3", 9), ("4", 3)] {
        let (_, failure, _) = fails(CODEX, &says.replace("@LINES@", lines), |job| job.limits.stall_secs = 3).await;
        assert!(matches!(failure, Failure::Stalled { limit: Span(secs), .. } if secs == limit), "{lines}: {failure:?}");
    }
}

#[tokio::test]
async fn an_agent_that_only_asks_its_model_again_stalls_by_its_provider() {
    let claude = "head -n 1 > /dev/null; head -n 1 @CLAUDE@/reset.jsonl
         while :; do grep api_retry @CLAUDE@/reset.jsonl; sleep 0.2; done";
    let codex = "cat > /dev/null; head -n 2 @CODEX@/reset.jsonl
         while :; do grep Reconnecting @CODEX@/reset.jsonl; echo retrying >&2; sleep 0.2; done";
    for (agent, says) in [(CLAUDE, claude), (CODEX, codex)] {
        let (_, failure, starts) = fails(agent, says, |job| job.limits.stall_secs = 3).await;
        assert!(matches!(failure, Failure::ProviderStalled { limit: Span(3), .. }), "{failure:?}");
        assert_eq!(starts, 1);
    }
}

#[tokio::test]
async fn a_cancelled_agent_is_interrupted_before_it_is_told_to_end() {
    let machine = Machine::with(CLAUDE, &format!("trap 'echo > @DIR@/terminated' TERM; {INTERRUPTIBLE}")).await;
    let child = machine.world.spawn(|command| {
        command.env(machine.setting, &machine.program).env("ANTHROPIC_API_KEY", "k");
    });
    machine.world.api.wait_for(|calls| calls.iter().any(|call| call.body.to_string().contains("executing"))).await;
    let starts = machine.world.outside("starts");
    machine.world.api.wait_for(|_| starts.exists()).await;
    machine.world.api.script(|script| script.cancel = true);
    let ran = crate::world::end_of(child).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.finish();
    assert_eq!(finish.outcome, FinishOutcome::Cancelled);
    assert_eq!(finish.work.unwrap().agent, "claude_code");
    assert!(std::fs::read_to_string(machine.world.outside("told")).unwrap().contains("\"interrupt\""));
    assert!(!machine.world.outside("terminated").exists(), "it was told to end although it did as asked");
}
