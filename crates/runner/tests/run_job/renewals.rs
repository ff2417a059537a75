//! Tests the pull request's text after later jobs: it names the newest commit, and text by users stays.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::agent::checks::FailedChecksPolicy;
use pullyard_fake_forge::{CallFilter, Fault, TestForge as _};
use pullyard_protocol::attempt::RevisedPullRequest;

const REPOSITORY: &str = "acme/app";
const COUNTING_AGENT: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";
/// The same, but later rounds wait for the file `go`.
const WAITING_AGENT: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"
    [ $(grep -c x greeting.txt) = 1 ] || { echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done; }";
const USER_TEXT: (&str, &str) = ("Mind the gap.\r\n\r\n", "\n## Notes\n\n- [ ] `ann` looks at the colours\n");

async fn world_with_pull_request(agent: &str) -> (World, u64) {
    let world = with_checks(agent, &["true"], |_| ()).await;
    let number = run_to_success(&world).await;
    let text = pull_request_text(&world, number).await;
    assert!(text.contains("Round 1.") && text.contains("| Check | `true` passed in "), "{text}");
    edit_text(&world, number, &format!("{}{text}{}", USER_TEXT.0, USER_TEXT.1)).await;
    (world, number)
}

fn assign_revision(world: &World, number: u64, name: &str) {
    let head = world.branch_head(BRANCH).unwrap();
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", name.repeat(26))).unwrap();
        (job.attempt, job.checkpoint, job.kind) = (1, false, JobKind::Revise);
        job.revises = Some(RevisedPullRequest {
            number,
            url: format!("https://x.test/acme/app/pull/{number}"),
            branch: BRANCH.into(),
            head,
            since: None,
            reviews: Vec::new(),
            comments: Vec::new(),
            retries: Vec::new(),
        });
    });
}

async fn run_to_success(world: &World) -> u64 {
    world.completes().await.result.unwrap().pull_request.as_ref().unwrap().number
}

async fn pull_request_text(world: &World, number: u64) -> String {
    world.forge_client().pull_request_text(REPOSITORY, number).await.unwrap()
}

async fn edit_text(world: &World, number: u64, text: &str) {
    world.forge_client().edit_pull_request_text(REPOSITORY, number, text).await.unwrap();
}

fn short_head(world: &World) -> String {
    world.branch_head(BRANCH).unwrap()[..10].to_owned()
}

fn break_next_text_change(world: &World, fault: Fault) {
    let calls = CallFilter { method: Some("PATCH".into()), path: "/pulls/".into() };
    world.forge.inject_fault(calls, 1, fault);
}

const TEXT_UNCHANGED_NOTE: &str = "The pull request's text does not say what came of this job, because ";

#[tokio::test]
async fn revision_renews_our_text_and_keeps_user_text() {
    let (world, number) = world_with_pull_request(COUNTING_AGENT).await;
    for (name, round) in [("b", 2), ("c", 3)] {
        assign_revision(&world, number, name);
        if round == 3 {
            // The next job of a ticket continues the pull request too.
            world.api.change_assignment(|job| {
                (job.kind, job.revises) = (JobKind::Implement, None);
                job.continues = Some(ContinuedPullRequest { number, branch: BRANCH.into() });
            });
        }
        assert_eq!(run_to_success(&world).await, number);
        let text = pull_request_text(&world, number).await;
        assert!(text.starts_with(USER_TEXT.0) && text.ends_with(USER_TEXT.1), "{text}");
        let newest = format!(
            "\n## The newest work\n\nCommit {}.\n\nSummary by the agent:\n\n\
             ```text\nRound {round}.\n```\n\n<details>\n<summary>The agent and its checks</summary>\n\n| | |\n|---|---|\n| Agent | command |\n| Isolation | none |\n| Check | `true` passed in ",
            short_head(&world)
        );
        assert!(text.contains(&newest), "{text}");
        // The first summary stays; the checks are those of the newest commit.
        assert!(text.contains("## Summary by the agent\n\n```text\nRound 1.\n```\n"), "{text}");
        assert_eq!((text.matches("Round ").count(), text.matches("| Check |").count()), (2, 1), "{text}");
        assert!(!world.api.event_texts().contains(TEXT_UNCHANGED_NOTE), "{}", world.api.event_texts());
    }
}

