//! Tests that a pull request has only the agent's changes, and names excluded and doubtful files.

use crate::prelude::*;
use crate::protected::run_in_repository;
use crate::world::World;

fn changed_files(world: &World) -> String {
    world.git_line(&["diff", "--name-status", "main", BRANCH])
}

async fn body(world: &World) -> String {
    pull_request(world).await["body"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn untouched_files_with_old_line_endings_are_not_committed() {
    let files = [
        (".gitattributes", "*.txt text\n*.bat text eol=crlf\n*.c ident\n", false),
        ("a.txt", "a\r\nb\r\n", false),
        ("b.bat", "a\nb\r\n", false),
        ("c.c", "$Id: old$\n", false),
    ];
    let touch = "touch a.txt b.bat c.c";
    let world = run_in_repository("acme/idle", &files, touch).await;
    assert_eq!((world.api.failure_code(), world.branch_head(BRANCH)), ("no_changes", None));
    let world = run_in_repository("acme/busy", &files, &format!("{touch}; echo hello > greeting.txt")).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(changed_files(&world), "A\tgreeting.txt");
}

#[tokio::test]
async fn refused_names_and_ignored_files_are_named() {
    let agent =
        "echo hello > greeting.txt; mkdir -p x/.git. .GIT; echo a > x/.git./c; echo b > .GIT/d; echo c > 'git~1'
                 echo d > note.log";
    let world = run_in_repository("acme/names", &[(".gitignore", "*.log\n", false)], agent).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(changed_files(&world), "A\tgreeting.txt");
    let groups = ["names that git refuses: `.GIT`, `git~1`, `x/.git.`", "ignored by git: `note.log`"];
    let message = format!("Left out of the commit: {}.", groups.join("; "));
    assert!(world.api.event_texts().contains(&message), "{}", world.api.event_texts());
    let body = body(&world).await;
    let list = format!("## Left out\n\nThese paths are not in the commit:\n\n- {}\n- {}\n", groups[0], groups[1]);
    assert!(body.contains(&list), "{body}");
}

#[tokio::test]
async fn work_only_in_ignored_files_names_them_in_the_failure() {
    let files = [(".gitignore", "*.log\n", false)];
    let world = run_in_repository("acme/ignored", &files, "echo d > note.log").await;
    let failure = world.api.only_finish().failure.unwrap();
    let sentence = "The agent finished without changing a file: \"ignored by git: `note.log`\".";
    assert_eq!((failure.code(), failure.sentence().as_str()), ("no_changes", sentence));
}

#[tokio::test]
async fn undone_commits_are_named_in_the_pull_request() {
    let world = World::with_agent("git checkout -q HEAD~1 || exit 9; echo hello > greeting.txt").await;
    commit_file(&world, "main", "later.txt", "later\n");
    world.completes().await;
    let warning =
        "The agent left an older commit checked out: this change undoes a commit of the branch in `later.txt`.";
    assert!(world.api.event_texts().contains(warning), "{}", world.api.event_texts());
    let body = body(&world).await;
    assert!(body.contains(&format!("## Warnings\n\n- {warning}\n")), "{body}");
}
