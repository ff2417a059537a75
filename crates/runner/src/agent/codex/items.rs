//! Parses the items of `codex exec --json` (messages, commands, file changes, tools).

use super::token_count::{MAX_CALL_ID_BYTES, MAX_CALLS};
use crate::agent::agent_event::{AgentEvent, EndReport};
use crate::agent::json_lines::{relative_path, text_field};
use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) struct ItemParser {
    tree: PathBuf,
    /// Number of the start. Item numbers and ids of calls may begin again with each start.
    start: u32,
    /// Items in progress. Their number is limited, because any program may print such lines.
    running: BTreeSet<String>,
    last_message: String,
}

impl ItemParser {
    pub(super) fn new(tree: &Path, start: u32) -> Self {
        Self { tree: tree.to_owned(), start, running: BTreeSet::new(), last_message: String::new() }
    }

    /// Parses an item that begins, continues or ended; `None` for an unknown type.
    pub(super) fn parse_item(&mut self, item: &Value, ended: bool) -> Option<Vec<AgentEvent>> {
        let id = text_field(item, "id").unwrap_or_default();
        let id = if self.start > 1 { format!("{id}.{}", self.start) } else { id.to_owned() };
        let mut signs = vec![AgentEvent::Activity];
        match text_field(item, "type") {
            Some("agent_message") if ended => {
                let text = text_field(item, "text").unwrap_or_default();
                self.last_message = text.to_owned();
                // The model answers only after its tools, so a tool without a reported end has ended as well.
                self.running.clear();
                signs.extend([AgentEvent::AllToolsEnded, AgentEvent::Event(EventDraft::text(EventKind::Text, text))]);
            }
            Some("command_execution") => signs.extend(self.command(item, id, ended)),
            Some("file_change") => signs.extend(self.file_change(item, id, ended)),
            Some("mcp_tool_call" | "web_search" | "collab_tool_call") => signs.extend(self.tool(item, id, ended)),
            Some("error") => {
                signs.push(AgentEvent::Event(EventDraft::text(
                    EventKind::Log,
                    text_field(item, "message").unwrap_or_default(),
                )));
            }
            // Thoughts are not reported. The others arrive again when they are complete.
            Some("reasoning" | "agent_message" | "todo_list") => {}
            _ => return None,
        }
        Some(signs)
    }

    /// The signs of a new call. A call with an impossible id, or beyond the limit, is reported but not tracked.
    fn begin_call(&mut self, id: &str, draft: EventDraft) -> Vec<AgentEvent> {
        if self.running.contains(id) {
            return Vec::new();
        }
        let draft = AgentEvent::Event(EventDraft { call: Some(id.to_owned()), ..draft });
        if id.len() > MAX_CALL_ID_BYTES || self.running.len() >= MAX_CALLS {
            return vec![draft];
        }
        self.running.insert(id.to_owned());
        vec![AgentEvent::ToolStarted(id.to_owned()), draft]
    }

    fn end_call(&mut self, id: &str) -> AgentEvent {
        self.running.remove(id);
        AgentEvent::ToolEnded(id.to_owned())
    }

    fn command(&mut self, item: &Value, id: String, ended: bool) -> Vec<AgentEvent> {
        let line = text_field(item, "command").unwrap_or_default();
        let name = Some("exec_command".to_owned());
        let draft = EventDraft { name: name.clone(), ..EventDraft::text(EventKind::Command, line) };
        let mut signs = self.begin_call(&id, draft);
        if ended {
            signs.push(self.end_call(&id));
            let data = json!({ "exit_code": item.get("exit_code"), "failed": text_field(item, "status") != Some("completed") });
            let output = text_field(item, "aggregated_output").unwrap_or_default();
            let draft = EventDraft {
                name,
                call: Some(id),
                data: Some(data),
                ..EventDraft::text(EventKind::ToolResult, output)
            };
            signs.push(AgentEvent::Event(draft));
        }
        signs
    }

    fn file_change(&mut self, item: &Value, id: String, ended: bool) -> Vec<AgentEvent> {
        let name = Some("apply_patch".to_owned());
        let changes = item.get("changes").and_then(Value::as_array).into_iter().flatten();
        let changes: Vec<(String, &str)> = changes
            .filter_map(|change| {
                Some((
                    relative_path(&self.tree, text_field(change, "path")?),
                    text_field(change, "kind").unwrap_or("update"),
                ))
            })
            .collect();
        let entries = changes.iter().map(|(path, kind)| json!({ "path": path, "kind": kind }));
        let data = json!({ "changes": entries.collect::<Vec<_>>() });
        let mut signs = self.begin_call(
            &id,
            EventDraft { name: name.clone(), data: Some(data), ..EventDraft::new(EventKind::ToolCall) },
        );
        if !ended {
            return signs;
        }
        signs.push(self.end_call(&id));
        let failed = text_field(item, "status") != Some("completed");
        for (path, kind) in changes.into_iter().filter(|_| !failed) {
            let draft = EventDraft {
                call: Some(id.clone()),
                path: Some(path),
                name: Some(kind.into()),
                ..EventDraft::new(EventKind::FileEdit)
            };
            signs.push(AgentEvent::Event(draft));
        }
        let draft = EventDraft {
            name,
            call: Some(id),
            data: Some(json!({ "failed": failed })),
            ..EventDraft::new(EventKind::ToolResult)
        };
        signs.push(AgentEvent::Event(draft));
        signs
    }

    fn tool(&mut self, item: &Value, id: String, ended: bool) -> Vec<AgentEvent> {
        let name = text_field(item, "tool").or_else(|| text_field(item, "type")).map(str::to_owned);
        let draft = EventDraft { name: name.clone(), data: Some(item.clone()), ..EventDraft::new(EventKind::ToolCall) };
        let mut signs = self.begin_call(&id, draft);
        if ended {
            signs.push(self.end_call(&id));
            let data = Some(item.clone());
            signs.push(AgentEvent::Event(EventDraft {
                name,
                call: Some(id),
                data,
                ..EventDraft::new(EventKind::ToolResult)
            }));
        }
        signs
    }

    pub(super) fn take_last_message(&mut self) -> String {
        std::mem::take(&mut self.last_message)
    }
}

pub(super) fn turn_end_events(terminal: EndReport) -> Vec<AgentEvent> {
    let data = Some(json!({ "well": terminal.success }));
    let draft = EventDraft { data, ..EventDraft::text(EventKind::Result, terminal.message.clone()) };
    vec![AgentEvent::Event(draft), AgentEvent::EndReport(terminal)]
}
