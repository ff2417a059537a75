//! Tests the script, the log, and the loopback check of the listener.

use crate::client::{KEY, ask, model, say};
use pullyard_demo_model::{Answer, Credential, DemoModel, Error, Options, Outcome, Refusal};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

#[tokio::test]
async fn steps_play_in_order_until_the_script_is_used_up() {
    let model = model().await;
    model.play([Answer::text("one")]);
    model.play([Refusal::internal()]);
    assert_eq!(model.steps_left(), 2);
    let mut statuses = Vec::new();
    for path in ["/v1/messages", "/v1/responses", "/v1/messages"] {
        statuses.push(ask(&model, path, json!({})).await.unwrap().status());
    }
    assert_eq!((statuses, model.steps_left()), (vec![200, 500, 500], 0));
    let outcomes: Vec<_> = model.turns().iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Refused(500), Outcome::NothingLeft]);
    let said = ask(&model, "/v1/messages", json!({})).await.unwrap();
    assert!(said.body.contains("script is used up") && said.head.contains("x-should-retry: false"), "{}", said.body);
}

#[tokio::test]
async fn kept_step_repeats_when_the_script_is_empty() {
    let model = model().await;
    model.keep(Refusal::overloaded());
    model.play([Answer::text("one")]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(&model, "/v1/messages", json!({})).await.unwrap().status());
    }
    assert_eq!(statuses, [200, 529, 529]);
}

#[tokio::test]
async fn log_has_requests_and_never_the_key() {
    let model = model().await;
    model.play([Answer::text("one")]);
    let prompt = json!({ "messages": [{ "content": "Say \"hello\"" }] });
    ask(&model, "/v1/messages?beta=true", prompt.clone()).await.unwrap();
    let requests = model.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/messages?beta=true"));
    assert_eq!((&requests[0].body, requests[0].credential), (&prompt, Credential::ApiKey));
    assert!(requests[0].mentions("\"hello\"") && !requests[0].mentions("goodbye"));
    assert!(requests[0].is_signed_with(KEY) && !requests[0].is_signed_with("another"));
    assert!(!format!("{requests:?}").contains(KEY));
}

#[tokio::test]
async fn other_requests_consume_no_step() {
    let model = model().await;
    model.play([Answer::text("one")]);
    for (method, path) in [("HEAD", "/"), ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models")] {
        let mut stream = say(&model, method, path, "").await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
    }
    let outcomes: Vec<_> = model.requests().iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, [Outcome::Aside, Outcome::Aside, Outcome::NotServed]);
    assert_eq!((model.turns().len(), model.steps_left()), (0, 1));
}

#[tokio::test]
async fn listener_on_a_public_address_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = DemoModel::start(Options { listener }).await.err().unwrap();
    assert!(matches!(error, Error::NotLoopback { .. }) && !error.is_transient(), "{error}");
}
