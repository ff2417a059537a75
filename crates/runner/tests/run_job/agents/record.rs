//! Tests the record of an agent's work: in the finish, in events and in the pull request.

use super::{AgentMachine, CLAUDE, CODEX, CODEX_WORKS, WORKING_SCRIPT, run_to_failure};
use crate::prelude::*;
use pullyard_domain::text::id::Sha256Hex;

#[tokio::test]
async fn finish_records_prompt_hash_and_commits() {
    let machine = AgentMachine::with_agent(CLAUDE, WORKING_SCRIPT).await;
    let main = machine.world.branch_head("main");
    let finish = machine.run().await;
    let work = finish.work.unwrap();
    // The SHA-256 of "Write a greeting."
    let hash = "03f97052e24c187affb853a86412f5c31632248f53a123433676cf58cb4afcac";
    assert_eq!(work.prompt_sha256.as_ref().map(Sha256Hex::as_str), Some(hash));
    assert_eq!((&work.base_commit, &work.commit), (&main, &machine.world.branch_head(BRANCH)));
    assert_eq!(Some(&finish.result.unwrap().head), work.commit.as_ref());

    let denied = "head -n 1 > @DIR@/prompt; cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    let (machine, failure, _) = run_to_failure(CLAUDE, denied, |_| ()).await;
    assert_eq!(failure.code(), "permission_denied");
    let work = machine.world.api.only_finish().work.unwrap();
    assert_eq!((work.base_commit, work.commit), (machine.world.branch_head("main"), None));
}

#[tokio::test]
async fn cost_is_computed_with_the_operators_prices() {
    let machine = AgentMachine::with_agent(CODEX, CODEX_WORKS).await;
    let ran = machine
        .world
        .run_with(|command| {
            machine.set_env(command);
            command.env("PULLYARD_CODEX_PRICES", "gpt-6.1-sol=2/0.2/8");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    // 300 tokens of input and 150 of output.
    assert_eq!(machine.world.api.only_finish().spent_usd_micros, Some(1_800));
}

#[tokio::test]
async fn estimated_cost_is_recorded_when_claude_code_is_killed() {
    // Killed after its first answer, as by the out-of-memory killer.
    let script = "head -n 1 > @DIR@/prompt; sed '/message_delta/q' @CLAUDE@/tools_and_edits.jsonl; kill -9 $$";
    let (machine, failure, _) = run_to_failure(CLAUDE, script, |_| ()).await;
    assert_eq!(failure.code(), "agent_failed");
    let finish = machine.world.api.only_finish();
    let work = finish.work.unwrap();
    assert_eq!((finish.spent_usd_micros, work.about_usd_micros), (Some(1_750), Some(1_750)));
}
