//! Kills a runner around its calls of the forge's API; the next attempt must end like an undisturbed one.
//!
//! The kills are before the first call, before the first changing call, and after each changing call. Other points are
//! equivalent, because a call that only reads leaves nothing. `git_points` and `api_crash_points` walk the other calls.

use crate::crash_walk::{Published, assert_same_ends};
use crate::gate::{Break, Fault, Gate, Point};
use crate::prelude::*;
use crate::world::World;
use pullyard_domain::job::Replies;
use pullyard_domain::review::published::marker::Marker;
use pullyard_forge::Forge;
use pullyard_local_forge::{AccountKind, LineComment, Role, User};
use pullyard_protocol::attempt::{RevisedComment, RevisedPullRequest, RevisedReview};

const REPOSITORY: &str = "acme/app";
const COUNTING_AGENT: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    First,
    Revision,
}

async fn start_behind_gate(world: &World, fault: Option<Fault>) -> Arc<Gate> {
    let url = world.forge.api_url();
    let gate = Gate::start(&url, fault).await;
    world.api.change_assignment(|job| job.repository.api_url = gate.replace_address(&url));
    gate
}

#[derive(Debug, PartialEq, Eq)]
struct FinalState {
    outcome: FinishOutcome,
    replies: Option<Replies>,
    published: Published,
    newest_commit_marks: (bool, usize),
    answers: usize,
    requested_reviewers: BTreeSet<String>,
    worktrees: usize,
}

async fn final_state(world: &World) -> FinalState {
    let finish = world.api.finishes().pop().unwrap();
    let published = Published::load(world).await;
    let number = published.pull_request;
    let look = world.forge.pull_snapshot(REPOSITORY, number).await.unwrap().unwrap();
    let text = world.forge_client().pull_request_text(REPOSITORY, number).await.unwrap();
    let mark = Some(Marker::Job(world.api.assignment().job));
    FinalState {
        outcome: finish.outcome,
        replies: finish.result.and_then(|result| result.replies),
        published,
        newest_commit_marks: (
            text.contains(&world.branch_head(BRANCH).unwrap()),
            text.matches("pullyard:newest").count(),
        ),
        answers: look.comments.iter().filter(|(_, body)| Marker::parse(body) == mark).count(),
        requested_reviewers: look.requested_reviewers.into_iter().collect(),
        worktrees: world.worktrees().len(),
    }
}

async fn prepare_world(work: Work) -> World {
    let world = World::with_agent(COUNTING_AGENT).await;
    if work == Work::Revision {
        assert_eq!(world.run().await.code, Some(0));
        let number = world.open_pull_request(BRANCH).await.unwrap().number;
        add_review(&world, &world.forge_client(), number).await;
    }
    world
}

/// Adds two review comments to a pull request, and assigns a job that answers them. Returns the comments.
pub(crate) async fn add_review(world: &World, forge: &Forge, number: u64) -> Vec<u64> {
    let ann = User { login: "ann".into(), id: 8, token: "token-of-ann".into() };
    world.forge.add_user(ann, AccountKind::User).await.unwrap();
    world.forge.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    let remarks = ["Red, please.", "Why?"].map(|body| LineComment { path: "greeting.txt", line: 1, body });
    let review = world.forge.request_changes(REPOSITORY, number, "ann", "Please.", &remarks).await.unwrap();
    let review_comments = forge.comments(REPOSITORY, number).await.unwrap().items;
    let threads: Vec<u64> = review_comments.iter().map(|comment| comment.id).collect();
    assert_eq!(threads.len(), 2);
    let comment = |id: &u64| RevisedComment { id: *id, thread: *id, path: "greeting.txt".into(), line: Some(1) };
    let comments = threads.iter().map(comment).collect();
    let head = world.branch_head(BRANCH).unwrap();
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
        (job.attempt, job.checkpoint, job.kind) = (1, false, JobKind::Revise);
        job.revises = Some(RevisedPullRequest {
            number,
            url: format!("https://x.test/acme/app/pull/{number}"),
            branch: BRANCH.into(),
            head,
            since: None,
            reviews: vec![RevisedReview { id: review, author: "ann".into() }],
            comments,
            retries: Vec::new(),
        });
    });
    threads
}

async fn final_state_after_kill(work: Work, killed: &Fault) -> FinalState {
    let world = prepare_world(work).await;
    let gate = start_behind_gate(&world, Some(killed.clone())).await;
    let mut runner = world.spawn(|_| ());
    gate.wait_for_fatal_call().await;
    runner.kill().await.unwrap();
    world.api.change_assignment(|job| job.attempt = 2);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{killed:?}: {}", ran.log);
    final_state(&world).await
}

/// Walks through the calls of this work. There are at least `least` calls, and `among` occur.
async fn walk(work: Work, least: usize, among: &[&str]) {
    let world = prepare_world(work).await;
    let gate = start_behind_gate(&world, None).await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let undisturbed = final_state(&world).await;
    assert_eq!(undisturbed.outcome, FinishOutcome::Completed);
    // Verify the undisturbed end before comparing others with it.
    let (answers, replies) = match work {
        Work::First => (0, None),
        Work::Revision => (2, Some(Replies { answered: 2, failed: 0 })),
    };
    assert_eq!((undisturbed.answers, &undisturbed.replies), (answers, &replies));
    assert_eq!((undisturbed.published.has_second_pull_request, undisturbed.newest_commit_marks), (false, (true, 2)));
    let calls = gate.calls();
    println!("{work:?}: {} calls of the forge: {calls:?}", calls.len());
    assert!(calls.len() >= least, "{calls:?}");
    for expected in among {
        assert!(calls.iter().any(|(name, _)| name.contains(expected)), "{expected}: {calls:?}");
    }
    let changes: Vec<&Point> = calls.iter().filter(|(name, _)| !name.starts_with("GET ")).collect();
    let before = [&calls[0], changes[0]].map(|point| (point.clone(), Break::KilledBefore));
    let after = changes.into_iter().map(|point| (point.clone(), Break::KilledAfter));
    let points = before.into_iter().chain(after);
    assert_same_ends(points, &undisturbed, async |killed| final_state_after_kill(work, killed).await).await;
}

#[tokio::test]
async fn first_job_survives_a_kill_at_any_forge_call() {
    walk(Work::First, 2, &["GET ", "POST "]).await;
}

#[tokio::test]
async fn revision_survives_a_kill_at_any_forge_call() {
    walk(Work::Revision, 7, &["GET ", "PATCH ", "graphql", "/requested_reviewers"]).await;
}
