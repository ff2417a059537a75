//! Calls as a GitHub App.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::prelude::*;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pullyard_forge::{
    Error, GitHubApp, HookScope, Permissions, RepositorySelector, convert_manifest, revoke_installation_token,
};

use crate::exchanges::{self, Source};

/// GitHub's present format: the App's id, then a JWT with dots and dashes.
fn long_token() -> String {
    let part = "eyJ0-AbC_".repeat(28);
    format!("ghs_12345_{}.{}.{}", &part[..200], &part[..200], &part[..108])
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A new key in PKCS#8 and in PKCS#1, which is PKCS#8 without its first 26 bytes.
fn keys() -> (KeyPair, String, String) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let (pkcs8, pkcs1) = (pem("PRIVATE KEY", der.as_ref()), pem("RSA PRIVATE KEY", &der.as_ref()[26..]));
    (pair, pkcs8, pkcs1)
}

type RecordedCall = (String, Option<String>, Value);

type Answers = dyn Fn(&Method, &str) -> (u16, Value) + Send + Sync;

#[derive(Clone)]
struct FakeGitHub {
    url: String,
    calls: Arc<Mutex<Vec<RecordedCall>>>,
    answers: Arc<Answers>,
}

impl FakeGitHub {
    async fn start(answers: impl Fn(&Method, &str) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stage = Self { url, calls: Arc::default(), answers: Arc::new(answers) };
        let routes = Router::new().fallback(answer).with_state(stage.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        stage
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.url.clone())
    }

    fn calls(&self) -> Vec<(String, Option<String>, Value)> {
        self.calls.lock().unwrap().clone()
    }
}

async fn answer(
    State(stage): State<FakeGitHub>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bearer = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let payload = serde_json::from_slice(&body).unwrap_or_default();
    stage.calls.lock().unwrap().push((format!("{method} {uri}"), bearer, payload));
    let (status, answer) = (stage.answers)(&method, uri.path());
    exchanges::record(Source::Script, &method, &uri, &body, status, answer.to_string().as_bytes());
    let status = StatusCode::from_u16(status).unwrap();
    if answer.is_null() { status.into_response() } else { (status, Json(answer)).into_response() }
}

fn permissions() -> Value {
    json!({ "metadata": "read", "contents": "write", "pull_requests": "write" })
}

fn github(_: &Method, path: &str) -> (u16, Value) {
    match path {
        "/app" => (
            200,
            json!({ "id": 7, "slug": "pullyard-acme", "html_url": "https://g/apps/p", "permissions": permissions() }),
        ),
        "/repos/acme/app/installation" => {
            (200, json!({ "id": 5, "permissions": permissions(), "suspended_at": null, "html_url": "https://g/i/5" }))
        }
        "/app/installations/5/access_tokens" => {
            (201, json!({ "token": long_token(), "expires_at": "2999-01-01T00:00:00Z", "permissions": permissions() }))
        }
        "/users/pullyard-acme[bot]" | "/users/pullyard-acme%5Bbot%5D" => {
            (200, json!({ "id": u64::MAX, "login": "pullyard-acme[bot]" }))
        }
        "/installation/token" => (204, Value::Null),
        _ => (404, json!({ "message": "Not Found" })),
    }
}

