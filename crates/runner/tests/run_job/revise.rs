//! Tests revise jobs: one more commit on the pull request's branch, despite changes by others.

use crate::git_points::path_with_git_script;
use crate::prelude::*;
use crate::review_api::{ReviewApi, ReviewState};
use crate::world::World;
use pullyard_protocol::attempt::{RevisedComment, RevisedPullRequest, RevisedReview};

const GREETING_AGENT: &str = "echo hello > greeting.txt";
const BRANCH: &str = "feature";

const NUMBER: u64 = 3;

pub(crate) async fn world_under_review(script: &str) -> (World, ReviewApi) {
    let world = World::with_agent(script).await;
    let desk = add_review(&world).await;
    (world, desk)
}

pub(crate) async fn add_review(world: &World) -> ReviewApi {
    let seen = world.commit_on(BRANCH, "Earlier work");
    let comments = [(11, 11, "Red, please."), (12, 12, "Why?"), (13, 11, "Dark red.")];
    let desk =
        ReviewApi::start(BRANCH, comments.map(|(id, thread, text)| (id, thread, text.to_owned())).to_vec()).await;
    world.api.change_assignment(|job| {
        job.repository.api_url.clone_from(&desk.url);
        job.kind = JobKind::Revise;
        job.revises = Some(RevisedPullRequest {
            number: NUMBER,
            url: "https://x.test/acme/app/pull/3".into(),
            branch: BRANCH.into(),
            head: seen,
            since: None,
            reviews: vec![RevisedReview { id: 80, author: "ann".into() }],
            comments: comments
                .map(|(id, thread, _)| RevisedComment { id, thread, path: "a.rs".into(), line: None })
                .to_vec(),
            retries: Vec::new(),
        });
    });
    desk
}

