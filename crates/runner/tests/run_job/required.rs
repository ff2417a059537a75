//! `resume: require` of a job that did not rest: after a limit, a fault, or as a retry. The session that was kept for it
//! is gone on with, or it fails; where none was kept, nothing was lost, and it begins again.

use crate::agents::{CLAUDE, CODEX, Machine};
use crate::rests::{commands, on_another_machine, paused, unpacked};
use crate::resumes::packed;
use crate::sessions::{claude, kept, paused as paused_in_session};
use crate::world::BRANCH;
use pullyard_domain::checks::{Checks, JobCommands, Setup};
use pullyard_domain::commands::CommandPolicy;
use pullyard_protocol::attempt::{Continues, FinishOutcome};
use serde_json::json;
use tar::EntryType;

/// One that Claude Code worked on and that goes on from here without a rest.
async fn worked(transcript: &str) -> Machine {
    let machine = Machine::with(CLAUDE, &claude(transcript)).await;
    paused_in_session(&machine).await;
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    machine
}

/// How the next attempt ends, and what its log says of the session.
async fn next(machine: &Machine, requires: bool) -> (Option<&'static str>, String) {
    next_while_away(machine, requires, 0, "60").await
}

/// The same where the bucket is away so often, and is asked again for so long.
async fn next_while_away(machine: &Machine, requires: bool, times: u32, secs: &str) -> (Option<&'static str>, String) {
    machine.world.api.next_attempt(|job| {
        job.resume = None;
        job.requires_session = requires;
    });
    machine.world.api.script(|script| {
        script.lose.insert("get", times);
    });
    let ran = machine
        .world
        .run_with(|command| {
            // Whatever agents this machine has.
            command.env(CODEX.0, machine.world.outside("nowhere"));
            machine.equip(command);
            command.env("PULLYARD_BUCKET_AWAY_SECS", secs);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = machine.world.api.finish();
    assert_eq!(finish.outcome == FinishOutcome::Completed, finish.failure.is_none(), "{finish:?}");
    (finish.failure.map(|failure| failure.code()), machine.world.api.texts())
}

/// The same checkpoint, with another value of what is known of it.
fn which_says(machine: &Machine, name: &str, value: &str) -> Vec<u8> {
    let mut about: serde_json::Value = serde_json::from_slice(&kept(machine)["about.json"]).unwrap();
    about[name] = json!(value);
    with_file(machine, "about.json", &serde_json::to_vec(&about).unwrap())
}

/// The same with another file in it.
fn with_file(machine: &Machine, name: &str, content: &[u8]) -> Vec<u8> {
    let mut files = kept(machine);
    files.insert(name.to_owned(), content.to_vec());
    let files: Vec<_> =
        files.iter().map(|(name, content)| (EntryType::Regular, name.as_str(), content.as_slice())).collect();
    packed(&files)
}

/// Work on a text that is not there.
const MISFIT: &[u8] =
    b"diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-# Another\n+# More\n";

/// The base branch is pushed over: nothing that it had leads to it any more.
fn is_rewritten(machine: &Machine) {
    let commit = machine.world.git_line(&["commit-tree", "main^{tree}", "-m", "Over it"]);
    machine.world.git_line(&["update-ref", "refs/heads/main", &commit]);
}

#[tokio::test]
async fn a_session_that_was_kept_is_gone_on_with_after_a_fault_too() {
    let machine = worked("echo '{}'").await;
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("The job goes on in the session of attempt 1."), "{texts}");
}

#[tokio::test]
async fn one_that_was_kept_and_is_lost_fails_a_job_that_requires_it_and_begins_again_else() {
    type Loses = fn(&Machine);
    let cases: [(Loses, &str); 6] = [
        (|machine| machine.world.api.replace("checkpoint.tar.zst", None), "it could not be fetched"),
        (|machine| machine.world.api.leave_checkpoint(packed(&[])), "it can't be read"),
        (is_rewritten, "its work does not fit: the commit that it started from is gone"),
        (
            |machine| machine.world.api.replace("checkpoint.tar.zst", Some(b"something else".to_vec())),
            "it can't be read: it is not what was kept",
        ),
        (
            |machine| machine.world.api.leave_checkpoint(with_file(machine, "about.json", b"{\"format\":2}")),
            "it can't be read: a newer runner kept it",
        ),
        (
            |machine| machine.world.api.leave_checkpoint(with_file(machine, "work.patch", MISFIT)),
            "its work does not fit",
        ),
    ];
    for (loses, because) in cases {
        let machine = worked("echo '{}'").await;
        loses(&machine);
        let (failure, texts) = next(&machine, true).await;
        assert_eq!(failure, Some("session_lost"), "{because}: {texts}");
        let said = format!("can't be gone on with, because {because}");
        assert!(texts.contains(&said) && texts.contains("asks for it or none"), "{because}: {texts}");
        assert!(!texts.contains("begins again"), "{because}: {texts}");
        assert_eq!(machine.world.api.statuses(), ["preparing"], "no agent began: {because}");
        assert_eq!(machine.world.head(BRANCH), None);
        let (failure, texts) = next(&machine, false).await;
        assert_eq!(failure, None, "{because}: {texts}");
        assert!(texts.contains(&said) && texts.contains("the agent begins again."), "{because}: {texts}");
    }
}

/// A checkpoint of this attempt has a place and no bytes.
fn lacks_one_of(machine: &Machine, attempt: u32) {
    let job = machine.world.api.assignment().job;
    let missing = json!({ "job": job, "attempt": attempt, "why": "not_uploaded" });
    machine.world.api.script(|script| script.missing = Some(missing));
}

#[tokio::test]
async fn the_newest_is_lost_when_its_upload_broke_off() {
    let because = "because what attempt 2 kept is missing: its upload did not come to its end";
    let machine = worked("echo '{}'").await;
    lacks_one_of(&machine, 2);
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    assert!(texts.contains(because), "{texts}");
    let (failure, texts) = next(&machine, false).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains(&format!("{because}; the agent begins again.")), "{texts}");
    // The same where no older one was kept.
    let machine = Machine::with(CLAUDE, &claude("echo '{}'")).await;
    std::fs::write(machine.world.outside("ends"), "").unwrap();
    lacks_one_of(&machine, 2);
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    let (failure, texts) = next(&machine, false).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains(&format!("{because}; the agent begins again.")), "{texts}");
}

