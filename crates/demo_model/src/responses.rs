//! Renders an answer in the format of OpenAI's Responses, as events and as one body.

use serde_json::{Value, json};

use crate::answer::{Answer, Part};
use crate::faults::StreamFault;
use crate::send_answer::RenderedAnswer;
use crate::sse::split_half;

pub(crate) fn render(answer: &Answer, number: usize, model: &str) -> RenderedAnswer {
    let response = |status: &str, output: &[Value], usage: Value| {
        json!({
            "id": format!("resp_{number:04}"),
            "object": "response",
            "created_at": 1_700_000_000 + number,
            "status": status,
            "model": model,
            "output": output,
            "error": null,
            "incomplete_details": answer.is_declined.then(|| json!({ "reason": "content_filter" })),
            "usage": usage,
        })
    };
    let started = response("in_progress", &[], Value::Null);
    let mut events = vec![
        json!({ "type": "response.created", "response": started }),
        json!({ "type": "response.in_progress", "response": started }),
    ];
    let mut output = Vec::new();
    for (index, part) in answer.parts.iter().enumerate() {
        let (item, item_events) = match part {
            Part::Text(text) => message(text, number, index),
            Part::Tool { name, arguments } => function_call(name, &arguments.to_string(), number, index),
        };
        events.extend(item_events);
        output.push(item);
    }
    let status = if answer.is_declined { "incomplete" } else { "completed" };
    let body = response(status, &output, usage(answer));
    events.push(json!({ "type": format!("response.{status}"), "response": body }));
    for (n, event) in events.iter_mut().enumerate() {
        if let Some(fields) = event.as_object_mut() {
            fields.insert("sequence_number".to_owned(), json!(n));
        }
    }
    RenderedAnswer { events, body, render_fault }
}

fn usage(answer: &Answer) -> Value {
    let input = answer.usage.input + answer.usage.cached;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": answer.usage.cached },
        "output_tokens": answer.usage.output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + answer.usage.output,
    })
}

fn item_added(index: usize, item: &Value) -> Value {
    json!({ "type": "response.output_item.added", "output_index": index, "item": item })
}

fn item_done(index: usize, item: &Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": index, "item": item })
}

fn message(text: &str, number: usize, index: usize) -> (Value, Vec<Value>) {
    let id = format!("msg_{number:04}_{index}");
    let item = |status: &str, content: Value| json!({ "type": "message", "id": id, "status": status, "role": "assistant", "content": content });
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let message_item = item("completed", json!([part(text)]));
    let (first, second) = split_half(text);
    let delta = |text: &str| {
        json!({ "type": "response.output_text.delta", "item_id": id, "output_index": index,
                "content_index": 0, "delta": text })
    };
    let events = vec![
        item_added(index, &item("in_progress", json!([]))),
        json!({ "type": "response.content_part.added", "item_id": id, "output_index": index,
                "content_index": 0, "part": part("") }),
        delta(first),
        delta(second),
        json!({ "type": "response.output_text.done", "item_id": id, "output_index": index,
                "content_index": 0, "text": text }),
        json!({ "type": "response.content_part.done", "item_id": id, "output_index": index,
                "content_index": 0, "part": part(text) }),
        item_done(index, &message_item),
    ];
    (message_item, events)
}

fn function_call(name: &str, arguments: &str, number: usize, index: usize) -> (Value, Vec<Value>) {
    let id = format!("fc_{number:04}_{index}");
    let item = |status: &str, arguments: &str| {
        json!({ "type": "function_call", "id": id, "call_id": format!("call_{number:04}_{index}"),
                "status": status, "name": name, "arguments": arguments })
    };
    let events = vec![
        item_added(index, &item("in_progress", "")),
        json!({ "type": "response.function_call_arguments.delta", "item_id": id, "output_index": index,
                "delta": arguments }),
        json!({ "type": "response.function_call_arguments.done", "item_id": id, "output_index": index,
                "arguments": arguments }),
        item_done(index, &item("completed", arguments)),
    ];
    (item("completed", arguments), events)
}

fn render_fault(fault: &StreamFault) -> Value {
    json!({
        "type": "response.failed",
        "response": {
            "id": "resp_failed",
            "object": "response",
            "status": "failed",
            "error": { "code": fault.code, "message": fault.message },
            "output": [],
            "usage": null,
        },
    })
}
