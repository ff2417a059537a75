//! Merges, closes, reopens and redirects.

use std::process::Command;

use pullyard_local_forge::link;
use serde_json::{Value, json};

use crate::listener::{Listener, ReceivedDelivery};
use crate::world::{ANN, BOT, REPOSITORY, RON, Response, World, lines};

async fn with_hook() -> (World, Listener) {
    let (world, listener) = (World::new().await, Listener::start().await);
    let hook = json!({ "config": { "url": listener.url, "content_type": "json" }, "events": ["pull_request"] });
    assert_eq!(world.post(BOT, "hooks", hook).await.status, 201);
    world.forge.wait_for_deliveries().await;
    listener.take_received();
    (world, listener)
}

async fn head(world: &World) -> String {
    world.get(BOT, "pulls/1").await.body["head"]["sha"].as_str().unwrap().to_owned()
}

async fn merge(world: &World, user: &str) -> Response {
    world.put(user, "pulls/1/merge", json!({ "sha": head(world).await })).await
}

async fn set_state(world: &World, state: &str) -> Response {
    world.patch(ANN, "pulls/1", json!({ "state": state })).await
}

async fn received(world: &World, listener: &Listener) -> Vec<String> {
    world.forge.wait_for_deliveries().await;
    listener.take_received().iter().map(ReceivedDelivery::event).collect()
}

fn check_refusal(answer: &Response, status: u16, sentence: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.errors().contains(sentence), "{sentence}: {}", answer.errors());
}

#[tokio::test]
async fn merge_is_done_once_and_sends_the_webhook() {
    let (world, listener) = with_hook().await;
    assert_eq!(merge(&world, RON).await.status, 403, "a reader can't merge");
    assert_eq!(merge(&world, ANN).await.status, 200);
    assert_eq!(received(&world, &listener).await, ["pull_request closed"]);
    assert_eq!(world.get(BOT, "pulls/1").await.body["merged"], json!(true));
    check_refusal(&merge(&world, ANN).await, 405, "Pull request #1 is already merged.");
    check_refusal(&set_state(&world, "open").await, 422, "The pull request has been merged.");
    assert_eq!(received(&world, &listener).await, [""; 0]);
}

#[tokio::test]
async fn closed_pull_request_merges_after_it_is_reopened() {
    let (world, listener) = with_hook().await;
    assert_eq!(set_state(&world, "closed").await.status, 200);
    check_refusal(&merge(&world, ANN).await, 405, "Pull request #1 is closed: reopen it, then merge.");
    assert_eq!(set_state(&world, "open").await.status, 200);
    assert_eq!(received(&world, &listener).await, ["pull_request closed", "pull_request reopened"]);
    assert_eq!(merge(&world, ANN).await.status, 200);
}

#[tokio::test]
async fn closed_pull_request_is_shown_without_its_pruned_commits() {
    let world = World::new().await;
    assert_eq!(world.get(BOT, "pulls/1").await.body["commits"], json!(1));
    assert!(world.get_diff(BOT, 1).await.body.as_str().unwrap().contains("+changed"));
    assert_eq!(set_state(&world, "closed").await.status, 200);
    let git_dir = world.dir.path().join("forge").join(format!("{REPOSITORY}.git"));
    for args in [&["branch", "--quiet", "-D", "job"][..], &["reflog", "expire", "--expire=now", "--all"], &["prune"]] {
        let status = Command::new("git").arg("--git-dir").arg(&git_dir).args(args).status().unwrap();
        assert!(status.success(), "{args:?}");
    }
    let shown = world.get(BOT, "pulls/1").await;
    assert_eq!((shown.status, &shown.body["title"], &shown.body["commits"]), (200, &json!("Change it"), &Value::Null));
    check_refusal(&world.get_diff(BOT, 1).await, 406, "Its commits were deleted from the repository.");
}

#[tokio::test]
async fn merge_refuses_new_commits_and_conflicts() {
    let world = World::new().await;
    let old = json!({ "sha": head(&world).await });
    world.push(&[(10, "again")]).await;
    let answer = world.put(ANN, "pulls/1/merge", old).await;
    check_refusal(&answer, 409, "A branch has new commits: look at the changes again, then merge.");
    world.forge.commit(REPOSITORY, "main", ANN, &[("change.txt", &lines(&[(10, "other")]), false)]).await.unwrap();
    check_refusal(
        &merge(&world, ANN).await,
        405,
        "The branch job conflicts with main: merge main into it and push it.",
    );
    assert_eq!(world.get(BOT, "pulls/1").await.body["state"], json!("open"));
}

