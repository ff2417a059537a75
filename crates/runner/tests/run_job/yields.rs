//! Tests attempts that yield: their work is stored first, and another machine resumes it.

use crate::attempt_ends::send_sigterm;
use crate::prelude::*;
use crate::world::World;
use pullyard_protocol::attempt::Input;
use std::io::Read;

/// Changes a text, adds a binary file, and works until it is stopped.
pub(crate) const WORKING_AGENT: &str =
    "cat > /dev/null; echo more >> README.md; printf 'a\\000b\\377' > picture.bin; mkdir -p new/deep
    echo deep > new/deep/file; echo waiting; trap 'exit 1' TERM; while :; do sleep 0.05; done";

pub(crate) fn set_resume(job: &mut Assignment, policy: Policy, inputs: &[Input]) {
    job.resume =
        Some(ResumeState { agent: Some("command".into()), session: None, read: 0, policy, inputs: inputs.to_vec() });
}

pub(crate) fn input(seq: u32, question: Option<&str>, text: &str) -> Input {
    Input { seq, by: "ana".into(), question: question.map(str::to_owned), text: text.into() }
}

pub(crate) fn set_command(job: &mut Assignment, line: &str) {
    job.agent.command = ["sh", "-c", line].map(String::from).to_vec();
}

pub(crate) async fn run_on_another_machine(world: &World) -> RunResult {
    let dir = world.dir.path().join("other machine");
    world.run_under("PULLYARD_WORK_DIR", dir).await
}

