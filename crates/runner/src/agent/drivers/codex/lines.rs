//! Parses lines of `codex exec --json`: turns, and items (messages, commands, file changes, tools).
//! Its quirks:
//! - An item of type `error` is a warning, and an `error` line is often only progress.
//! - A command may be reported at its end only, or not at all.
//! - Token counts cover the whole thread.

use super::rollout::{MAX_CALL_ID_BYTES, MAX_CALLS, Rollouts, parse_count};
use crate::agent::adapter::LineParser;
use crate::agent::agent_event::{AgentEvent, EndReport};
use crate::agent::json_lines::{self, list_field, raw_event, relative_path, text_field};
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Prefix of an `error` line about a retry: "Reconnecting... 1/3 (…)".
const RECONNECTING: &str = "Reconnecting...";

pub(super) struct ExecJsonParser {
    tree: PathBuf,
    /// Number of the start. Item numbers and ids of calls may begin again with each start.
    start: u32,
    /// Items in progress. Their number is limited, because any program may print such lines.
    running: BTreeSet<String>,
    last_message: String,
    rollouts: Arc<Mutex<Rollouts>>,
}

impl ExecJsonParser {
    pub(super) fn new(tree: &Path, rollouts: Arc<Mutex<Rollouts>>) -> Self {
        let start = rollouts.lock().unwrap_or_else(PoisonError::into_inner).start_count;
        Self { tree: tree.to_owned(), start, running: BTreeSet::new(), last_message: String::new(), rollouts }
    }

    /// Parses a line about an item that begins, continues or ended.
    fn parse_item(&mut self, object: &Value, is_end: bool) -> Vec<AgentEvent> {
        let item = object.get("item").unwrap_or(&Value::Null);
        let id = text_field(item, "id").unwrap_or_default();
        let id = if self.start > 1 { format!("{id}.{}", self.start) } else { id.to_owned() };
        let mut events = vec![AgentEvent::Activity];
        match text_field(item, "type") {
            Some("agent_message") if is_end => {
                let text = text_field(item, "text").unwrap_or_default();
                self.last_message = text.to_owned();
                // The model answers only after its tools, so a tool without a reported end has ended as well.
                self.running.clear();
                events.extend([AgentEvent::AllToolsEnded, AgentEvent::Event(EventDraft::text(EventKind::Text, text))]);
            }
            Some("command_execution") => events.extend(self.parse_command(item, &id, is_end)),
            Some("file_change") => events.extend(self.parse_file_change(item, &id, is_end)),
            Some("mcp_tool_call" | "web_search" | "collab_tool_call") => {
                events.extend(self.parse_tool(item, &id, is_end))
            }
            Some("error") => {
                let message = text_field(item, "message").unwrap_or_default();
                events.push(AgentEvent::Event(EventDraft::text(EventKind::Log, message)));
            }
            // Reasoning is not reported. The other items arrive again when they are complete.
            Some("reasoning" | "agent_message" | "todo_list") => {}
            _ => return vec![raw_event(object)],
        }
        events
    }

    /// Tracks a call, unless its id is too long or too many calls are open. Returns its events in either case.
    fn track_call(&mut self, id: &str, is_end: bool, draft: EventDraft, results: Vec<EventDraft>) -> Vec<AgentEvent> {
        let event = |draft| AgentEvent::Event(EventDraft { call: Some(id.to_owned()), ..draft });
        let mut events = Vec::new();
        if !self.running.contains(id) {
            if id.len() <= MAX_CALL_ID_BYTES && self.running.len() < MAX_CALLS {
                self.running.insert(id.to_owned());
                events.push(AgentEvent::ToolStarted(id.to_owned()));
            }
            events.push(event(draft));
        }
        if is_end {
            self.running.remove(id);
            events.push(AgentEvent::ToolEnded(id.to_owned()));
            events.extend(results.into_iter().map(event));
        }
        events
    }

