//! An item of `codex app-server` as the lines of `codex exec` have it, so that both are read alike.

use crate::agent::json_lines::text;
use serde_json::{Value, json};

/// Calls of the model, each with the type that it has in lines.
const CALLS: [(&str, &str); 6] = [
    ("commandExecution", "command_execution"),
    ("fileChange", "file_change"),
    ("mcpToolCall", "mcp_tool_call"),
    ("dynamicToolCall", "mcp_tool_call"),
    ("collabAgentToolCall", "collab_tool_call"),
    ("webSearch", "web_search"),
];

/// What the model thinks and plans, and what Codex does beside its answers.
const QUIET: [&str; 8] = [
    "contextCompaction",
    "enteredReviewMode",
    "exitedReviewMode",
    "hookPrompt",
    "imageView",
    "plan",
    "reasoning",
    "subAgentActivity",
];

fn call(item: &Value) -> Option<&'static str> {
    let named = text(item, "type")?;
    CALLS.iter().find(|(own, _)| *own == named).map(|(_, in_lines)| *in_lines)
}

/// Whether the model asked for it.
pub(super) fn is_call(item: &Value) -> bool {
    call(item).is_some()
}

/// The same item; nothing of one that nobody knows.
pub(super) fn as_in_lines(item: &Value) -> Option<Value> {
    let of = |name: &str| item.get(name).unwrap_or(&Value::Null);
    let Some(kind) = call(item) else {
        return match text(item, "type")? {
            "agentMessage" => Some(json!({ "id": of("id"), "type": "agent_message", "text": of("text") })),
            named if QUIET.contains(&named) => Some(json!({ "id": of("id"), "type": "reasoning" })),
            _ => None,
        };
    };
    Some(match kind {
        "command_execution" => json!({
            "id": of("id"), "type": kind, "command": of("command"), "status": of("status"),
            "aggregated_output": of("aggregatedOutput"), "exit_code": of("exitCode"),
        }),
        "file_change" => {
            let changes = of("changes").as_array().into_iter().flatten();
            let changes: Vec<Value> = changes
                .map(|change| {
                    let how = change.get("kind").and_then(|kind| text(kind, "type"));
                    json!({ "path": change.get("path"), "kind": how })
                })
                .collect();
            json!({ "id": of("id"), "type": kind, "changes": changes, "status": of("status") })
        }
        _ => {
            let mut same = item.clone();
            if let Some(fields) = same.as_object_mut() {
                fields.insert("type".to_owned(), kind.into());
            }
            same
        }
    })
}