pub(crate) fn unpack_checkpoint(packed: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let all = zstd::decode_all(packed).unwrap();
    let mut archive = tar::Archive::new(all.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let (name, mut content) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

pub(crate) async fn paused_world(agent: &str) -> World {
    let world = World::with_agent(agent).await;
    world.pauses().await;
    assert_eq!((world.api.finishes().len(), world.branch_head(BRANCH)), (0, None));
    assert!(world.worktrees().is_empty());
    world
}

#[tokio::test]
async fn checkpoint_is_stored_before_the_yield() {
    let world = paused_world(WORKING_AGENT).await;
    let routes = world.api.routes();
    let last = |route: &str| routes.iter().rposition(|called| called == route).unwrap();
    assert!(last("stored") < last("yield"), "{routes:?}");
    for name in ["agent-output.jsonl", "checkpoint.tar.zst"] {
        assert!(world.api.bucket_object(name).is_some(), "{name}");
    }
    let [yield_request] = world.api.yields().try_into().unwrap();
    assert_eq!(
        (yield_request.outcome, yield_request.agent.as_deref(), yield_request.question),
        (YieldReason::Paused, Some("command"), None)
    );
    let work = yield_request.work.unwrap();
    assert_eq!((work.agent.as_str(), work.starts, work.isolation.as_str()), ("command", 1, "none"));
    let files = unpack_checkpoint(&world.api.bucket_object("checkpoint.tar.zst").unwrap());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["about.json", "work.patch"]);
}

#[tokio::test]
async fn failed_checkpoint_upload_is_logged_before_the_yield() {
    let world = World::with_agent(WORKING_AGENT).await;
    world.api.change_script(|script| {
        // Calls after the yield are refused.
        script.fence_calls = true;
        script.refuse("artifacts", 422, "artifacts_too_large");
    });
    let ran = world.pauses().await;
    assert_eq!(world.api.yields().len(), 1, "{}", ran.log);
    let texts = world.api.event_texts();
    assert!(texts.contains("What the agent did so far is not kept, because its upload failed"), "{texts}");
}

#[tokio::test]
async fn paused_job_resumes_its_work_on_another_machine() {
    let world = paused_world(WORKING_AGENT).await;
    world.api.next_attempt(|job| {
        set_resume(job, Policy::Require, &[]);
        set_command(job, "cat > /dev/null; git status --short | sort; rm new/deep/file; echo end > end.txt");
    });
    let ran = run_on_another_machine(&world).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    let texts = world.api.event_texts();
    assert!(texts.contains("Continuing from the work of attempt 1."), "{texts}");
    assert!(texts.contains("?? picture.bin") && texts.contains(" M README.md"), "not restored as uncommitted: {texts}");
    assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\nmore\n"));
    assert_eq!(world.file_at(BRANCH, "end.txt").as_deref(), Some("end\n"));
    assert_eq!(world.file_at(BRANCH, "new/deep/file"), None);
    assert_eq!(world.git(&["cat-file", "blob", &format!("{BRANCH}:picture.bin")]).stdout, b"a\0b\xff");
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
}

#[tokio::test]
async fn answered_agent_finds_its_earlier_work() {
    let world = World::with_agent(
        "cat > /dev/null; echo half > half.txt; echo '{\"kind\":\"question\",\"text\":\"Which list?\"}'",
    )
    .await;
    assert_eq!(world.run().await.code, Some(0));
    let [yield_request] = world.api.yields().try_into().unwrap();
    assert_eq!((yield_request.outcome, yield_request.question.as_deref()), (YieldReason::Asks, Some("Which list?")));
    assert_eq!(yield_request.work.unwrap().starts, 1);
    world.api.next_attempt(|job| {
        set_resume(job, Policy::Prefer, &[input(1, Some("Which list?"), "The empty one.")]);
        set_command(job, "cat; cat half.txt > whole.txt");
    });
    assert_eq!(run_on_another_machine(&world).await.code, Some(0));
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(world.file_at(BRANCH, "whole.txt").as_deref(), Some("half\n"));
    let texts = world.api.event_texts();
    for text in ["Write a greeting.", "> Which list?", "> The empty one."] {
        assert!(texts.contains(text), "{text}: {texts}");
    }
}

#[tokio::test]
async fn attempt_that_continues_keeps_the_output_of_both_runs() {
    let world = World::with_agent(
        "cat > @DIR@/prompt; if [ -e @DIR@/once ]; then echo second; echo x > work.txt; exit 0; fi
         touch @DIR@/once; echo first; echo '{\"kind\":\"question\",\"text\":\"Which list?\"}'",
    )
    .await;
    world.api.change_script(|script| script.inputs = vec![input(1, None, "The empty one.")]);
    world.completes().await;
    let text = |name: &str| String::from_utf8(world.api.bucket_object(name).unwrap()).unwrap();
    assert!(text("agent-output.jsonl").contains("first") && text("agent-output-2.jsonl").contains("second"));
    assert!(std::fs::read_to_string(world.outside_path("prompt")).unwrap().contains("> The empty one."));
}

#[tokio::test]
async fn sigterm_stores_a_checkpoint() {
    let world = World::with_agent(WORKING_AGENT).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    send_sigterm(&runner);
    let ran = wait_for_exit(runner).await;
    assert_eq!(ran.code, Some(143), "{}", ran.log);
    assert!(world.api.bucket_object("checkpoint.tar.zst").is_some(), "{}", ran.log);
    assert!(world.api.finishes().is_empty() && world.api.yields().is_empty());
}

#[tokio::test]
async fn only_retryable_failures_store_a_checkpoint() {
    for (agent, code, has_checkpoint) in [
        ("cat > /dev/null; echo half > half.txt; exit 75", "agent_failed", true),
        ("cat > /dev/null; exit 0", "no_changes", false),
    ] {
        let world = World::with_agent(agent).await;
        let ran = world.run_under("PULLYARD_AGENT_RETRY_SECS", "").await;
        assert_eq!((ran.code, world.api.failure_code()), (Some(0), code), "{}", ran.log);
        assert_eq!(world.api.bucket_object("checkpoint.tar.zst").is_some(), has_checkpoint, "{code}");
        let routes = world.api.routes();
        let last = |route: &str| routes.iter().rposition(|called| called == route);
        assert!(last("stored") < last("finish"), "{routes:?}");
    }
}
