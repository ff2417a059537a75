//! Parses the items of `codex exec --json` (messages, commands, file changes, tools).

use super::count::{LONGEST_CALL, MOST_CALLS};
use crate::agent::json_lines::{inside, text};
use crate::agent::sign::{Sign, Terminal};
use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) struct Items {
    tree: PathBuf,
    /// Number of the start. Item numbers and ids of calls may begin again with each start.
    start: u32,
    /// Items in progress. Their number is limited, because any program may print such lines.
    begun: BTreeSet<String>,
    last_message: String,
}

impl Items {
    pub(super) fn new(tree: &Path, start: u32) -> Self {
        Self { tree: tree.to_owned(), start, begun: BTreeSet::new(), last_message: String::new() }
    }

    /// Parses an item that begins, continues or ended; `None` for an unknown type.
    pub(super) fn item(&mut self, item: &Value, ended: bool) -> Option<Vec<Sign>> {
        let id = text(item, "id").unwrap_or_default();
        let id = if self.start > 1 { format!("{id}.{}", self.start) } else { id.to_owned() };
        let mut signs = vec![Sign::Alive];
        match text(item, "type") {
            Some("agent_message") if ended => {
                let words = text(item, "text").unwrap_or_default();
                self.last_message = words.to_owned();
                // The model answers only after its tools, so a tool without a reported end has ended as well.
                self.begun.clear();
                signs.extend([Sign::ToolsEnded, Sign::Said(Said::words(EventKind::Text, words))]);
            }
            Some("command_execution") => signs.extend(self.command(item, id, ended)),
            Some("file_change") => signs.extend(self.file_change(item, id, ended)),
            Some("mcp_tool_call" | "web_search" | "collab_tool_call") => signs.extend(self.tool(item, id, ended)),
            Some("error") => {
                signs.push(Sign::Said(Said::words(EventKind::Log, text(item, "message").unwrap_or_default())));
            }
            // Thoughts are not reported. The others arrive again when they are complete.
            Some("reasoning" | "agent_message" | "todo_list") => {}
            _ => return None,
        }
        Some(signs)
    }

    /// The signs of a new call. A call with an impossible id, or beyond the limit, is reported but not tracked.
    fn begin(&mut self, id: &str, said: Said) -> Vec<Sign> {
        if self.begun.contains(id) {
            return Vec::new();
        }
        let said = Sign::Said(Said { call: Some(id.to_owned()), ..said });
        if id.len() > LONGEST_CALL || self.begun.len() >= MOST_CALLS {
            return vec![said];
        }
        self.begun.insert(id.to_owned());
        vec![Sign::ToolBegan(id.to_owned()), said]
    }

    fn end(&mut self, id: &str) -> Sign {
        self.begun.remove(id);
        Sign::ToolEnded(id.to_owned())
    }

    fn command(&mut self, item: &Value, id: String, ended: bool) -> Vec<Sign> {
        let words = text(item, "command").unwrap_or_default();
        let name = Some("exec_command".to_owned());
        let said = Said { name: name.clone(), ..Said::words(EventKind::Command, words) };
        let mut signs = self.begin(&id, said);
        if ended {
            signs.push(self.end(&id));
            let data =
                json!({ "exit_code": item.get("exit_code"), "failed": text(item, "status") != Some("completed") });
            let output = text(item, "aggregated_output").unwrap_or_default();
            let said = Said { name, call: Some(id), data: Some(data), ..Said::words(EventKind::ToolResult, output) };
            signs.push(Sign::Said(said));
        }
        signs
    }

    fn file_change(&mut self, item: &Value, id: String, ended: bool) -> Vec<Sign> {
        let name = Some("apply_patch".to_owned());
        let changes = item.get("changes").and_then(Value::as_array).into_iter().flatten();
        let changes: Vec<(String, &str)> = changes
            .filter_map(|change| {
                Some((inside(&self.tree, text(change, "path")?), text(change, "kind").unwrap_or("update")))
            })
            .collect();
        let told = changes.iter().map(|(path, kind)| json!({ "path": path, "kind": kind }));
        let data = json!({ "changes": told.collect::<Vec<_>>() });
        let mut signs =
            self.begin(&id, Said { name: name.clone(), data: Some(data), ..Said::new(EventKind::ToolCall) });
        if !ended {
            return signs;
        }
        signs.push(self.end(&id));
        let failed = text(item, "status") != Some("completed");
        for (path, kind) in changes.into_iter().filter(|_| !failed) {
            let said = Said {
                call: Some(id.clone()),
                path: Some(path),
                name: Some(kind.into()),
                ..Said::new(EventKind::FileEdit)
            };
            signs.push(Sign::Said(said));
        }
        let said =
            Said { name, call: Some(id), data: Some(json!({ "failed": failed })), ..Said::new(EventKind::ToolResult) };
        signs.push(Sign::Said(said));
        signs
    }

    /// Any other tool. Its input and its result are passed on unchanged.
    fn tool(&mut self, item: &Value, id: String, ended: bool) -> Vec<Sign> {
        let name = text(item, "tool").or_else(|| text(item, "type")).map(str::to_owned);
        let said = Said { name: name.clone(), data: Some(item.clone()), ..Said::new(EventKind::ToolCall) };
        let mut signs = self.begin(&id, said);
        if ended {
            signs.push(self.end(&id));
            let data = Some(item.clone());
            signs.push(Sign::Said(Said { name, call: Some(id), data, ..Said::new(EventKind::ToolResult) }));
        }
        signs
    }

    pub(super) fn last_message(&mut self) -> String {
        std::mem::take(&mut self.last_message)
    }
}

pub(super) fn ended(terminal: Terminal) -> Vec<Sign> {
    let data = Some(json!({ "well": terminal.well }));
    let said = Said { data, ..Said::words(EventKind::Result, terminal.words.clone()) };
    vec![Sign::Said(said), Sign::Ended(terminal)]
}
