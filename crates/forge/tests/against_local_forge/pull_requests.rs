//! Creating, finding and refusing pull requests.

use std::{collections::BTreeSet, time::Duration};

use crate::prelude::*;
use pullyard_forge::{Error, NewPullRequest, PullRequestState};
use tokio::task::JoinSet;

use crate::world::{self, TOKEN, World, new_pull_request};

async fn call(world: &World, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/repos/{REPOSITORY}/{path}", world.demo.api_url());
    let request = http().request(method, url).bearer_auth(TOKEN);
    let answer = request.body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn check_refused(world: &World, new: NewPullRequest, expected: &str) {
    check_error(world, new, Error::Refused { reason: expected.to_owned() }).await;
}

async fn check_not_visible(world: &World, new: NewPullRequest, expected: &str) {
    check_error(world, new, Error::NotVisibleYet { reason: expected.to_owned() }).await;
}

async fn check_error(world: &World, new: NewPullRequest, expected: Error) {
    for outcome in [
        world.forge().create_pull_request(REPOSITORY, &new).await,
        world.forge().find_or_create_pull_request(REPOSITORY, &new).await,
    ] {
        assert_eq!(outcome.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn pull_request_follows_the_head_of_its_branch() {
    let world = World::new().await;
    let forge = world.forge();
    assert_eq!(forge.open_pull_request(REPOSITORY, "feature/a").await.unwrap(), None);
    let sha = world.push_branch("feature/a").await;
    let created = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    assert_eq!(created.number, 1);
    assert_eq!(created.url, format!("{}/{REPOSITORY}/pull/1", world.demo.url()));
    assert_eq!((created.head_branch.as_str(), &created.head_sha), ("feature/a", &sha));
    assert_eq!((created.base_branch.as_str(), created.title.as_str()), ("main", "Add feature/a"));
    assert_eq!(created.state, PullRequestState::Open);
    assert_eq!(forge.open_pull_request(REPOSITORY, "feature/a").await.unwrap(), Some(created));

    let worktree = world.clone("again").await;
    assert_success(&worktree.git(&["checkout", "-q", "feature/a"]).await);
    worktree.commit("feature/a", "more.txt", b"more").await;
    assert_success(&worktree.git(&["push", "-q", "origin", "feature/a"]).await);
    let found = forge.open_pull_request(REPOSITORY, "feature/a").await.unwrap().unwrap();
    assert_eq!(found.head_sha, worktree.head().await);
    assert_ne!(found.head_sha, sha);
}

/// Opens a pull request for the pushed branch `feature/a` in 16 concurrent calls; all return number 1.
pub(crate) async fn check_concurrent_calls_open_one(client: impl Fn() -> Forge) {
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let forge = client();
        calls.spawn(async move {
            let new = new_pull_request("feature/a");
            forge.find_or_create_pull_request(REPOSITORY, &new).await.unwrap().number
        });
    }
    let numbers: BTreeSet<u64> = calls.join_all().await.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from([1]));
}

#[tokio::test]
async fn sixteen_concurrent_calls_open_one_pull_request() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    check_concurrent_calls_open_one(|| world.forge()).await;
    let (_, all) = call(&world, reqwest::Method::GET, "pulls?state=all", Value::Null).await;
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refused_pull_requests_have_readable_reasons() {
    let world = World::new().await;
    let sha = world.push_branch("feature/a").await;
    let worktree = world.clone("empty").await;
    assert_success(&worktree.git(&["push", "-q", "origin", "HEAD:refs/heads/empty"]).await);

    check_refused(&world, new_pull_request("empty"), "no commits between main and empty").await;
    check_not_visible(&world, new_pull_request("none"), "head is invalid").await;
    check_not_visible(&world, new_pull_request("other:feature/a"), "head is invalid").await;
    let onto = |base: &str| NewPullRequest { base: base.to_owned(), ..new_pull_request("feature/a") };
    check_refused(&world, onto("none"), "base is invalid").await;
    let both = NewPullRequest { head: "no".to_owned(), ..onto("none") };
    check_not_visible(&world, both, "head is invalid; base is invalid").await;
    let titled = |title: &str| NewPullRequest { title: title.to_owned(), ..new_pull_request("feature/a") };
    check_refused(&world, titled(" "), "title is missing").await;
    let long = "title is too long (maximum is 256 characters)";
    check_refused(&world, titled(&"x".repeat(257)), long).await;
    let body = NewPullRequest { body: "ü".repeat(65_537), ..new_pull_request("feature/a") };
    check_refused(&world, body, "body is too long (maximum is 65536 characters)").await;

    // Refused requests consume no numbers.
    let forge = world.forge();
    let first = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    assert_eq!((first.number, first.head_sha), (1, sha));
    let again = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap_err();
    let reason = "a pull request already exists for acme:feature/a".to_owned();
    assert_eq!(again, Error::Refused { reason });
    let unknown = forge.create_pull_request("acme/none", &new_pull_request("feature/a")).await.unwrap_err();
    assert!(matches!(unknown, Error::NotFound { .. }));
}

#[tokio::test]
async fn closed_pull_request_keeps_its_head_and_allows_another() {
    let world = World::new().await;
    let forge = world.forge();
    let sha = world.push_branch("feature/a").await;
    forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    let patch = async |body| call(&world, reqwest::Method::PATCH, "pulls/1", body).await;
    let (_, changed) = patch(json!({"title": "New", "body": null})).await;
    assert_eq!((&changed["title"], &changed["body"]), (&json!("New"), &Value::Null));
    let (status, closed) = patch(json!({"state": "closed"})).await;
    assert_eq!((status, &closed["state"]), (200, &json!("closed")));
    assert!(closed["closed_at"].is_string() && closed["merged_at"].is_null());
    assert_eq!(call(&world, reqwest::Method::PATCH, "pulls/9", json!({})).await.0, 404);
    assert_eq!(forge.open_pull_request(REPOSITORY, "feature/a").await.unwrap(), None);

    let worktree = world.clone("again").await;
    assert_success(&worktree.git(&["checkout", "-q", "feature/a"]).await);
    worktree.commit("feature/a", "more.txt", b"more").await;
    assert_success(&worktree.git(&["push", "-q", "origin", "feature/a"]).await);
    let new = new_pull_request("feature/a");
    let second = forge.find_or_create_pull_request(REPOSITORY, &new).await.unwrap();
    assert_eq!((second.number, second.head_sha), (2, worktree.head().await));
    assert_eq!(patch(json!({"state": "open"})).await.0, 422, "the branch already has an open pull request");
    let (_, first) = call(&world, reqwest::Method::GET, "pulls/1", Value::Null).await;
    assert_eq!(first["head"]["sha"], json!(sha));
}

#[tokio::test]
async fn pull_request_lists_are_filtered_and_paged() {
    let world = World::new().await;
    let forge = world.forge();
    for branch in ["one", "two", "three"] {
        world.push_branch(branch).await;
        forge.create_pull_request(REPOSITORY, &new_pull_request(branch)).await.unwrap();
    }
    world.demo.advance(Duration::from_secs(1));
    call(&world, reqwest::Method::PATCH, "pulls/2", json!({"state": "closed"})).await;
    for (query, expected) in [
        ("", vec![3, 1]),
        ("?state=closed", vec![2]),
        ("?state=all", vec![3, 2, 1]),
        ("?state=all&sort=updated", vec![2, 3, 1]),
        ("?state=all&per_page=2", vec![3, 2]),
        ("?state=all&per_page=2&page=2", vec![1]),
        ("?state=all&page=99", vec![]),
        ("?head=acme:one", vec![1]),
        ("?head=acme:two", vec![]),
        ("?head=other:one", vec![]),
        // GitHub ignores a head filter without an owner.
        ("?head=one", vec![3, 1]),
    ] {
        let path = format!("pulls{query}");
        let (_, list) = call(&world, reqwest::Method::GET, &path, Value::Null).await;
        let numbers: Vec<u64> = list.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, expected, "{query}");
    }
}

#[tokio::test]
async fn restarted_forge_keeps_repositories_and_numbers() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    world.push_branch("feature/b").await;
    world.demo.set_next_number(REPOSITORY, 231).await.unwrap();
    let new = new_pull_request("feature/a");
    let first = world.forge().find_or_create_pull_request(REPOSITORY, &new).await.unwrap();
    assert_eq!(first.number, 231);
    world.demo.set_next_number(REPOSITORY, 1).await.unwrap();
    world.demo.shutdown().await;
    world.demo.shutdown().await;

    let again = world::start(&world.dir.path().join("forge")).await;
    assert_eq!(again.repository(REPOSITORY).await.unwrap().id, world.repository.id);
    let forge = world::forge_at(&again.api_url(), TOKEN);
    let found = forge.open_pull_request(REPOSITORY, "feature/a").await.unwrap().unwrap();
    assert_eq!((found.number, found.head_sha), (231, first.head_sha));
    let second = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("feature/b")).await.unwrap();
    assert_eq!(second.number, 232);
}