#[tokio::test]
async fn jwt_is_signed_short_lived_and_unique() {
    let (pair, pkcs8, pkcs1) = keys();
    let stage = FakeGitHub::start(github).await;
    for pem in [pkcs8, pkcs1] {
        let app = GitHubApp::new(stage.endpoint(), "Iv23abc", &pem).unwrap();
        assert_eq!(app.app().await.unwrap().slug, "pullyard-acme");
    }
    let mut ids = Vec::new();
    for (_, bearer, _) in stage.calls() {
        let jwt = bearer.unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        key.verify(signed.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part =
            |text: &str| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
        let (head, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(head), json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(claims);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let (issued, ends) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!(issued <= now - 59 && ends - issued <= 600 && ends > now, "{claims}");
        assert_eq!(claims["iss"], "Iv23abc");
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test]
async fn each_app_request_and_retry_has_its_own_jwt() {
    let tried = Mutex::new(0);
    let stage = FakeGitHub::start(move |_, path| {
        let mut tried = tried.lock().unwrap();
        *tried += 1;
        match (path, *tried) {
            ("/app/hook/config", 1) => (502, json!({ "message": "Bad gateway" })),
            ("/app/hook/config", _) => {
                (200, json!({ "url": "https://h", "content_type": "json", "insecure_ssl": "0", "secret": "********" }))
            }
            _ => (403, json!({ "message": "no" })),
        }
    })
    .await;
    let app = GitHubApp::new(stage.endpoint(), "7", &keys().2).unwrap();
    let forge = Forge::GitHub(GitHub::as_app(&app).unwrap());
    assert_eq!(forge.hooks(&HookScope::App).await.unwrap().items[0].url, "https://h");
    forge.deliveries(&HookScope::App, 0).await.unwrap_err();
    let calls = stage.calls();
    let jwts: BTreeSet<_> = calls.iter().map(|(_, bearer, _)| bearer.clone().unwrap()).collect();
    assert_eq!((calls.len(), jwts.len()), (3, 3), "each request has its own JWT, also a retry");
}

#[tokio::test]
async fn echoed_jwt_is_redacted_from_the_error() {
    let seen: Arc<Mutex<String>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let recorded = seen.clone();
    let repeat = async move |headers: HeaderMap| {
        let bearer = headers["authorization"].to_str().unwrap().to_owned();
        recorded.lock().unwrap().clone_from(&bearer);
        (StatusCode::FORBIDDEN, Json(json!({ "message": format!("{bearer} may not") })))
    };
    let routes = Router::new().fallback(repeat);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let app = GitHubApp::new(Endpoint::new(url), "7", &keys().2).unwrap();
    let refused = app.app().await.unwrap_err();
    let jwt = seen.lock().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert!(!format!("{refused} {refused:?}").contains(&jwt[..20]), "{refused:?}");
}

#[tokio::test]
async fn installation_token_is_limited_to_one_repository() {
    let stage = FakeGitHub::start(github).await;
    let app = GitHubApp::new(stage.endpoint(), "7", &keys().2).unwrap();
    let installation = app.get_installation("acme/app").await.unwrap();
    assert!((installation.id, installation.suspended) == (5, false) && installation.permissions["contents"] == "write");
    let wanted = Permissions::from([("contents".to_owned(), "write".to_owned())]);
    let minted = app.installation_token(5, RepositorySelector::Id(u64::MAX), &wanted).await.unwrap();
    assert_eq!(minted.token.reveal(), long_token());
    assert_eq!(minted.expires_in.as_secs(), 3_600, "at most GitHub's maximum of one hour");
    app.installation_token(5, RepositorySelector::Name("acme/app"), &wanted).await.unwrap();
    let bodies: Vec<Value> = stage.calls().into_iter().skip(1).map(|(_, _, body)| body).collect();
    assert_eq!(bodies[0], json!({ "repository_ids": [u64::MAX], "permissions": { "contents": "write" } }));
    assert_eq!(bodies[1], json!({ "repositories": ["app"], "permissions": { "contents": "write" } }));
    let error = app.get_installation("acme/other").await.unwrap_err();
    assert_eq!(error.to_string(), "find an installation of the App on acme/other");
}

#[tokio::test]
async fn long_token_is_sent_and_redacted() {
    let token = long_token();
    assert_eq!(token.len(), 520);
    let stage = FakeGitHub::start(github).await;
    revoke_installation_token(&stage.endpoint(), Token::new(token.clone())).await.unwrap();
    let (call, bearer, _) = stage.calls().remove(0);
    assert_eq!((call.as_str(), bearer), ("DELETE /installation/token", Some(format!("Bearer {token}"))));
    let repeated = token.clone();
    let stage = FakeGitHub::start(move |_, _| (403, json!({ "message": format!("{repeated} may not") }))).await;
    let refused = revoke_installation_token(&stage.endpoint(), Token::new(token.clone())).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains(&token[..20]), "{refused}");
}

#[tokio::test]
async fn bot_request_is_authenticated_only_after_a_denial() {
    let key = keys().2;
    let stage = FakeGitHub::start(github).await;
    let bot = GitHubApp::new(stage.endpoint(), "7", &key).unwrap().bot_account("pullyard-acme").await.unwrap();
    assert_eq!((bot.id, bot.login.as_str()), (u64::MAX, "pullyard-acme[bot]"));
    assert_eq!(stage.calls()[0].1, None, "the first request is anonymous");
    for (status, expected) in [(401, 2), (403, 2), (404, 2), (429, 2), (422, 1)] {
        let stage = FakeGitHub::start(move |_, _| (status, json!({ "message": "no" }))).await;
        let refused =
            GitHubApp::new(stage.endpoint(), "7", &key).unwrap().bot_account("pullyard-acme").await.unwrap_err();
        assert!(status != 401 || matches!(refused, Error::Denied { .. }), "{refused:?}");
        let has_bearer: Vec<bool> = stage.calls().into_iter().map(|(_, bearer, _)| bearer.is_some()).collect();
        assert_eq!(has_bearer, [false, true][..expected], "{status}");
    }
}

#[tokio::test]
async fn manifest_code_is_converted_once_and_keys_are_hidden() {
    let convert = |secret: Value| {
        move |method: &Method, path: &str| match (method.as_str(), path) {
            ("POST", "/app-manifests/c0de/conversions") => (
                201,
                json!({ "id": 7, "html_url": "https://g/apps/p", "pem": "PEM", "webhook_secret": secret.clone() }),
            ),
            _ => (404, json!({ "message": "Not Found" })),
        }
    };
    let stage = FakeGitHub::start(convert(json!("s3cret"))).await;
    let app = convert_manifest(&stage.endpoint(), "c0de").await.unwrap();
    assert_eq!((app.id, app.pem.as_str(), app.webhook_secret.as_deref()), (7, "PEM", Some("s3cret")));
    assert!(!format!("{app:?}").contains("PEM") && !format!("{app:?}").contains("s3cret"));
    assert_eq!(stage.calls()[0].1, None);
    assert!(matches!(convert_manifest(&stage.endpoint(), "old").await, Err(Error::NotFound { .. })));
    assert_eq!(stage.calls().len(), 2, "the conversion is not retried");

    for none in [json!(null), json!("")] {
        let stage = FakeGitHub::start(convert(none)).await;
        assert_eq!(convert_manifest(&stage.endpoint(), "c0de").await.unwrap().webhook_secret, None);
    }
}

#[test]
fn invalid_key_is_rejected_without_quoting_it() {
    let endpoint = || Endpoint::new("http://127.0.0.1:1");
    let short = pem("RSA PRIVATE KEY", b"no key at all, but s3cret");
    for bad in ["", "s3cret", short.as_str(), &pem("CERTIFICATE", b"s3cret")] {
        let error = GitHubApp::new(endpoint(), "7", bad).unwrap_err();
        assert!(matches!(error, Error::Settings { .. }) && !error.to_string().contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn token_creation_and_revocation_are_not_retried() {
    let stage = FakeGitHub::start(|_, _| (502, json!({ "message": "Bad gateway" }))).await;
    let app = GitHubApp::new(stage.endpoint(), "7", &keys().2).unwrap();
    app.installation_token(5, RepositorySelector::Id(7), &Permissions::new()).await.unwrap_err();
    revoke_installation_token(&stage.endpoint(), Token::new("ghs_1")).await.unwrap_err();
    convert_manifest(&stage.endpoint(), "c0de").await.unwrap_err();
    assert_eq!(stage.calls().len(), 3);
}

#[tokio::test]
async fn suspended_installation_and_nameless_app_are_detected() {
    fn off(_: &Method, path: &str) -> (u16, Value) {
        match path {
            "/app" => (200, json!({ "id": 7, "slug": "", "html_url": "https://g/apps/p" })),
            _ => (200, json!({ "id": 5, "suspended_at": "2026-11-20T12:00:00Z" })),
        }
    }
    let stage = FakeGitHub::start(off).await;
    let app = GitHubApp::new(stage.endpoint(), "7", &keys().2).unwrap();
    assert!(app.get_installation("acme/app").await.unwrap().suspended);
    assert!(matches!(app.app().await, Err(Error::Unexpected { .. })));
}
