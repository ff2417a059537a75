//! The form that merges, closes and reopens a pull request, and the protection of the page's forms.

use std::process::Command;

use pullyard_demo_forge::link;
use serde_json::json;

use crate::listener::{Listener, ReceivedDelivery};
use crate::world::{ANN, BOT, REPOSITORY, World, lines};

const SAME_ORIGIN: &[(&str, &str)] = &[("sec-fetch-site", "same-origin")];

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

async fn set_state(world: &World, user: &str, state: &str) -> (u16, String) {
    let body = format!("user={user}&state={state}&sha={}", head(world).await);
    let answer = world.submit("state", &body, SAME_ORIGIN).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn received(world: &World, listener: &Listener) -> Vec<String> {
    world.forge.wait_for_deliveries().await;
    listener.take_received().iter().map(ReceivedDelivery::event).collect()
}

fn check_problem(answer: &(u16, String), sentence: &str) {
    assert_eq!(answer.0, 409);
    let expected = format!("role=\"alert\">{sentence}</p>");
    assert!(answer.1.contains(&expected), "{sentence}: {}", answer.1);
}

#[tokio::test]
async fn merge_form_merges_once_and_sends_the_webhook() {
    let (world, listener) = with_hook().await;
    assert_eq!(set_state(&world, "ron", "merged").await.0, 404, "a reader can't merge");
    assert_eq!(set_state(&world, ANN, "merged").await.0, 303);
    assert_eq!(received(&world, &listener).await, ["pull_request closed"]);
    assert_eq!(world.get(BOT, "pulls/1").await.body["merged"], json!(true));
    for state in ["merged", "closed"] {
        let again = set_state(&world, ANN, state).await;
        check_problem(&again, "Pull request #1 is already merged.");
        assert!(again.1.contains("Merged by <b>ann</b>") && !again.1.contains("value=\"merged\""), "{}", again.1);
    }
    check_problem(&set_state(&world, ANN, "open").await, "The pull request has been merged.");
    assert_eq!(received(&world, &listener).await, [""; 0]);
}

#[tokio::test]
async fn form_closes_and_reopens_with_webhooks() {
    let (world, listener) = with_hook().await;
    assert_eq!(set_state(&world, ANN, "closed").await.0, 303);
    check_problem(&set_state(&world, ANN, "merged").await, "Pull request #1 is closed: reopen it, then merge.");
    assert_eq!(set_state(&world, ANN, "open").await.0, 303);
    assert_eq!(received(&world, &listener).await, ["pull_request closed", "pull_request reopened"]);
    assert_eq!(world.get(BOT, "pulls/1").await.body["state"], json!("open"));
}

#[tokio::test]
async fn merge_form_refuses_new_commits_and_conflicts() {
    let world = World::new().await;
    let old = format!("user=ann&state=merged&sha={}", head(&world).await);
    world.push(&[(10, "again")]).await;
    let answer = world.submit("state", &old, SAME_ORIGIN).await;
    let answer = (answer.status().as_u16(), answer.text().await.unwrap());
    check_problem(&answer, "A branch has new commits: look at the changes again, then merge.");
    world.forge.commit(REPOSITORY, "main", ANN, &[("change.txt", &lines(&[(10, "other")]), false)]).await.unwrap();
    check_problem(&set_state(&world, ANN, "merged").await, "job conflicts with main: merge main into job and push it.");
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
    git(&["commit", "--quiet", "--allow-empty", "--message=Start"]);
    link(&world.dir.path().join("forge"), "local/own", &own).unwrap();
    world.forge.commit("local/own", "job", BOT, &[("a.txt", "a\n", false)]).await.unwrap();
    let new = json!({ "title": "Change it", "head": "job", "base": "main" });
    let sha = world.post(BOT, "/repos/local/own/pulls", new).await.body["head"]["sha"].clone();
    let body = format!("user={BOT}&state=merged&sha={}", sha.as_str().unwrap());
    std::fs::write(own.join("a.txt"), "mine\n").unwrap();
    let form = "/local/own/pull/1/state";
    let answer = world.submit(form, &body, SAME_ORIGIN).await;
    let answer = (answer.status().as_u16(), answer.text().await.unwrap());
    let sentence =
        "The folder of local/own has changes that are in no commit: commit or remove them, then press Merge again.";
    check_problem(&answer, sentence);
    assert_eq!(std::fs::read_to_string(own.join("a.txt")).unwrap(), "mine\n");
    std::fs::remove_file(own.join("a.txt")).unwrap();
    assert_eq!(world.submit(form, &body, SAME_ORIGIN).await.status().as_u16(), 303);
    assert_eq!(world.get(BOT, "/repos/local/own/pulls/1").await.body["merged"], json!(true));
    assert_eq!(std::fs::read_to_string(own.join("a.txt")).unwrap(), "a\n");
    git(&["diff", "--quiet", "HEAD"]);

    // The user merged with git.
    world.forge.commit("local/own", "next", BOT, &[("b.txt", "b\n", false)]).await.unwrap();
    let new = json!({ "title": "Add b", "head": "next", "base": "main" });
    let sha = world.post(BOT, "/repos/local/own/pulls", new).await.body["head"]["sha"].clone();
    git(&["merge", "--quiet", "next"]);
    let body = format!("user={BOT}&state=merged&sha={}", sha.as_str().unwrap());
    assert_eq!(world.submit("/local/own/pull/2/state", &body, SAME_ORIGIN).await.status().as_u16(), 303);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let world = World::new().await;
    let body = format!("user=ann&state=merged&sha={}", head(&world).await);
    let url = world.forge.url();
    for headers in [
        &[][..],
        &[("origin", "http://elsewhere")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", url.as_str()), ("sec-fetch-site", "cross-site")],
        &[("host", "elsewhere:80"), ("sec-fetch-site", "same-origin")],
    ] {
        for form in ["state", "reviews"] {
            let answer = world.submit(form, &body, headers).await;
            assert_eq!(answer.status().as_u16(), 403, "{form} {headers:?}");
        }
    }
    assert_eq!(world.get(BOT, "pulls/1").await.body["state"], json!("open"));
    let own = world.submit("state", &body, &[("origin", &url)]).await;
    let policy = own.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("style-src 'self'; form-action 'self'"), "{policy}");
    assert_eq!(own.status().as_u16(), 303);
}
