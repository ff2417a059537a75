//! Sends an answer in pieces, and ends it as its script requires.

use std::{collections::VecDeque, io, time::Duration};

use axum::{body::Body, http::header::CONTENT_TYPE, response::Response};
use bytes::Bytes;
use futures::stream;

use crate::answer::Answer;
use crate::faults::{AnswerEnd, StreamFault};
use crate::refusal::Refusal;
use crate::sse;

pub(crate) struct RenderedAnswer {
    pub(crate) events: Vec<serde_json::Value>,
    pub(crate) body: serde_json::Value,
    pub(crate) render_fault: fn(&StreamFault) -> serde_json::Value,
}

pub(crate) fn send(answer: &Answer, rendered_answer: RenderedAnswer, streamed: bool) -> Response {
    if !streamed {
        return send_body(answer, &rendered_answer.body);
    }
    let mut events: VecDeque<Bytes> = rendered_answer.events.iter().map(sse::event).collect();
    let last = match &answer.ending {
        AnswerEnd::Complete => StreamEnd::End,
        AnswerEnd::CutAfter(most) => {
            events.truncate(*most);
            StreamEnd::Cut
        }
        AnswerEnd::HangsAfter(most) => {
            events.truncate(*most);
            StreamEnd::Hang
        }
        AnswerEnd::FaultAfter(most, fault) => {
            events.truncate(*most);
            events.push_back(sse::event(&(rendered_answer.render_fault)(fault)));
            StreamEnd::End
        }
    };
    respond("text/event-stream", body(events, last, answer.pause))
}

fn send_body(answer: &Answer, value: &serde_json::Value) -> Response {
    let text = value.to_string();
    let (half, _) = sse::split_half(&text);
    let (pieces, last) = match &answer.ending {
        AnswerEnd::Complete => (Bytes::from(text), StreamEnd::End),
        AnswerEnd::CutAfter(_) => (Bytes::copy_from_slice(half.as_bytes()), StreamEnd::Cut),
        AnswerEnd::HangsAfter(_) => (Bytes::copy_from_slice(half.as_bytes()), StreamEnd::Hang),
        AnswerEnd::FaultAfter(_, fault) => {
            let body = serde_json::json!({
                "type": "error",
                "error": { "type": fault.code, "code": fault.code, "message": fault.message },
            });
            return Refusal::new(500, body).to_response();
        }
    };
    respond("application/json", body(VecDeque::from([pieces]), last, answer.pause))
}

fn respond(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(kind));
    response
}

#[derive(Clone, Copy)]
enum StreamEnd {
    End,
    Cut,
    Hang,
}

fn body(pieces: VecDeque<Bytes>, last: StreamEnd, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(Some(pieces), move |state| async move {
        let mut pieces = state?;
        if let Some(piece) = pieces.pop_front() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            // Without this yield, all pieces leave in one write, and no client reads a partial answer.
            tokio::task::yield_now().await;
            return Some((Ok(piece), Some(pieces)));
        }
        match last {
            StreamEnd::End => None,
            StreamEnd::Cut => {
                // The pieces before the cut must leave first.
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
            StreamEnd::Hang => std::future::pending().await,
        }
    }))
}
