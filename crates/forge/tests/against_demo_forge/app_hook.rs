//! The webhook of an App, on the demo forge.

use pullyard_demo_forge::{AccountKind, Role, User};
use pullyard_fake_forge::TestForge as _;
use pullyard_forge::{Forge, GitHub, GitHubApp, HookScope, HookSettings, Meaning, convert_manifest, webhook::Secret};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};

use crate::world::{REPOSITORY, World, http, proposal};

const ANNS_TOKEN: &str = "ghp_ann";
const BRANCH: &str = "pullyard/acme/app-17-1";

/// An App created with a manifest as in a browser, and installed on acme's repositories.
async fn made(world: &World, hook: Value) -> GitHubApp {
    let manifest = json!({
        "name": "Pull Yard", "url": "http://127.0.0.1:1/", "redirect_url": "http://127.0.0.1:1/back",
        "hook_attributes": hook, "default_events": ["issue_comment"],
        "default_permissions": { "contents": "write", "issues": "write" },
    });
    let mut form = reqwest::Url::parse("http://x/").unwrap();
    form.query_pairs_mut().extend_pairs([("manifest", manifest.to_string().as_str()), ("owner", "acme")]);
    let confirm = http().post(format!("{}/settings/apps/confirm", world.demo.url()));
    let confirm =
        confirm.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.query().unwrap().to_owned());
    let sent = confirm.send().await.unwrap();
    let back = reqwest::Url::parse(sent.headers()[LOCATION].to_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let app = convert_manifest(&world.endpoint(), &code).await.unwrap();
    world.demo.install_app("pull-yard", "acme", None).await.unwrap();
    GitHubApp::new(world.endpoint(), app.id.to_string(), &app.pem).unwrap()
}

async fn as_ann(world: &World, path: &str, body: Value) {
    let address = format!("{}/repos/{REPOSITORY}/{path}", world.demo.api_url());
    let answer = http().post(address).bearer_auth(ANNS_TOKEN).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test]
async fn app_hook_is_read_edited_and_lists_failed_deliveries() {
    let world = World::new().await;
    let ann = User { login: "ann".to_owned(), id: 9_007_199_254_740_997, token: ANNS_TOKEN.to_owned() };
    world.demo.add_user(ann, AccountKind::User).await.unwrap();
    world.demo.set_role(REPOSITORY, "ann", Role::Write).await.unwrap();
    let nowhere = "http://127.0.0.1:1/webhooks/github/h";
    let app = made(&world, json!({ "url": nowhere })).await;
    let told = app.app().await.unwrap();
    assert_eq!((told.events, told.permissions["issues"].as_str()), (vec!["issue_comment".to_owned()], "write"));
    assert_eq!(told.settings_url, format!("{}/organizations/acme/settings/apps/pull-yard", world.demo.url()));

    let (forge, scope) = (Forge::GitHub(GitHub::as_app(&app).unwrap()), HookScope::App);
    let found = forge.hooks(&scope).await.unwrap().found.remove(0);
    assert_eq!((found.url.as_str(), found.json, found.has_secret, found.verifies_tls), (nowhere, true, true, true));
    let elsewhere = "http://127.0.0.1:1/webhooks/github/other".to_owned();
    let settings =
        HookSettings { url: elsewhere.clone(), secret: Secret::new("s3cret"), events: Vec::new(), active: true };
    assert_eq!(forge.edit_hook(&scope, 0, &settings).await.unwrap().url, elsewhere);
    assert_eq!(forge.hooks(&scope).await.unwrap().found[0].url, elsewhere);

    world.push_branch(BRANCH).await;
    let pull = world.forge().create_pull_request(REPOSITORY, &proposal(BRANCH)).await.unwrap();
    as_ann(&world, &format!("issues/{}/comments", pull.number), json!({ "body": "/pullyard revise" })).await;
    world.demo.deliveries_settled().await;
    let listed = forge.deliveries(&scope, 0).await.unwrap();
    assert!(listed.iter().any(|delivery| delivery.event == "issue_comment" && !delivery.arrived()), "{listed:?}");
    assert_eq!(world.forge().hooks(&scope).await.unwrap_err().meaning(), Meaning::Denied);
}

#[tokio::test]
async fn app_without_a_hook_lists_none() {
    let world = World::new().await;
    let app = made(&world, Value::Null).await;
    let forge = Forge::GitHub(GitHub::as_app(&app).unwrap());
    assert!(forge.hooks(&HookScope::App).await.unwrap().found.is_empty());
    let settings =
        HookSettings { url: "https://h".to_owned(), secret: Secret::new("s"), events: Vec::new(), active: true };
    let refused = forge.edit_hook(&HookScope::App, 0, &settings).await.unwrap_err();
    assert_eq!(refused.meaning(), Meaning::Missing);
}