#[tokio::test]
async fn a_reason_that_only_a_newer_server_knows_is_heard_as_any_other() {
    let machine = worked("echo '{}'").await;
    lacks_one_of(&machine, 2);
    machine.world.api.script(|script| script.missing.as_mut().unwrap()["why"] = json!("eaten_by_the_dog"));
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    let because = "because what attempt 2 kept is missing: the reason is one that this version does not know;";
    assert!(texts.contains(because), "{texts}");
}

#[tokio::test]
async fn nothing_is_set_up_for_a_job_whose_session_is_known_to_be_lost() {
    let machine = worked("echo '{}'").await;
    let set_up = machine.world.outside("set-up");
    let setup = Setup { commands: vec![format!("touch {}", set_up.display())], ..Setup::default() };
    let commands = JobCommands { policy: CommandPolicy::Unrestricted, setup, checks: Checks::default() };
    machine.world.api.assign(|job| job.commands = Some(commands));
    machine.world.api.replace("checkpoint.tar.zst", None);
    let (failure, texts) = next(&machine, true).await;
    assert_eq!((failure, set_up.exists()), (Some("session_lost"), false), "{texts}");
    let (failure, texts) = next(&machine, false).await;
    assert_eq!((failure, set_up.exists()), (None, true), "{texts}");
}

#[tokio::test]
async fn nobody_waits_for_the_one_before_where_it_would_not_be_gone_on_with() {
    let because = "because what attempt 2 kept is missing: its upload did not come to its end";
    let machine = worked("echo '{}'").await;
    lacks_one_of(&machine, 2);
    let (failure, texts) = next_while_away(&machine, true, u32::MAX, "0").await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    assert!(texts.contains(because), "{texts}");
    // Who goes on from it asks for it, and is told of the newest where neither is there.
    let (failure, texts) = next_while_away(&machine, false, u32::MAX, "0").await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains(&format!("{because}; the agent begins again.")), "{texts}");
}

#[tokio::test]
async fn a_bucket_that_is_away_for_a_moment_is_asked_again() {
    let machine = worked("echo '{}'").await;
    let (failure, texts) = next_while_away(&machine, true, 4, "60").await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("The job goes on in the session of attempt 1."), "{texts}");
}

