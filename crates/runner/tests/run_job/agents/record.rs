//! Tests the record of an agent's work: in the finish, in events and in the pull request.

use super::{CLAUDE, CODEX, Machine, WORKS, fails};
use crate::checks::pull_request;
use crate::world::{BRANCH, end_of};
use pullyard_domain::id::Sha256Hex;
use pullyard_protocol::attempt::FinishOutcome;
use pullyard_protocol::event::EventKind;
use serde_json::json;

#[tokio::test]
async fn finish_records_prompt_hash_and_commits() {
    let machine = Machine::with(CLAUDE, WORKS).await;
    let main = machine.world.head("main");
    let finish = machine.run().await;
    let work = finish.work.unwrap();
    // The SHA-256 of "Write a greeting."
    let hash = "03f97052e24c187affb853a86412f5c31632248f53a123433676cf58cb4afcac";
    assert_eq!(work.prompt_sha256.as_ref().map(Sha256Hex::as_str), Some(hash));
    assert_eq!((&work.base_commit, &work.commit), (&main, &machine.world.head(BRANCH)));
    assert_eq!(Some(&finish.result.unwrap().head), work.commit.as_ref());
    // Claude Code reports its cost itself, so no price table is named.
    assert_eq!(work.prices_of, None);

    let denied = "head -n 1 > @DIR@/prompt; cat @CLAUDE@/denied.jsonl; cat > /dev/null";
    let (machine, failure, _) = fails(CLAUDE, denied, |_| ()).await;
    assert_eq!(failure.code(), "permission_denied");
    let work = machine.world.api.finish().work.unwrap();
    assert_eq!((work.base_commit, work.commit), (machine.world.head("main"), None));
}

#[tokio::test]
async fn cost_names_its_price_table_unless_the_operator_set_prices() {
    for (told, prices_of) in [("gpt-99=2/0.2/8", Some("2026-11")), ("gpt-6.1-sol=2/0.2/8", None)] {
        let machine = Machine::with(
            CODEX,
            "cat > @DIR@/prompt; echo hello > greeting.txt; mkdir -p $CODEX_HOME/sessions/2026
             cp @CODEX@/rollout.jsonl $CODEX_HOME/sessions/2026/rollout-1.jsonl; cat @CODEX@/tools_and_edits.jsonl",
        )
        .await;
        let ran = machine
            .world
            .run_with(|command| {
                machine.equip(command);
                command.env("PULLYARD_CODEX_PRICES", told);
            })
            .await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        let finish = machine.world.api.finish();
        assert!(finish.spent_usd_micros.is_some(), "{finish:?}");
        assert_eq!(finish.work.unwrap().prices_of.as_deref(), prices_of);
    }
}

#[tokio::test]
async fn pull_request_of_an_auto_job_names_its_agent() {
    let machine = Machine::with(CLAUDE, WORKS).await;
    machine.world.api.assign(|job| {
        job.agent.capability = "auto".into();
        job.pull_request.body = "Agent: auto, isolation: external\n\nMade through Pullyard.\n".into();
    });
    let finish = machine.run().await;
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let pull = pull_request(&machine.world).await;
    let body = pull["body"].as_str().unwrap();
    let agent = "Agent: claude_code `2.1.197`, model: `claude-opus-4-8[1m]`, isolation: external\n";
    assert!(body.starts_with(agent), "{body}");
}

#[tokio::test]
async fn claude_code_usage_is_estimated_until_it_reports_cost() {
    let machine = Machine::with(
        CLAUDE,
        "head -n 1 > @DIR@/prompt; echo hello > greeting.txt; sed '/message_delta/q' @CLAUDE@/tools_and_edits.jsonl
         while [ ! -e @DIR@/go ]; do sleep 0.02; done
         sed '1,/message_delta/d' @CLAUDE@/tools_and_edits.jsonl; cat > /dev/null",
    )
    .await;
    let runner = machine.world.spawn(|command| machine.equip(command));
    // The first answer is complete; the second begins only after this event.
    machine.world.api.wait_for_text("\"about_usd_micros\":1750").await;
    std::fs::write(machine.world.outside("go"), "").unwrap();
    let ran = end_of(runner).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let events = machine.world.api.events();
    let used: Vec<_> = events.into_iter().filter(|event| event.kind == EventKind::Usage).collect();
    let sums = |turns: u32, name: &str, micros: u64| {
        json!({
            "so_far": true, "turns": turns, "input_tokens": 100 * turns, "cached_input_tokens": 0,
            "output_tokens": 50 * turns, name: micros,
        })
    };
    let told: Vec<_> = used.into_iter().filter_map(|event| event.data).collect();
    let mut about = sums(1, "about_usd_micros", 1_750);
    about["prices_of"] = json!("2026-11");
    assert_eq!(told.first(), Some(&about), "{told:?}");
    assert!(told.contains(&sums(4, "cost_usd_micros", 7_000)), "{told:?}");
    let finish = machine.world.api.finish();
    let work = finish.work.unwrap();
    assert_eq!((work.turns, work.input_tokens, work.output_tokens), (4, 400, 200));
    assert_eq!(finish.spent_usd_micros, Some(7_000));
}

#[tokio::test]
async fn estimated_cost_is_recorded_when_claude_code_is_killed() {
    // Killed after its first answer, as by the out-of-memory killer.
    let says = "head -n 1 > @DIR@/prompt; sed '/message_delta/q' @CLAUDE@/tools_and_edits.jsonl; kill -9 $$";
    let (machine, failure, _) = fails(CLAUDE, says, |_| ()).await;
    assert_eq!(failure.code(), "agent_failed");
    let finish = machine.world.api.finish();
    let work = finish.work.unwrap();
    assert_eq!((finish.spent_usd_micros, work.about_usd_micros), (Some(1_750), Some(1_750)));
    assert_eq!(work.prices_of.as_deref(), Some("2026-11"));
    // A reported cost replaces the estimate.
    let machine = Machine::with(CLAUDE, WORKS).await;
    let finish = machine.run().await;
    assert_eq!((finish.spent_usd_micros, finish.work.unwrap().about_usd_micros), (Some(7_000), None));
}
