//! Tests of tokens and secrets through the API: shown once, revoked at once, kept over a restart.

use crate::prelude::*;
use pullyard_local::Options;
use pullyard_protocol::token::{CreateToken, CreatedToken, TokenState};
use pullyard_testkit::signed_headers;

fn token_request(name: &str) -> CreateToken {
    let body = json!({ "name": name, "kind": "api", "scopes": ["read"] });
    serde_json::from_value(body).unwrap()
}

async fn post(story: &Story, key: &str, body: &Value) -> (u16, Value) {
    let admin = format!("Bearer {}", story.local.admin_token());
    let headers = [("authorization", admin.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
    let (status, headers, response) =
        story.request_with_headers(Method::POST, "/v1/tokens", &headers, body.to_string().into()).await;
    if status == 201 {
        assert_eq!(headers["cache-control"], "no-store");
    }
    (status, response)
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_returns_409_and_creates_no_token() {
    let story = Story::start_with_waiting_tasks().await;
    let body = json!(token_request("ci"));
    let (status, token) = post(&story, "k1", &body).await;
    assert_eq!(status, 201, "{token}");
    let (status, repeat) = post(&story, "k1", &body).await;
    assert_eq!((status, &repeat["code"]), (409, &json!("token_shown")));
    assert!(repeat["detail"].as_str().unwrap().contains(token["id"].as_str().unwrap()), "{repeat}");
    assert!(!repeat.to_string().contains(&token["token"].as_str().unwrap()[8..]), "{repeat}");
    let (status, other) = post(&story, "k1", &json!(token_request("other"))).await;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency_key_reused")));
    // The same key for a job is another request.
    let job = json!({ "project": "acme", "prompt": "Do it." }).to_string();
    let admin = format!("Bearer {}", story.local.admin_token());
    let headers = [("authorization", admin.as_str()), ("idempotency-key", "k1")];
    assert_eq!(story.request_with_headers(Method::POST, "/v1/jobs", &headers, job.into()).await.0, 201);
    story.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(post(&story, "k1", &body).await.0, 201, "a day later it is a new request");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_revocations_succeed_and_tokens_expire() {
    let story = Story::start_with_waiting_tasks().await;
    let state = async |new_token: &CreatedToken| {
        let all = story.api.tokens(None).await.unwrap().tokens;
        all.into_iter().find(|token| token.id == new_token.about.id).unwrap().state
    };
    let works = async |new_token: &CreatedToken| {
        ApiClient::new(story.local.api_url(), &new_token.token).unwrap().own_token().await.is_ok()
    };
    let new_token = story.api.create_token(&token_request("one")).await.unwrap();
    let (first, second) =
        tokio::join!(story.api.revoke_token(&new_token.about.id), story.api.revoke_token(&new_token.about.id));
    assert!(!first.unwrap().own && !second.unwrap().own);
    assert_eq!((state(&new_token).await, works(&new_token).await), (TokenState::Revoked, false));

    let short = CreateToken { expires_in_secs: Some(60), ..token_request("short") };
    let new_token = story.api.create_token(&short).await.unwrap();
    assert_eq!((state(&new_token).await, works(&new_token).await), (TokenState::Active, true));
    story.clock.advance(Duration::from_secs(61));
    assert_eq!((state(&new_token).await, works(&new_token).await), (TokenState::Expired, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn last_use_of_a_token_is_stored_once_per_minute() {
    let story = Story::start_with_waiting_tasks().await;
    let token = story.create_token(&[Scope::Read], None).await;
    let operator = ApiClient::new(story.local.api_url(), &token).unwrap();
    let noted = async |after| {
        wait_until("the use is noted", async || {
            let used = operator.own_token().await.unwrap().last_used;
            if used > after { Ok(used) } else { Err(format!("{used:?}")) }
        })
        .await
    };
    let first = noted(None).await;
    for _ in 0..5 {
        assert_eq!(operator.own_token().await.unwrap().last_used, first, "no update within the minute");
    }
    story.clock.advance(Duration::from_secs(61));
    noted(first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn project_admin_cannot_create_tokens_or_set_secrets() {
    let story = Story::start_with_waiting_tasks().await;
    let limited = story.create_token(&[Scope::Admin], Some(&["acme"])).await;
    let ask = async |method: Method, path: &str, body: Value| {
        let (status, _, response) = story.request(method, path, Some(&limited), body.to_string().into()).await;
        (status, response["code"].as_str().unwrap_or_default().to_owned())
    };
    let of_acme = json!({ "name": "t", "kind": "api", "scopes": ["read"], "projects": ["acme"] });
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(ask(Method::POST, "/v1/tokens", of_acme).await, refused);
    assert_eq!(ask(Method::PUT, "/v1/secrets/x", json!({ "value": "v" })).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_never_contain_a_secret_value() {
    let story = Story::start_with_waiting_tasks().await;
    let put = async |name: &str, body: &str| {
        let path = format!("/v1/secrets/{name}");
        let (status, _, response) =
            story.request(Method::PUT, &path, Some(story.local.admin_token()), body.as_bytes().to_vec()).await;
        assert!(!response.to_string().contains("77123456"), "{body}: {response}");
        status
    };
    assert_eq!(put("a", r#"{"value":"77123456"}"#).await, 200);
    for bad in [
        r#"{"value":77123456}"#,
        r#"{"value":-77123456.5}"#,
        r#"{"value":["77123456"]}"#,
        r#"{"value":{"77123456":1}}"#,
        r#"{"value":"77123456""#,
        r#""77123456""#,
        "77123456",
        r#"{"value":"77123456","more":"77123456"}"#,
    ] {
        assert_eq!(put("a", bad).await, 400, "{bad}");
    }
    assert_eq!(put("a", r#"{"value":""}"#).await, 422);
    assert_eq!(put("a", &json!({ "value": "x".repeat(65_537) }).to_string()).await, 422);
    assert_eq!(put("..%2Fsigning-key", r#"{"value":"x"}"#).await, 404);
    // The signing key is never sent to a forge.
    let connect = json!({
        "id": "evil", "kind": "github", "api_url": "https://forge.example/api/v3", "token_secret": "pullyard/signing-key",
    });
    let (status, _, response) = story
        .request(Method::POST, "/v1/integrations", Some(story.local.admin_token()), connect.to_string().into())
        .await;
    assert_eq!((status, &response["pointer"]), (422, &json!("/token_secret")), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_key_cannot_be_set_rotated_or_sent() {
    let story = Story::start_with_waiting_tasks().await;
    let mut config = story.function_config("dispatch", "effects.fifo").await;
    config.key_secret = "pullyard/user/key".into();
    let ctx = story.function_context_of(config).await;
    let value = json!({ "value": "x" });
    let rotate = json!({ "value": "x", "overlap_secs": 0 });
    let connect = json!({
        "id": "evil", "kind": "github", "api_url": "https://forge.example/api/v3", "token_secret": "pullyard/user/key",
    });
    for (call, body, pointer) in [
        ("PUT /v1/secrets/key", &value, "/name"),
        ("POST /v1/secrets/key/rotate", &rotate, "/name"),
        ("POST /v1/integrations", &connect, "/token_secret"),
    ] {
        let (status, response) = crate::dead_letters::call_instance(&story, &ctx, call, body.clone()).await;
        assert_eq!((status, &response["pointer"]), (422, &json!(pointer)), "{call}: {response}");
    }
    assert_eq!(crate::dead_letters::call_instance(&story, &ctx, "PUT /v1/secrets/another", value).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_tokens_survive_a_restart() {
    let folder = TempDir::new().unwrap();
    let start = async || {
        let runner = vec!["sleep".to_owned(), "3600".to_owned()];
        LocalSystem::start(Options::new(folder.path().to_path_buf(), runner)).await.unwrap()
    };
    let name = SecretName::new("github").unwrap();
    let local = start().await;
    let api = ApiClient::new(local.api_url(), local.admin_token()).unwrap();
    let token = api.create_token(&token_request("kept")).await.unwrap();
    let set = async |api: &ApiClient, value: &str| {
        api.set_secret(&name, &SetSecret { value: value.into(), kind: SecretKind::Forge }).await
    };
    let first = set(&api, "one").await.unwrap();
    // A repeated value is a new version; the request token must not tie a value to a version.
    for value in ["two", "one", "three", "two"] {
        assert_eq!(set(&api, value).await.unwrap().secret, first.secret);
    }
    local.shutdown().await;

    let local = start().await;
    let (url, body) = (&local.aws().endpoints().secretsmanager, json!({ "SecretId": first.secret }).to_string());
    let headers = signed_headers(local.aws().credentials(), url, "secretsmanager.GetSecretValue", &body);
    let response = reqwest::Client::new().post(url).headers(headers).body(body).send().await.unwrap();
    let response: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(response["SecretString"], "two");
    let client = ApiClient::new(local.api_url(), &token.token).unwrap();
    assert_eq!(client.own_token().await.unwrap().name, "kept");
    local.shutdown().await;
}
