//! Tests the format of Anthropic's Messages.

use crate::client::{ask, ask_streamed, model};
use pullyard_demo_model::{Answer, Part, Refusal, Usage};
use serde_json::json;

#[tokio::test]
async fn stream_has_all_events_of_text_and_tool_call() {
    let model = model().await;
    let usage = Usage { input: 7, cached: 5, output: 3 };
    let call = Part::Tool { name: "Write".into(), arguments: json!({ "file_path": "a.txt", "content": "ü" }) };
    model.play([Answer::text("Grüße").and(call).taking(usage)]);
    let answer = ask_streamed(&model, "/v1/messages?beta=true").await;
    assert!(answer.whole && answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    let block = ["content_block_start", "ping", "content_block_delta", "content_block_delta", "content_block_stop"];
    let expected: Vec<&str> =
        ["message_start"].into_iter().chain(block).chain(block).chain(["message_delta", "message_stop"]).collect();
    assert_eq!(answer.kinds(), expected);
    let events = answer.events();
    let joined = |index: u64, field: &str| -> String {
        let of = events.iter().filter(|event| event["type"] == "content_block_delta" && event["index"] == index);
        of.map(|event| event["delta"][field].as_str().unwrap()).collect()
    };
    assert_eq!(joined(0, "text"), "Grüße");
    let arguments: serde_json::Value = serde_json::from_str(&joined(1, "partial_json")).unwrap();
    assert_eq!(arguments, json!({ "file_path": "a.txt", "content": "ü" }));
    let started = &events[0]["message"]["usage"];
    assert_eq!((&started["input_tokens"], &started["cache_read_input_tokens"]), (&json!(7), &json!(5)));
    // The first usage counts one output token, the last one counts all.
    assert_eq!((&started["output_tokens"], &events[11]["usage"]["output_tokens"]), (&json!(1), &json!(3)));
    assert_eq!(events[11]["usage"]["input_tokens"], started["input_tokens"]);
    assert_eq!(events[11]["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn answer_without_stream_is_one_body() {
    let model = model().await;
    model.play([Answer::text("Done.")]);
    let answer = ask(&model, "/v1/messages", json!({ "model": "claude-x" })).await.unwrap().json();
    assert_eq!(answer["content"], json!([{ "type": "text", "text": "Done." }]));
    let ended = (&answer["model"], &answer["stop_reason"], &answer["usage"]["output_tokens"]);
    assert_eq!(ended, (&json!("claude-x"), &json!("end_turn"), &json!(20)));
}

#[tokio::test]
async fn declined_answer_stops_with_refusal() {
    let model = model().await;
    model.play([Answer::text("I can't").declining()]);
    let answer = ask(&model, "/v1/messages", json!({})).await.unwrap().json();
    assert_eq!(answer["stop_reason"], "refusal");
}

#[tokio::test]
async fn refusal_has_status_retry_after_and_error_type() {
    let model = model().await;
    model.play([Refusal::too_many(7), Refusal::overloaded()]);
    let answer = ask(&model, "/v1/messages", json!({})).await.unwrap();
    assert_eq!((answer.status(), answer.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert!(answer.head.contains("retry-after: 7"), "{}", answer.head);
    assert_eq!(ask(&model, "/v1/messages", json!({})).await.unwrap().status(), 529);
}
