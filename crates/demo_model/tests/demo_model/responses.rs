//! Tests the format of OpenAI's Responses.

use crate::client::{ask, ask_streamed, model};
use pullyard_demo_model::{Answer, Part, Refusal, Stumble, Usage};
use serde_json::json;

#[tokio::test]
async fn stream_has_all_events_of_text_and_tool_calls() {
    let model = model().await;
    let usage = Usage { input: 7, cached: 5, output: 3 };
    let call = Part::Tool { name: "exec_command".into(), arguments: json!({ "cmd": "ls" }) };
    let patch = Part::Freeform { name: "apply_patch".into(), input: "*** Begin Patch".into() };
    model.play([Answer::text("Grüße").and(call).and(patch).taking(usage)]);
    let answer = ask_streamed(&model, "/v1/responses").await;
    assert!(answer.whole, "{}", answer.body);
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(answer.kinds(), expected);
    let events = answer.events();
    assert!(events.iter().enumerate().all(|(n, event)| event["sequence_number"] == json!(n)));
    let done = &events[17]["response"];
    let kinds: Vec<_> = done["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, ["message", "function_call", "custom_tool_call"]);
    assert_eq!(done["output"][1]["arguments"], r#"{"cmd":"ls"}"#);
    // Cached tokens count as input tokens.
    assert_eq!((&done["usage"]["input_tokens"], &done["usage"]["total_tokens"]), (&json!(12), &json!(15)));
}

#[tokio::test]
async fn answer_without_stream_is_one_body() {
    let model = model().await;
    model.play([Answer::text("Done.")]);
    let answer = ask(&model, "/v1/responses", json!({ "model": "gpt-x" })).await.unwrap().json();
    assert_eq!((&answer["status"], &answer["model"]), (&json!("completed"), &json!("gpt-x")));
    assert_eq!(answer["output"][0]["content"][0]["text"], "Done.");
}

#[tokio::test]
async fn stumble_is_a_failed_response() {
    let model = model().await;
    model.play([Answer::text("Let me").stumbling_after(3, Stumble::quota())]);
    let answer = ask_streamed(&model, "/v1/responses").await;
    assert_eq!(answer.kinds().last().unwrap(), "response.failed");
    assert_eq!(answer.events()[3]["response"]["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn refusal_has_status_and_error_code() {
    let model = model().await;
    model.play([Refusal::openai_at_capacity(), Refusal::openai_wrong_key(), Refusal::openai_no_such_model("m")]);
    for (status, code) in [(503, "server_is_overloaded"), (401, "invalid_api_key"), (404, "model_not_found")] {
        let answer = ask(&model, "/v1/responses", json!({})).await.unwrap();
        assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (status, Some(code)));
    }
}
