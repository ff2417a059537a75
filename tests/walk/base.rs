//! The state in which every flow begins (forge, project, repository), and its snapshot.

use super::forge::{FORGE_PLACEHOLDER, TOKEN};
use super::http::{self, delete, post};
use super::world::{ADMIN, Invocation, Snapshot, World};
use crate::prelude::*;
use crate::webhooks::SECRET;
use pullyard_domain::project::Project;

pub(super) const RUNNER_TOKEN: &str = "rnt_walk";
/// Of a user's own ticket tool. A world has it if it has the note `tool`.
pub(super) const TOOL_SECRET_NAME: &str = "pullyard/user/tool";
pub(super) const TOOL_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const FORGE_SECRET: &str = "pullyard/user/forge-token";

pub(super) async fn set_up(world: &World) {
    let forge = world.forge.as_ref().unwrap();
    let files = [("README.md", "# App\n", false)];
    forge.create_repository(REPOSITORY, "main", &files).await.unwrap();
    world.raw.put_secret(FORGE_SECRET, TOKEN).await;
    store_token(world, ADMIN, TokenKind::Api).await;
    connect(world, "gh1", "github", "/api/v3").await;
    let settings = json!({
        "statuses": { "allow_others": true }, "auto_create": true, "default_repository": REPOSITORY,
        "revise_on_review": true,
    });
    post_ok(world, "/v1/projects", json!({ "id": "acme", "name": "Acme", "settings": settings })).await;
    add_repository(world, "gh1", "command").await;
}

pub(super) async fn connect_on_bitbucket(world: &World) {
    call_ok(world, delete(format!("/v1/projects/acme/repositories/{REPOSITORY}"))).await;
    connect(world, "bb1", "bitbucket", "/2.0").await;
    add_repository(world, "bb1", "command").await;
}

async fn connect(world: &World, id: &str, kind: &str, path: &str) {
    let api_url = format!("{}{path}", world.forge_url().unwrap());
    let integration = json!({ "id": id, "kind": kind, "api_url": api_url, "token_secret": FORGE_SECRET });
    post_ok(world, "/v1/integrations", integration).await;
}

/// An agent that reads messages while it works.
pub(super) async fn use_codex(world: &World) {
    add_repository(world, "gh1", "codex").await;
}

async fn add_repository(world: &World, integration: &str, agent: &str) {
    let agent = json!({ "capability": agent, "command": ["true"] });
    let repository = json!({ "integration": integration, "name": REPOSITORY, "agent": agent });
    post_ok(world, "/v1/projects/acme/repositories", repository).await;
}

/// Stores an API or runner token. `last_used` is in the far future, so that no request updates it in the background.
pub(super) async fn store_token(world: &World, text: &str, kind: TokenKind) {
    let scopes = if kind == TokenKind::Api { [Scope::Admin].into() } else { BTreeSet::new() };
    let mut stored = pullyard_store::to_stored_token(text, "walk", scopes, None);
    stored.kind = kind;
    stored.last_used = Some(Timestamp::from_millis(4_102_444_800_000));
    (world.clients.store)(&world.aws.endpoints().dynamodb).put_token(&stored).await.unwrap();
}

pub(super) async fn use_runners(world: &World) {
    store_token(world, RUNNER_TOKEN, TokenKind::Runner).await;
    world.note("runner", Value::Null);
    change_settings(world, |settings| settings.compute = Compute::Runners).await;
}

pub(super) async fn change_settings(world: &World, change: fn(&mut Settings)) {
    let mut project = load_project(world).await;
    change(&mut project.settings);
    let store = (world.clients.store)(&world.aws.endpoints().dynamodb);
    assert_eq!(store.put_project(&project).await.unwrap(), Write::Applied);
}

pub(super) async fn load_project(world: &World) -> Project {
    let store = (world.clients.store)(&world.aws.endpoints().dynamodb);
    store.load_project(&ProjectId::new("acme").unwrap()).await.unwrap().unwrap()
}

pub(super) async fn post_ok(world: &World, path: &str, body: Value) -> Value {
    call_ok(world, post(path, body)).await
}

pub(super) async fn call_ok(world: &World, call: http::Request) -> Value {
    match world.invoke(&call.into()).await {
        Invocation::Done(body) => body,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn take_snapshot(world: World) -> Snapshot {
    let mask_urls = |text: String| {
        let own = world.forge.as_ref().unwrap().url();
        text.replace(&world.forge_url().unwrap(), FORGE_PLACEHOLDER).replace(&own, FORGE_PLACEHOLDER)
    };
    let items = world.raw.items().await;
    let items = items.iter().map(|item| serde_json::from_str(&mask_urls(item.to_string())).unwrap()).collect();
    world.forge.as_ref().unwrap().shutdown().await;
    let forge_folder = match world.note_value("forge") {
        None => None,
        Some(_) => {
            let forge_folder = TempDir::new().unwrap();
            std::fs::rename(world.folder.path().join("forge"), forge_folder.path()).unwrap();
            Some(forge_folder)
        }
    };
    let secrets = [(FORGE_SECRET.to_owned(), TOKEN.to_owned())];
    let hook = world.note_value("hook secret").map(|name| (format!("pullyard/user/{name}"), SECRET.to_owned()));
    let tool = world.note_value("tool").map(|_| (TOOL_SECRET_NAME.to_owned(), TOOL_SECRET.to_owned()));
    let secrets = secrets.into_iter().chain(hook).chain(tool);
    let ground = world.clients.clone();
    Snapshot { ground, items, secrets: secrets.collect(), notes: world.notes(), forge: forge_folder }
}
