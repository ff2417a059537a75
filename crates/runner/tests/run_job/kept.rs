//! Tests what a checkpoint contains, when it is refused, and which agent continues from it.

use crate::agents::{CLAUDE, CODEX, CODEX_WORKS, Machine};
use crate::checks::with_checks;
use crate::rests::unpacked;
use crate::resumes::packed;
use crate::world::{BRANCH, World};
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{FinishOutcome, Resume};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tar::EntryType::Regular;

fn work(world: &World) -> String {
    let kept = unpacked(&world.api.kept("checkpoint.tar.zst").unwrap());
    String::from_utf8_lossy(&kept["work.patch"]).into_owned()
}

#[tokio::test]
async fn checkpoint_omits_changes_by_checks() {
    let agent = "cat > /dev/null; echo hullo > greeting.txt";
    let world = with_checks(agent, &["echo dirt > dirt.txt; echo dirt > README.md; exit 4"], |_| ()).await;
    assert_eq!(world.fails().await, "checks_failed");
    let work = work(&world);
    assert!(work.contains("+hullo") && !work.contains("dirt"), "{work}");
}

#[tokio::test]
async fn checkpoint_is_skipped_if_a_check_replaced_the_repository() {
    let plant = "cd ..; cp -R git @DIR@/other; rm -rf git; ln -s @DIR@/other git; exit 4";
    let world = with_checks("cat > /dev/null; echo hullo > greeting.txt", &[plant], |_| ()).await;
    assert_eq!(world.fails().await, "checks_failed");
    assert_eq!(world.api.kept("checkpoint.tar.zst"), None);
    let texts = world.api.texts();
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
    let work = work(&world);
    assert!(work.contains("+hullo") && work.contains("+mended"), "{work}");
}

/// A machine with both agents. Codex does the work; Claude Code only records its start.
async fn with_both() -> Machine {
    let machine = Machine::with(CODEX, CODEX_WORKS).await;
    let other = machine.world.outside("other");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{}'; exit 0; fi\ntouch {}\nexit 1\n",
        CLAUDE.1,
        machine.world.outside("other-began").display()
    );
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    machine.world.api.assign(|job| job.agent.capability = "auto".into());
    machine
}

/// Runs the job and returns whether Codex did it, with or without Claude Code's key.
async fn codex_works(machine: &Machine, with_key: bool) -> bool {
    let ran = machine
        .world
        .run_with(|command| {
            machine.equip(command);
            command.env(CLAUDE.0, machine.world.outside("other"));
            if !with_key {
                command.env_remove("ANTHROPIC_API_KEY");
            }
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.finish();
    let is_done = finish.outcome == FinishOutcome::Completed;
    assert_eq!(is_done, !machine.world.outside("other-began").exists(), "{finish:?}");
    is_done
}

#[tokio::test]
async fn resumed_agent_is_kept_else_the_first_with_a_key_works() {
    let machine = with_both().await;
    assert!(!codex_works(&machine, true).await, "Codex worked first");
    let machine = with_both().await;
    assert!(codex_works(&machine, false).await, "Codex did not work");
    let machine = with_both().await;
    machine.world.api.assign(|job| {
        let agent = Some("codex".into());
        job.resume = Some(Resume { agent, session: None, read: 0, policy: Policy::Prefer, inputs: Vec::new() });
    });
    assert!(codex_works(&machine, true).await, "Codex did not resume");
}

pub(crate) fn of_codex(machine: &Machine) -> Vec<u8> {
    const SESSION: &str = "01a1fbae-e707-7122-9065-e350b6dbb161";
    let about = json!({
        "format": 1, "agent": "codex", "session": SESSION, "read": 0, "tree": "/tree",
        "start": machine.world.head("main").unwrap(), "branch": BRANCH, "task": "",
    });
    let (about, rollout) =
        (about.to_string(), format!("session/2026/11/21/rollout-2026-11-21T05-58-13-{SESSION}.jsonl"));
    packed(&[(Regular, "about.json", about.as_bytes()), (Regular, rollout.as_str(), b"{}\n")])
}

#[tokio::test]
async fn auto_job_resumes_with_the_agent_of_its_checkpoint() {
    for requires in [true, false] {
        let machine = with_both().await;
        machine.world.api.leave_checkpoint(of_codex(&machine));
        // The case after a limit, after a fault, and for a retry.
        machine.world.api.next_attempt(|job| job.requires_session = requires);
        assert!(codex_works(&machine, true).await, "{requires}");
        let texts = machine.world.api.texts();
        assert!(texts.contains("Continuing in the session of attempt 1."), "{requires}: {texts}");
        assert!(machine.starts()[0].contains(&"01a1fbae-e707-7122-9065-e350b6dbb161".to_owned()));
    }
}
