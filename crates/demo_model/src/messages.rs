//! Renders an answer in the format of Anthropic's Messages, as events and as one body.

use serde_json::{Value, json};

use crate::answer::{Answer, Part};
use crate::faults::StreamFault;
use crate::send_answer::RenderedAnswer;
use crate::sse::split_half;

pub(crate) fn render(answer: &Answer, number: usize, model: &str) -> RenderedAnswer {
    let blocks: Vec<Value> = answer.parts.iter().enumerate().map(|(n, part)| block(part, number, n)).collect();
    let stop_reason = match (answer.is_declined, answer.has_tool_call()) {
        (true, _) => "refusal",
        (false, true) => "tool_use",
        (false, false) => "end_turn",
    };
    let mut message = json!({
        "id": format!("msg_{number:04}"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage(answer, 1),
    });
    let mut events = vec![json!({ "type": "message_start", "message": message.clone() })];
    for (index, block) in blocks.iter().enumerate() {
        events.extend(render_block_events(index, block));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason, "stop_sequence": null },
        // The provider sends the complete usage here, and repeats the usage of `message_start`.
        "usage": {
            "input_tokens": answer.usage.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.usage.cached,
            "output_tokens": answer.usage.output,
        },
    }));
    events.push(json!({ "type": "message_stop" }));
    if let Some(fields) = message.as_object_mut() {
        fields.insert("content".to_owned(), Value::Array(blocks));
        fields.insert("stop_reason".to_owned(), json!(stop_reason));
        fields.insert("usage".to_owned(), usage(answer, answer.usage.output));
    }
    RenderedAnswer { events, body: message, render_fault }
}

fn usage(answer: &Answer, output: u64) -> Value {
    json!({
        "input_tokens": answer.usage.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.usage.cached,
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn block(part: &Part, number: usize, n: usize) -> Value {
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Tool { name, arguments } => {
            json!({ "type": "tool_use", "id": format!("toolu_{number:04}_{n}"), "name": name, "input": arguments })
        }
    }
}

fn render_block_events(index: usize, block: &Value) -> Vec<Value> {
    let (empty, deltas) = match block.get("text").and_then(Value::as_str) {
        Some(text) => {
            let (first, second) = split_half(text);
            let delta = |text: &str| json!({ "type": "text_delta", "text": text });
            (json!({ "type": "text", "text": "" }), [delta(first), delta(second)])
        }
        None => {
            let input = block.get("input").map(Value::to_string).unwrap_or_default();
            let (first, second) = split_half(&input);
            let delta = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
            let mut empty = block.clone();
            if let Some(fields) = empty.as_object_mut() {
                fields.insert("input".to_owned(), json!({}));
            }
            (empty, [delta(first), delta(second)])
        }
    };
    let start = [
        json!({ "type": "content_block_start", "index": index, "content_block": empty }),
        // The provider sends pings at any time; clients ignore them.
        json!({ "type": "ping" }),
    ];
    let deltas = deltas.map(|delta| json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    let stop = json!({ "type": "content_block_stop", "index": index });
    start.into_iter().chain(deltas).chain([stop]).collect()
}

fn render_fault(fault: &StreamFault) -> Value {
    json!({ "type": "error", "error": { "type": fault.code, "message": fault.message } })
}
