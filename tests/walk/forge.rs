//! The forge of a walk: each walk works on its own copy of one folder.

use super::step::From;
use super::world::{WEBHOOK, World};
use crate::prelude::*;
use pullyard_fake_forge::FakeForge;
use pullyard_local_forge::{LocalForge, Options, User};

pub(super) const TOKEN: &str = "ghp_bot";
pub(super) const FORGE_PLACEHOLDER: &str = "http://forge.test";

fn users() -> Vec<User> {
    vec![User { login: "pullyard-bot".into(), id: 41, token: TOKEN.into() }]
}

pub(super) async fn start(from: &Path, dir: &Path) -> LocalForge {
    copy(from, dir).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    LocalForge::start(Options {
        dir: dir.to_owned(),
        listener,
        users: users(),
        pages: None,
        extension: FakeForge::extension(),
    })
    .await
    .unwrap()
}

/// Copies a forge's folder, except for git objects, which are read from the original.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    if from.ends_with("objects") {
        std::fs::create_dir(to.join("info"))?;
        return std::fs::write(to.join("info/alternates"), from.to_str().unwrap());
    }
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

/// Makes the user's own tool answer 503, or answer again.
pub(super) async fn set_tool_away(world: &World, method: Method) {
    let url = format!("{}/tool/away", world.forge.as_ref().unwrap().url());
    world.clients.http.request(method, url).send().await.unwrap().error_for_status().unwrap();
}

/// The tickets of the user's own tool, which the forge's server contains.
pub(super) async fn tool_view(world: &World) -> Option<Value> {
    let url = format!("{}/tool", world.forge.as_ref()?.url());
    let tickets: Value = world.clients.http.get(url).send().await.unwrap().json().await.unwrap();
    tickets.as_object().is_some_and(|tickets| !tickets.is_empty()).then_some(tickets)
}

pub(super) async fn pull_request_view(world: &World) -> Option<Value> {
    let (forge, number) = (world.forge.as_ref()?, world.note_value("number")?);
    let mut look = forge.pull_snapshot(crate::story::REPOSITORY, number.parse().unwrap()).await.unwrap()?;
    look.head.clear();
    let mut look = format!("{look:#?}");
    for url in [forge.url(), world.forge_url()?] {
        look = look.replace(&url, FORGE_PLACEHOLDER);
    }
    Some(look.lines().map(|line| mask_commits(line.trim())).collect())
}

/// Replaces commit ids, also short ones, because they depend on the time.
fn mask_commits(line: &str) -> String {
    let is_commit = |word: &str| word.len() == 7 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    let mask = |word: &str| match is_commit(word.trim_end_matches(['.', ',', '"'])) {
        true => "<commit>".to_owned(),
        false => word.to_owned(),
    };
    line.split(' ').map(mask).collect::<Vec<_>>().join(" ")
}

pub(super) async fn redirect_hook(world: &World, hook: &str) {
    let url = format!("{}/webhooks/github/acme", world.inbox.url());
    let config = json!({ "url": url, "content_type": "json", "secret": crate::webhooks::SECRET });
    patch_as_bot(world, &format!("/hooks/{hook}"), json!({ "config": config })).await;
}

pub(super) async fn post_as_bot(world: &World, path: &str, body: Value) -> Value {
    post_as(world, TOKEN, path, body).await
}

pub(super) async fn patch_as_bot(world: &World, path: &str, body: Value) {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.clients.http.patch(url).bearer_auth(TOKEN).body(body.to_string());
    call.send().await.unwrap().error_for_status().unwrap();
}

pub(super) async fn post_as(world: &World, token: &str, path: &str, body: Value) -> Value {
    let url = format!("{}/repos/{}{path}", world.forge.as_ref().unwrap().api_url(), crate::story::REPOSITORY);
    let call = world.clients.http.post(url).bearer_auth(token).body(body.to_string());
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A call of Bitbucket's API about the repository, outside the numbered calls. Null if the answer has no body.
pub(super) async fn call_bitbucket(world: &World, token: &str, method: Method, path: &str, body: Value) -> Value {
    let api = world.forge.as_ref().unwrap().bitbucket_api_url();
    let url = format!("{api}/repositories/{}{path}", crate::story::REPOSITORY);
    let mut call = world.clients.http.request(method, url).bearer_auth(token);
    if !body.is_null() {
        call = call.json(&body);
    }
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
}

/// The forge's last webhook call. Its URL differs between worlds, so it is replaced and the body signed again.
pub(super) async fn record_webhook(world: &World) -> Value {
    let call = world.message(WEBHOOK).await.expect("the forge called no webhook");
    let From::Forge(number) = call.from else { panic!("the call is not from the forge") };
    world.inbox.answer(number, StatusCode::OK);
    let body = call.event["body"].as_str().unwrap().replace(&world.forge.as_ref().unwrap().url(), FORGE_PLACEHOLDER);
    let mut headers = call.event["headers"].clone();
    headers["x-hub-signature"] = crate::webhooks::signature(crate::webhooks::SECRET, body.as_bytes()).into();
    headers["content-length"] = body.len().to_string().into();
    json!({ "headers": headers, "body": body })
}
