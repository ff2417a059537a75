//! A forge for a walk: a copy of one folder each, so that no walk sees another's.

use pullyard_demo_forge::{DemoForge, Options, User};
use serde_json::json;
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
    DemoForge::start(Options { dir: dir.to_owned(), listener, users: users() }).await.unwrap()
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
pub(super) async fn seen(world: &super::world::World) -> Option<serde_json::Value> {
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
pub(super) async fn calls(world: &super::world::World, hook: &str) {
    let url = format!("{}/webhooks/github/acme", world.inbox.url());
    let config = json!({ "url": url, "content_type": "json", "secret": crate::webhooks::SECRET });
    changes(world, &format!("/hooks/{hook}"), json!({ "config": config })).await;
}

/// The bot's own call of the forge's API, past the points.
pub(super) async fn asks(world: &super::world::World, path: &str, body: serde_json::Value) -> serde_json::Value {
    says(world, TOKEN, path, body).await
}

/// The bot changes something there, past the points.
pub(super) async fn changes(world: &super::world::World, path: &str, body: serde_json::Value) {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.ground.http.patch(url).bearer_auth(TOKEN).body(body.to_string());
    call.send().await.unwrap().error_for_status().unwrap();
}

/// A POST by whose token this is.
pub(super) async fn says(
    world: &super::world::World,
    token: &str,
    path: &str,
    body: serde_json::Value,
) -> serde_json::Value {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.ground.http.post(url).bearer_auth(token).body(body.to_string());
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}
