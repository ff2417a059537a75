//! Tests `resume: require` for jobs that did not yield: after a limit, after a fault, and for a retry. A stored session
//! is resumed or fails the job; without one the job starts over.

use crate::prelude::*;
use crate::resumes::pack_checkpoint;
use crate::sessions::{checkpoint_files, claude_script, pause_attempt as paused_in_session};
use crate::yields::paused_world;
use tar::EntryType;

/// A machine where Claude Code has a session, and whose job continues without a yield.
async fn machine_with_session(transcript: &str) -> AgentMachine {
    let machine = AgentMachine::with_agent(CLAUDE, &claude_script(transcript)).await;
    paused_in_session(&machine).await;
    std::fs::write(machine.world.outside_path("ends"), "").unwrap();
    machine
}

async fn run_next_attempt(machine: &AgentMachine, requires: bool) -> (Option<&'static str>, String) {
    run_next_with_failing_bucket(machine, requires, 0, "60").await
}

async fn run_next_with_failing_bucket(
    machine: &AgentMachine,
    requires: bool,
    times: u32,
    secs: &str,
) -> (Option<&'static str>, String) {
    machine.world.api.next_attempt(|job| {
        job.resume = None;
        job.requires_session = requires;
    });
    machine.world.api.change_script(|script| {
        script.lost_answers.insert("get", times);
    });
    let ran = machine
        .world
        .run_with(|command| {
            // Hide other agents of this machine.
            command.env(CODEX.0, machine.world.outside_path("nowhere"));
            machine.set_env(command);
            command.env("PULLYARD_BUCKET_AWAY_SECS", secs);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.only_finish();
    assert_eq!(finish.outcome == FinishOutcome::Completed, finish.failure.is_none(), "{finish:?}");
    (finish.failure.map(|failure| failure.code()), machine.world.api.event_texts())
}

fn checkpoint_with_value(machine: &AgentMachine, name: &str, value: &str) -> Vec<u8> {
    let mut files = checkpoint_files(machine);
    let mut about: serde_json::Value = serde_json::from_slice(&files["about.json"]).unwrap();
    about[name] = json!(value);
    files.insert("about.json".into(), serde_json::to_vec(&about).unwrap());
    let files: Vec<_> =
        files.iter().map(|(name, content)| (EntryType::Regular, name.as_str(), content.as_slice())).collect();
    pack_checkpoint(&files)
}

#[tokio::test]
async fn stored_session_is_resumed_after_a_fault() {
    let machine = machine_with_session("echo '{}'").await;
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("Continuing in the session of attempt 1."), "{texts}");
}

#[tokio::test]
async fn lost_session_fails_a_job_that_requires_it() {
    for (checkpoint, because) in [(None, "it could not be fetched"), (Some(pack_checkpoint(&[])), "it can't be read")] {
        let machine = machine_with_session("echo '{}'").await;
        match checkpoint {
            None => machine.world.api.replace_object("checkpoint.tar.zst", None),
            Some(bytes) => machine.world.api.store_checkpoint(bytes),
        }
        let (failure, texts) = run_next_attempt(&machine, true).await;
        assert_eq!(failure, Some("session_lost"), "{because}: {texts}");
        let message = format!("cannot be resumed, because {because}");
        assert!(texts.contains(&message) && texts.contains("the job requires it"), "{because}: {texts}");
        assert!(!texts.contains("starts a new one"), "{because}: {texts}");
        assert_eq!(machine.world.api.statuses(), ["preparing"], "an agent started: {because}");
        assert_eq!(machine.world.branch_head(BRANCH), None);
        let (failure, texts) = run_next_attempt(&machine, false).await;
        assert_eq!(failure, None, "{because}: {texts}");
        assert!(texts.contains(&message) && texts.contains("the agent starts a new one."), "{because}: {texts}");
    }
}

fn add_missing_checkpoint(machine: &AgentMachine, attempt: u32) {
    let job = machine.world.api.assignment().job;
    let missing = json!({ "job": job, "attempt": attempt, "why": "not_uploaded" });
    machine.world.api.change_script(|script| script.missing_checkpoint = Some(missing));
}

#[tokio::test]
async fn newest_checkpoint_with_a_broken_upload_loses_the_session() {
    let because = "because what attempt 2 kept is missing: its upload did not finish";
    let machine = machine_with_session("echo '{}'").await;
    add_missing_checkpoint(&machine, 2);
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    assert!(texts.contains(because), "{texts}");
    let (failure, texts) = run_next_attempt(&machine, false).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains(&format!("{because}; the agent starts a new one.")), "{texts}");
}