    fn parse_command(&mut self, item: &Value, id: &str, is_end: bool) -> Vec<AgentEvent> {
        let text = |field: &str| text_field(item, field).unwrap_or_default();
        let name = Some("exec_command".to_owned());
        let draft = EventDraft { name: name.clone(), ..EventDraft::text(EventKind::Command, text("command")) };
        let data = json!({ "exit_code": item.get("exit_code"), "failed": text("status") != "completed" });
        let result = EventDraft::text(EventKind::ToolResult, text("aggregated_output"));
        self.track_call(id, is_end, draft, vec![EventDraft { name, data: Some(data), ..result }])
    }

    fn parse_file_change(&mut self, item: &Value, id: &str, is_end: bool) -> Vec<AgentEvent> {
        let name = Some("apply_patch".to_owned());
        let failed = text_field(item, "status") != Some("completed");
        let (mut entries, mut results) = (Vec::new(), Vec::new());
        for change in list_field(item, "changes") {
            let Some(path) = text_field(change, "path") else { continue };
            let (path, kind) = (relative_path(&self.tree, path), text_field(change, "kind").unwrap_or("update"));
            entries.push(json!({ "path": path, "kind": kind }));
            if !failed {
                let name = Some(kind.to_owned());
                results.push(EventDraft { path: Some(path), name, ..EventDraft::new(EventKind::FileEdit) });
            }
        }
        let data = Some(json!({ "failed": failed }));
        results.push(EventDraft { name: name.clone(), data, ..EventDraft::new(EventKind::ToolResult) });
        let data = Some(json!({ "changes": entries }));
        self.track_call(id, is_end, EventDraft { name, data, ..EventDraft::new(EventKind::ToolCall) }, results)
    }

    fn parse_tool(&mut self, item: &Value, id: &str, is_end: bool) -> Vec<AgentEvent> {
        let name = text_field(item, "tool").or_else(|| text_field(item, "type")).map(str::to_owned);
        let data = Some(item.clone());
        let result = EventDraft { name: name.clone(), data: data.clone(), ..EventDraft::new(EventKind::ToolResult) };
        self.track_call(id, is_end, EventDraft { name, data, ..EventDraft::new(EventKind::ToolCall) }, vec![result])
    }
}

impl LineParser for ExecJsonParser {
    fn parse_line(&mut self, line: &[u8]) -> Vec<AgentEvent> {
        json_lines::parse_json_line(line, |object| match text_field(object, "type") {
            Some("thread.started") => match text_field(object, "thread_id") {
                Some(id) => vec![AgentEvent::Activity, AgentEvent::Session(id.to_owned())],
                None => vec![raw_event(object)],
            },
            Some("turn.started") => vec![AgentEvent::Activity],
            Some("item.started" | "item.updated") => self.parse_item(object, false),
            Some("item.completed") => self.parse_item(object, true),
            Some("turn.completed") => {
                let total = parse_count(object.get("usage").unwrap_or(&Value::Null));
                self.rollouts.lock().unwrap_or_else(PoisonError::into_inner).reported_thread_total = Some(total);
                let message = std::mem::take(&mut self.last_message);
                turn_end_events(EndReport { success: true, message, ..EndReport::default() })
            }
            Some("turn.failed") => {
                let error = object.get("error").unwrap_or(&Value::Null);
                let message = text_field(error, "message").unwrap_or_default().to_owned();
                turn_end_events(EndReport { message, ..EndReport::default() })
            }
            // Not an end: a retry causes such a line too. A failed turn follows a real end.
            Some("error") => {
                let message = text_field(object, "message").unwrap_or_default();
                let draft = EventDraft::text(EventKind::Log, message);
                vec![if message.starts_with(RECONNECTING) {
                    AgentEvent::Retrying(draft)
                } else {
                    AgentEvent::Event(draft)
                }]
            }
            _ => vec![raw_event(object)],
        })
    }
}

fn turn_end_events(end_report: EndReport) -> Vec<AgentEvent> {
    let data = Some(json!({ "well": end_report.success }));
    let draft = EventDraft { data, ..EventDraft::text(EventKind::Result, end_report.message.clone()) };
    vec![AgentEvent::Event(draft), AgentEvent::EndReport(end_report)]
}

#[cfg(test)]
mod tests;