#[tokio::test]
async fn merge_updates_a_linked_folder_without_changes() {
    let world = World::new().await;
    let own = world.dir.path().join("own");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&own).args(["-c", "user.name=A", "-c", "user.email=a@localhost"]).args(args);
        assert!(command.env("GIT_CONFIG_GLOBAL", "/dev/null").status().unwrap().success(), "{args:?}");
    };
    std::fs::create_dir_all(&own).unwrap();
    git(&["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(own.join("agent.sh"), "#!/bin/sh\n").unwrap();
    // The commit has a mode that the file in the folder does not have.
    git(&["add", "--chmod=+x", "agent.sh"]);
    git(&["commit", "--quiet", "--message=Start"]);
    link(&world.dir.path().join("forge"), "local/own", &own).unwrap();
    world.forge.commit("local/own", "job", BOT, &[("a.txt", "a\n", false)]).await.unwrap();
    let new = json!({ "title": "Change it", "head": "job", "base": "main" });
    let sha = world.post(BOT, "/repos/local/own/pulls", new).await.body["head"]["sha"].clone();
    let merge = async |number: u64, sha: &Value| {
        world.put(BOT, &format!("/repos/local/own/pulls/{number}/merge"), json!({ "sha": sha })).await
    };
    std::fs::write(own.join("a.txt"), "mine\n").unwrap();
    let sentence =
        "The repository's folder has changes that are in no commit: commit or remove them, then merge again.";
    check_refusal(&merge(1, &sha).await, 405, sentence);
    assert_eq!(std::fs::read_to_string(own.join("a.txt")).unwrap(), "mine\n");
    std::fs::remove_file(own.join("a.txt")).unwrap();
    // A branch that cannot be moved has no files of the merge.
    let lock = own.join(".git/refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    check_refusal(&merge(1, &sha).await, 409, "A branch has new commits");
    assert!(!own.join("a.txt").exists(), "the files of the merge remain");
    git(&["-c", "core.fileMode=false", "diff", "--quiet", "HEAD"]);
    std::fs::remove_file(lock).unwrap();
    assert_eq!(merge(1, &sha).await.status, 200);
    assert_eq!(world.get(BOT, "/repos/local/own/pulls/1").await.body["merged"], json!(true));
    assert_eq!(std::fs::read_to_string(own.join("a.txt")).unwrap(), "a\n");
    git(&["-c", "core.fileMode=false", "diff", "--quiet", "HEAD"]);

    // The user merged with git.
    world.forge.commit("local/own", "next", BOT, &[("b.txt", "b\n", false)]).await.unwrap();
    let new = json!({ "title": "Add b", "head": "next", "base": "main" });
    let sha = world.post(BOT, "/repos/local/own/pulls", new).await.body["head"]["sha"].clone();
    git(&["merge", "--quiet", "next"]);
    assert_eq!(merge(2, &sha).await.status, 200);

    // An earlier merge crashed between the files and the branch.
    world.forge.commit("local/own", "last", BOT, &[("c.txt", "c\n", false)]).await.unwrap();
    let new = json!({ "title": "Add c", "head": "last", "base": "main" });
    let sha = world.post(BOT, "/repos/local/own/pulls", new).await.body["head"]["sha"].clone();
    git(&["read-tree", "-m", "-u", "main", "last"]);
    // These files can also be the user's own merge, so a branch that cannot be moved does not change them.
    let lock = own.join(".git/refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    check_refusal(&merge(3, &sha).await, 409, "A branch has new commits");
    assert_eq!(std::fs::read_to_string(own.join("c.txt")).unwrap(), "c\n");
    std::fs::remove_file(lock).unwrap();
    assert_eq!(merge(3, &sha).await.status, 200);
    git(&["-c", "core.fileMode=false", "diff", "--quiet", "HEAD"]);
}

#[tokio::test]
async fn address_of_a_pull_request_leads_to_its_page() {
    let world = World::new().await;
    let id = world.get(BOT, "/repos/acme/app").await.body["id"].clone();
    for (path, expected) in [
        ("acme/app/pull/1", (303, format!("http://pages.test/pulls/local/{id}/1"))),
        ("acme/none/pull/1", (404, String::new())),
        ("acme/app/pull/1.diff", (404, String::new())),
    ] {
        assert_eq!(world.follow_once(path).await, expected, "{path}");
    }
}
