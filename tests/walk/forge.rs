//! A forge for a walk: a copy of one folder each, so that no walk sees another's.

use super::step::From;
use super::world::{WEBHOOK, World};
use axum::http::StatusCode;
use pullyard_demo_forge::{DemoForge, Options, User};
use pullyard_fake_forge::{FakeForge, TestForge as _};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use tokio::net::TcpListener;

pub(super) const TOKEN: &str = "ghp_bot";
/// What stands in a snapshot for where the forge listens.
pub(super) const NOWHERE: &str = "http://forge.test";

/// The bot's own account.
fn users() -> Vec<User> {
    vec![User { login: "pullyard-bot".into(), id: 41, token: TOKEN.into() }]
}

/// A forge that goes on in `dir` with what `from` has.
pub(super) async fn start(from: &Path, dir: &Path) -> DemoForge {
    copy(from, dir).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    DemoForge::start(Options { dir: dir.to_owned(), listener, users: users(), extension: FakeForge::extension() })
        .await
        .unwrap()
}

pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// What people see there: every pull request that the walk knows of.
pub(super) async fn seen(world: &World) -> Option<Value> {
    let (forge, number) = (world.forge.as_ref()?, world.noted("number")?);
    let mut look = forge.look(crate::story::REPOSITORY, number.parse().unwrap()).await.unwrap()?;
    look.head.clear();
    let mut look = format!("{look:#?}");
    for url in [forge.url(), world.forge_url()?] {
        look = look.replace(&url, NOWHERE);
    }
    Some(look.lines().map(|line| without_commits(line.trim())).collect())
}

/// A commit's name has the time in it, also where it is told short.
fn without_commits(line: &str) -> String {
    let is_commit = |word: &str| word.len() == 7 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    let told = |word: &str| match is_commit(word.trim_end_matches(['.', ',', '"'])) {
        true => "<commit>".to_owned(),
        false => word.to_owned(),
    };
    line.split(' ').map(told).collect::<Vec<_>>().join(" ")
}

/// The forge calls this world's webhook, with the secret that the world knows.
pub(super) async fn calls(world: &World, hook: &str) {
    let url = format!("{}/webhooks/github/acme", world.inbox.url());
    let config = json!({ "url": url, "content_type": "json", "secret": crate::webhooks::SECRET });
    changes(world, &format!("/hooks/{hook}"), json!({ "config": config })).await;
}

/// The bot's own call of the forge's API, past the points.
pub(super) async fn asks(world: &World, path: &str, body: Value) -> Value {
    says(world, TOKEN, path, body).await
}

/// The bot changes something there, past the points.
pub(super) async fn changes(world: &World, path: &str, body: Value) {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.ground.http.patch(url).bearer_auth(TOKEN).body(body.to_string());
    call.send().await.unwrap().error_for_status().unwrap();
}

/// A POST by whose token this is.
pub(super) async fn says(world: &World, token: &str, path: &str, body: Value) -> Value {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.ground.http.post(url).bearer_auth(token).body(body.to_string());
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Somebody's call of Bitbucket's API about the repository, past the points. Null where it is answered with nothing.
pub(super) async fn on_bitbucket(world: &World, token: &str, method: Method, path: &str, body: Value) -> Value {
    let api = world.forge.as_ref().unwrap().bitbucket_api_url();
    let url = format!("{api}/repositories/{}{path}", crate::story::REPOSITORY);
    let mut call = world.ground.http.request(method, url).bearer_auth(token);
    if !body.is_null() {
        call = call.json(&body);
    }
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
}

/// What the forge told a hook just now, as it told it: but for its own address, which is another one in each world, and
/// for the signature, since that is of the whole.
pub(super) async fn heard(world: &World) -> Value {
    let call = world.message(WEBHOOK).await.expect("the forge told nobody");
    let From::Forge(number) = call.from else { panic!("it was not the forge") };
    world.inbox.answer(number, StatusCode::OK);
    let body = call.event["body"].as_str().unwrap().replace(&world.forge.as_ref().unwrap().url(), NOWHERE);
    let mut headers = call.event["headers"].clone();
    headers["x-hub-signature"] = crate::webhooks::signed(crate::webhooks::SECRET, body.as_bytes()).into();
    headers["content-length"] = body.len().to_string().into();
    json!({ "headers": headers, "body": body })
}