pub(crate) fn commit_file(world: &World, branch: &str, path: &str, text: &str) -> String {
    let parent = world.branch_head(branch).unwrap();
    let file = world.outside_path("text");
    std::fs::write(&file, text).unwrap();
    let blob = world.git_line(&["hash-object", "-w", file.to_str().unwrap()]);
    world.git_line(&["read-tree", &parent]);
    world.git_line(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    let tree = world.git_line(&["write-tree"]);
    let commit = world.git_line(&["commit-tree", &tree, "-p", &parent, "-m", "A person's"]);
    world.git_line(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
    commit
}

fn parent(world: &World, commit: &str) -> String {
    world.git_line(&["rev-parse", &format!("{commit}^")])
}

#[tokio::test]
async fn revision_adds_one_commit_to_the_newest_head() {
    let (world, _) = world_under_review(GREETING_AGENT).await;
    // Pushed after the review and before the job.
    let newest = commit_file(&world, BRANCH, "later.txt", "later\n");
    let finish = world.completes().await;
    let result = finish.result.unwrap();
    let head = world.branch_head(BRANCH).unwrap();
    assert_eq!((result.branch.as_str(), &result.head), (BRANCH, &head));
    assert_eq!(result.pull_request.as_ref().unwrap().number, NUMBER);
    assert_eq!(parent(&world, &head), newest);
    assert_eq!(world.file_at(&head, "later.txt").as_deref(), Some("later\n"));
    let job = world.api.assignment().job;
    let message = world.git_line(&["log", "-1", "--format=%B", &head]);
    let trailers = format!("Pullyard-Job: {job}/1\nPullyard-Ticket: APP-17\nPullyard-Agent: command");
    assert_eq!(message, format!("Revise APP-17: Greet\n\n{trailers}"));
    assert_eq!(world.branch_head(crate::world::BRANCH), None);
}

#[tokio::test]
async fn replies_file_is_not_a_change() {
    let (world, _) = world_under_review("mkdir .pullyard; echo '{}' > .pullyard/replies.json").await;
    assert_eq!(world.fails().await, "no_changes");
    let (world, _) = world_under_review("mkdir .pullyard; echo '{}' > .pullyard/replies.json; echo x > x").await;
    let head = world.completes().await.result.unwrap().head;
    assert_eq!((world.file_at(&head, ".pullyard/replies.json"), world.file_at(&head, "x").is_some()), (None, true));
}

#[tokio::test]
async fn revision_is_rebased_onto_a_concurrent_push() {
    let (world, _) = world_under_review(WAITING_AGENT).await;
    let seen = world.branch_head(BRANCH).unwrap();
    let theirs = world.run_with_change(async || commit_file(&world, BRANCH, "theirs.txt", "theirs\n")).await;
    let head = world.api.only_finish().result.unwrap().head;
    assert_eq!((world.branch_head(BRANCH), parent(&world, &head)), (Some(head.clone()), theirs));
    assert_eq!(world.file_at(&head, "theirs.txt").as_deref(), Some("theirs\n"));
    assert_eq!(world.file_at(&head, "greeting.txt").as_deref(), Some("hello\n"));
    let job = world.api.assignment().job;
    let message = world.git_line(&["log", "-1", "--format=%B", &head]);
    assert!(message.contains(&format!("Pullyard-Job: {job}/1")), "{message}");
    assert!(message.ends_with("\nPullyard-Agent: command"), "{message}");
    // The record names the pushed commit and the agent's base.
    let work = world.api.only_finish().work.unwrap();
    assert_eq!((work.commit, work.base_commit), (Some(head), Some(seen)));
}

#[tokio::test]
async fn revision_on_a_cut_history_is_rebased() {
    let world = World::with_agent(WAITING_AGENT).await;
    ["b", "c"].iter().for_each(|file| drop(commit_file(&world, "main", file, "x\n")));
    let _desk = add_review(&world).await;
    let child = world.spawn(|command| {
        command.env("PULLYARD_CLONE_DEPTH", "2");
    });
    world.api.wait_for_text("waiting").await;
    let theirs = world.commit_on(BRANCH, "Quicker");
    std::fs::write(world.outside_path("go"), "").unwrap();
    let ran = wait_for_exit(child).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    assert_eq!(parent(&world, &world.branch_head(BRANCH).unwrap()), theirs);
    let mirrors = std::fs::read_dir(world.work_dir().join("mirrors")).unwrap();
    let is_cut = mirrors.flatten().any(|mirror| mirror.path().join("shallow").exists());
    assert!(is_cut, "the rest of the history was loaded");
}

#[tokio::test]
async fn killed_rebase_is_repeated() {
    let (world, _) = world_under_review(WAITING_AGENT).await;
    let once = world.outside_path("once").display().to_string();
    let path = path_with_git_script(&world, |git| {
        format!(
            "if [ \"$1\" = merge-tree ] && [ ! -e '{once}' ]; then touch '{once}'; exit 137; fi\nexec '{git}' \"$@\""
        )
    });
    let runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    world.api.wait_for_text("waiting").await;
    let theirs = commit_file(&world, BRANCH, "theirs.txt", "theirs\n");
    std::fs::write(world.outside_path("go"), "").unwrap();
    let ran = wait_for_exit(runner).await;
    assert!(std::fs::exists(once).unwrap(), "{}", ran.log);
    let head = world.api.only_finish().result.unwrap_or_else(|| panic!("{}", ran.log)).head;
    assert_eq!(parent(&world, &head), theirs);
}

#[tokio::test]
async fn revision_is_appended_to_a_rewritten_branch() {
    let (world, _) = world_under_review(WAITING_AGENT).await;
    let rewrite = async || {
        world.git_line(&["update-ref", "refs/heads/feature", &world.branch_head("main").unwrap()]);
        commit_file(&world, BRANCH, "rewritten.txt", "new\n")
    };
    let theirs = world.run_with_change(rewrite).await;
    let head = world.api.only_finish().result.unwrap().head;
    assert_eq!(parent(&world, &head), theirs);
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{head}")]), "2");
}

#[tokio::test]
async fn conflicting_revision_fails_without_a_push() {
    let (world, _) = world_under_review(WAITING_AGENT).await;
    let theirs = world.run_with_change(async || commit_file(&world, BRANCH, "greeting.txt", "goodbye\n")).await;
    let failure = world.api.only_finish().failure.unwrap();
    assert_eq!(failure.sentence(), "The work conflicts with `feature` in 1 files.");
    assert_eq!(world.branch_head(BRANCH), Some(theirs));
}

#[tokio::test]
async fn branch_that_keeps_moving_is_not_pushed() {
    let (world, _) = world_under_review(GREETING_AGENT).await;
    // A stranger pushes each time between our fetch and our push.
    let script = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
        export GIT_AUTHOR_NAME=S GIT_AUTHOR_EMAIL=s@example.com GIT_COMMITTER_NAME=S GIT_COMMITTER_EMAIL=s@example.com\n\
        git update-ref refs/heads/feature $(git commit-tree feature^{tree} -p feature -m Quicker)";
    install_hook(&world, "pre-receive", script);
    assert_eq!(world.fails().await, "head_moved");
    let log = world.git_line(&["log", "--format=%s", "main..feature"]);
    assert_eq!(log, "Quicker\nQuicker\nEarlier work");
}

#[tokio::test]
async fn deleted_branch_fails_as_branch_deleted() {
    let (world, _) = world_under_review(WAITING_AGENT).await;
    world.run_with_change(async || world.git_line(&["update-ref", "-d", "refs/heads/feature"])).await;
    assert_eq!(world.api.failure_code(), "branch_deleted");
    assert_eq!(world.branch_head(BRANCH), None);
}

#[tokio::test]
async fn second_attempt_adopts_the_commit_also_below_later_ones() {
    for pushed_on_top in [false, true] {
        let (world, _) = world_under_review("exit 1").await;
        let job = world.api.assignment().job;
        let ours = world.commit_on(BRANCH, &format!("Revise it\n\nPullyard-Job: {job}/1"));
        if pushed_on_top {
            world.commit_on(BRANCH, "On top");
        }
        world.api.change_assignment(|job| job.attempt = 2);
        let finish = world.completes().await;
        assert_eq!(Some(finish.result.unwrap().head), world.branch_head(BRANCH));
        assert_eq!(pushed_on_top, world.branch_head(BRANCH) != Some(ours));
    }
}

#[tokio::test]
async fn commit_of_another_job_is_not_adopted() {
    let (world, _) = world_under_review(GREETING_AGENT).await;
    let other = world.commit_on(BRANCH, &format!("Revise it\n\nPullyard-Job: job_{}/1", "x".repeat(26)));
    let head = world.completes().await.result.unwrap().head;
    assert_eq!(parent(&world, &head), other);
}

#[tokio::test]
async fn unusable_pull_request_fails_before_the_agent_starts() {
    type Change = fn(&mut ReviewState);
    let cases: [(Change, &str, &str); 4] = [
        (|desk| desk.closed = true, "pull_request_closed", "acme/app#3 was closed before the work started."),
        (|desk| desk.merged = true, "pull_request_closed", "acme/app#3 was merged before the work started."),
        (
            |desk| desk.head_repository = Value::Null,
            "branch_deleted",
            "The branch `feature` was deleted during the job.",
        ),
        // A fork may have a branch of the same name.
        (
            |desk| desk.head_repository = json!({ "id": 10 }),
            "push_rejected",
            "The local forge rejected the push: the branch of the pull request is in another…",
        ),
    ];
    for (change, code, sentence) in cases {
        let (world, desk) = world_under_review("exit 1").await;
        let before = world.branch_head(BRANCH);
        change(&mut desk.state());
        let failure = world.failure().await;
        assert_eq!(failure.code(), code);
        assert!(failure.sentence().starts_with(sentence.trim_end_matches('…')), "{}", failure.sentence());
        assert_eq!((world.api.statuses(), world.branch_head(BRANCH)), (vec!["preparing".to_owned()], before));
        assert!(desk.state().requested_reviewers.is_empty() && desk.replies(12).is_empty());
    }
}

#[tokio::test]
async fn renamed_branch_is_revised_under_its_new_name() {
    let (world, desk) = world_under_review(GREETING_AGENT).await;
    world.git_line(&["branch", "-m", BRANCH, "renamed"]);
    desk.state().branch = "renamed".into();
    let result = world.completes().await.result.unwrap();
    assert_eq!((result.branch.as_str(), Some(result.head)), ("renamed", world.branch_head("renamed")));
    assert_eq!(world.branch_head(BRANCH), None);
}

pub(crate) fn text_outside_fences(prompt: &str) -> String {
    let mut open = 0;
    let mut lines = Vec::new();
    for line in prompt.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match open {
            0 if ticks >= 3 => open = ticks,
            0 => lines.push(line),
            _ if ticks >= open && line.trim_end().len() == ticks => open = 0,
            _ => {}
        }
    }
    lines.join("\n")
}
