//! GitHub Apps: manifests, signed claims, and the limits of installation tokens.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use pullyard_fake_forge::TestForge as _;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::{
    listener::{Heard, Listener},
    world::{BOT, RON, World},
};

struct App {
    id: u64,
    key: RsaKeyPair,
    secret: String,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn call(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = client().request(method, format!("{}{path}", world.forge.api_url())).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

/// Submits a manifest as a browser does, and returns the code from the redirect.
async fn code(world: &World, manifest: &Value) -> String {
    let form = |fields: &[(&str, &str)]| {
        let mut url = reqwest::Url::parse("http://x/").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        url.query().unwrap().to_owned()
    };
    let post = |path: &str, body: String| {
        let request = client().post(format!("{}{path}", world.forge.url())).body(body);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    let text = manifest.to_string();
    let page = post("/settings/apps/new?state=s1", form(&[("manifest", &text)])).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("name=\"state\" value=\"s1\""));
    let body = form(&[("manifest", &text), ("state", "s1"), ("owner", BOT)]);
    let foreign = post("/settings/apps/confirm", body.clone()).header(header::ORIGIN, "http://elsewhere");
    assert_eq!(foreign.send().await.unwrap().status().as_u16(), 403);
    let sent = post("/settings/apps/confirm", body).send().await.unwrap();
    let back = reqwest::Url::parse(sent.headers()[header::LOCATION].to_str().unwrap()).unwrap();
    let found = |name: &str| back.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    assert_eq!((back.host_str(), found("state")), (Some("127.0.0.1"), "s1".to_owned()));
    found("code")
}

impl App {
    async fn new(world: &World, hook: Option<&str>) -> Self {
        let manifest = json!({
            "name": "Pull Yard", "url": "http://127.0.0.1:1/", "redirect_url": "http://127.0.0.1:1/back",
            "hook_attributes": hook.map(|url| json!({ "url": url })),
            "default_events": ["issue_comment"],
            "default_permissions": { "contents": "write", "issues": "write", "pull_requests": "read" },
        });
        let path = format!("/app-manifests/{}/conversions", code(world, &manifest).await);
        let (status, app) = call(world, "", Method::POST, &path, None).await;
        assert_eq!((status, &app["slug"]), (201, &json!("pull-yard")));
        assert_eq!(call(world, "", Method::POST, &path, None).await.0, 404, "a code works once");
        let pem = app["pem"].as_str().unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaKeyPair::from_der(&BASE64_STANDARD.decode(der).unwrap()).unwrap();
        world.forge.install_app("pull-yard", "acme", Some(&["acme/app"])).await.unwrap();
        let secret = app["webhook_secret"].as_str().unwrap().to_owned();
        Self { id: app["id"].as_u64().unwrap(), key, secret }
    }

    fn claim(&self, jti: &str, from_now_secs: i64, life_secs: i64) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let iat = i64::try_from(now).unwrap() + from_now_secs;
        let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({ "iss": self.id.to_string(), "iat": iat, "exp": iat + life_secs, "jti": jti });
        let signed = format!("{}.{}", encode(json!({ "alg": "RS256", "typ": "JWT" })), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    async fn mint(&self, world: &World, jti: &str, body: Value) -> (u16, Value) {
        let find = self.claim(&format!("{jti}-find"), -30, 300);
        let (status, found) = call(world, &find, Method::GET, "/repos/acme/app/installation", None).await;
        assert_eq!(status, 200, "{found}");
        let path = format!("/app/installations/{}/access_tokens", found["id"]);
        call(world, &self.claim(jti, -30, 300), Method::POST, &path, Some(body)).await
    }
}

#[tokio::test]
async fn claim_is_accepted_once_within_ten_minutes() {
    let world = World::new().await;
    let app = App::new(&world, None).await;
    let ask = async |claim: String| call(&world, &claim, Method::GET, "/app", None).await.0;
    assert_eq!(ask(app.claim("one", -30, 300)).await, 200);
    assert_eq!(ask(app.claim("one", -30, 300)).await, 401, "the same jti");
    for (jti, from_now, life) in [("late", -700, 600), ("long", 0, 3600), ("early", 300, 300)] {
        assert_eq!(ask(app.claim(jti, from_now, life)).await, 401, "{jti}");
    }
    let mut forged = app.claim("two", -30, 300);
    let last = if forged.pop() == Some('A') { "BA" } else { "AA" };
    forged.pop();
    forged.push_str(last);
    assert_eq!(ask(forged).await, 401);
    assert_eq!(ask("token-of-nobody".to_owned()).await, 401);
}

#[tokio::test]
async fn installation_token_has_its_rights_for_one_hour() {
    let world = World::new().await;
    let app = App::new(&world, None).await;
    world.forge.create_repository("acme/other", "main", &[]).await.unwrap();
    for (jti, body) in [
        ("a", json!({ "permissions": { "administration": "write" } })),
        ("b", json!({ "permissions": { "pull_requests": "write" } })),
        ("c", json!({ "repositories": ["other"] })),
        ("d", json!({ "repository_ids": [7] })),
    ] {
        assert_eq!(app.mint(&world, jti, body).await.0, 422, "{jti}");
    }
    let id = world.forge.repository("acme/app").await.unwrap().id;
    let wish = json!({ "repository_ids": [id], "permissions": { "issues": "write", "contents": "read" } });
    let (status, minted) = app.mint(&world, "e", wish).await;
    assert_eq!((status, &minted["repositories"][0]["full_name"]), (201, &json!("acme/app")));
    let token = minted["token"].as_str().unwrap();
    assert!(token.starts_with(&format!("ghs_{}_", app.id)) && token.len() > 500 && token.contains('.'), "{token}");

    let note = json!({ "body": "Hello" });
    let (status, written) = call(&world, token, Method::POST, "/repos/acme/app/issues/1/comments", Some(note)).await;
    assert_eq!((status, &written["user"]["login"]), (201, &json!("pull-yard[bot]")));
    assert_eq!(written["user"]["type"], json!("Bot"));
    assert_eq!(call(&world, token, Method::GET, "/users/pull-yard[bot]", None).await.1["id"], written["user"]["id"]);
    let (status, refused) = call(&world, token, Method::GET, "/repos/acme/app/pulls/1", None).await;
    assert_eq!((status, &refused["message"]), (403, &json!("Resource not accessible by integration")));
    assert_eq!(call(&world, token, Method::GET, "/repos/acme/other", None).await.0, 404);
    for (service, expected) in [("git-upload-pack", 200), ("git-receive-pack", 403)] {
        let url = format!("{}/acme/app.git/info/refs?service={service}", world.forge.url());
        let answer = client().get(url).basic_auth("x-access-token", Some(token)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{service}");
    }
    world.forge.advance(Duration::from_secs(3600));
    assert_eq!(call(&world, token, Method::GET, "/repos/acme/app", None).await.0, 401);
}

#[tokio::test]
async fn revoked_token_is_rejected() {
    let world = World::new().await;
    let app = App::new(&world, None).await;
    let token = app.mint(&world, "a", json!({})).await.1["token"].as_str().unwrap().to_owned();
    assert_eq!(call(&world, &token, Method::GET, "/repos/acme/app", None).await.0, 200);
    assert_eq!(call(&world, &token, Method::DELETE, "/installation/token", None).await.0, 204);
    assert_eq!(call(&world, &token, Method::GET, "/repos/acme/app", None).await.0, 401);
}

#[tokio::test]
async fn app_hook_receives_signed_events_and_lists_deliveries() {
    let (world, listener) = (World::new().await, Listener::start().await);
    let app = App::new(&world, Some(&listener.url)).await;
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    world.forge.deliveries_settled().await;
    let heard = listener.heard();
    assert_eq!(heard.iter().map(Heard::what).collect::<Vec<_>>(), ["issue_comment created", "ping -"]);
    assert!(heard[0].body["installation"]["id"].is_u64());
    assert_eq!(heard[0].header("x-github-hook-installation-target-type"), "integration");
    assert!(heard[0].is_signed_with(&app.secret));
    let claim = app.claim("list", -30, 300);
    let (status, kept) = call(&world, &claim, Method::GET, "/app/hook/deliveries", None).await;
    assert_eq!((status, kept.as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn only_the_app_edits_its_hook_and_omitted_fields_stay() {
    let (world, listener) = (World::new().await, Listener::start().await);
    let app = App::new(&world, Some("http://127.0.0.1:1/none")).await;
    let path = "/app/hook/config";
    let (status, told) = call(&world, &app.claim("see", -30, 300), Method::GET, path, None).await;
    let expected = json!({
        "url": "http://127.0.0.1:1/none", "content_type": "json", "insecure_ssl": "0", "secret": "********",
    });
    assert_eq!((status, told), (200, expected));
    let url = json!({ "url": listener.url });
    let (status, told) = call(&world, &app.claim("a", -30, 300), Method::PATCH, path, Some(url)).await;
    assert_eq!((status, told["url"].as_str()), (200, Some(listener.url.as_str())));
    assert_eq!((&told["content_type"], &told["secret"]), (&json!("json"), &json!("********")));
    let bad = json!({ "content_type": "xml" });
    assert_eq!(call(&world, &app.claim("b", -30, 300), Method::PATCH, path, Some(bad)).await.0, 422);
    let secret = json!({ "secret": "another" });
    assert_eq!(call(&world, &app.claim("c", -30, 300), Method::PATCH, path, Some(secret)).await.0, 200);
    world.forge.deliveries_settled().await;
    listener.heard();
    world.post(RON, "issues/1/comments", json!({ "body": "Hi" })).await;
    world.forge.deliveries_settled().await;
    let heard = listener.heard();
    assert!(heard.len() == 1 && heard[0].is_signed_with("another"), "signed with the new secret");

    let token = app.mint(&world, "t", json!({})).await.1["token"].as_str().unwrap().to_owned();
    for nobody in [token.as_str(), "token-of-nobody"] {
        assert_eq!(call(&world, nobody, Method::GET, path, None).await.0, 401, "only the App may see it");
    }
    assert_eq!(call(&world, &app.claim("see", -30, 300), Method::GET, path, None).await.0, 401, "the same jti");
}
