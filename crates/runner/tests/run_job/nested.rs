//! Tests repositories that an agent leaves inside its worktree. Copies of repositories stay out of the commit and are
//! named; new repositories are committed as files.

use crate::prelude::*;
use crate::protected::run_in_repository;
use crate::world::World;

fn changed_files(world: &World) -> String {
    world.git_line(&["diff", "--name-status", "main", BRANCH])
}

#[tokio::test]
async fn worktrees_clones_and_submodules_are_left_out_and_named() {
    let world = World::with_agent(
        "git worktree add -q deep/sub/tree 2>&1 || exit 9; echo work > deep/sub/tree/work.txt
         git clone -q . 'a copy' || exit 9; git clone -q . 'a copy/in it' || exit 9
         mkdir -p .git/modules && git clone -q --separate-git-dir=.git/modules/lib . lib || exit 9
         git clone -q --separate-git-dir=@DIR@/apart . apart || exit 9
         git init -q begun; echo mine > begun/mine.txt
         git init -q --separate-git-dir=@DIR@/own own; echo mine > own/mine.txt
         echo hello > greeting.txt",
    )
    .await;
    world.completes().await;
    assert_eq!(changed_files(&world), "A\tbegun/mine.txt\nA\tgreeting.txt");
    assert!(!world.git_line(&["ls-tree", "-r", BRANCH]).contains("160000"), "a gitlink");
    let trees = ["apart", "deep/sub/tree", "lib", "own"].map(|folder| format!("`{folder}`, another working tree"));
    let folders = [&["`a copy`, a clone".to_owned()][..], &trees].concat();
    let message = format!("Left out of the commit because they are separate repositories: {}.", folders.join("; "));
    assert!(world.api.event_texts().contains(&message), "{}", world.api.event_texts());
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    let list: String = folders.iter().map(|folder| format!("- {folder}\n")).collect();
    assert!(body.contains("## Left out\n\n") && body.contains(&list), "{body}");
    assert!(!body.contains("begun"), "{body}");
}

#[tokio::test]
async fn work_only_in_another_worktree_fails_with_no_changes() {
    let files = [(".gitignore", ".worktrees/\n", false)];
    for folder in ["sub", ".worktrees/one"] {
        let agent = format!("git worktree add -q {folder} 2>&1 || exit 9; echo work > {folder}/work.txt");
        let world = run_in_repository("acme/trees", &files, &agent).await;
        assert_eq!((world.api.failure_code(), world.branch_head(BRANCH)), ("no_changes", None), "{folder}");
        assert!(
            world.api.event_texts().contains(&format!("`{folder}`, another working tree.")),
            "{}",
            world.api.event_texts()
        );
    }
}

#[tokio::test]
async fn nested_repositories_survive_a_repair() {
    let agent = "cat > /dev/null; echo hello > greeting.txt
         if [ -e 'deep/a [b]' ]; then
           git -C 'deep/a [b]' status --porcelain | grep -q work.txt || exit 8
           cp 'deep/a [b]/work.txt' work.txt
         else
           git worktree add -q --detach 'deep/a [b]' 2>&1 || exit 9; echo work > 'deep/a [b]/work.txt'
         fi";
    // The check's own file is removed before the repair.
    let check = "[ -e work.txt ] && [ ! -e deep/left.txt ] || { echo left > deep/left.txt; exit 4; }";
    let world = with_checks(agent, &[check], |all| all.checks.repair = true).await;
    world.completes().await;
    assert_eq!(changed_files(&world), "A\tgreeting.txt\nA\twork.txt");
    assert_eq!(world.file_at(BRANCH, "work.txt").as_deref(), Some("work\n"));
    assert_eq!(world.api.event_texts().matches("Left out of the commit").count(), 1, "{}", world.api.event_texts());
}

#[tokio::test]
async fn clone_over_tracked_files_updates_them() {
    let agent = "new=\"$TMPDIR/new\"; git init -q \"$new\"; echo new > \"$new/a.txt\"; git -C \"$new\" add a.txt
         git -C \"$new\" -c user.name=x -c user.email=x@example.com commit -qm x || exit 9
         rm -r vendor/lib; git clone -q \"$new\" vendor/lib || exit 9";
    let world = run_in_repository("acme/vendor", &[("vendor/lib/a.txt", "old\n", false)], agent).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(changed_files(&world), "M\tvendor/lib/a.txt");
    assert!(!world.api.event_texts().contains("Left out"), "{}", world.api.event_texts());
}

#[tokio::test]
async fn nested_git_file_over_tracked_files_is_committed_as_work() {
    // A `.git` file among tracked files that claims to be another worktree.
    let agent = "echo 'gitdir: /nowhere/worktrees/x' > tests/.git; echo new > tests/a.sh";
    let world = run_in_repository("acme/tests", &[("tests/a.sh", "old\n", false)], agent).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?}", world.api.only_finish());
    assert_eq!(changed_files(&world), "M\ttests/a.sh");
    assert!(!world.api.event_texts().contains("Left out"), "{}", world.api.event_texts());
}

#[tokio::test]
async fn branch_checked_out_elsewhere_does_not_block_later_jobs() {
    // In the agent's repository, the runner's, and the machine's shared mirror.
    let world = World::with_agent(
        "rm -rf @DIR@/trees; mkdir @DIR@/trees; git worktree add -q @DIR@/trees/own 2>&1 || exit 9
         mirror=$(head -n 1 .git/objects/info/alternates)/..
         git --git-dir=\"$mirror\" worktree add -q @DIR@/trees/mirror main 2>&1 || exit 9
         git --git-dir=../git worktree add -q --detach @DIR@/trees/ours 2>&1 || exit 9
         cat .git/refs/remotes/origin/main >> @DIR@/bases; echo hello > greeting.txt",
    )
    .await;
    world.completes().await;
    let older = world.git_line(&["rev-parse", &format!("{BRANCH}^")]);
    let newer = world.commit_on("main", "Meanwhile");
    world.git_line(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    world.api.change_assignment(|job| job.attempt = 2);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let bases = std::fs::read_to_string(world.outside_path("bases")).unwrap();
    assert_eq!(bases.lines().collect::<Vec<_>>(), [older.as_str(), newer.as_str()]);
    assert_eq!(world.git_line(&["rev-parse", &format!("{BRANCH}^")]), newer);
}
