//! Tests how Codex reports each fault of its provider: only by the message of the failed turn.

use super::{ask, failure};
use crate::scene::{Nobody, Scene};
use pullyard_demo_model::{Answer, Refusal, Step, Stumble};

/// Lets every request fail the same way. Returns the number of requests.
async fn check(step: impl Into<Step>, words: &str) -> usize {
    let scene = Scene::new().await;
    scene.model.keep(step);
    let ended = ask(&scene, "Look.").await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    let said = failure(&ended);
    assert!(said.contains(words), "{said}");
    let turns = scene.model.turns().len();
    scene.end();
    turns
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn http_status_is_in_the_message() {
    let overloaded = Refusal::openai(529, "server_error", None, "Overloaded");
    check(overloaded, "unexpected status 529").await;
    check(Refusal::openai_server_error(503), "unexpected status 503 Service Unavailable").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn wrong_key_is_reported_by_its_status() {
    check(Refusal::openai_wrong_key(), "unexpected status 401 Unauthorized").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn server_error_is_reported_as_high_demand() {
    check(Refusal::openai_server_error(500), "currently experiencing high demand").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn model_at_capacity_is_reported_by_status_or_stream() {
    check(Refusal::openai_at_capacity(), "Selected model is at capacity").await;
    check(Answer::text("x").stumbling_after(2, Stumble::at_capacity()), "Selected model is at capacity").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn rate_limit_is_reported_by_status_or_stream() {
    check(Refusal::openai_too_many(1), "429 Too Many Requests").await;
    check(Answer::text("x").stumbling_after(2, Stumble::too_fast()), "ate limit reached").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn empty_account_is_not_retried() {
    let in_stream = Answer::text("x").stumbling_after(2, Stumble::quota());
    assert_eq!(check(in_stream, "Quota exceeded").await, 1);
    check(Refusal::openai_quota(), "").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn long_context_is_not_retried() {
    let in_stream = Answer::text("x").stumbling_after(2, Stumble::too_long());
    assert_eq!(check(in_stream, "ran out of room in the model's context window").await, 1);
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn unknown_model_is_named() {
    check(Refusal::openai_no_such_model("gpt-5"), "gpt-5").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn lost_connection_reports_where_it_was_lost() {
    check(Step::Reset, "error sending request").await;
    check(Answer::text("Half of it").cut_after(4), "stream disconnected before completion").await;
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn refused_connection_ends_the_run() {
    let scene = Scene::new().await;
    let nobody = Nobody::somewhere();
    super::configure(&scene, &format!("{}/v1", nobody.url));
    let ended = ask(&scene, "Look.").await;
    assert_eq!((ended.code(), failure(&ended).contains("Connection failed")), (1, true), "{ended:?}");
    scene.end();
}

#[tokio::test]
#[ignore = "needs Codex: .ci/agents"]
async fn broken_stream_is_repaired_by_a_retry() {
    let scene = Scene::new().await;
    scene.model.play([Answer::text("Half of it").cut_after(4), Answer::text("All of it.")]);
    let ended = ask(&scene, "Look.").await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    // Progress of a retry is an `error` event; the turn does not fail.
    assert!(!ended.of("error").is_empty() && ended.of("turn.failed").is_empty(), "{ended:?}");
    assert_eq!(ended.items("agent_message").last().unwrap()["text"], "All of it.");
    scene.end();
}