#[tokio::test]
async fn briefly_unavailable_bucket_is_retried() {
    let machine = machine_with_session("echo '{}'").await;
    let (failure, texts) = run_next_with_failing_bucket(&machine, true, 4, "60").await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("Continuing in the session of attempt 1."), "{texts}");
}

#[tokio::test]
async fn unreachable_session_is_kept_for_the_next_attempt() {
    let machine = machine_with_session("echo '{}'").await;
    let (failure, texts) = run_next_with_failing_bucket(&machine, true, u32::MAX, "0").await;
    assert_eq!(failure, Some("session_unreachable"), "{texts}");
    assert!(texts.contains("because it could not be fetched: the bucket answered 503"), "{texts}");
    assert_eq!((machine.start_arguments().len(), machine.world.api.statuses()), (1, vec!["preparing".to_owned()]));
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("Continuing in the session of attempt 1."), "{texts}");
    let machine = machine_with_session("echo '{}'").await;
    let (failure, texts) = run_next_with_failing_bucket(&machine, false, u32::MAX, "0").await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("the bucket answered 503 Service Unavailable; the agent starts a new one."), "{texts}");
}

#[tokio::test]
async fn session_of_a_missing_agent_fails_only_auto_jobs() {
    let machine = machine_with_session("echo '{}'").await;
    machine.world.api.store_checkpoint(checkpoint_with_value(&machine, "agent", "codex"));
    machine.world.api.change_assignment(|job| job.agent.capability = "auto".into());
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    assert!(texts.contains("The earlier session of `codex` cannot be resumed, because `codex` worked"), "{texts}");
    machine.world.api.change_assignment(|job| job.agent.capability = "claude_code".into());
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("the agent starts a new one, with the work done so far."), "{texts}");
}

#[tokio::test]
async fn job_without_a_stored_session_starts_over() {
    // The checkpoint is lost, as after the loss of a machine.
    let machine = machine_with_session("echo '{}'").await;
    machine.world.api.change_script(|script| script.refuse("checkpoint", 404, "not_found"));
    assert_eq!(run_next_attempt(&machine, true).await.0, None);
    // Only the work is stored, because the session contained a secret.
    let machine =
        machine_with_session("echo '{\"content\":[{\"type\":\"thinking\",\"thinking\":\"key-of-the-model\"}]}'").await;
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    let because = "because no session was stored; the agent starts a new one, with the work done so far.";
    assert!(texts.contains(because), "{texts}");
}

#[tokio::test]
async fn session_whose_work_was_pushed_starts_over_from_the_push() {
    let machine = machine_with_session("echo '{}'").await;
    let earlier = format!("job_{}", "b".repeat(26));
    machine.world.api.store_checkpoint(checkpoint_with_value(&machine, "job", &earlier));
    let pushed = machine.world.commit_on(BRANCH, &format!("Greet\n\nPullyard-Job: {earlier}/1"));
    let pull = machine.world.create_pull_request(BRANCH).await;
    let continues = ContinuedPullRequest { number: pull.number, branch: BRANCH.into() };
    machine.world.api.change_assignment(|job| job.continues = Some(continues));
    let (failure, texts) = run_next_attempt(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("because its work does not fit: it was pushed; the agent starts a new one."), "{texts}");
    assert_eq!(machine.world.git_line(&["rev-parse", &format!("{BRANCH}^")]), pushed);
}

#[tokio::test]
async fn command_agent_starts_over_when_its_work_is_lost() {
    let world = paused_world("cat > /dev/null; echo half > half.txt; echo waiting; while :; do sleep 0.05; done").await;
    assert!(unpack_checkpoint(&world.api.bucket_object("checkpoint.tar.zst").unwrap()).contains_key("work.patch"));
    world.api.replace_object("checkpoint.tar.zst", Some(b"something else".to_vec()));
    world.api.next_attempt(|job| {
        job.requires_session = true;
        set_command(job, "cat > /dev/null; echo anew > anew.txt");
    });
    assert_eq!(run_on_another_machine(&world).await.code, Some(0));
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
}