#[tokio::test]
async fn a_session_that_is_only_out_of_reach_is_not_lost_and_the_next_attempt_goes_on_with_it() {
    let machine = worked("echo '{}'").await;
    let (failure, texts) = next_while_away(&machine, true, u32::MAX, "0").await;
    assert_eq!(failure, Some("session_unreachable"), "{texts}");
    assert!(texts.contains("because it could not be fetched: the bucket answered 503"), "{texts}");
    assert_eq!((machine.starts().len(), machine.world.api.statuses()), (1, vec!["preparing".to_owned()]));
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("The job goes on in the session of attempt 1."), "{texts}");
    // Who only prefers it does not wait for it.
    let machine = worked("echo '{}'").await;
    let (failure, texts) = next_while_away(&machine, false, u32::MAX, "0").await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("the bucket answered 503 Service Unavailable; the agent begins again."), "{texts}");
}

#[tokio::test]
async fn a_machine_that_can_make_no_work_folder_loses_no_session() {
    let machine = worked("echo '{}'").await;
    let lock = machine.world.work_dir().join("worktrees/.making");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, Some("session_unreachable"), "{texts}");
    // Who only prefers it is told of the folder.
    assert_eq!(next(&machine, false).await.0, Some("workspace_failed"));
    std::fs::remove_dir(&lock).unwrap();
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("The job goes on in the session of attempt 1."), "{texts}");
}

#[tokio::test]
async fn another_agents_session_fails_it_only_where_any_agent_may_go_on_and_that_one_is_not_here() {
    let machine = worked("echo '{}'").await;
    machine.world.api.leave_checkpoint(which_says(&machine, "agent", "codex"));
    machine.world.api.assign(|job| job.agent.capability = "auto".into());
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, Some("session_lost"), "{texts}");
    assert!(texts.contains("The earlier session of `codex` can't be gone on with, because `codex` worked"), "{texts}");
    machine.world.api.assign(|job| job.agent.capability = "claude_code".into());
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("the agent begins again, with the work that it had done."), "{texts}");
}

#[tokio::test]
async fn where_no_session_was_kept_it_begins_again_though_it_requires_one() {
    // Nothing at all, as of an attempt that was lost with its machine.
    let machine = worked("echo '{}'").await;
    machine.world.api.script(|script| script.refuse("checkpoint", 404, "not_found"));
    assert_eq!(next(&machine, true).await.0, None);
    // The work alone: a secret stood in the session.
    let machine = worked("echo '{\"content\":[{\"type\":\"thinking\",\"thinking\":\"key-of-the-model\"}]}'").await;
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    let because = "because no session was kept; the agent begins again, with the work that it had done.";
    assert!(texts.contains(because), "{texts}");
}

#[tokio::test]
async fn where_what_it_made_was_pushed_nothing_is_lost_and_it_begins_again_there() {
    let machine = worked("echo '{}'").await;
    let earlier = format!("job_{}", "b".repeat(26));
    machine.world.api.leave_checkpoint(which_says(&machine, "job", &earlier));
    let pushed = machine.world.commit_on(BRANCH, &format!("Greet\n\nPullyard-Job: {earlier}/1"));
    let pull = machine.world.opens(BRANCH).await;
    let continues = Continues { number: pull.number, branch: BRANCH.into() };
    machine.world.api.assign(|job| job.continues = Some(continues));
    let (failure, texts) = next(&machine, true).await;
    assert_eq!(failure, None, "{texts}");
    assert!(texts.contains("because its work does not fit: it was pushed; the agent begins again."), "{texts}");
    assert_eq!(machine.world.git_line(&["rev-parse", &format!("{BRANCH}^")]), pushed);
}

#[tokio::test]
async fn a_program_without_a_session_of_its_own_begins_again_where_its_work_is_lost() {
    let world = paused("cat > /dev/null; echo half > half.txt; echo waiting; while :; do sleep 0.05; done").await;
    assert!(unpacked(&world.api.kept("checkpoint.tar.zst").unwrap()).contains_key("work.patch"));
    world.api.replace("checkpoint.tar.zst", Some(b"something else".to_vec()));
    world.api.next_attempt(|job| {
        job.requires_session = true;
        commands(job, "cat > /dev/null; echo anew > anew.txt");
    });
    assert_eq!(on_another_machine(&world).await.code, Some(0));
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish());
}
