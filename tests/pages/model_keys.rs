//! Tests that the pages test a model key with its provider, and never show it.

use super::Browser;
use crate::prelude::*;
use axum::routing::get;

/// A provider that knows two keys, one without quota. Returns its address.
async fn start_provider() -> String {
    let models = async |headers: HeaderMap| match headers["x-api-key"].to_str().unwrap() {
        "sk-planted-good" => StatusCode::OK,
        "sk-planted-poor" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNAUTHORIZED,
    };
    serve(Router::new().route("/v1/models", get(models))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_refused_and_a_tested_key_is_stored() {
    let environment = vec![
        ("ANTHROPIC_BASE_URL".to_owned(), start_provider().await),
        ("OPENAI_BASE_URL".to_owned(), "http://127.0.0.1:1/v1".to_owned()),
    ];
    let story = Story::start_with(Setup { task: Task::Waiting, environment, ..Setup::default() }).await;
    let browser = Browser::admin(&story).await;
    let start = "/setup/start?project=acme";
    let choose = async |agent: &str, kind: &str, key: &str| {
        let form = [("project", "acme"), ("agent", agent), ("kind", kind), ("key", key)];
        browser.post("/setup/start/agent", &form).await
    };
    let secrets = async || story.api.project(&ProjectId::new("acme").unwrap()).await.unwrap().settings.model_secrets;

    let refused = choose("claude_code", "anthropic_api_key", "sk-planted-wrong").await;
    assert!(refused.status == 422 && refused.contains("does not accept the key"), "{}", refused.body);
    assert!(refused.contains("Nothing was stored.") && !refused.contains("planted"), "{}", refused.body);
    assert_eq!(secrets().await.anthropic_api_key, None);

    for (agent, kind, key, test, sentence) in [
        ("claude_code", "anthropic_api_key", "sk-planted-poor", "limited", "quota or rate limit"),
        ("codex", "openai_api_key", "sk-planted-good", "unreachable", "got no answer"),
        ("claude_code", "anthropic_api_key", "sk-planted-good", "accepted", "accepts the key"),
    ] {
        let stored = choose(agent, kind, key).await;
        let address = format!("{start}&key={test}");
        assert_eq!(stored.redirect(), (303, address.as_str()), "{}", stored.body);
        let page = browser.get(&address).await;
        assert!(page.contains(sentence) && !page.contains("planted"), "{test}: {}", page.body);
        assert!(!page.contains("data-refresh"), "the result would disappear");
    }
    let stored = secrets().await;
    assert!(stored.anthropic_api_key.is_some() && stored.openai_api_key.is_some(), "{stored:?}");
    browser.get(&format!("{start}&test=key")).await.assert_contains(&["The model’s provider accepts the key."]);

    let list = browser.get("/setup/secrets?project=acme").await;
    for (name, sentence) in [("acme-anthropic-api-key", "accepts the key"), ("acme-openai-api-key", "got no answer")] {
        let address = format!("/setup/secrets?test={name}&project=acme");
        assert!(list.contains(&address.replace('&', "&#38;")), "{}", list.body);
        let page = browser.get(&address).await;
        assert!(page.contains(sentence) && !page.contains("planted"), "{name}: {}", page.body);
    }
    let user = User::of(&story);
    let tested = user.ok(&["secrets", "test", "acme-anthropic-api-key", "--project", "acme"]).await;
    assert_eq!(tested, "The model’s provider accepts the key.\n");
    let tested = user.run(&["secrets", "test", "acme-openai-api-key", "--json"]).await.assert_exit(1, "");
    assert!(tested.out.contains(r#""unreachable""#), "{}", tested.out);
    let doctor = user.ok(&["doctor"]).await;
    for tested in
        ["ok key          The key acme-anthropic-api-key", "! key          The key acme-openai-api-key of acme was"]
    {
        assert!(doctor.contains(tested), "{doctor}");
    }
    user.run_with(&["secrets", "set", "acme-anthropic-api-key", "--for-jobs"], "sk-planted-old").await.assert_success();
    let doctor = user.run(&["doctor"]).await.assert_exit(1, "");
    let help = "`pullyard secrets set acme-anthropic-api-key --for-jobs`";
    assert!(doctor.out.contains("does not accept the key.") && doctor.out.contains(help), "{}", doctor.out);
    user.run(&["secrets", "test", "demo-forge-token"])
        .await
        .assert_exit(5, "no model key of the project in the secret");
    assert_eq!(browser.get("/setup/secrets?test=demo-forge-token&project=acme").await.status, 404);
}
