//! Tests the pull request's text after later jobs: it names the newest commit, and text by users stays.

use crate::checks::with_checks;
use crate::revise::write_on;
use crate::world::{BRANCH, World};
use pullyard_domain::checks::{FailedChecksPolicy, JobCommands};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobKind;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_protocol::attempt::{Continues, Revises};

const REPOSITORY: &str = "acme/app";
const ROUNDS: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";
/// The same, but later rounds wait for the file `go`.
const WAITS: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"
    [ $(grep -c x greeting.txt) = 1 ] || { echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done; }";
const PEOPLES: (&str, &str) = ("Mind the gap.\r\n\r\n", "\n## Notes\n\n- [ ] `ann` looks at the colours\n");

async fn opened(agent: &str) -> (World, u64) {
    let world = with_checks(agent, &["true"], |_| ()).await;
    let number = done(&world).await;
    let said = text(&world, number).await;
    assert!(said.contains("Round 1.") && said.contains("- `true` passed in "), "{said}");
    write(&world, number, &format!("{}{said}{}", PEOPLES.0, PEOPLES.1)).await;
    (world, number)
}

fn revises(world: &World, number: u64, name: &str) {
    let head = world.head(BRANCH).unwrap();
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", name.repeat(26))).unwrap();
        (job.attempt, job.checkpoint, job.kind) = (1, false, JobKind::Revise);
        job.revises = Some(Revises {
            number,
            url: format!("https://x.test/acme/app/pull/{number}"),
            branch: BRANCH.into(),
            head,
            reviews: Vec::new(),
            comments: Vec::new(),
            retries: Vec::new(),
        });
    });
}

async fn done(world: &World) -> u64 {
    world.completes().await.result.unwrap().pull_request.number
}

async fn text(world: &World, number: u64) -> String {
    world.rest().pull_request_text(REPOSITORY, number).await.unwrap()
}

async fn write(world: &World, number: u64, text: &str) {
    world.rest().edit_pull_request_text(REPOSITORY, number, text).await.unwrap();
}

fn short(world: &World) -> String {
    world.head(BRANCH).unwrap()[..10].to_owned()
}

fn refuses(world: &World, fault: Fault) {
    let calls = Calls { method: Some("PATCH".into()), path: "/pulls/".into() };
    world.forge.order_fault(calls, 1, fault);
}

const UNSAID: &str = "The pull request's text does not say what came of this job, because ";

#[tokio::test]
async fn revision_renews_our_text_and_keeps_user_text() {
    let (world, number) = opened(ROUNDS).await;
    for (name, round) in [("b", 2), ("c", 3)] {
        revises(&world, number, name);
        if round == 3 {
            // The next job of a ticket continues the pull request too.
            world.api.assign(|job| {
                (job.kind, job.revises) = (JobKind::Implement, None);
                job.continues = Some(Continues { number, branch: BRANCH.into() });
            });
        }
        assert_eq!(done(&world).await, number);
        let said = text(&world, number).await;
        assert!(said.starts_with(PEOPLES.0) && said.ends_with(PEOPLES.1), "{said}");
        let newest = format!(
            "\n## The newest work\n\nCommit {} (agent: command).\n\nThe agent's last words:\n\n\
             ```text\nRound {round}.\n```\n\n## Checks\n\n- `true` passed in ",
            short(&world)
        );
        assert!(said.contains(&newest), "{said}");
        // The first summary stays; the checks are those of the newest commit.
        assert!(said.contains("## The agent's last words\n\n```text\nRound 1.\n```\n"), "{said}");
        assert_eq!((said.matches("Round ").count(), said.matches("## Checks").count()), (2, 1), "{said}");
        assert!(!world.api.texts().contains(UNSAID), "{}", world.api.texts());
    }
}

#[tokio::test]
async fn draft_with_passing_checks_stays_a_draft_with_new_text() {
    let mends =
        "cat > /dev/null; if [ -e greeting.txt ]; then echo hello > greeting.txt; else echo x > greeting.txt; fi";
    let draft = |all: &mut JobCommands| all.checks.failed = FailedChecksPolicy::Draft;
    let world = with_checks(mends, &["grep -q hello greeting.txt"], draft).await;
    let number = done(&world).await;
    let said = text(&world, number).await;
    assert!(said.contains("Checks failed, so this is a draft.") && said.contains("**failed**"), "{said}");
    revises(&world, number, "b");
    done(&world).await;
    let said = text(&world, number).await;
    assert!(said.contains("- `grep -q hello greeting.txt` passed in "), "{said}");
    assert!(!said.contains("draft") && !said.contains("failed"), "{said}");
    assert!(world.open_pull_request(BRANCH).await.unwrap().draft);
}

#[tokio::test]
async fn edited_part_of_our_text_stays_and_is_logged() {
    let (world, number) = opened(ROUNDS).await;
    let theirs = text(&world, number).await.replace("- `true` passed in ", "- `true`, and I looked myself, passed in ");
    write(&world, number, &theirs).await;
    revises(&world, number, "b");
    done(&world).await;
    assert_eq!(text(&world, number).await, theirs);
    let said = world.api.texts();
    assert!(said.contains(&format!("{UNSAID}somebody has changed what it says of the commit before.")), "{said}");
}

#[tokio::test]
async fn text_without_our_markers_is_not_changed() {
    let (world, number) = opened(ROUNDS).await;
    let said = text(&world, number).await;
    let without: Vec<&str> = said.lines().filter(|line| !line.starts_with("<!-- pullyard:newest")).collect();
    for (name, theirs) in [("b", without.join("\n")), ("c", String::new()), ("d", format!("{said}\n{said}"))] {
        write(&world, number, &theirs).await;
        revises(&world, number, name);
        done(&world).await;
        assert_eq!(text(&world, number).await, theirs);
        assert!(!world.api.texts().contains(UNSAID), "{}", world.api.texts());
    }
}

#[tokio::test]
async fn refused_text_change_does_not_fail_the_job() {
    let (world, number) = opened(ROUNDS).await;
    let before = text(&world, number).await;
    for (name, fault, because) in [
        ("b", Fault::status(403), "failed to get permission for the text of pull request"),
        ("c", Fault::too_many(60), "failed to call "),
    ] {
        refuses(&world, fault);
        revises(&world, number, name);
        done(&world).await;
        assert_eq!(text(&world, number).await, before, "{name}");
        let said = world.api.texts();
        assert!(said.contains(&format!("{UNSAID}{because}")), "{name}: {said}");
    }
}

#[tokio::test]
async fn text_of_rebased_work_states_that_checks_ran_before() {
    let (world, number) = opened(WAITS).await;
    revises(&world, number, "b");
    let theirs = world.meanwhile(async || write_on(&world, BRANCH, "theirs.txt", "theirs\n")).await;
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), theirs);
    let said = text(&world, number).await;
    assert!(said.contains(&format!("Commit {} (agent: command).", short(&world))), "{said}");
    assert!(said.contains("They ran before the work was put on top of newer commits.\n"), "{said}");
}

#[tokio::test]
async fn identical_commit_by_a_user_leaves_the_text_unchanged() {
    let (world, number) = opened(WAITS).await;
    let before = text(&world, number).await;
    revises(&world, number, "b");
    let theirs = world.meanwhile(async || write_on(&world, BRANCH, "greeting.txt", "x\nx\n")).await;
    assert_eq!(world.api.finish().result.unwrap().head, theirs);
    assert_eq!(text(&world, number).await, before);
    assert!(!world.api.texts().contains(UNSAID), "{}", world.api.texts());
}
