//! Tests the content of checkpoints, their refusal, and which agent continues from one.

use crate::agents::CODEX_WORKS;
use crate::prelude::*;
use crate::resumes::pack_checkpoint;
use crate::world::World;
use tar::EntryType::Regular;

fn checkpoint_patch(world: &World) -> String {
    let files = unpack_checkpoint(&world.api.bucket_object("checkpoint.tar.zst").unwrap());
    String::from_utf8_lossy(&files["work.patch"]).into_owned()
}

#[tokio::test]
async fn checkpoint_omits_changes_by_checks() {
    let agent = "cat > /dev/null; echo hullo > greeting.txt";
    let world = with_checks(agent, &["echo dirt > dirt.txt; echo dirt > README.md; exit 4"], |_| ()).await;
    assert_eq!(world.fails().await, "checks_failed");
    let work = checkpoint_patch(&world);
    assert!(work.contains("+hullo") && !work.contains("dirt"), "{work}");
}

#[tokio::test]
async fn checkpoint_is_skipped_if_a_check_replaced_the_repository() {
    let plant = "cd ..; cp -R git @DIR@/other; rm -rf git; ln -s @DIR@/other git; exit 4";
    let world = with_checks("cat > /dev/null; echo hullo > greeting.txt", &[plant], |_| ()).await;
    assert_eq!(world.fails().await, "checks_failed");
    assert_eq!(world.api.bucket_object("checkpoint.tar.zst"), None);
    let texts = world.api.event_texts();
    assert!(texts.contains("is not kept, because the work folder can't be read"), "{texts}");
}

#[tokio::test]
async fn checkpoint_includes_repairs_after_an_earlier_snapshot() {
    let agent = "cat > /dev/null
         if [ -e @DIR@/once ]; then echo mended > mended.txt; echo waiting; while :; do sleep 0.05; done; fi
         touch @DIR@/once; echo hullo > greeting.txt";
    let world = with_checks(agent, &["grep -q hello greeting.txt"], |all| all.checks.repair = true).await;
    let ran = world.pauses().await;
    assert_eq!(world.api.yields().len(), 1, "{}", ran.log);
    let work = checkpoint_patch(&world);
    assert!(work.contains("+hullo") && work.contains("+mended"), "{work}");
}

async fn machine_with_both_agents() -> AgentMachine {
    let machine = AgentMachine::with_agent(CODEX, CODEX_WORKS).await;
    let other = machine.world.outside_path("other");
    let script = format!(
        "if [ \"$1\" = --version ]; then echo '{}'; exit 0; fi\ntouch {}\nexit 1",
        CLAUDE.1,
        machine.world.outside_path("other-began").display()
    );
    pullyard_test_script::write_script(&other, &script);
    machine.world.api.change_assignment(|job| job.agent.capability = "auto".into());
    machine
}

async fn run_and_check_codex(machine: &AgentMachine, with_key: bool) -> bool {
    let ran = machine
        .world
        .run_with(|command| {
            machine.set_env(command);
            command.env(CLAUDE.0, machine.world.outside_path("other"));
            if !with_key {
                command.env_remove("ANTHROPIC_API_KEY");
            }
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    let is_done = finish.outcome == FinishOutcome::Completed;
    assert_eq!(is_done, !machine.world.outside_path("other-began").exists(), "{finish:?}");
    is_done
}

#[tokio::test]
async fn resumed_agent_is_kept_else_the_first_with_a_key_works() {
    let machine = machine_with_both_agents().await;
    assert!(!run_and_check_codex(&machine, true).await, "Codex worked first");
    let machine = machine_with_both_agents().await;
    assert!(run_and_check_codex(&machine, false).await, "Codex did not work");
    let machine = machine_with_both_agents().await;
    machine.world.api.change_assignment(|job| {
        let agent = Some("codex".into());
        job.resume = Some(ResumeState { agent, session: None, read: 0, policy: Policy::Prefer, inputs: Vec::new() });
    });
    assert!(run_and_check_codex(&machine, true).await, "Codex did not resume");
}

pub(crate) fn codex_checkpoint(machine: &AgentMachine) -> Vec<u8> {
    const SESSION: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";
    let about = json!({
        "format": 1, "agent": "codex", "session": SESSION, "read": 0, "tree": "/tree",
        "start": machine.world.branch_head("main").unwrap(), "branch": BRANCH, "task": "",
    });
    let (about, rollout) =
        (about.to_string(), format!("session/2026/11/21/rollout-2026-11-21T05-58-13-{SESSION}.jsonl"));
    pack_checkpoint(&[(Regular, "about.json", about.as_bytes()), (Regular, rollout.as_str(), b"{}\n")])
}

#[tokio::test]
async fn auto_job_resumes_with_the_agent_of_its_checkpoint() {
    for requires in [true, false] {
        let machine = machine_with_both_agents().await;
        machine.world.api.store_checkpoint(codex_checkpoint(&machine));
        // The case after a limit, after a fault, and for a retry.
        machine.world.api.next_attempt(|job| job.requires_session = requires);
        assert!(run_and_check_codex(&machine, true).await, "{requires}");
        let texts = machine.world.api.event_texts();
        assert!(texts.contains("Continuing in the session of attempt 1."), "{requires}: {texts}");
        assert!(machine.start_arguments()[0].contains(&"01a1fbae-e707-7122-9065-e350b6dbb161".to_owned()));
    }
}