#[tokio::test]
async fn draft_with_passing_checks_stays_a_draft_with_new_text() {
    let mends =
        "cat > /dev/null; if [ -e greeting.txt ]; then echo hello > greeting.txt; else echo x > greeting.txt; fi";
    let draft = |all: &mut JobCommands| all.checks.failed = FailedChecksPolicy::Draft;
    let world = with_checks(mends, &["grep -q hello greeting.txt"], draft).await;
    let number = run_to_success(&world).await;
    let text = pull_request_text(&world, number).await;
    assert!(text.contains("Checks failed, so this is a draft.") && text.contains("**failed**"), "{text}");
    assign_revision(&world, number, "b");
    run_to_success(&world).await;
    let text = pull_request_text(&world, number).await;
    assert!(text.contains("| Check | `grep -q hello greeting.txt` passed in "), "{text}");
    assert!(!text.contains("draft") && !text.contains("failed"), "{text}");
    assert!(world.open_pull_request(BRANCH).await.unwrap().draft);
}

#[tokio::test]
async fn edited_part_of_our_text_stays_and_is_logged() {
    let (world, number) = world_with_pull_request(COUNTING_AGENT).await;
    let theirs = pull_request_text(&world, number)
        .await
        .replace("| Check | `true` passed in ", "| Check | `true`, and I looked myself, passed in ");
    edit_text(&world, number, &theirs).await;
    assign_revision(&world, number, "b");
    run_to_success(&world).await;
    assert_eq!(pull_request_text(&world, number).await, theirs);
    let texts = world.api.event_texts();
    assert!(
        texts.contains(&format!("{TEXT_UNCHANGED_NOTE}somebody has changed what it says of the commit before.")),
        "{texts}"
    );
}

#[tokio::test]
async fn text_without_our_markers_is_not_changed() {
    let (world, number) = world_with_pull_request(COUNTING_AGENT).await;
    let text = pull_request_text(&world, number).await;
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("<!-- pullyard:newest")).collect();
    for (name, theirs) in [("b", without.join("\n")), ("c", String::new()), ("d", format!("{text}\n{text}"))] {
        edit_text(&world, number, &theirs).await;
        assign_revision(&world, number, name);
        run_to_success(&world).await;
        assert_eq!(pull_request_text(&world, number).await, theirs);
        assert!(!world.api.event_texts().contains(TEXT_UNCHANGED_NOTE), "{}", world.api.event_texts());
    }
}

#[tokio::test]
async fn refused_text_change_does_not_fail_the_job() {
    let (world, number) = world_with_pull_request(COUNTING_AGENT).await;
    let before = pull_request_text(&world, number).await;
    for (name, fault, because) in [
        ("b", Fault::status(403), "failed to get permission for the text of pull request"),
        ("c", Fault::secondary_rate_limit(60), "failed to call "),
    ] {
        break_next_text_change(&world, fault);
        assign_revision(&world, number, name);
        run_to_success(&world).await;
        assert_eq!(pull_request_text(&world, number).await, before, "{name}");
        let texts = world.api.event_texts();
        assert!(texts.contains(&format!("{TEXT_UNCHANGED_NOTE}{because}")), "{name}: {texts}");
    }
}

#[tokio::test]
async fn text_of_rebased_work_states_that_checks_ran_before() {
    let (world, number) = world_with_pull_request(WAITING_AGENT).await;
    assign_revision(&world, number, "b");
    let theirs = world.run_with_change(async || commit_file(&world, BRANCH, "theirs.txt", "theirs\n")).await;
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), theirs);
    let text = pull_request_text(&world, number).await;
    assert!(text.contains(&format!("Commit {}.", short_head(&world))), "{text}");
    assert!(text.contains("The checks ran before the work was put on top of newer commits.\n"), "{text}");
}

#[tokio::test]
async fn identical_commit_by_a_user_leaves_the_text_unchanged() {
    let (world, number) = world_with_pull_request(WAITING_AGENT).await;
    let before = pull_request_text(&world, number).await;
    assign_revision(&world, number, "b");
    let theirs = world.run_with_change(async || commit_file(&world, BRANCH, "greeting.txt", "x\nx\n")).await;
    assert_eq!(world.api.only_finish().result.unwrap().head, theirs);
    assert_eq!(pull_request_text(&world, number).await, before);
    assert!(!world.api.event_texts().contains(TEXT_UNCHANGED_NOTE), "{}", world.api.event_texts());
}