#[tokio::test]
async fn editing_text_changes_nothing_else() {
    let world = World::new().await;
    let forge = world.forge();
    world.push_branch("feature/a").await;
    let new =
        NewPullRequest { body: "Made through Pullyard.\r\n".to_owned(), draft: true, ..new_pull_request("feature/a") };
    let opened = forge.create_pull_request(REPOSITORY, &new).await.unwrap();
    let text = async || forge.pull_request_text(REPOSITORY, opened.number).await.unwrap();
    assert_eq!(text().await, new.body);
    let longer = "<!-- a line -->\n\nNew: \u{fc}\r\n";
    forge.edit_pull_request_text(REPOSITORY, opened.number, longer).await.unwrap();
    assert_eq!(text().await, longer);
    let now = forge.pull_request(REPOSITORY, opened.number).await.unwrap();
    assert_eq!((&now.title, now.draft, now.state), (&opened.title, true, PullRequestState::Open));
    assert_eq!(now.base_branch, opened.base_branch);

    let too_long = forge.edit_pull_request_text(REPOSITORY, opened.number, &"x".repeat(65_537)).await.unwrap_err();
    let reason = "body is too long (maximum is 65536 characters)".to_owned();
    assert_eq!((too_long, text().await.as_str()), (Error::Refused { reason }, longer));
    let absent = forge.edit_pull_request_text(REPOSITORY, 99, "x").await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
    assert!(matches!(forge.pull_request_text(REPOSITORY, 99).await, Err(Error::NotFound { .. })));
    call(&world, reqwest::Method::PATCH, "pulls/1", json!({ "body": null })).await;
    assert_eq!(text().await, "");
}
