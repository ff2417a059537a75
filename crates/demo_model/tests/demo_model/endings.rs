//! Tests answers that end with a fault: reset, cut, error event or silence.

use crate::client::{ask, ask_streamed, model, say};
use pullyard_demo_model::{Answer, Outcome, Step, Stumble};
use serde_json::json;
use std::io;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn reset_fails_the_read_before_any_byte() {
    let model = model().await;
    model.play([Step::Reset]);
    let error = ask(&model, "/v1/messages", json!({})).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(model.requests()[0].outcome, Outcome::Reset);
}

#[tokio::test]
async fn cut_stream_has_its_first_events_and_no_end() {
    let model = model().await;
    model.play([Answer::text("Grüße").cut_after(4)]);
    let answer = ask_streamed(&model, "/v1/messages").await;
    assert_eq!((answer.events().len(), answer.whole), (4, false));
}

#[tokio::test]
async fn cut_body_is_incomplete_json() {
    let model = model().await;
    model.play([Answer::text("Grüße").cut_after(4)]);
    let answer = ask(&model, "/v1/messages", json!({})).await.unwrap();
    assert!(!answer.whole && answer.body.starts_with('{'), "{}", answer.body);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
}

#[tokio::test]
async fn anthropic_stumble_is_an_error_event() {
    let model = model().await;
    model.play([Answer::text("Let me").stumbling_after(2, Stumble::overloaded())]);
    let answer = ask_streamed(&model, "/v1/messages").await;
    assert_eq!(answer.kinds(), ["message_start", "content_block_start", "error"]);
    assert_eq!(answer.events()[2]["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn hanging_answers_do_not_block_other_requests() {
    let model = model().await;
    model.play([Step::Hang, Answer::text("Grüße").hanging_after(2).into(), Answer::text("Done.").into()]);
    let streamed = json!({ "stream": true }).to_string();
    let silent = say(&model, "POST", "/v1/messages", &streamed).await;
    model.wait_for_turns(1).await;
    let mut half = say(&model, "POST", "/v1/messages", &streamed).await;
    let mut heard = Vec::new();
    while String::from_utf8_lossy(&heard).matches("event: ").count() < 2 {
        half.read_buf(&mut heard).await.unwrap();
    }
    assert!(ask(&model, "/v1/messages", json!({})).await.unwrap().whole);
    let mut byte = [0];
    let nothing = silent.try_read(&mut byte).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    let nothing = half.try_read(&mut byte).map_err(|error| error.kind());
    // The end of the last chunk may still arrive; another event may not.
    assert!(nothing != Ok(0), "the stream ended");
    assert!(heard.starts_with(b"HTTP/1.1 200 "));
}
