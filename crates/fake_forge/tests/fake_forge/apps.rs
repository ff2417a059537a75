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

use crate::world::{BOT, World};

struct App {
    id: u64,
    key: RsaKeyPair,
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
    let mut form = reqwest::Url::parse("http://x/").unwrap();
    form.query_pairs_mut().extend_pairs([("manifest", manifest.to_string().as_str()), ("owner", BOT)]);
    let confirm = client().post(format!("{}/settings/apps/confirm", world.forge.url()));
    let confirm = confirm.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let sent = confirm.body(form.query().unwrap().to_owned()).send().await.unwrap();
    let back = reqwest::Url::parse(sent.headers()[header::LOCATION].to_str().unwrap()).unwrap();
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

impl App {
    async fn new(world: &World) -> Self {
        let manifest = json!({
            "name": "Pull Yard", "url": "http://127.0.0.1:1/", "redirect_url": "http://127.0.0.1:1/back",
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
        Self { id: app["id"].as_u64().unwrap(), key }
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
    let app = App::new(&world).await;
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
    let app = App::new(&world).await;
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
